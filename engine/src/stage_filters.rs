//! Filters that the joins and the sorts of a stage find while it runs, and that leave out what its scans need not read.
//!
//! DataFusion makes them when it plans a whole query. Plans of a cluster are cut into stages afterwards, so they are planned without,
//! and each task gets them here for its own part of the plan: the keys of a join's first side for the scans of its second one, the
//! worst of the first rows so far for those of a sort.
//!
//! A filter made of some of the rows would lose others, and a join of DataFusion 55.2 reads its second side only when each of its
//! partitions has told what it has (`SharedBuildAccumulator`), whether anybody asks that partition or not. So a join has a filter here
//! only
//!
//! - if it collects its first side (`CollectLeft`), which each task has as a whole: of the second side a task has some partitions
//!   (`restrict_plan_to_partitions`). Where both sides have the same partitions otherwise, the filter would find the partition of a key by
//!   its hash modulo their number, and of those a task has some only;
//! - and if its second side has one partition, which then waits for nobody, or if all of its partitions are asked for their first row at
//!   once, whatever rows there are: Ballista's writers ask all that they write, and between them and the join are only operators that
//!   ask all that is below them.
//!
//! `docs/adr/065-filters-within-stages.md` has the places in the source that this rests on.
//!
//! Sorts wait for nobody, and have used what they know for their own input already: a scan leaves out no more than they do.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use crate::session::same_names::late_filters;
use crate::write::IcebergWriteExec;

/// The plan of a task with the filters that its joins and sorts find while it runs; for a plan that runs as it is, in a
/// [`stage_context`]. Its root is what writes the rows of the stage, and asks all partitions of its input at once.
pub fn stage_filters(plan: Arc<dyn ExecutionPlan>, settings: &ConfigOptions) -> Arc<dyn ExecutionPlan> {
    let mut settings = settings.clone();
    allow(&mut settings);
    let inputs = plan.children().into_iter().map(|input| within(input, true, &settings));
    let inputs = inputs.collect::<Result<Vec<_>>>();
    let found = inputs.and_then(|inputs| replace_children_if_necessary(Arc::clone(&plan), inputs));
    found.unwrap_or_else(|error| {
        // They make plans cheaper and nothing else.
        tracing::debug!(%error, "a task runs without the filters of its joins");
        plan
    })
}

/// What a plan with [`stage_filters`] runs in: joins look there whether they may tell what they found.
pub fn stage_context(context: &TaskContext) -> TaskContext {
    let mut config = context.session_config().clone();
    allow(config.options_mut());
    TaskContext::new(
        context.task_id(),
        context.session_id(),
        config,
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    )
}

fn allow(settings: &mut ConfigOptions) {
    settings.optimizer.enable_join_dynamic_filter_pushdown = true;
    settings.optimizer.enable_topk_dynamic_filter_pushdown = true;
    // The bounds of groups stay off, whatever a session says.
    settings.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
}

/// The largest parts of a plan in which all joins are sound with their filters, and the rest as it was. No filter of one part reaches
/// another. `asked` tells whether all partitions are asked for their first row at once.
fn within(plan: &Arc<dyn ExecutionPlan>, asked: bool, settings: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
    if is_sound(plan, asked) {
        return late_filters().optimize(Arc::clone(plan), settings);
    }
    let inputs = plan.children().into_iter().enumerate();
    let inputs = inputs.map(|(at, input)| within(input, asked && asks(plan.as_ref(), at), settings));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    replace_children_if_necessary(Arc::clone(plan), inputs)
}

/// Whether all joins of a plan find filters that lose no row, and none waits for a partition that nobody asks.
fn is_sound(plan: &Arc<dyn ExecutionPlan>, asked: bool) -> bool {
    let join = plan.downcast_ref::<HashJoinExec>();
    join.is_none_or(|join| collects(join) && (asked || partitions(join.right().as_ref()) == 1))
        && plan
            .children()
            .into_iter()
            .enumerate()
            .all(|(at, input)| is_sound(input, asked && asks(plan.as_ref(), at)))
}

fn collects(join: &HashJoinExec) -> bool {
    *join.partition_mode() == PartitionMode::CollectLeft
}

/// Whether an operator of which all partitions are asked asks all partitions of this input, whatever rows there are.
fn asks(plan: &dyn ExecutionPlan, input: usize) -> bool {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        // Its first side is one for all of its partitions: where it decides that nobody asks the second one, all do as one.
        return input == 1 && collects(join) && !join.null_aware && join.fetch().is_none();
    }
    let all = plan.is::<ProjectionExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<UnionExec>()
        || plan.is::<IcebergWriteExec>()
        || plan
            .downcast_ref::<FilterExec>()
            .is_some_and(|filter| filter.fetch().is_none())
        || plan
            .downcast_ref::<SortExec>()
            .is_some_and(|sort| sort.fetch() != Some(0))
        || plan
            .downcast_ref::<AggregateExec>()
            .is_some_and(|groups| groups.limit_options().is_none());
    let inputs = plan.children().into_iter().map(|input| partitions(input.as_ref()));
    all && inputs.sum::<usize>() == partitions(plan)
}

fn partitions(plan: &dyn ExecutionPlan) -> usize {
    plan.properties().output_partitioning().partition_count()
}

#[cfg(test)]
mod tests;
