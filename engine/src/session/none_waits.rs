//! Joins that wait for what comes have it come.
//!
//! A join of DataFusion 55.2 that collects its first side and tells scans what it found there goes on when each of its partitions has seen
//! that side, and does not notice that one is dropped before (`BuildReportHandle::cancel_pending` counts those of other joins alone). Where
//! it stands as the second side of a join by partitions, a partition of that is empty on its first side and ends without a look at the
//! second one: the other partitions wait for ever. Such a join tells nothing.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

/// Runs the rule that has joins tell what they find, then makes those silent that would wait for what may not come.
#[derive(Debug)]
pub(super) struct NoneWaits(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for NoneWaits {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        silenced(self.0.optimize(plan, config)?, true)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// `asked` tells whether all partitions of the plan are asked, if one of them is.
fn silenced(plan: Arc<dyn ExecutionPlan>, asked: bool) -> Result<Arc<dyn ExecutionPlan>> {
    let inputs = plan.children().into_iter().enumerate();
    let inputs = inputs.map(|(at, input)| silenced(Arc::clone(input), asks(plan.as_ref(), at, asked)));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let plan = replace_children_if_necessary(plan, inputs)?;
    match !asked && waits(plan.as_ref()) {
        true => plan.reset_state(),
        false => Ok(plan),
    }
}

/// Whether it goes on only when each of several partitions has been asked.
fn waits(plan: &dyn ExecutionPlan) -> bool {
    plan.downcast_ref::<HashJoinExec>().is_some_and(|join| {
        *join.partition_mode() == PartitionMode::CollectLeft
            && join.right().properties().output_partitioning().partition_count() > 1
            && !join.dynamic_expressions_produced().is_empty()
    })
}

/// Whether all partitions of an input are asked, if one of them is.
fn asks(plan: &dyn ExecutionPlan, input: usize, asked: bool) -> bool {
    if plan.is::<RepartitionExec>() || plan.is::<CoalescePartitionsExec>() || plan.is::<SortPreservingMergeExec>() {
        return true;
    }
    if plan.is::<SortMergeJoinExec>() {
        return false;
    }
    match plan.downcast_ref::<HashJoinExec>() {
        Some(join) if input == 1 => asked && *join.partition_mode() == PartitionMode::CollectLeft,
        _ => asked,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use datafusion::common::{JoinType, NullEquality};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::{Partitioning, PhysicalExpr, collect};
    use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

    use super::*;
    use crate::session::same_names::late_filters;
    use crate::testing::{Lake, lines};

    const DEADLINE: Duration = Duration::from_secs(60);

    const PARTITIONS: usize = 3;

    fn column(name: &str, at: usize) -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(name, at))
    }

    /// A table whose two columns have the same values.
    async fn table(lake: &Lake, name: &str, columns: [&str; 2], values: &[i64]) {
        let long = |id, name: &str| NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long)).into();
        let [first, second] = columns;
        let schema = Schema::builder().with_fields([long(1, first), long(2, second)]).build();
        lake.create(name, schema.expect("a schema"), None).await;
        let values: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        let rows = RecordBatch::try_from_iter(columns.map(|name| (name, Arc::clone(&values))));
        lake.append(name, rows.expect("rows")).await;
    }

    /// What reads these columns of a table.
    async fn scan(lake: &Lake, sql: &str) -> Arc<dyn ExecutionPlan> {
        let session = lake.session();
        let plan = lake.engine.plan(&session, sql).await.expect(sql);
        session.state().create_physical_plan(&plan).await.expect(sql)
    }

    /// A join that collects a few rows, over a second side of several partitions.
    async fn collecting(lake: &Lake) -> Arc<dyn ExecutionPlan> {
        let few = scan(lake, "SELECT w, x FROM gold.few").await;
        let facts = hashed(scan(lake, "SELECT k, v FROM gold.facts").await, "k");
        join([few, facts], [("w", 0), ("v", 1)], PartitionMode::CollectLeft)
    }

    fn hashed(plan: Arc<dyn ExecutionPlan>, name: &str) -> Arc<dyn ExecutionPlan> {
        let by = Partitioning::Hash(vec![column(name, 0)], PARTITIONS);
        Arc::new(RepartitionExec::try_new(plan, by).expect("partitions"))
    }

    fn join(
        [left, right]: [Arc<dyn ExecutionPlan>; 2],
        on: [(&str, usize); 2],
        mode: PartitionMode,
    ) -> Arc<dyn ExecutionPlan> {
        let [left_on, right_on] = on.map(|(name, at)| column(name, at));
        let join = HashJoinExec::try_new(
            left,
            right,
            vec![(left_on, right_on)],
            None,
            &JoinType::Inner,
            None,
            mode,
            NullEquality::NullEqualsNothing,
            false,
        );
        Arc::new(join.expect("a join"))
    }

    // Goal: a join whose partitions are not all asked does not wait for them, and others tell what they find as before. Method: one that
    // collects, as the second side of one by partitions, most of which are empty on the first side; and the same as a plan of its own.
    #[tokio::test]
    async fn nobody_waits_for_what_nobody_asks() {
        let lake = Lake::new();
        table(&lake, "gold.few", ["w", "x"], &[7, 8]).await;
        table(&lake, "gold.facts", ["k", "v"], &[1, 2, 3, 4, 5, 6, 7, 8, 9]).await;
        table(&lake, "gold.one", ["id", "n"], &[7]).await;
        let one = hashed(scan(&lake, "SELECT id, n FROM gold.one").await, "id");
        let both = join(
            [one, collecting(&lake).await],
            [("id", 0), ("k", 2)],
            PartitionMode::Partitioned,
        );
        let tells = |plan: &Arc<dyn ExecutionPlan>| !plan.dynamic_expressions_produced().is_empty();
        let settings = ConfigOptions::default();
        let rule = NoneWaits(Arc::new(late_filters()));
        let alone = rule.optimize(collecting(&lake).await, &settings).expect("a plan");
        assert!(tells(&alone));
        let unmended = late_filters().optimize(Arc::clone(&both), &settings).expect("a plan");
        assert!(tells(unmended.children()[1]));
        let mended = rule.optimize(both, &settings).expect("a plan");
        assert!(tells(&mended));
        assert!(!tells(mended.children()[1]));
        for (plan, wanted) in [(alone, vec!["7,7,7,7", "8,8,8,8"]), (mended, vec!["7,7,7,7,7,7"])] {
            let run = tokio::time::timeout(DEADLINE, collect(plan, lake.session().task_ctx())).await;
            assert_eq!(lines(&run.expect("an end").expect("rows")), wanted);
        }
    }
}
