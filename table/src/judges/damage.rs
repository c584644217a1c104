//! Files with flipped bits: told, or without effect, and never the end of a process.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use iceberg::spec::TableMetadata;

use super::history::Rows;
use super::lake::{Lake, Operation};
use crate::digest::check_whole;
use crate::manifest::{list, parse, parse_list};
use crate::verify::{Damage, VerifyOptions, verify};
use crate::{FileStore, LoadedTable, Result, Scan, StoreOptions, TableError};
use tidewater_core::{Coded, ErrorKind, Rng, SeededRng, SystemClock};

/// Of each file.
const FLIPS: u64 = 16;

/// Of each file whose bytes only are parsed.
const PARSED_FLIPS: u64 = 400;

/// Of each metadata file: so many of its flips are looked for by a verification of the whole table.
const VERIFIED_FLIPS: u64 = 2;

fn fresh_store(seed: u64) -> FileStore {
    FileStore::new(
        StoreOptions::default(),
        SystemClock::shared(),
        Arc::new(SeededRng::new(seed)),
    )
}

/// A table on a disk, with data files, delete files and several manifests.
async fn lake(directory: &std::path::Path, version: &str) -> Lake {
    let lake = Lake::new(fresh_store(3), &format!("file://{}", directory.display()), version).await;
    let rng = SeededRng::new(4);
    let operations = [
        Operation::Append,
        Operation::Append,
        Operation::Append,
        Operation::MergeOnRead,
        Operation::MergeCopying,
        Operation::MergeOnRead,
        Operation::Append,
        Operation::MergeOnRead,
    ];
    for (at, operation) in operations.into_iter().enumerate() {
        lake.act(operation, &rng, 100 * at as i64).await.expect("a commit");
    }
    lake
}

fn on_disk(location: &str) -> PathBuf {
    location.strip_prefix("file://").expect("on a disk").into()
}

/// What a reader of the newest snapshot opens before it reads rows: the list, manifests, delete files.
async fn reached(store: &FileStore, table: &LoadedTable) -> BTreeSet<String> {
    let snapshot = table.metadata.current_snapshot().expect("a snapshot");
    let mut found = BTreeSet::from([snapshot.manifest_list().to_owned()]);
    let manifests = list(store, &table.metadata, Some(snapshot)).await.expect("manifests");
    found.extend(manifests.into_iter().map(|manifest| manifest.manifest_path));
    let files = Scan::new(store, &table.metadata)
        .with_deletes()
        .plan()
        .await
        .expect("files");
    found.extend(
        files
            .into_iter()
            .flat_map(|file| file.deletes)
            .map(|delete| delete.path),
    );
    found
}

/// What a process that has read nothing yet finds in the table.
async fn read(lake: Lake, table: &LoadedTable) -> (Lake, Result<Rows>) {
    let lake = Lake {
        store: fresh_store(9),
        ..lake
    };
    let rows = lake.rows(&table.metadata, None).await;
    (lake, rows)
}

fn flipped(good: &[u8], rng: &SeededRng) -> (usize, Vec<u8>) {
    let at = rng.below(good.len() as u64) as usize;
    let mut bad = good.to_vec();
    bad[at] ^= 1 << rng.below(8);
    (at, bad)
}

// Goal: a flipped bit in a manifest list, a manifest or a delete file is told by whoever reads the table, or changes no row (R13).
// Method: seeded flips and cuts in each such file, one at a time, read by a process that knows nothing yet.
#[tokio::test]
async fn no_damaged_metadata_makes_other_rows() {
    let rng = SeededRng::new(13);
    let (mut told, mut harmless) = (0_u64, 0_u64);
    for version in ["1", "2", "3"] {
        let directory = tempfile::tempdir().expect("a folder");
        let mut lake = lake(directory.path(), version).await;
        let table = lake.table().await;
        let (next, good_rows) = read(lake, &table).await;
        lake = next;
        let good_rows = good_rows.expect("a whole table");
        for location in reached(&lake.store, &table).await {
            let path = on_disk(&location);
            let good = std::fs::read(&path).expect("bytes");
            for cut in 0..FLIPS {
                let (at, mut bad) = flipped(&good, &rng);
                if cut == 0 {
                    bad.truncate(at);
                }
                std::fs::write(&path, &bad).expect("written");
                let (next, rows) = read(lake, &table).await;
                lake = next;
                match rows {
                    Ok(rows) if rows == good_rows => harmless += 1,
                    Ok(rows) => panic!("byte {at} of {location}: {rows:?}, not {good_rows:?}"),
                    Err(error) => {
                        let kind = error.kind();
                        assert!(kind == ErrorKind::Corrupt, "byte {at} of {location}: {error:?}");
                        told += 1;
                    }
                }
            }
            std::fs::write(&path, &good).expect("written");
        }
    }
    println!("{told} told, {harmless} harmless");
    assert!(told + harmless >= 200, "only {told} and {harmless}");
    assert!(told > harmless, "{told} told, {harmless} harmless");
}

// Goal: a flipped bit in a metadata file is told before anything is made of it, also where it could still be parsed (R13). Method: seeded
// flips and cuts in each metadata file of a table, one at a time, told by what the catalog asks of bytes that it has read, and by a
// verification of the table as it was loaded before.
#[tokio::test]
async fn no_damaged_metadata_file_goes_unseen() {
    let rng = SeededRng::new(15);
    let (mut told, mut parsed) = (0_u64, 0_u64);
    for version in ["1", "2", "3"] {
        let directory = tempfile::tempdir().expect("a folder");
        let lake = lake(directory.path(), version).await;
        let table = lake.table().await;
        let log = table.metadata.metadata_log().iter();
        let older = log.map(|entry| entry.metadata_file.clone());
        for location in older.chain([table.metadata_location.clone()]) {
            let path = on_disk(&location);
            let good = std::fs::read(&path).expect("bytes");
            check_whole(&location, &good).expect("as it was written");
            for cut in 0..FLIPS {
                let (at, mut bad) = flipped(&good, &rng);
                if cut == 0 {
                    bad.truncate(at);
                }
                let error = check_whole(&location, &bad).expect_err("a damaged file");
                assert!(matches!(error, TableError::BytesChanged { .. }), "byte {at}: {error:?}");
                told += 1;
                parsed += u64::from(serde_json::from_slice::<TableMetadata>(&bad).is_ok());
                if cut < VERIFIED_FLIPS {
                    std::fs::write(&path, &bad).expect("written");
                    let found = verify(&lake.store, &table, &VerifyOptions::default(), &|_, _| {}).await;
                    let problems = found.expect("an answer").problems;
                    let is_told = |damage: &Damage| matches!(damage, Damage::Digest);
                    let of_file = problems.iter().filter(|problem| problem.location == location);
                    let mut damages = of_file.map(|problem| &problem.damage);
                    assert!(damages.any(is_told), "byte {at} of {location}: {problems:?}");
                }
            }
            std::fs::write(&path, &good).expect("written");
        }
        let found = verify(&lake.store, &table, &VerifyOptions::default(), &|_, _| {}).await;
        assert!(found.expect("an answer").is_good());
    }
    println!("{told} told, {parsed} of them would have been parsed");
    assert!(told >= 200, "only {told}");
    // Else a parser alone would do.
    assert!(parsed > told / 10, "{parsed} of {told}");
}

// Goal: no bytes whatever in a manifest or a list end a process: files of others have no digest to tell by. Method: seeded flips, many
// of them in the header where names and types stand, parsed directly; a panic would be caught here and fails.
#[tokio::test]
async fn no_damaged_bytes_panic() {
    let rng = SeededRng::new(14);
    let (mut refused, mut parsed) = (0_u64, 0_u64);
    for version in ["1", "2", "3"] {
        let directory = tempfile::tempdir().expect("a folder");
        let lake = lake(directory.path(), version).await;
        let table = lake.table().await.metadata;
        let snapshot = table.current_snapshot().expect("a snapshot");
        let location = snapshot.manifest_list();
        let good = lake.store.get(location).await.expect("bytes");
        let mut outcomes = Vec::new();
        for _ in 0..PARSED_FLIPS {
            let (at, bad) = flipped(&good, &rng);
            let outcome = catch_unwind(AssertUnwindSafe(|| parse_list(&table, location, &bad).map(|_| ())));
            outcomes.push((at, location.to_owned(), outcome));
        }
        for manifest in list(&lake.store, &table, Some(snapshot)).await.expect("manifests") {
            let good = lake.store.get(&manifest.manifest_path).await.expect("bytes");
            for _ in 0..PARSED_FLIPS {
                let (at, bad) = flipped(&good, &rng);
                let outcome = catch_unwind(AssertUnwindSafe(|| parse(&manifest, &bad).map(|_| ())));
                outcomes.push((at, manifest.manifest_path.clone(), outcome));
            }
        }
        for (at, file, outcome) in outcomes {
            match outcome {
                Ok(Ok(())) => parsed += 1,
                Ok(Err(
                    TableError::Metadata { .. }
                    | TableError::Damaged { .. }
                    | TableError::BytesChanged { .. }
                    | TableError::Encode { .. },
                )) => refused += 1,
                Ok(Err(error)) => panic!("byte {at} of {file}: {error:?}"),
                Err(_) => panic!("byte {at} of {file} ends its reader"),
            }
        }
    }
    println!("{refused} refused, {parsed} parsed");
    assert!(
        refused > parsed / 10 && refused > 200,
        "{refused} refused, {parsed} parsed"
    );
}
