//! What DataFusion's rules for physical plans do wrong where several columns have one name.
//!
//! DataFusion 55.2 finds the column of a filter in a child by its name (`FilterRemapper`), so that under a join of tables that both
//! have `d`, `b.d > a.d` becomes `a.d > a.d`, and rows are lost or come that should not.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::exact_top::{ExactTop, LIMITS};
use super::outer_sides::{OuterSides, PartsAlone, SIDES};

/// What the names of the rules that push filters begin with.
const FILTERS: &str = "FilterPushdown";

/// That of them which lets sorts tell how far they are.
const LATE_FILTERS: &str = "FilterPushdown(Post)";

/// The rule that pushes projections.
const PROJECTIONS: &str = "ProjectionPushdown";

/// DataFusion's rules, with those that push filters kept within the parts of a plan in which no node has two columns of one name, and
/// the one that pushes projections left out where it fails, first groups exact, and what is constant told only where it is.
pub(super) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let rules = PhysicalOptimizer::new().rules.into_iter();
    rules
        .map(|rule| match rule.name() {
            LATE_FILTERS => Arc::new(PartsAlone(Arc::new(WithinNames(rule)))) as _,
            SIDES => Arc::new(OuterSides(rule)) as _,
            name if name.starts_with(FILTERS) => Arc::new(WithinNames(rule)) as _,
            PROJECTIONS => Arc::new(Optional(rule)) as _,
            LIMITS => Arc::new(ExactTop(rule)) as _,
            _ => rule,
        })
        .collect()
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

/// Whether each node of it has each name once.
fn unambiguous(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut names = HashSet::new();
    let schema = plan.schema();
    schema.fields().iter().all(|field| names.insert(field.name())) && plan.children().into_iter().all(unambiguous)
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

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
