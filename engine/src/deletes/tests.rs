use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Int64Type, Schema as ArrowSchema};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::parquet::arrow::arrow_reader::RowSelector;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use proptest::prelude::*;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use tidewater_table::{Change, CommitOptions, FileDeletes, RowMask, Scan, commit_change, write_deletes};

use super::RowDeletesExec;
use crate::testing::{Lake, table_name};

const TABLE: &str = "silver.visits";

fn schema() -> Schema {
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "note", Type::Primitive(PrimitiveType::String)).into(),
    ];
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn rows(ids: &[i64]) -> RecordBatch {
    let arrow: ArrowSchema = tidewater_table::schema::to_arrow(&schema()).expect("a schema");
    let notes = ids.iter().map(|id| (id % 3 != 0).then(|| format!("n{}", id % 10)));
    let columns = vec![
        Arc::new(Int64Array::from(ids.to_vec())) as _,
        Arc::new(notes.collect::<StringArray>()) as _,
    ];
    RecordBatch::try_new(Arc::new(arrow), columns).expect("rows")
}

/// Deletes rows by position, as another engine would.
async fn delete(lake: &Lake, gone: impl Fn(i64) -> bool) {
    let table = lake.load(TABLE).await;
    let files = Scan::new(&lake.store, &table.metadata).with_deletes().plan();
    let mut deletes = Vec::new();
    for file in files.await.expect("files") {
        let bytes = lake.store.get(&file.path).await.expect("a file");
        let reader = datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes);
        let reader = reader.and_then(|reader| reader.build()).expect("a Parquet file");
        let ids: Vec<i64> = reader
            .flat_map(|batch| batch.expect("rows")["id"].as_primitive::<Int64Type>().values().to_vec())
            .collect();
        let before = match FileDeletes::of(&file, &table.metadata).expect("deletes") {
            Some(before) => before.mask(&lake.store).await.expect("a mask"),
            None => RowMask::default(),
        };
        let mask: RowMask = (0_u64..)
            .zip(ids)
            .filter(|(_, id)| gone(*id))
            .map(|(at, _)| at)
            .collect();
        if mask.deleted(file.record_count) > 0 {
            deletes.push((file, mask.union(&before)));
        }
    }
    let Some(read_at) = table.metadata.current_snapshot_id() else {
        return;
    };
    let added = write_deletes(&lake.store, &table.metadata, &deletes)
        .await
        .expect("files");
    let touched: Vec<String> = deletes.iter().map(|(file, _)| file.path.clone()).collect();
    let change = Change::row_delta(read_at, touched, added);
    let (name, options) = (table_name(TABLE), CommitOptions::default());
    let committed = commit_change(lake.catalog.as_ref(), &lake.store, &name, &change, &options);
    committed.await.expect("a commit");
}

async fn check(files: Vec<Vec<i64>>, deletes: Vec<(i64, i64)>) {
    let lake = Lake::new();
    lake.create(TABLE, schema(), None).await;
    let mut wanted: Vec<i64> = Vec::new();
    for ids in &files {
        lake.append(TABLE, rows(ids)).await;
        wanted.extend(ids);
    }
    for (by, rest) in deletes {
        delete(&lake, |id| id % by == rest).await;
        wanted.retain(|id| id % by != rest);
    }
    // Files without deletes beside those with.
    lake.append(TABLE, rows(&[1_000, 1_001])).await;
    wanted.extend([1_000, 1_001]);
    wanted.sort_unstable();
    let one = |number: String| vec![number];
    let sum: i64 = wanted.iter().sum();
    let mut all: Vec<String> = wanted.iter().map(i64::to_string).collect();
    all.sort();
    for (sql, wanted) in [
        ("SELECT id FROM silver.visits", all),
        ("SELECT count(*) FROM silver.visits", one(wanted.len().to_string())),
        (
            "SELECT max(id) FROM silver.visits WHERE id < 900",
            one(max(&wanted, 900)),
        ),
        ("SELECT sum(id) FROM silver.visits", one(sum.to_string())),
        (
            "SELECT count(*) FROM silver.visits WHERE note = 'n7'",
            one(wanted
                .iter()
                .filter(|id| *id % 10 == 7 && *id % 3 != 0)
                .count()
                .to_string()),
        ),
        (
            "SELECT count(*) FROM (SELECT id FROM silver.visits LIMIT 20)",
            one(wanted.len().min(20).to_string()),
        ),
        (
            "SELECT min(id) FROM (SELECT id FROM silver.visits ORDER BY id DESC LIMIT 3)",
            one(wanted[wanted.len() - wanted.len().min(3)].to_string()),
        ),
    ] {
        assert_eq!(lake.lines(sql).await, wanted, "{sql}");
        assert_eq!(lake.travelled(sql).await.expect(sql), wanted, "{sql} after a journey");
    }
}

/// As the engine prints it.
fn max(ids: &[i64], below: i64) -> String {
    let greatest = ids.iter().filter(|id| **id < below).max();
    greatest.map_or_else(String::new, i64::to_string)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    // Goal: no statement ever sees a deleted row, here or in another process: not through statistics, limits, TopK or pruning.
    // Method: random files and deletes, seven statements against a naive list.
    #[test]
    fn deleted_rows_are_never_seen(
        files in proptest::collection::vec(proptest::collection::vec(0_i64..500, 1..60), 1..5),
        deletes in proptest::collection::vec((2_i64..6, 0_i64..6).prop_map(|(by, rest)| (by, rest % by)), 0..3),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(check(files, deletes));
    }
}

fn row_deletes(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    match plan.is::<RowDeletesExec>() {
        true => Some(Arc::clone(plan)),
        false => plan.children().into_iter().find_map(row_deletes),
    }
}

// Goal: which rows are gone counts as memory as long as the others are read, also where the plan is kept; where there is no room they are
// read all the same. Method: every second row deleted; a scan that is read to its end, one that is left early, and one whose memory others
// have.
#[tokio::test]
async fn deleted_rows_are_counted_while_others_are_read() {
    let lake = Lake::new();
    lake.create(TABLE, schema(), None).await;
    let ids: Vec<i64> = (0..3_000).collect();
    lake.append(TABLE, rows(&ids)).await;
    delete(&lake, |id| id % 2 == 0).await;
    let session = lake.session();
    let pool = Arc::clone(&lake.engine.runtime_env().memory_pool);
    for (others, is_left_early) in [(0, false), (0, true), (1_usize << 30, false)] {
        let held_by_others = MemoryConsumer::new("others").register(&pool);
        let plan = lake.engine.plan(&session, "SELECT id FROM silver.visits").await;
        let plan = session.state().create_physical_plan(&plan.expect("a plan")).await;
        let scan = row_deletes(&plan.expect("a physical plan")).expect("deletes above the scan");
        held_by_others.grow(others);
        let (mut found, mut most) = (0, 0);
        for partition in 0..scan.output_partitioning().partition_count() {
            let mut rows = scan.execute(partition, session.task_ctx()).expect("a stream");
            while let Some(batch) = rows.next().await {
                found += batch.expect("rows").num_rows();
                most = most.max(pool.reserved() - others);
                if is_left_early {
                    break;
                }
            }
        }
        assert_eq!(pool.reserved(), others);
        assert!(found == 1_500 || is_left_early, "{found} rows");
        // As many ranges as there are rows, each gone or kept.
        let is_counted = most >= 3_000 * size_of::<RowSelector>();
        assert_eq!(is_counted, others == 0, "{most} bytes");
    }
}
