//! What rows of format 3 are known by, after they were changed and moved on executors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::Int64Type;

use crate::lake::Lake;
use crate::row_changes::{MODES, Watched, change, statements};
use tidewater_core::{SeededRng, TableName};
use tidewater_engine::{Class, Execution, LAST_UPDATED_COLUMN, Place, ROW_ID_COLUMN};
use tidewater_scheduler::SchedulerOptions;
use tidewater_table::Scan;

const COMPACTION: &str =
    "CALL system.rewrite_data_files(table => 'silver.orders', options => map('rewrite-all', 'true'))";

/// A row of its own in a commit of format 3, which gives ids to all rows of before it.
const FIRST_OF_FORMAT_3: &str = "INSERT INTO orders VALUES (50000, 1, NULL)";

/// The rows of `silver.orders`.
struct Told {
    /// What each is known by, and the number of the commit that changed it last, by its `id`.
    rows: BTreeMap<i64, (i64, i64)>,
    /// The number of the newest commit.
    commit: i64,
    /// The id that the next new row gets.
    next: i64,
}

impl Told {
    async fn by(lake: &Lake) -> Self {
        let name: TableName = "silver.orders".parse().expect("a name");
        let table = lake.engine.load(&name).await.expect("a table");
        let scan = Scan::new(lake.engine.store(), &table.metadata).with_deletes();
        let files = scan.plan().await.expect("files");
        let moving = lake.engine.moving(&table, files).expect("rows").expect("format 3");
        let session = lake.session(Class::Batch);
        let found = session.read_table(moving.rows).expect("a table");
        let found = found.select_columns(&["id", ROW_ID_COLUMN, LAST_UPDATED_COLUMN]);
        let mut rows = BTreeMap::new();
        for batch in found.expect("columns").collect().await.expect("rows") {
            let [ids, row_ids, updated] = [0, 1, 2].map(|at| batch.column(at).as_primitive::<Int64Type>());
            for row in 0..batch.num_rows() {
                assert!(row_ids.is_valid(row) && updated.is_valid(row), "a row without an id");
                let known = (row_ids.value(row), updated.value(row));
                let id = ids.value(row);
                assert_eq!(rows.insert(id, known), None, "row {id} is there twice");
            }
        }
        Self {
            rows,
            commit: table.metadata.last_sequence_number(),
            next: i64::try_from(table.metadata.next_row_id()).expect("a row id"),
        }
    }

    /// The rows that are new or were changed since: those that stay are known by what they were known by.
    fn changed_since(&self, before: &Self, what: &str) -> BTreeSet<i64> {
        let row_ids: BTreeSet<i64> = self.rows.values().map(|(row_id, _)| *row_id).collect();
        assert_eq!(row_ids.len(), self.rows.len(), "{what}: an id of two rows");
        let mut changed = BTreeSet::new();
        for (id, (row_id, updated)) in &self.rows {
            let kept = before.rows.get(id);
            match kept {
                Some((known, _)) => assert_eq!(row_id, known, "{what}: the id of row {id}"),
                None => assert!(
                    (before.next..self.next).contains(row_id),
                    "{what}: row {id} got {row_id}, an id of before"
                ),
            }
            if kept.is_some_and(|(_, last)| updated == last) {
                continue;
            }
            assert_eq!(*updated, self.commit, "{what}: the last change of row {id}");
            changed.insert(*id);
        }
        changed
    }
}

// Goal: rows that are changed and moved on executors keep what they are known by, and say of their last change what they say after the same
// statements in one process; rows that come get ids that no row had. Method: two lakes of the same rows in both modes of format 3; changes
// and compactions, the last of which moves what the first has moved; ids and numbers of all rows after each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_keep_their_ids_on_executors() {
    for (number, mode) in (0_u64..).zip(MODES).filter(|(_, mode)| mode.contains("'3'")) {
        let (here, there) = (Lake::new().await, Lake::new().await);
        let options = SchedulerOptions::loopback();
        let scheduler = there.scheduler(options.clone()).await;
        let _executor = there.executor(&scheduler).await;
        // Compactions are asked for by no session: they leave this process by what they read.
        let tight = SchedulerOptions {
            local_scan_bytes_max: 1_000,
            ..options
        };
        let watched = Watched::new(&there, &scheduler, &tight);
        let local = here.engine.local_runner();
        for lake in [&here, &there] {
            let (alone, alter) = (
                lake.engine.local_runner(),
                format!("ALTER TABLE orders SET TBLPROPERTIES ({mode})"),
            );
            for sql in [alter.as_str(), FIRST_OF_FORMAT_3] {
                change(&lake.engine, &alone, Execution::Auto, sql).await.expect(sql);
            }
        }
        let (mut here_before, mut there_before) = (Told::by(&here).await, Told::by(&there).await);
        let [update, delete, delete_of_items, merge, _] = statements(&SeededRng::new(500 + number));
        for sql in [
            update.as_str(),
            COMPACTION,
            delete.as_str(),
            delete_of_items.as_str(),
            merge.as_str(),
            COMPACTION,
        ] {
            let expected = change(&here.engine, &local, Execution::Auto, sql).await;
            let found = change(&there.engine, &watched, Execution::Cluster, sql).await;
            let (expected, found) = (expected.expect(sql), found.expect(sql));
            assert_eq!(found, expected, "{mode}: {sql}");
            let routes = watched.routes();
            assert!(!routes.is_empty(), "{mode}: {sql}");
            assert!(
                routes.iter().all(|route| route.place == Place::Cluster),
                "{mode}: {sql}: {routes:?}"
            );
            let (here_now, there_now) = (Told::by(&here).await, Told::by(&there).await);
            let expected = here_now.changed_since(&here_before, sql);
            let found = there_now.changed_since(&there_before, sql);
            assert!(here_now.rows.keys().eq(there_now.rows.keys()), "{mode}: {sql}");
            assert!(
                found == expected,
                "{mode}: {sql}: {} rows tell of it, not {}",
                found.len(),
                expected.len()
            );
            // It moves every row and changes none.
            if sql == COMPACTION {
                assert!(found.is_empty(), "{mode}: {} rows tell of a compaction", found.len());
                assert!(there_now.commit > there_before.commit, "{mode}: nothing was compacted");
            }
            // The others write no row that is not as it was.
            if sql == update || sql == merge {
                assert!(!found.is_empty(), "{mode}: {sql}");
            }
            (here_before, there_before) = (here_now, there_now);
        }
        assert!(there.tasks.shutdown(Duration::from_secs(10)).await, "it drains");
    }
}
