//! The side of a join by no key that is kept in memory: what of it does not fit ends the query.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

/// Gives the rows of its input once. A join by no key of DataFusion 55.2 that has no memory for its first side begins that side anew, and
/// takes it in parts from the disk. What it then gives is wrong: rows of the second side that have no match are forgotten, those of the
/// first side come once for each partition of the second, and what is below the first side still has what it knew when it ran before. So
/// the second time is refused, as out of memory.
#[derive(Debug)]
pub(super) struct ReadOnceExec {
    input: Arc<dyn ExecutionPlan>,
    was_read: AtomicBool,
}

impl ReadOnceExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            input,
            was_read: AtomicBool::new(false),
        }
    }
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
            (Some(input), true) => Ok(Arc::new(Self::new(input))),
            _ => internal_err!("ReadOnceExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if self.was_read.swap(true, Ordering::Relaxed) {
            let reason = "the first side of a join by no key does not fit into memory";
            return Err(DataFusionError::ResourcesExhausted(reason.into()));
        }
        self.input.execute(partition, context)
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
