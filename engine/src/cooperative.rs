//! Plans that let go of their thread: a query can only be cancelled, and others only get their turn, where it yields.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{EvaluationType, SchedulingType};
use datafusion::physical_plan::unnest::UnnestExec;

/// Makes the operators yield that can turn a few rows into many. DataFusion makes only the leaves yield, so a cross join
/// of small tables under an aggregate would keep its thread, uncancellable, until its last row.
pub fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(plan.transform_up(wrap)?.data)
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

    use crate::testing::Lake;
    use crate::{Class, CpuRunner, CpuRuntime, PlanRequest, PlanRunner};

    const DIGITS: &str = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))";

    // Goal: a query that computes for hours ends when nobody waits for it. Method: one thread for queries, kept busy by a
    // cross join of small tables; the next query gets the thread only if dropping the first one ended it.
    #[tokio::test]
    async fn a_dropped_query_lets_go_of_its_thread() {
        let lake = Lake::new();
        let runtime = CpuRuntime::start(1).expect("a thread");
        let runner = CpuRunner::new(std::sync::Arc::new(lake.engine.local_runner()), runtime);
        let tables: Vec<String> = (0..12).map(|at| format!("{DIGITS} AS t{at}(x)")).collect();
        let long = format!(
            "SELECT sum(sqrt(t0.x * t1.x + t2.x)) FROM {}",
            tables.join(" CROSS JOIN ")
        );
        let mut running = run(&lake, &runner, &long).await;
        let early = tokio::time::timeout(Duration::from_millis(300), running.stream.next()).await;
        assert!(early.is_err(), "the long query ended by itself");
        drop(running);
        let next = async { run(&lake, &runner, "SELECT 1").await.stream.next().await };
        let row = tokio::time::timeout(Duration::from_secs(20), next)
            .await
            .expect("a free thread");
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
