//! What DataFusion's rules for physical plans do wrong where several columns have one name.
//!
//! DataFusion 55.2 finds the column of a filter in a child by its name (`FilterRemapper`), so that under a join of tables that both
//! have `d`, `b.d > a.d` becomes `a.d > a.d`, and rows are lost or come that should not. A filter of a key of a semi join goes to the
//! other side too, where the key may have another name and another column its name. It finds the columns of groups by name in their rows
//! as well, and goes through joins and filters that take the first rows of an order.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::{JoinType, Result};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::exact_top::{ExactTop, LIMITS};
use super::filters_first::{FiltersFirst, PROJECTIONS};
use super::limits_above::{LimitsAbove, REQUIREMENTS};
use super::none_waits::NoneWaits;
use super::outer_sides::{OuterSides, PartsAlone, SIDES};
use super::plan_check::{CHECK, PlanCheck};

/// What the names of the rules that push filters begin with.
const FILTERS: &str = "FilterPushdown";

/// That of them which lets sorts tell how far they are.
const LATE_FILTERS: &str = "FilterPushdown(Post)";

/// DataFusion's rules, with those that push filters kept within the parts of a plan in which no node has two columns of one name, and
/// the one that pushes projections left out where it fails, and filters kept below what is computed of their rows, first groups exact,
/// what is constant told only where it is, limits kept above groups and windows, no join that waits for what may not come, and a last check
/// that tells nobody the plan.
pub(super) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let rules = PhysicalOptimizer::new().rules.into_iter();
    rules
        .map(|rule| match rule.name() {
            LATE_FILTERS => Arc::new(PartsAlone(Arc::new(NoneWaits(Arc::new(WithinNames(rule)))))) as _,
            SIDES => Arc::new(OuterSides(rule)) as _,
            REQUIREMENTS => Arc::new(LimitsAbove(rule)) as _,
            name if name.starts_with(FILTERS) => Arc::new(WithinNames(rule)) as _,
            PROJECTIONS => Arc::new(FiltersFirst(Arc::new(Optional(rule)))) as _,
            LIMITS => Arc::new(ExactTop(rule)) as _,
            CHECK => Arc::new(PlanCheck(rule)) as _,
            _ => rule,
        })
        .collect()
}

/// The rule that brings the filters that operators find while they run to the scans, within such parts of a plan alone.
pub(crate) fn late_filters() -> impl PhysicalOptimizerRule {
    WithinNames(Arc::new(FilterPushdown::new_post_optimization()))
}

/// A rule that makes plans cheaper and nothing else: where it fails, the plan stays as it was.
#[derive(Debug)]
struct Optional(Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for Optional {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.0.optimize(Arc::clone(&plan), config).unwrap_or_else(|error| {
            tracing::debug!(rule = self.0.name(), %error, "the plan stays as it was");
            plan
        }))
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Runs a rule on the largest parts of a plan below whose roots names are unambiguous. No filter reaches a root from above, so what
/// it is called there does not matter.
#[derive(Debug)]
struct WithinNames(Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for WithinNames {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if plan.children().into_iter().all(unambiguous) {
            return self.0.optimize(plan, config);
        }
        let children = plan.children().into_iter().cloned();
        let children = children
            .map(|child| self.optimize(child, config))
            .collect::<Result<Vec<_>>>()?;
        replace_children_if_necessary(plan, children)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Whether each node of it has each name once, names mean the same on both sides of its semi joins and below its groups, and no
/// filter comes below what takes the first rows of an order.
fn unambiguous(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut names = HashSet::new();
    let schema = plan.schema();
    schema.fields().iter().all(|field| names.insert(field.name()))
        && plan.downcast_ref::<HashJoinExec>().is_none_or(same_on_both_sides)
        && plan.downcast_ref::<AggregateExec>().is_none_or(same_in_groups)
        && !takes_first(plan.as_ref())
        && plan.children().into_iter().all(unambiguous)
}

/// Whether the other side of a semi join calls none but the key itself by the name of a key.
fn same_on_both_sides(join: &HashJoinExec) -> bool {
    let is_left = match join.join_type() {
        JoinType::LeftSemi => true,
        JoinType::RightSemi => false,
        _ => return true,
    };
    let (own, other) = match is_left {
        true => (join.left().schema(), join.right().schema()),
        false => (join.right().schema(), join.left().schema()),
    };
    join.on().iter().all(|(left, right)| {
        let (key, there) = match is_left {
            true => (left, right),
            false => (right, left),
        };
        // A key that is computed has no filter that is pushed to the other side.
        let Some(key) = key.downcast_ref::<Column>() else {
            return true;
        };
        let there = there.downcast_ref::<Column>().map(Column::index);
        // By the name that it has behind the join, whatever the key calls it.
        let called = own.fields().get(key.index());
        let called = called.and_then(|called| other.column_with_name(called.name()));
        called.is_none_or(|(at, _)| there == Some(at))
    })
}

/// Whether groups by something that is computed are called like no column that is not that.
fn same_in_groups(groups: &AggregateExec) -> bool {
    let rows = groups.input().schema();
    let mut keys = groups.group_expr().expr().iter();
    keys.all(|(key, name)| {
        let key = key.downcast_ref::<Column>().map(Column::index);
        rows.column_with_name(name).is_none_or(|(at, _)| key == Some(at))
    })
}

/// Whether it takes the first rows of an order, which would be other ones below a filter, and lets filters through all the same.
fn takes_first(plan: &dyn ExecutionPlan) -> bool {
    // These let none through.
    let is_closed = plan.is::<SortExec>()
        || plan.is::<SortPreservingMergeExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>();
    !is_closed && plan.fetch().is_some() && plan.properties().output_ordering().is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

    use crate::testing::Lake;

    // Goal: what a join finds of a key leaves no row out by another column of that name. Method: a semi join whose second side calls
    // another column as the key is called on the first, in files whose bounds of it are far from the few keys that the join above has.
    #[tokio::test]
    async fn keys_of_semi_joins_are_no_other_columns() {
        let lake = Lake::new();
        for (table, names, files) in [
            ("silver.few", ["k", "n"], vec![[[1, 2], [0, 0]]]),
            ("silver.l", ["a", "c"], vec![[[1, 2], [0, 300]], [[3, 4], [0, 0]]]),
            (
                "silver.r",
                ["b", "a"],
                vec![[[1, 5], [100, 101]], [[2, 6], [200, 201]], [[3, 7], [300, 301]]],
            ),
        ] {
            let field = |id, name: &str| NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long)).into();
            let [first, second] = names;
            let schema = Schema::builder()
                .with_fields([field(1, first), field(2, second)])
                .build();
            lake.create(table, schema.expect("a schema"), None).await;
            for columns in files {
                let columns = names.into_iter().zip(columns);
                let columns = columns.map(|(name, values)| {
                    let values: Int64Array = values.into_iter().map(Some::<i64>).collect();
                    (name, Arc::new(values) as ArrayRef)
                });
                lake.append(table, RecordBatch::try_from_iter(columns).expect("rows"))
                    .await;
            }
        }
        let semi = "SELECT a FROM silver.l WHERE EXISTS (SELECT 1 FROM silver.r WHERE r.b = l.a AND r.a > l.c)";
        assert_eq!(lake.lines(semi).await, ["1", "3"]);
        let joined = format!("SELECT q.a FROM silver.few JOIN ({semi}) AS q ON few.k = q.a");
        assert_eq!(lake.lines(&joined).await, ["1"]);
    }

    // Goal: a filter over a join compares the columns that it names. Method: outer joins of tables with the same column names, filtered
    // by columns of both sides, below them a filter that what is pushed could join; and an order by one of two columns of a name.
    #[tokio::test]
    async fn columns_of_one_name_are_two_columns() {
        let lake = Lake::new();
        let from = "FROM (VALUES (1, 5), (2, 1), (3, 9)) AS b (id, d) \
                    FULL JOIN (SELECT * FROM (VALUES (1, 7), (2, 0), (4, 8)) AS v (id, d) WHERE d <= d) AS a ON a.id = b.id";
        let cases = [
            (format!("SELECT count(*) {from} WHERE a.d > coalesce(b.d, 3)"), "2"),
            (format!("SELECT count(*) {from} WHERE b.d > coalesce(a.d, 3)"), "2"),
            (format!("SELECT b.d {from} ORDER BY a.d NULLS LAST LIMIT 1"), "1"),
            (
                format!("SELECT max(q.x) FROM (SELECT b.d AS x {from} ORDER BY b.d DESC NULLS LAST LIMIT 1) AS q"),
                "9",
            ),
        ];
        for (sql, wanted) in cases {
            assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
        }
    }
}
