//! The side of a join by no key that is kept in memory: where it does not fit, it is read once more, or the query ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::work_table::WorkTableExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

/// Gives the rows of its input once, or once more. A join by no key of DataFusion 55.2 that has no memory for its first side begins that
/// side anew, and takes it in parts from the disk.
///
/// - What it then gives is wrong unless it gives pairs alone: rows of the second side that have no match are forgotten, those of the first
///   side come once for each partition of the second. There the second time is refused, as out of memory.
/// - What is below the first side still has what it knew when it ran before: scans which files were read, exchanges who was served. So it is
///   made anew for the second time, and what that does not reach is refused too.
#[derive(Debug)]
pub(super) struct ReadOnceExec {
    input: Arc<dyn ExecutionPlan>,
    /// The join gives pairs alone.
    of_pairs: bool,
    reads: AtomicUsize,
}

impl ReadOnceExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, of_pairs: bool) -> Self {
        Self {
            input,
            of_pairs,
            reads: AtomicUsize::new(0),
        }
    }
}

/// Whether a plan that is made anew gives all its rows. A filter that a sort or a join has found stays in the scans below it, which would
/// leave out what that time is no longer asked for; and rows of a round of a recursive query are gone with who reads them first.
fn comes_again(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let ends = plan.exists(|node| Ok(node.is::<WorkTableExec>() || !node.dynamic_expressions_produced().is_empty()))?;
    Ok(!ends)
}

impl DisplayAs for ReadOnceExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadOnceExec")
    }
}

impl ExecutionPlan for ReadOnceExec {
    fn name(&self) -> &str {
        "ReadOnceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    // A round of a recursive query makes the join anew, and this with it.
    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.of_pairs))),
            _ => internal_err!("ReadOnceExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.reads.fetch_add(1, Ordering::Relaxed) {
            0 => self.input.execute(partition, context),
            1 if self.of_pairs && comes_again(&self.input)? => {
                reset_plan_states(Arc::clone(&self.input))?.execute(partition, context)
            }
            _ => {
                let reason = "the first side of a join by no key does not fit into memory";
                Err(DataFusionError::ResourcesExhausted(reason.into()))
            }
        }
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, counted: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match counted {
            [counted] => Ok(Arc::clone(counted)),
            _ => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::RecordBatch;
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::common::collect;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    // Goal: a side is read a second time by joins of pairs alone, whole, and never where its own sorts have left filters. Method: plans
    // without state, with an exchange, and with a sort that stops early, read three times for joins of both kinds.
    #[tokio::test]
    async fn sides_come_again_whole_or_not_at_all() {
        let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
        let rows = "(VALUES (1), (2), (3), (3)) AS v (x)";
        for (sql, found, again) in [
            (format!("SELECT x FROM {rows} WHERE x > 1"), 3, true),
            (format!("SELECT x, count(*) FROM {rows} GROUP BY x"), 3, true),
            (format!("SELECT x FROM {rows} ORDER BY x LIMIT 2"), 2, false),
        ] {
            let frame = session.sql(&sql).await.expect(&sql);
            let plan = frame.create_physical_plan().await.expect(&sql);
            let plan: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(plan));
            for of_pairs in [true, false] {
                let side = ReadOnceExec::new(reset_plan_states(Arc::clone(&plan)).expect(&sql), of_pairs);
                for granted in [true, of_pairs && again, false] {
                    let given = match side.execute(0, session.task_ctx()) {
                        Ok(given) => given,
                        Err(refused) => {
                            assert!(matches!(refused, DataFusionError::ResourcesExhausted(_)), "{refused}");
                            assert!(!granted, "{sql}");
                            continue;
                        }
                    };
                    assert!(granted, "{sql}");
                    let given = collect(given).await.expect(&sql);
                    assert_eq!(given.iter().map(RecordBatch::num_rows).sum::<usize>(), found, "{sql}");
                }
            }
        }
    }
}
