use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use tidewater_core::{Coded, Rng, SeededRng};
use tidewater_table::iceberg::spec::{Snapshot, TableMetadata};
use tidewater_table::{FileDeletes, RowMask, Scan};

use super::{MODES, done, lake, refused, rows, tried_by};
use crate::PlanRunner;
use crate::field_ids::field_id;
use crate::testing::{Journeys, Lake};

/// Whether plans go to another process and back before they run.
const JOURNEYS: [bool; 2] = [false, true];

/// Ids of columns: those of every table here, and those that the specification reserves.
const ID: i32 = 1;
const N: i32 = 2;
const ROW_ID: i32 = 2_147_483_540;
const LAST_UPDATED: i32 = 2_147_483_539;

/// A row as its file tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    file: String,
    n: Option<i64>,
    row_id: Option<i64>,
    updated: i64,
}

/// The rows of `s.t` at a snapshot by their `id`, read from the files themselves: what a file does not say of a row follows from what
/// manifests say of the file.
async fn told_at(lake: &Lake, snapshot_id: Option<i64>) -> BTreeMap<i64, Told> {
    let table = lake.load("s.t").await;
    let scan = Scan::new(&lake.store, &table.metadata).snapshot(snapshot_id);
    let mut found = BTreeMap::new();
    for file in scan.with_deletes().plan().await.expect("files") {
        let gone = match FileDeletes::of(&file, &table.metadata).expect("deletes") {
            Some(deletes) => deletes.mask(&lake.store).await.expect("a mask"),
            None => RowMask::default(),
        };
        let first = file.data_file().first_row_id();
        let bytes = lake.store.get(&file.path).await.expect("a file");
        let mut positions = 0_i64..;
        for batch in ParquetRecordBatchReader::try_new(bytes, 1024).expect("Parquet") {
            let batch = batch.expect("rows");
            for (row, position) in (0..batch.num_rows()).zip(&mut positions) {
                if gone.is_deleted(position as u64) {
                    continue;
                }
                let of_row = Told {
                    file: file.path.clone(),
                    n: number(&batch, N, row),
                    row_id: number(&batch, ROW_ID, row).or_else(|| first.map(|first| first + position)),
                    updated: number(&batch, LAST_UPDATED, row).unwrap_or(file.sequence),
                };
                let id = number(&batch, ID, row).expect("an id");
                assert_eq!(found.insert(id, of_row), None, "row {id} is there twice");
            }
        }
    }
    found
}

async fn told(lake: &Lake) -> BTreeMap<i64, Told> {
    let newest = lake.load("s.t").await.metadata.current_snapshot_id();
    told_at(lake, newest).await
}

fn number(batch: &RecordBatch, id: i32, row: usize) -> Option<i64> {
    let schema = batch.schema();
    let column = schema.fields().iter().position(|field| field_id(field) == Some(id))?;
    let column = batch.column(column).as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

/// How many rows a statement changed.
async fn changed(lake: &Lake, runner: &dyn PlanRunner, sql: &str) -> Option<u64> {
    tried_by(lake, runner, sql).await.expect(sql).rows
}

/// A row as it has to be. What is to come of its commit is nothing until then.
#[derive(Debug, Clone)]
struct Row {
    n: Option<i64>,
    file: Option<String>,
    row_id: Option<i64>,
    updated: Option<i64>,
}

impl Row {
    fn new(n: i64) -> Self {
        Self {
            n: Some(n),
            file: None,
            row_id: None,
            updated: None,
        }
    }

    fn change(&mut self, n: Option<i64>) {
        self.n = n;
        self.updated = None;
    }
}

/// How many rows were seen to be treated so.
#[derive(Debug, Default)]
struct Seen {
    added: usize,
    changed: usize,
    moved: usize,
}

#[derive(Debug, Default)]
struct Model {
    rows: BTreeMap<i64, Row>,
    /// Rows that were added by their numbers, so far.
    fresh: i64,
    seen: Seen,
}

impl Model {
    /// Keys that are there are changed, others added.
    fn put(&mut self, id: i64, n: i64) {
        match self.rows.get_mut(&id) {
            Some(row) => row.change(Some(n)),
            None => {
                self.rows.insert(id, Row::new(n));
            }
        }
    }

    /// A statement, already carried out on the model.
    fn statement(&mut self, rng: &SeededRng) -> String {
        let (key, low, n) = (rng.below(20) as i64, rng.below(20) as i64, rng.below(100) as i64);
        match rng.below(9) {
            0 => {
                let below = n / 4;
                self.rows.retain(|_, row| row.n.is_none_or(|n| n >= below));
                format!("DELETE FROM s.t WHERE n < {below}")
            }
            1 => {
                self.rows.remove(&key);
                format!("DELETE FROM s.t WHERE id IN (SELECT id FROM s.t WHERE id = {key})")
            }
            2 => {
                for row in self.rows.range_mut(low..).map(|(_, row)| row) {
                    row.change(row.n.map(|before| (before + n) % 100));
                }
                format!("UPDATE s.t SET n = (n + {n}) % 100 WHERE id >= {low}")
            }
            3 => {
                if let Some(row) = self.rows.get_mut(&key) {
                    row.change(None);
                }
                format!("UPDATE s.t SET n = NULL WHERE id IN (SELECT id FROM s.t WHERE id = {key})")
            }
            4 => {
                let values = (low..low + 3).map(|id| {
                    self.put(id, n);
                    format!("({id}, {n})")
                });
                let values: Vec<String> = values.collect();
                format!(
                    "INSERT INTO s.t VALUES {} ON CONFLICT (id) DO UPDATE SET n = excluded.n",
                    values.join(", ")
                )
            }
            5 => self.merge(key, low, n),
            6 => {
                self.fresh += 2;
                let id = 100 + self.fresh;
                self.put(id, n);
                self.put(id + 1, n);
                format!("INSERT INTO s.t VALUES ({id}, {n}), ({}, {n})", id + 1)
            }
            7 => {
                self.rows.insert(key, Row::new(n));
                format!("INSERT OVERWRITE s.t PARTITION (id = {key}) (n) VALUES ({n})")
            }
            _ => COMPACTION.to_owned(),
        }
    }

    /// Every kind of clause: a row that goes, one that stays, two that change or come, and one that the source does not have.
    fn merge(&mut self, alone: i64, low: i64, n: i64) -> String {
        self.rows.remove(&low);
        self.rows.entry(low + 1).or_insert_with(|| Row::new(n));
        self.put(low + 2, n);
        self.put(low + 3, n);
        if !(low..=low + 3).contains(&alone)
            && let Some(row) = self.rows.get_mut(&alone)
        {
            row.change(None);
        }
        format!(
            "MERGE INTO s.t AS t USING (SELECT * FROM (VALUES ({low}, 'd'), ({}, 'n'), ({}, 'u'), ({}, 'u')) AS v (id, op)) AS c \
             ON t.id = c.id \
             WHEN MATCHED AND c.op = 'd' THEN DELETE \
             WHEN MATCHED AND c.op = 'n' THEN DO NOTHING \
             WHEN MATCHED THEN UPDATE SET n = {n} \
             WHEN NOT MATCHED AND c.op <> 'd' THEN INSERT (id, n) VALUES (c.id, {n}) \
             WHEN NOT MATCHED BY SOURCE AND t.id = {alone} THEN UPDATE SET n = NULL",
            low + 1,
            low + 2,
            low + 3
        )
    }

    /// Compares the rows with what the files tell of them; what came of the last commit is known from here on. Ids below `next` were given
    /// before it.
    async fn compare(&mut self, lake: &Lake, next: i64, what: &str) {
        let table = lake.load("s.t").await;
        let commit = table.metadata.last_sequence_number();
        let given = next..i64::try_from(table.metadata.next_row_id()).expect("a row id");
        let found = told(lake).await;
        let ids: Vec<&i64> = found.keys().collect();
        assert_eq!(ids, self.rows.keys().collect::<Vec<_>>(), "{what}");
        for ((id, row), told) in self.rows.iter_mut().zip(found.values()) {
            let row_id = told.row_id.unwrap_or_else(|| panic!("{what}: row {id} has no id"));
            assert_eq!(told.n, row.n, "{what}: row {id}");
            match row.row_id {
                Some(known) => assert_eq!(row_id, known, "{what}: the id of row {id}"),
                None => assert!(
                    given.contains(&row_id),
                    "{what}: row {id} got {row_id}, none of {given:?}"
                ),
            }
            assert_eq!(
                told.updated,
                row.updated.unwrap_or(commit),
                "{what}: the last change of row {id}"
            );
            match (row.row_id, row.updated) {
                (None, _) => self.seen.added += 1,
                (Some(_), None) => self.seen.changed += 1,
                (Some(_), Some(_)) if what != COMPACTION => {
                    self.seen.moved += usize::from(row.file.as_ref() != Some(&told.file));
                }
                (Some(_), Some(_)) => {}
            }
            row.row_id = Some(row_id);
            row.updated = Some(told.updated);
            row.file = Some(told.file.clone());
        }
        let ids: BTreeSet<Option<i64>> = found.values().map(|told| told.row_id).collect();
        assert_eq!(ids.len(), found.len(), "{what}: an id of two rows");
        ranges_follow_one_another(lake, &table.metadata, what).await;
    }
}

const COMPACTION: &str = "CALL system.rewrite_data_files(table => 's.t', options => map('rewrite-all', 'true'))";

/// Each snapshot gives the ids behind those of the one before it, and no id follows from two files.
async fn ranges_follow_one_another(lake: &Lake, metadata: &TableMetadata, what: &str) {
    let mut snapshots: Vec<&Snapshot> = metadata.snapshots().map(AsRef::as_ref).collect();
    snapshots.sort_by_key(|snapshot| snapshot.sequence_number());
    let mut end = None;
    for snapshot in snapshots {
        let (first, added) = snapshot.row_range().expect("row ids");
        assert_eq!(first, end.unwrap_or(first), "{what}");
        end = Some(first + added);
    }
    assert_eq!(end, Some(metadata.next_row_id()), "{what}");
    let files = Scan::new(&lake.store, metadata)
        .with_deletes()
        .snapshot(metadata.current_snapshot_id());
    let files = files.plan().await.expect("files").into_iter();
    let mut given: Vec<(u64, u64)> = files
        .map(|file| {
            let first = u64::try_from(file.data_file().first_row_id().expect("ids")).expect("an id");
            (first, first + file.record_count)
        })
        .collect();
    given.sort_unstable();
    let mut end = 0;
    for (first, behind) in given {
        assert!(end <= first, "{what}: ids of two files");
        end = behind;
    }
    assert!(end <= metadata.next_row_id(), "{what}");
}

/// Statements of every kind on a table of a mode, each of them compared with what a model says.
async fn every_kind(mode: &str, partitioned: &str, seed: u64, travels: bool, seen: Seen) -> Seen {
    let rng = SeededRng::new(seed);
    let lake = lake().await;
    let (local, journeys) = (lake.engine.local_runner(), Journeys::of(&lake.engine));
    let runner: &dyn PlanRunner = if travels { &journeys } else { &local };
    done(
        &lake,
        &format!("CREATE TABLE s.t (id bigint NOT NULL, n bigint) {partitioned} TBLPROPERTIES ({mode})"),
    )
    .await;
    let mut model = Model {
        seen,
        ..Model::default()
    };
    let mut values = Vec::new();
    for id in 0..12 {
        model.put(id, id * 8);
        values.push(format!("({id}, {})", id * 8));
    }
    let mut sql = format!("INSERT INTO s.t VALUES {}", values.join(", "));
    for _ in 0..40 {
        let next = lake.load("s.t").await.metadata.next_row_id();
        let done = tried_by(&lake, runner, &sql).await;
        done.unwrap_or_else(|error| panic!("{mode}: {sql}: {error:?}"));
        let next = i64::try_from(next).expect("a row id");
        model.compare(&lake, next, &sql).await;
        sql = model.statement(&rng);
    }
    assert_eq!(journeys.positions() > 0, travels, "{mode}");
    model.seen
}

// Goal: whatever statement changes or moves it, a row keeps its id, and unless it was changed itself, the number of the commit that changed
// it last; rows that come get ids that no row had. Method: random statements of every kind and compactions, files written anew and
// deletes beside them, with partitions that rows leave, in this process and with every plan sent and received; after each, a model against
// what the files and manifests tell.
#[tokio::test]
async fn rows_keep_what_they_are_known_by() {
    for travels in JOURNEYS {
        let mut seed = 40;
        for mode in MODES.iter().filter(|mode| mode.contains("'3'")) {
            let mut seen = Seen::default();
            for partitioned in ["", "PARTITIONED BY (truncate(30, n))"] {
                seed += 1;
                seen = Box::pin(every_kind(mode, partitioned, seed, travels, seen)).await;
            }
            assert!(
                seen.added > 0 && seen.changed > 0 && seen.moved > 0,
                "{mode}, {travels}: {seen:?}"
            );
        }
    }
}

// Goal: rows of before an upgrade get their ids from the first commit of format 3, also where it moves them, and keep them. Method: a
// statement that writes a file anew, as that commit and once more, in this process and sent and received.
#[tokio::test]
async fn rows_of_before_an_upgrade_are_changed() {
    for travels in JOURNEYS {
        Box::pin(upgraded_rows_are_changed(travels)).await;
    }
}

async fn upgraded_rows_are_changed(travels: bool) {
    let lake = lake().await;
    let (local, journeys) = (lake.engine.local_runner(), Journeys::of(&lake.engine));
    let runner: &dyn PlanRunner = if travels { &journeys } else { &local };
    done(
        &lake,
        "CREATE TABLE s.t (id bigint, n bigint) TBLPROPERTIES ('format-version' = '2', 'write.update.mode' = 'copy-on-write')",
    )
    .await;
    rows(&lake, "INSERT INTO s.t VALUES (1, 1), (2, 2)").await;
    rows(&lake, "INSERT INTO s.t VALUES (3, 3)").await;
    done(&lake, "ALTER TABLE s.t SET TBLPROPERTIES ('format-version' = '3')").await;
    let before = told(&lake).await;
    assert!(before.values().all(|told| told.row_id.is_none()), "{before:?}");
    assert_eq!(
        changed(&lake, runner, "UPDATE s.t SET n = 10 WHERE id = 1").await,
        Some(1)
    );
    let first = told(&lake).await;
    let ids: BTreeSet<i64> = first.values().filter_map(|told| told.row_id).collect();
    assert_eq!(ids.len(), 3, "{first:?}");
    assert!(first[&1].updated > before[&3].updated, "{first:?}");
    for id in [2, 3] {
        assert_eq!(first[&id].updated, before[&id].updated, "{id}");
    }
    assert_ne!(first[&2].file, before[&2].file, "it was to move");
    assert_eq!(
        changed(&lake, runner, "UPDATE s.t SET n = 20 WHERE id = 2").await,
        Some(1)
    );
    let second = told(&lake).await;
    for (id, told) in &second {
        assert_eq!(told.row_id, first[id].row_id, "{id}");
    }
    assert_eq!(second[&1].updated, first[&1].updated);
    assert!(second[&2].updated > first[&1].updated, "{second:?}");
    assert_eq!(journeys.positions() > 0, travels);
}

// Goal: the same on a branch, whose rows are those of main until they are changed. Method: a change of one row there, in this process and sent and
// received, told at both heads.
#[tokio::test]
async fn rows_of_branches_keep_their_ids() {
    for mode in MODES.iter().filter(|mode| mode.contains("'3'")) {
        for travels in JOURNEYS {
            Box::pin(branch_keeps_ids(mode, travels)).await;
        }
    }
}

async fn branch_keeps_ids(mode: &str, travels: bool) {
    let lake = lake().await;
    let (local, journeys) = (lake.engine.local_runner(), Journeys::of(&lake.engine));
    let runner: &dyn PlanRunner = if travels { &journeys } else { &local };
    done(
        &lake,
        &format!("CREATE TABLE s.t (id bigint, n bigint) TBLPROPERTIES ({mode})"),
    )
    .await;
    rows(&lake, "INSERT INTO s.t VALUES (1, 1), (2, 2), (3, 3)").await;
    done(&lake, "ALTER TABLE s.t CREATE BRANCH dev").await;
    let update = "UPDATE s.t.branch_dev SET n = 20 WHERE id = 2";
    assert_eq!(changed(&lake, runner, update).await, Some(1), "{mode}");
    let head = lake.load("s.t").await.metadata.snapshot_for_ref("dev").cloned();
    let (main, dev) = (
        told(&lake).await,
        told_at(&lake, head.map(|head| head.snapshot_id())).await,
    );
    assert_eq!((main[&2].n, dev[&2].n), (Some(2), Some(20)), "{mode}");
    for (id, told) in &dev {
        assert_eq!(told.row_id, main[id].row_id, "{mode}: {id}");
        assert_eq!(told.updated > main[id].updated, *id == 2, "{mode}: {id}");
    }
    assert_eq!(journeys.positions() > 0, travels, "{mode}");
}

// Goal: columns that are called as those of row ids are not taken for them, and rows that stay where they are need none. Method: a table
// with one, and every kind of statement.
#[tokio::test]
async fn rows_under_such_names_do_not_move() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id bigint, _row_id bigint) TBLPROPERTIES ('format-version' = '3')",
    )
    .await;
    assert_eq!(rows(&lake, "INSERT INTO s.t VALUES (1, 7), (2, 8), (3, 9)").await, 3);
    let merge = "MERGE INTO s.t AS t USING (SELECT 1 AS k) AS c ON t.id = c.k WHEN MATCHED THEN UPDATE SET id = 5";
    for sql in [
        "UPDATE s.t SET id = 4 WHERE id = 1",
        merge,
        "INSERT OVERWRITE s.t PARTITION (id = 1) (_row_id) VALUES (1)",
    ] {
        assert_eq!(refused(&lake, sql).await.code(), "ENG-0015", "{sql}");
    }
    assert_eq!(rows(&lake, "DELETE FROM s.t WHERE id = 3").await, 1);
    let added =
        "MERGE INTO s.t AS t USING (SELECT 4 AS k) AS c ON t.id = c.k WHEN NOT MATCHED THEN INSERT (id) VALUES (c.k)";
    assert_eq!(rows(&lake, added).await, 1);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,7", "2,8", "4,"]);
}
