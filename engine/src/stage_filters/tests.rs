use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::SessionContext;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

use super::*;
use crate::testing::{Lake, lines};

/// Enough small files for each of three partitions.
const FILES: i64 = 48;

const FILE_ROWS: i64 = 5;

/// A join that waits for a partition that nobody asks waits for ever.
const DEADLINE: Duration = Duration::from_secs(60);

fn numbers(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

async fn table(lake: &Lake, name: &str, columns: [&str; 2], files: Vec<[ArrayRef; 2]>) {
    let long = |id, name: &str| NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long)).into();
    let [first, second] = columns;
    let schema = Schema::builder().with_fields([long(1, first), long(2, second)]).build();
    lake.create(name, schema.expect("a schema"), None).await;
    let mut added = Vec::new();
    for file in files {
        let rows = RecordBatch::try_from_iter(columns.into_iter().zip(file)).expect("rows");
        added.extend(lake.write(name, rows).await);
    }
    lake.commit(name, added).await;
}

/// Many rows in many files, whose keys lie in order in them, some null; and a few.
async fn lake() -> Lake {
    let lake = Lake::new();
    let files = (0..FILES).map(|file| {
        let rows = || file * FILE_ROWS..(file + 1) * FILE_ROWS;
        let keys = rows().map(|row| (row % 11 != 10).then_some(row));
        [numbers(keys), numbers(rows().map(|row| Some(1000 - row)))]
    });
    table(&lake, "gold.facts", ["k", "v"], files.collect()).await;
    let few = [
        numbers([Some(3), Some(41), Some(41), None]),
        numbers([Some(1), Some(2), Some(3), Some(4)]),
    ];
    table(&lake, "gold.few", ["id", "n"], vec![few]).await;
    let known = [numbers([Some(7), Some(30)]), numbers([Some(1), Some(2)])];
    table(&lake, "gold.known", ["id", "n"], vec![known]).await;
    lake
}

/// How a plan is made.
#[derive(Debug, Clone, Copy)]
struct Planned {
    /// Joins have their first side as a whole.
    collected: bool,
    partitions: usize,
}

const COLLECTED: Planned = Planned {
    collected: true,
    partitions: 3,
};

/// Plans without filters of joins, as a cluster does.
fn session(lake: &Lake, planned: Planned) -> SessionContext {
    let session = lake.session();
    let state = session.state_ref();
    let mut state = state.write();
    let settings = state.config_mut().options_mut();
    let off = settings.set("datafusion.optimizer.enable_dynamic_filter_pushdown", "false");
    off.expect("a setting");
    settings.execution.target_partitions = planned.partitions;
    if !planned.collected {
        settings.optimizer.hash_join_single_partition_threshold = 0;
        settings.optimizer.hash_join_single_partition_threshold_rows = 0;
    }
    drop(state);
    session
}

/// A plan below something that asks all of its partitions at once.
async fn stage(lake: &Lake, session: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    let plan = lake.engine.plan(session, sql).await.expect(sql);
    let plan = session.state().create_physical_plan(&plan).await.expect(sql);
    Arc::new(CoalescePartitionsExec::new(plan))
}

fn filtered(plan: Arc<dyn ExecutionPlan>, session: &SessionContext) -> Arc<dyn ExecutionPlan> {
    stage_filters(plan, session.task_ctx().session_config().options())
}

fn shown(plan: &Arc<dyn ExecutionPlan>) -> String {
    displayable(plan.as_ref()).indent(false).to_string()
}

/// Rows that the scans of a plan gave.
fn read(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let inputs = plan.children();
    match inputs.is_empty() {
        true => plan.metrics().as_ref().and_then(MetricsSet::output_rows).unwrap_or(0),
        false => inputs.into_iter().map(read).sum(),
    }
}

async fn rows(plan: Arc<dyn ExecutionPlan>, context: TaskContext, sql: &str) -> Vec<String> {
    let run = tokio::time::timeout(DEADLINE, collect(plan, Arc::new(context))).await;
    let found = run.unwrap_or_else(|_| panic!("{sql} waits for ever"));
    lines(&found.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

// Goal: filters are found where they are of all rows and nobody waits for them without end, and nowhere else. Method: plans of joins and of
// first rows, each with what it has to look like for the case to be one.
#[tokio::test]
async fn stages_have_filters_where_they_are_sound() {
    let lake = lake().await;
    let alone = Planned {
        partitions: 1,
        ..COLLECTED
    };
    let hashed = Planned {
        collected: false,
        ..COLLECTED
    };
    let join = "SELECT v FROM gold.few JOIN gold.facts ON id = k";
    let ordered = format!("{join} ORDER BY v");
    let both = format!("{join} UNION ALL SELECT v FROM gold.facts");
    let first = "SELECT v FROM gold.facts ORDER BY v DESC LIMIT 2";
    for (sql, planned, like, found) in [
        (
            join,
            COLLECTED,
            ["mode=CollectLeft, join_type=Inner", "{3 groups"],
            true,
        ),
        (join, hashed, ["mode=Partitioned, join_type=Inner", "{3 groups"], false),
        (both.as_str(), COLLECTED, ["UnionExec", "mode=CollectLeft"], true),
        (first, COLLECTED, ["TopK(fetch=2)", "{3 groups"], true),
        // Whether all partitions are asked is not known of what merges them.
        (ordered.as_str(), COLLECTED, ["mode=CollectLeft", "{3 groups"], false),
        (ordered.as_str(), alone, ["mode=CollectLeft", "{1 group"], true),
        // All rows of the side that a filter would be for are wanted.
        (
            "SELECT v FROM gold.facts LEFT JOIN gold.few ON id = k",
            COLLECTED,
            ["mode=CollectLeft, join_type=Right", "{3 groups"],
            false,
        ),
    ] {
        let session = session(&lake, planned);
        let plan = stage(&lake, &session, sql).await;
        let before = shown(&plan);
        assert!(like.iter().all(|part| before.contains(part)), "{sql}\n{before}");
        assert!(!before.contains("DynamicFilter"), "{sql}\n{before}");
        let after = shown(&filtered(plan, &session));
        assert_eq!(after.contains("DynamicFilter"), found, "{sql}\n{after}");
    }
}

// Goal: what a join finds spares reading, and no row. Method: a join with keys of few files, with filters and without.
#[tokio::test]
async fn scans_read_what_joins_ask_for() {
    let lake = lake().await;
    let session = session(&lake, COLLECTED);
    let sql = "SELECT id, v FROM gold.few JOIN gold.facts ON id = k";
    let plain = stage(&lake, &session, sql).await;
    let plan = filtered(stage(&lake, &session, sql).await, &session);
    let mut given = Vec::new();
    for plan in [plain, plan] {
        let found = rows(Arc::clone(&plan), stage_context(&session.task_ctx()), sql).await;
        assert_eq!(found, ["3,997", "41,959", "41,959"]);
        given.push(read(&plan));
    }
    assert!(matches!(given[..], [all, some] if 2 * some < all), "{given:?}");
}

// Goal: rows are the same with filters and without, and come. Method: joins of all kinds, without rows on either side, with nulls among the
// keys, in one another, and first rows over them, in plans whose joins have their first side as a whole or not, in one partition and in
// several.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_same() {
    let lake = lake().await;
    let joined = "gold.few JOIN gold.facts ON id = k";
    let chained = format!("gold.known AS o JOIN (SELECT k, v, n FROM {joined} WHERE n < 4) AS q ON o.n = q.n");
    let statements = [
        format!("SELECT id, v FROM {joined}"),
        "SELECT id, k, v FROM gold.facts LEFT JOIN gold.few ON id = k".to_owned(),
        "SELECT id, k, v FROM gold.few LEFT JOIN gold.facts ON id = k".to_owned(),
        "SELECT id, k, v FROM gold.few LEFT JOIN gold.facts ON id = k AND v < 990".to_owned(),
        "SELECT id, k, v FROM gold.few FULL JOIN gold.facts ON id = k".to_owned(),
        "SELECT v FROM gold.facts WHERE k IN (SELECT id FROM gold.few)".to_owned(),
        "SELECT n FROM gold.few WHERE id IN (SELECT k FROM gold.facts)".to_owned(),
        "SELECT n FROM gold.few WHERE id NOT IN (SELECT k FROM gold.facts)".to_owned(),
        "SELECT n FROM gold.few WHERE id NOT IN (SELECT k FROM gold.facts WHERE k > 40)".to_owned(),
        "SELECT v FROM gold.facts WHERE k NOT IN (SELECT id FROM gold.known)".to_owned(),
        "SELECT v FROM gold.facts WHERE NOT EXISTS (SELECT 1 FROM gold.few WHERE id = k)".to_owned(),
        "SELECT n FROM gold.few WHERE EXISTS (SELECT 1 FROM gold.facts WHERE k = id) OR n = 4".to_owned(),
        "SELECT id, v FROM gold.few JOIN gold.facts ON id IS NOT DISTINCT FROM k".to_owned(),
        "SELECT id, v FROM (SELECT * FROM gold.few WHERE n > 9) AS f JOIN gold.facts ON id = k".to_owned(),
        "SELECT id, v FROM gold.few JOIN (SELECT * FROM gold.facts WHERE v < 0) AS f ON id = k".to_owned(),
        format!("SELECT id, k, v FROM {chained}"),
        format!("SELECT v FROM {joined} UNION ALL SELECT v FROM {chained}"),
        format!("SELECT id, count(*), sum(v) FROM {joined} GROUP BY id"),
        format!("SELECT v FROM {joined} ORDER BY v LIMIT 2"),
        format!("SELECT n, v FROM {joined} ORDER BY v DESC, n DESC LIMIT 2"),
        "SELECT k, v FROM gold.facts ORDER BY k DESC NULLS FIRST, v LIMIT 3".to_owned(),
        "SELECT k, v FROM gold.facts ORDER BY k DESC NULLS LAST, v LIMIT 3".to_owned(),
        "SELECT v, n FROM gold.facts LEFT JOIN gold.few ON id = k ORDER BY n, v DESC LIMIT 5".to_owned(),
    ];
    let mut having = 0;
    for sql in &statements {
        for (collected, partitions) in [(true, 3), (true, 1), (false, 3), (false, 1)] {
            let session = session(&lake, Planned { collected, partitions });
            let plan = filtered(stage(&lake, &session, sql).await, &session);
            having += usize::from(shown(&plan).contains("DynamicFilter"));
            let found = rows(plan, stage_context(&session.task_ctx()), sql).await;
            let wanted = stage(&lake, &session, sql).await;
            let wanted = rows(wanted, stage_context(&session.task_ctx()), sql).await;
            assert_eq!(found, wanted, "{sql} ({collected}, {partitions})");
        }
    }
    assert!(having > 20, "{having} plans have filters");
}
