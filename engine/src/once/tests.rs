use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::{Result, exec_err};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, TryStreamExt, future, stream};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Type};

use super::exec::OnceExec;
use super::rows::Shared;
use crate::testing::Lake;

async fn visits() -> Lake {
    let lake = Lake::new();
    let long = |id, name: &str| NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long)).into();
    let schema = tidewater_table::iceberg::spec::Schema::builder().with_fields([long(1, "doctor"), long(2, "minutes")]);
    lake.create("gold.visits", schema.build().expect("a schema"), None)
        .await;
    for file in 0..3_i64 {
        let column =
            |of: fn(i64) -> i64| Arc::new((0..40).map(|at| Some(of(file * 40 + at))).collect::<Int64Array>()) as _;
        let rows = RecordBatch::try_from_iter([("doctor", column(|at| at % 7)), ("minutes", column(|at| at * 3 % 31))]);
        lake.append("gold.visits", rows.expect("rows")).await;
    }
    lake
}

const PER: &str =
    "per AS (SELECT doctor, sum(minutes) AS total, count(*) AS n FROM gold.visits WHERE minutes > 2 GROUP BY doctor)";

// Goal: groups that stand in a plan more than once are shared, and no others. Method: how often the operator stands in the plan that
// EXPLAIN shows.
#[tokio::test]
async fn what_stands_twice_is_marked() {
    let lake = visits().await;
    lake.create(
        "gold.others",
        lake.load("gold.visits")
            .await
            .metadata
            .current_schema()
            .as_ref()
            .clone(),
        None,
    )
    .await;
    let snapshot = lake
        .load("gold.visits")
        .await
        .metadata
        .snapshots()
        .next()
        .expect("a snapshot")
        .snapshot_id();
    let groups = |table: &str| format!("(SELECT doctor, sum(minutes) AS total FROM {table} GROUP BY doctor)");
    let (now, then) = (
        groups("gold.visits"),
        groups(&format!("gold.visits FOR VERSION AS OF {snapshot}")),
    );
    for (sql, times) in [
        (format!("WITH {PER} SELECT * FROM per WHERE total = (SELECT max(total) FROM per)"), 2),
        (format!("WITH {PER} SELECT * FROM per AS a JOIN per AS b ON a.doctor = b.doctor + 1"), 2),
        (format!("WITH {PER} SELECT * FROM per UNION ALL SELECT * FROM per UNION ALL SELECT * FROM per"), 3),
        (format!("SELECT * FROM {now} AS a JOIN {now} AS b USING (doctor)"), 2),
        ("SELECT count(*) FROM (SELECT DISTINCT doctor FROM gold.visits UNION ALL SELECT DISTINCT doctor FROM gold.visits)".into(), 2),
        // Those within are computed with those around them.
        (format!("WITH {PER}, of_n AS (SELECT n, max(total) FROM per GROUP BY n) SELECT * FROM of_n UNION ALL SELECT * FROM of_n"), 2),
        // Of another state, another table, other rows, and what is not the same when it is computed again.
        (format!("SELECT * FROM {now} AS a JOIN {then} AS b USING (doctor)"), 0),
        (format!("SELECT * FROM {now} AS a JOIN {} AS b USING (doctor)", groups("gold.others")), 0),
        (format!("WITH {PER} SELECT * FROM per WHERE doctor = 1 UNION ALL SELECT * FROM per WHERE doctor = 2"), 0),
        ("WITH r AS (SELECT sum(minutes * random()) AS s FROM gold.visits) SELECT * FROM r UNION ALL SELECT * FROM r".into(), 0),
        (format!("WITH {PER} SELECT * FROM per"), 0),
        (format!("WITH RECURSIVE {PER}, n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n JOIN per ON doctor = i WHERE i < 3) SELECT i, total FROM n JOIN per ON doctor = i"), 0),
    ] {
        let explained = lake.lines(&format!("EXPLAIN {sql}")).await;
        let found = explained.iter().filter(|line| line.contains("OnceExec")).count();
        assert_eq!(found, times, "{sql}\n{}", explained.join("\n"));
    }
}

// Goal: rows are those of computing each anew. Method: statements over groups that are shared, each beside the same statement whose second
// reader's groups are written otherwise, so that nothing is shared.
#[tokio::test]
async fn shared_rows_are_the_same() {
    let lake = visits().await;
    let other = PER
        .replace("minutes > 2", "minutes + 0 > 2")
        .replace("per AS", "again AS");
    for sql in [
        "SELECT * FROM per WHERE total = (SELECT max(total) FROM again)",
        "SELECT a.doctor, a.total, b.n FROM per AS a JOIN again AS b ON a.doctor = b.doctor + 1",
        "SELECT * FROM per UNION ALL SELECT * FROM again UNION ALL SELECT * FROM per",
        "SELECT a.doctor FROM per AS a LEFT JOIN again AS b ON a.total = b.n WHERE b.n IS NULL",
        "SELECT doctor FROM per WHERE EXISTS (SELECT 1 FROM again WHERE again.doctor = per.n - 14)",
        "SELECT (SELECT min(total) FROM again), * FROM per ORDER BY total LIMIT 3",
        "SELECT * FROM per WHERE n > (SELECT avg(n) FROM again) AND total < (SELECT max(total) FROM again)",
    ] {
        let apart = lake.lines(&format!("WITH {PER}, {other} {sql}")).await;
        let shared = sql.replace("again", "per");
        let shared = if sql.contains("per.n") {
            "SELECT doctor FROM per WHERE EXISTS (SELECT 1 FROM per AS again WHERE again.doctor = per.n - 14)"
                .to_owned()
        } else {
            shared
        };
        let explained = lake.lines(&format!("EXPLAIN WITH {PER} {shared}")).await;
        assert!(
            explained.iter().any(|line| line.contains("OnceExec")),
            "{shared}\n{explained:?}"
        );
        assert_eq!(lake.lines(&format!("WITH {PER} {shared}")).await, apart, "{shared}");
    }
}

/// A part of as many batches, which counts how often it is asked for, and ends as it is told to.
#[derive(Debug)]
struct Source {
    schema: SchemaRef,
    batches: i64,
    asked: AtomicUsize,
    ending: Ending,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Good,
    Failed,
    Panicked,
    Never,
}

const ROWS: i64 = 1000;

impl Source {
    fn new(batches: i64, ending: Ending) -> Arc<Self> {
        Arc::new(Self {
            schema: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])),
            batches,
            asked: AtomicUsize::new(0),
            ending,
        })
    }

    fn plan(self: &Arc<Self>) -> Arc<dyn ExecutionPlan> {
        let parts = vec![Arc::clone(self) as Arc<dyn PartitionStream>];
        Arc::new(StreamingTableExec::try_new(Arc::clone(&self.schema), parts, None, [], false, None).expect("a plan"))
    }

    /// Readers of it, who share it.
    fn readers(self: &Arc<Self>, count: usize) -> Vec<Arc<dyn ExecutionPlan>> {
        let shared = Arc::new(Shared::new(count));
        (0..count)
            .map(|_| Arc::new(OnceExec::new(1, self.plan(), Arc::clone(&shared))) as _)
            .collect()
    }
}

impl PartitionStream for Source {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (schema, ending) = (Arc::clone(&self.schema), self.ending);
        let batches = stream::iter(0..self.batches).map(move |at| {
            let rows = Int64Array::from_iter_values(at * ROWS..(at + 1) * ROWS);
            Ok(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(rows)])?)
        });
        let end = stream::once(async move {
            match ending {
                Ending::Good => None,
                Ending::Failed => Some(exec_err!("as it was told to")),
                Ending::Panicked => panic!("as it was told to"),
                Ending::Never => future::pending().await,
            }
        });
        let rows = batches.chain(end.filter_map(future::ready));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

fn context(memory: usize) -> Arc<TaskContext> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(memory, 1.0)
        .build_arc()
        .expect("an environment");
    Arc::new(TaskContext::default().with_runtime(runtime))
}

async fn numbers(rows: SendableRecordBatchStream) -> Result<Vec<i64>> {
    let batches: Vec<RecordBatch> = rows.try_collect().await?;
    let of = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
    Ok(batches.iter().flat_map(of).collect())
}

// Goal: each reader gets all rows in their order, which are made once, and nothing stays in memory; what finds no room there lies on disk
// meanwhile. Method: readers side by side and one after the other, with much memory and with little.
#[tokio::test]
async fn rows_are_made_once() {
    for (memory, side_by_side) in [(1 << 30, true), (1 << 30, false), (20_000, true), (20_000, false)] {
        let source = Source::new(50, Ending::Good);
        let context = context(memory);
        let readers = source.readers(3);
        let rows = readers.iter().map(|reader| {
            let context = Arc::clone(&context);
            async move { numbers(reader.execute(0, context)?).await }
        });
        let found: Vec<Result<Vec<i64>>> = match side_by_side {
            true => future::join_all(rows).await,
            false => stream::iter(rows).then(|rows| rows).collect().await,
        };
        for rows in found {
            assert_eq!(rows.expect("rows"), (0..50 * ROWS).collect::<Vec<i64>>());
        }
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
        assert_eq!(context.memory_pool().reserved(), 0, "memory {memory}");
        let on_disk = context.runtime_env().disk_manager.used_disk_space() > 0;
        assert_eq!(
            on_disk,
            memory < 1 << 30,
            "what was written to disk is known as such until its readers are gone"
        );
    }
}

// Goal: who begins anew has all rows, and takes none from the others. Method: one of two readers reads, is made anew and reads again; then
// the other one reads.
#[tokio::test]
async fn who_begins_anew_has_all_rows() {
    let source = Source::new(5, Ending::Good);
    let context = context(1 << 30);
    let readers = source.readers(2);
    let anew = reset_plan_states(Arc::clone(&readers[0])).expect("a plan");
    for reader in [&readers[0], &anew, &readers[1]] {
        let rows = reader.execute(0, Arc::clone(&context)).expect("a reader");
        assert_eq!(numbers(rows).await.expect("rows"), (0..5 * ROWS).collect::<Vec<i64>>());
    }
    assert_eq!(source.asked.load(Ordering::SeqCst), 2);
}

// Goal: no reader takes rows for all rows that are not. Method: a maker that fails, and one that panics, behind some rows.
#[tokio::test]
async fn readers_hear_of_failures() {
    for (ending, told) in [(Ending::Failed, "as it was told to"), (Ending::Panicked, "ended early")] {
        let source = Source::new(2, ending);
        let context = context(1 << 20);
        for reader in source.readers(2) {
            let rows = reader.execute(0, Arc::clone(&context)).expect("a reader");
            let error = tokio::time::timeout(Duration::from_secs(20), numbers(rows))
                .await
                .expect("an end");
            let error = error.expect_err("a failure").to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}

// Goal: nobody makes rows for nobody. Method: a maker that never ends; when plan and readers are gone, so is its memory.
#[tokio::test]
async fn what_nobody_reads_is_not_made() {
    let source = Source::new(2, Ending::Never);
    let context = context(1 << 20);
    let readers = source.readers(2);
    let mut rows = readers[0].execute(0, Arc::clone(&context)).expect("a reader");
    rows.next().await.expect("a batch").expect("rows");
    assert!(context.memory_pool().reserved() > 0);
    drop((rows, readers));
    let given_back = async {
        while context.memory_pool().reserved() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), given_back)
        .await
        .expect("memory");
}
