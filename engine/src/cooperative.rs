//! Plans that let go of their thread: a query can only be cancelled, and others only get their turn, where it yields.

mod held;
mod rations;
mod read_once;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EvaluationType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::WindowAggExec;
use tidewater_core::SharedClock;

use self::held::HeldExec;
use self::rations::RationedExec;
use self::read_once::ReadOnceExec;

/// Makes the operators yield that can turn a few rows into many, and those count their memory that do not. DataFusion makes
/// only the leaves yield, so a cross join of small tables under an aggregate would keep its thread, uncancellable, until its
/// last row; and a join whose condition is never true has no row to yield at. A join by no key begins its first side anew only where that
/// is sound.
pub fn yielding(plan: Arc<dyn ExecutionPlan>, clock: &SharedClock) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(plan
        .transform_up(|plan| rationed(plan, clock)?.transform_data(held)?.transform_data(wrap))?
        .data)
}

/// A join that looks at many pairs of rows for each that it finds gets the rows of its second side in portions, and one by no key
/// those of its first side as often as that is sound.
fn rationed(plan: Arc<dyn ExecutionPlan>, clock: &SharedClock) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let conditional = plan
        .downcast_ref::<HashJoinExec>()
        .is_some_and(|join| join.filter().is_some());
    let of_no_key = plan.downcast_ref::<NestedLoopJoinExec>();
    let of_pairs = of_no_key.map(|join| *join.join_type() == JoinType::Inner);
    if !conditional && of_pairs.is_none() {
        return Ok(Transformed::no(plan));
    }
    let mut children: Vec<Arc<dyn ExecutionPlan>> = plan.children().into_iter().map(Arc::clone).collect();
    if let (Some(of_pairs), Some(first)) = (of_pairs, children.first_mut()) {
        *first = Arc::new(ReadOnceExec::new(Arc::clone(first), of_pairs));
    }
    if let Some(second) = children.get_mut(1) {
        *second = Arc::new(RationedExec::new(Arc::clone(second), Arc::clone(clock)));
    }
    let unchanged = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    Ok(Transformed::yes(plan.replace_children(children, unchanged)?))
}

/// A window that looks to the end of its input has its input counted as memory.
fn held(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(window) = plan.downcast_ref::<WindowAggExec>() else {
        return Ok(Transformed::no(plan));
    };
    let input: Arc<dyn ExecutionPlan> = Arc::new(HeldExec::new(Arc::clone(window.input())));
    let unchanged = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    Ok(Transformed::yes(plan.replace_children(vec![input], unchanged)?))
}

fn wrap(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let properties = plan.properties();
    let yields = properties.scheduling_type == SchedulingType::Cooperative;
    let lazy = properties.evaluation_type == EvaluationType::Lazy;
    let multiplies = plan.children().len() > 1 || plan.downcast_ref::<UnnestExec>().is_some();
    if multiplies && lazy && !yields {
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(plan))))
    } else {
        Ok(Transformed::no(plan))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;

    use tidewater_core::Coded;

    use crate::testing::Lake;
    use crate::{Class, CpuRunner, CpuRuntime, PlanRequest, PlanRunner};

    /// On a busy machine; the queries take hours.
    const FREE_DEADLINE: Duration = Duration::from_secs(60);

    const DIGITS: &str = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))";

    // Goal: a query that computes for hours ends when nobody waits for it. Method: one thread for queries, kept busy by a
    // cross join of small tables; the next query gets the thread only if dropping the first one ended it.
    #[tokio::test]
    async fn a_dropped_query_lets_go_of_its_thread() {
        let tables: Vec<String> = (0..12).map(|at| format!("{DIGITS} AS t{at}(x)")).collect();
        let long = format!(
            "SELECT sum(sqrt(t0.x * t1.x + t2.x)) FROM {}",
            tables.join(" CROSS JOIN ")
        );
        ends_when_dropped(&long).await;
    }

    // Goal: so does one that looks at many pairs of rows and finds none. Method: the same with joins whose conditions are never
    // true, over all pairs and over those of one key.
    #[tokio::test]
    async fn a_dropped_join_without_rows_lets_go_of_its_thread() {
        let series = |name: &str| format!("(SELECT value, 1 AS k FROM generate_series(1, 200000)) AS {name}");
        for on in ["TRUE", "a.k = b.k"] {
            ends_when_dropped(&format!(
                "SELECT count(*) FROM {} JOIN {} ON {on} AND sqrt(a.value * 1.0) + b.value < 0",
                series("a"),
                series("b")
            ))
            .await;
        }
    }

    // Goal: a window over more rows than there is memory for fails, whatever it would take. Method: one that looks to its end, over
    // more rows than the pool has bytes, and one over few.
    #[tokio::test]
    async fn windows_count_what_they_keep() {
        let lake = Lake::new();
        let window = "OVER (ORDER BY value ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)";
        let of = |rows: u64| format!("SELECT count(s) FROM (SELECT sum(value) {window} AS s FROM range(0, {rows}))");
        assert_eq!(lake.lines(&of(10_000)).await, ["10000"]);
        let refused = lake.refused(&of(200_000_000)).await;
        assert_eq!(refused.code(), "ENG-0005", "{refused}");
    }

    // Goal: a join by no key whose sides are more than there is memory for fails, and gives no other rows than it should, unless it gives
    // pairs alone. Method: joins of each kind in a mebibyte, of two sides that take eight each, and of few rows.
    #[tokio::test]
    async fn joins_by_no_key_give_all_rows_or_none() {
        let mut lake = Lake::new();
        lake.limit_memory(1 << 20);
        let of = |rows: u64, kind: &str| {
            let side = |name: &str| format!("(SELECT value FROM range(0, {rows})) AS {name}");
            let (a, b) = (side("a"), side("b"));
            match kind {
                "EXISTS" | "NOT EXISTS" => format!(
                    "SELECT count(*) FROM {a} WHERE {kind} (SELECT 1 FROM {b} WHERE sqrt(a.value + b.value) < 1)"
                ),
                join => format!("SELECT count(*) FROM {a} {join} JOIN {b} ON sqrt(a.value + b.value) < 1"),
            }
        };
        // Of ten rows and ten, one pair has a sum below one.
        for (kind, few) in [
            ("INNER", "1"),
            ("LEFT", "10"),
            ("RIGHT", "10"),
            ("FULL", "19"),
            ("EXISTS", "1"),
            ("NOT EXISTS", "9"),
        ] {
            assert_eq!(lake.lines(&of(10, kind)).await, [few], "{kind}");
            if kind == "INNER" {
                continue;
            }
            let refused = lake.refused(&of(1_000_000, kind)).await;
            assert_eq!(refused.code(), "ENG-0005", "{kind}: {refused}");
        }
    }

    // Goal: an inner join by no key whose sides are more than there is memory for gives each pair once. Method: two sides of eight parts with
    // long texts, of which a mebibyte holds a few; each row has one match.
    #[tokio::test]
    async fn inner_joins_by_no_key_read_on_from_the_disk() {
        let mut lake = Lake::new();
        lake.limit_memory(1 << 20);
        let part = |at: u64| {
            let (first, end) = (at * 250, (at + 1) * 250);
            format!("SELECT value, repeat(CAST(value % 10 AS text), 1000) AS t FROM range({first}, {end})")
        };
        let side = (0..8).map(part).collect::<Vec<_>>().join(" UNION ALL ");
        let sql = format!(
            "SELECT count(*), sum(a.value), sum(length(a.t) + length(b.t)) FROM ({side}) AS a JOIN ({side}) AS b \
             ON abs(a.value - b.value) < 1"
        );
        assert_eq!(lake.lines(&sql).await, ["2000,1999000,4000000"]);
    }

    async fn ends_when_dropped(long: &str) {
        let lake = Lake::new();
        let runtime = CpuRuntime::start(1).expect("a thread");
        let runner = CpuRunner::new(std::sync::Arc::new(lake.engine.local_runner()), runtime);
        let mut running = run(&lake, &runner, long).await;
        let early = tokio::time::timeout(Duration::from_millis(300), running.stream.next()).await;
        assert!(early.is_err(), "the long query ended by itself");
        drop(running);
        let next = async { run(&lake, &runner, "SELECT 1").await.stream.next().await };
        let row = tokio::time::timeout(FREE_DEADLINE, next).await.expect("a free thread");
        assert!(matches!(row, Some(Ok(_))));
    }

    async fn run(lake: &Lake, runner: &CpuRunner, sql: &str) -> crate::PlanOutput {
        let session = lake.session();
        let request = PlanRequest {
            job: lake.job(),
            plan: lake.engine.plan(&session, sql).await.expect("a plan"),
            session,
            class: Class::Interactive,
            deadline: None,
        };
        runner.run(request).await.expect("rows")
    }
}
