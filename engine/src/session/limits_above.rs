//! The first rows of an order, taken of what comes out of groups and windows and not of what goes into them.
//!
//! DataFusion 55.2 hands a limit down through whatever has the order already and needs it of its own rows, to the sort below: of `SELECT
//! DISTINCT k … ORDER BY k LIMIT 10` only ten rows of each part went into the groups, of which fewer came out, and `lead(id) OVER (PARTITION BY k
//! ORDER BY id) … ORDER BY k, id LIMIT 3` found no fourth row. A projection does not hand a limit on, so that one stands between here. It
//! changes nothing, and the rule that pushes projections takes it away again.
//!
//! And `SELECT DISTINCT … LIMIT 10` lets groups end once there are ten, which DataFusion does by an operator that wants an order to go by
//! where the groups have come to be sorted after all. Those are made as a whole.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr, replace_children_if_necessary};

type Plan = Arc<dyn ExecutionPlan>;

/// The rule that sees to the order and the distribution of rows.
pub(super) const REQUIREMENTS: &str = "EnsureRequirements";

/// That rule, which hands no limit down into groups, windows and joins.
#[derive(Debug)]
pub(super) struct LimitsAbove(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for LimitsAbove {
    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        let ensured = self.0.optimize(plan.transform_up(apart)?.data, config)?;
        Ok(ensured.transform_up(whole)?.data)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// What takes first rows, apart from what must not be asked for them alone.
fn apart(plan: Plan) -> Result<Transformed<Plan>> {
    let takes_first = plan
        .downcast_ref::<SortExec>()
        .is_some_and(|sort| sort.fetch().is_some())
        || plan
            .downcast_ref::<SortPreservingMergeExec>()
            .is_some_and(|merge| merge.fetch().is_some());
    let below = plan.children().first().copied().cloned();
    match below.filter(|below| takes_first && sees_many(below)) {
        Some(below) => {
            let below = as_it_is(below)?;
            Ok(Transformed::yes(replace_children_if_necessary(plan, vec![below])?))
        }
        None => Ok(Transformed::no(plan)),
    }
}

/// Whether a row of it is made of several rows, so that its first ones are not made of the first ones.
fn sees_many(plan: &Plan) -> bool {
    plan.downcast_ref::<AggregateExec>().is_some()
        || plan.downcast_ref::<WindowAggExec>().is_some()
        || plan.downcast_ref::<BoundedWindowAggExec>().is_some()
        || plan.downcast_ref::<SortMergeJoinExec>().is_some()
}

fn as_it_is(plan: Plan) -> Result<Plan> {
    let schema = plan.schema();
    let columns = schema.fields().iter().enumerate().map(|(at, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
        ProjectionExpr::new(column, field.name())
    });
    let columns: Vec<ProjectionExpr> = columns.collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
}

/// Groups of which any will do, but that are sorted: all of them.
fn whole(plan: Plan) -> Result<Transformed<Plan>> {
    let groups = plan.downcast_ref::<AggregateExec>().and_then(|groups| {
        let any_will_do = groups.limit_options()?.descending().is_none();
        let as_they_come = groups.is_unordered_unfiltered_group_by_distinct();
        (any_will_do && !as_they_come).then(|| groups.with_new_limit_options(None))
    });
    match groups {
        Some(groups) => Ok(Transformed::yes(Arc::new(groups))),
        None => Ok(Transformed::no(plan)),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    /// Rows that are enough to be cut into parts: 60 of each `k`.
    const ROWS: &str = "(SELECT v AS id, v % 1000 AS k FROM (SELECT unnest(range(0, 60000)) AS v) AS r) AS b";

    // Goal: the first rows are those of all groups and windows. Method: groups over rows that come sorted, and windows that look at later
    // rows, sorted by what they are sorted by themselves, beside values that are known of the numbers of the rows.
    #[tokio::test]
    async fn first_rows_are_made_of_all_rows() {
        let lake = Lake::new();
        let sorted = format!("SELECT k FROM (SELECT k FROM {ROWS} ORDER BY k LIMIT 50000) AS q");
        let groups = format!("SELECT DISTINCT k FROM ({sorted} UNION ALL {sorted}) AS u ORDER BY k LIMIT 4");
        assert_eq!(lake.lines(&groups).await, ["0", "1", "2", "3"]);
        for (window, wanted) in [
            (
                "lead(id) OVER (PARTITION BY k ORDER BY id)",
                ["0,0,1000", "1000,0,2000", "2000,0,3000"],
            ),
            (
                "sum(id) OVER (PARTITION BY k ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
                ["0,0,1770000", "1000,0,1770000", "2000,0,1769000"],
            ),
        ] {
            let sql = format!("SELECT id, k, {window} FROM {ROWS} ORDER BY k, id LIMIT 3");
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }

    // Goal: groups of which any will do are found where they have come to be sorted. Method: some of the groups by what a window says of
    // them, fewer than there are and more.
    #[tokio::test]
    async fn any_groups_of_sorted_rows() {
        let lake = Lake::new();
        for (limit, wanted) in [(5, "5,60,60"), (2000, "1000,60,60")] {
            let groups = format!("SELECT DISTINCT k, count(*) OVER (PARTITION BY k) AS n FROM {ROWS} LIMIT {limit}");
            let sql = format!("SELECT count(*), min(n), max(n) FROM ({groups}) AS g");
            assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
        }
    }
}
