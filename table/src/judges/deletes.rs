//! Files that are written anew while another engine deletes rows of them, or of others beside them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use iceberg::spec::{DataContentType, FormatVersion, Operation as Kind};

use super::changes::{delete_file, places};
use super::history::{Effect, History};
use super::lake::{Lake, Operation};
use crate::{Change, Committed, FileStore, Scan, ScanFile, StoreOptions, TableError};
use tidewater_core::{Rng, SeededRng, SystemClock};

/// How often changes are computed from a state that they are not committed on.
const ROUNDS: i64 = 8;

/// Ids that a round may give to new rows.
const IDS: i64 = 1_000;

/// What happened in all tables: a test of what never happened is none.
#[derive(Debug, Default)]
struct Tally {
    by_value: u64,
    by_position: u64,
    /// Changes that rest on files and were committed although rows had been deleted since they were computed.
    passed: u64,
    refused: u64,
}

async fn files(lake: &Lake) -> Vec<ScanFile> {
    let table = lake.table().await.metadata;
    let scan = Scan::new(&lake.store, &table).with_deletes();
    scan.plan().await.expect("files")
}

/// What a manifest may tell of the one path in a delete file: nothing, all of it, or what is left when bounds are cut, by one who raises
/// the upper one and by one who does not.
fn told(path: &str, rng: &SeededRng) -> Option<(String, String)> {
    let cut = &path[..1 + rng.below(path.len() as u64) as usize];
    match rng.below(4) {
        0 => None,
        1 => Some((path.to_owned(), path.to_owned())),
        2 => Some((cut.to_owned(), format!("{cut}~"))),
        _ => Some((cut.to_owned(), cut.to_owned())),
    }
}

/// Rows of one partition are deleted as they are now, by a value of theirs or by the place of one, and what that does to the rows.
async fn deleted(lake: &Lake, rng: &SeededRng, tally: &mut Tally) -> Option<(Change, Effect)> {
    let table = lake.table().await.metadata;
    let files = files(lake).await;
    let file = files.get(rng.below(files.len().max(1) as u64) as usize)?;
    let rows = lake.rows_of(&table, file).await.expect("rows");
    let chosen = *rows.get(rng.below(rows.len().max(1) as u64) as usize)?;
    let like = (file.data_file(), file.spec_id);
    let (added, gone) = match table.format_version() == FormatVersion::V2 && rng.below(2) == 0 {
        true => {
            tally.by_position += 1;
            let mask = lake.mask(&table, file).await.expect("deletes");
            let stored = lake.stored_rows(file).await.expect("rows");
            let mut living = (0_u64..).zip(stored).filter(|(at, _)| !mask.is_deleted(*at));
            let (at, _) = living.find(|(_, row)| *row == chosen).expect("it lives");
            let told = told(&file.path, rng);
            let told = told
                .as_ref()
                .map(|(least, greatest)| (least.as_str(), greatest.as_str()));
            let columns = places(&file.path, vec![at as i64]);
            let by_position = (DataContentType::PositionDeletes, None);
            let added = delete_file(lake, &table, like, by_position, columns, told).await;
            (added, vec![chosen])
        }
        false => {
            tally.by_value += 1;
            let (id, name) = if rng.below(4) == 0 { (2, "n") } else { (1, "id") };
            let value = |row: &(i64, i64)| if id == 1 { row.0 } else { row.1 };
            let values: ArrayRef = Arc::new(Int64Array::from(vec![value(&chosen)]));
            let by_value = (DataContentType::EqualityDeletes, Some(vec![id]));
            let added = delete_file(lake, &table, like, by_value, vec![(id, name, values)], None).await;
            let mut gone = Vec::new();
            for beside in files.iter().filter(|other| other.partition == file.partition) {
                let rows = lake.rows_of(&table, beside).await.expect("rows");
                gone.extend(rows.into_iter().filter(|row| value(row) == value(&chosen)));
            }
            (added, gone)
        }
    };
    let change = Change {
        operation: Kind::Delete,
        ..Change::append(vec![added])
    };
    Some((change, Effect::changed(gone, Vec::new())))
}

/// Notes a commit, and what a reader finds then.
async fn note(lake: &Lake, history: &History, committed: &Committed, effect: Effect) {
    history.commit(committed, effect);
    let rows = lake.rows(&committed.table.metadata, Some(committed.snapshot_id)).await;
    history.read(committed.snapshot_id, rows.expect("rows"));
}

async fn judge(lake: &Lake, seed: u64, tally: &mut Tally) {
    let rng = SeededRng::new(seed);
    let history = History::default();
    for round in 0..ROUNDS {
        for step in 0..2 {
            let first_id = round * IDS + step * 10;
            let done = lake.act(Operation::Append, &rng, first_id).await.expect("an append");
            let committed = done.committed.expect("rows");
            note(lake, &history, &committed, done.effect).await;
        }
        let table = lake.table().await.metadata;
        let read = files(lake).await;
        let mut prepared = Vec::new();
        for (at, operation) in (0..).zip([
            Operation::Compact,
            Operation::MergeCopying,
            Operation::MergeOnRead,
            Operation::MergeCopying,
            Operation::Overwrite,
        ]) {
            let first_id = round * IDS + 500 + at * 10;
            let change = lake.prepared(&table, read.clone(), operation, &rng, first_id);
            prepared.extend(change.await.expect("files"));
        }
        let mut has_deletes = false;
        while !prepared.is_empty() {
            if rng.below(3) == 0
                && let Some((change, effect)) = deleted(lake, &rng, tally).await
            {
                let committed = lake.commit(&change).await.expect("it rests on nothing");
                note(lake, &history, &committed, effect).await;
                has_deletes = true;
            }
            let (change, effect) = prepared.swap_remove(rng.below(prepared.len() as u64) as usize);
            let rests = !change.removed.is_empty() || !change.touched.is_empty();
            match lake.commit(&change).await {
                Ok(committed) => {
                    tally.passed += u64::from(has_deletes && rests);
                    note(lake, &history, &committed, effect).await;
                }
                Err(TableError::Conflict { .. }) => tally.refused += u64::from(has_deletes),
                Err(error) => panic!("{change:?}: {error:?}"),
            }
        }
    }
    if let Err(wrong) = history.replay() {
        panic!("seed {seed}: {wrong}");
    }
}

// Goal: no row that another engine deletes is there again, and none else is lost, in whatever order its commits come between those of
// others that write files anew; and what is deleted in one partition does not stop all others. Method: changes are computed from one
// state and committed in a random order, with deletes by value and by position between them, with and without partitions, in formats 2
// and 3; each snapshot is compared with a replay of the commits.
#[tokio::test]
async fn deleted_rows_stay_deleted() {
    for partitioned in [true, false] {
        let mut tally = Tally::default();
        for seed in 0..2 {
            for version in ["2", "3"] {
                let rng = Arc::new(SeededRng::new(seed));
                let store = FileStore::new(StoreOptions::default(), SystemClock::shared(), rng);
                let lake = match partitioned {
                    true => Lake::new(store, "memory://lake", version).await,
                    false => Lake::unpartitioned(store, "memory://lake", version).await,
                };
                judge(&lake, seed + 41, &mut tally).await;
            }
        }
        println!("partitioned {partitioned}: {tally:?}");
        assert!(tally.by_value > 0 && tally.by_position > 0 && tally.refused > 0);
        assert!(tally.passed > 0 || !partitioned);
    }
}
