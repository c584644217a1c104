//! What runs in another form than it was planned in, and tells of its rows what was planned.
//!
//! Before a plan runs, filters get their conditions in another order (`quick_first.rs`) and texts as views (`text_views.rs`). DataFusion
//! 55.2 does not see in the new form which columns a filter fixes or makes equal, or no further than to where parts of the rows come
//! together. Sorts above leave such columns out, as their order is known without them, and a window that finds no order of a column of
//! its `PARTITION BY` when it begins is refused. The rows are the same in both forms, and in the same parts: what was known of them
//! holds.
//!
//! What lets go of the thread (`cooperative.rs`) is put into a plan before: over an operator that tells something else than the one it was
//! planned over, if only that it yields, nothing is told but what the new form shows.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::has_same_children_properties;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, replace_children_if_necessary,
};

/// An operator in the place of another one that has the same rows, in the same partitions and order.
#[derive(Debug)]
pub(crate) struct AsPlannedExec {
    runs: Arc<dyn ExecutionPlan>,
    /// Of the other one.
    properties: Arc<PlanProperties>,
}

impl AsPlannedExec {
    pub(crate) fn new(runs: Arc<dyn ExecutionPlan>, planned: &dyn ExecutionPlan) -> Self {
        Self {
            runs,
            properties: Arc::clone(planned.properties()),
        }
    }
}

impl DisplayAs for AsPlannedExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.runs.fmt_as(format, f)
    }
}

impl ExecutionPlan for AsPlannedExec {
    fn name(&self) -> &str {
        self.runs.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.runs.children()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.runs.maintains_input_order()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.runs.apply_expressions(f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let same = has_same_children_properties(self.runs.as_ref(), &children)?;
        let runs = replace_children_if_necessary(Arc::clone(&self.runs), children)?;
        if !same {
            // Over other rows it is not what was planned.
            return Ok(runs);
        }
        let properties = Arc::clone(&self.properties);
        Ok(Arc::new(Self { runs, properties }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.runs.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.runs.metrics()
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.runs.child_stats_requests(partition)
    }

    fn statistics_from_inputs(&self, counted: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        self.runs.statistics_from_inputs(counted, args)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::collect;

    use crate::quick_first::quick_first;
    use crate::testing::{Lake, lines};

    // Goal: windows find the order of columns that a filter of several conditions fixes or makes equal. Method: such columns alone, before
    // others and in a window over another one; in process, with conditions in order and nothing else changed, and after a journey.
    #[tokio::test]
    async fn windows_know_what_filters_fix() {
        let lake = Lake::new();
        let rows = "(VALUES (3, 1, 1, 10), (3, 1, 2, 20), (3, 2, 1, 40), \
                    (3, 2, 2, 5), (4, 1, 1, 80), (NULL, 2, 1, 90)) AS t (k, z, y, x)";
        let fixed = format!("{rows} WHERE k = 3 AND x > 5");
        for (sql, wanted) in [
            (
                format!("SELECT z, y, row_number() OVER (PARTITION BY k, z ORDER BY y) AS n FROM {fixed}"),
                vec!["1,1,1", "1,2,2", "2,1,1"],
            ),
            (
                format!("SELECT z, y, sum(x) OVER (PARTITION BY z, k) AS s FROM {fixed}"),
                vec!["1,1,30", "1,2,30", "2,1,40"],
            ),
            (
                format!("SELECT z, count(*) OVER (PARTITION BY k) AS n FROM {fixed}"),
                vec!["1,3", "1,3", "2,3"],
            ),
            (
                format!(
                    "SELECT z, y, n, sum(x) OVER (PARTITION BY k ORDER BY y) AS s FROM \
                     (SELECT *, row_number() OVER (PARTITION BY k, z ORDER BY y) AS n FROM {fixed}) AS s"
                ),
                vec!["1,1,1,50", "1,2,2,70", "2,1,1,50"],
            ),
            (
                format!("SELECT z, y, count(*) OVER (PARTITION BY z, y) AS n FROM {rows} WHERE z = y AND x <> 40"),
                vec!["1,1,2", "1,1,2", "2,2,1"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
            let session = lake.session();
            let plan = lake.engine.plan(&session, &sql).await.expect(&sql);
            let plan = session.state().create_physical_plan(&plan).await.expect(&sql);
            let runs = quick_first(plan).expect(&sql);
            let found = collect(runs, session.task_ctx()).await.expect(&sql);
            assert_eq!(lines(&found), wanted, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect(&sql), wanted, "{sql}");
        }
    }
}
