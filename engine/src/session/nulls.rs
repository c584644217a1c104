//! Conditions of which a part is null.
//!
//! DataFusion 55.2 folds `NULL` to `false` only where it is the whole condition. As a part of one it has no columns, and so it is pushed
//! below everything, an aggregate without groups too, which then counts nothing.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::asked_groups::AskedGroups;
use super::backslashes::Backslashes;
use super::computed_beside::ComputedBeside;
use super::computed_keys::ComputedKeys;
use super::correlated::CorrelatedKeys;
use super::crossed_lists::CrossedLists;
use super::derived::CorrelatedDerived;
use super::join_order::JoinOrder;
use super::late_casts::LateCasts;
use super::listed_twice::ListedTwice;
use super::lossy_casts::LossyCasts;
use super::not_among::NotAmong;
use super::scaled_casts::ScaledCasts;
use super::semi_joins::SemiJoinsFirst;
use super::strict::{Loud, Strict};

/// The rule that makes literals of conditions.
const FOLDS: &str = "simplify_expressions";

/// The rule after which conditions stand at the tables that they are of.
const LOWERS: &str = "push_down_filter";

/// First one that makes columns of values that are computed beside rows, one that rounds what casts are given, one that takes correlated
/// conditions out of derived tables, one for rows that are not among those of a query, and one that makes columns of the keys of correlated
/// conditions; then these rules; before each that folds constants one that keeps lists of one value apart, one that keeps regular
/// expressions with a backslash and one for casts of long decimals, and after it one that makes a condition `false` when a part of it is
/// null, as no row passes it; when conditions stand where they belong one that puts joins in order; and in the end one for casts of which
/// nothing may be reckoned back, one for joins by no key of rows with lists, one that puts semi joins before inner joins, one that leaves
/// out groups that nobody asks for, and one that makes columns of keys that rows are sorted by.
///
/// Those that only make an answer come sooner may fail, and so may those for values beside rows, for rows with lists and for sorted rows,
/// which are refused without them. Without the others an answer may be wrong.
pub fn optimizer_rules(rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut all: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(ComputedBeside),
        Arc::new(Strict(LateCasts)),
        Arc::new(Strict(CorrelatedDerived)),
        Arc::new(Strict(NotAmong)),
        Arc::new(Strict(CorrelatedKeys)),
        Arc::new(Loud),
    ];
    for rule in rules {
        let (folds, lowers) = (rule.name() == FOLDS, rule.name() == LOWERS);
        if folds {
            all.push(Arc::new(Strict(ListedTwice)));
            all.push(Arc::new(Strict(Backslashes)));
            all.push(Arc::new(Strict(ScaledCasts)));
            all.push(Arc::new(Loud));
        }
        all.push(rule);
        if folds {
            all.push(Arc::new(Strict(NullParts)));
            all.push(Arc::new(Loud));
        }
        if lowers {
            all.push(Arc::new(JoinOrder::default()));
        }
    }
    all.push(Arc::new(Strict(LossyCasts)));
    all.push(Arc::new(Loud));
    all.push(Arc::new(CrossedLists));
    all.push(Arc::new(SemiJoinsFirst));
    all.push(Arc::new(AskedGroups));
    all.push(Arc::new(ComputedKeys));
    all
}

#[derive(Debug)]
struct NullParts;

impl OptimizerRule for NullParts {
    fn name(&self) -> &str {
        "null_parts_of_conditions"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else {
            return Ok(Transformed::no(plan));
        };
        let parts = split_conjunction(&filter.predicate);
        let null = |part: &&Expr| matches!(part, Expr::Literal(value, _) if value.is_null());
        if parts.len() < 2 || !parts.iter().any(null) {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        }
        let nothing = Filter::try_new(lit(false), filter.input)?;
        Ok(Transformed::yes(LogicalPlan::Filter(nothing)))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: a condition that is never true lets no row pass, whatever lies below it. Method: a part that folds to null, over an
    // aggregate that always has a row.
    #[tokio::test]
    async fn a_null_part_lets_nothing_pass() {
        let lake = Lake::new();
        let counted = "(SELECT count(*) AS c FROM (VALUES (1), (2)) AS v (x)) AS q";
        let null = "(3.25 IN (0.5, NULL) OR 11 BETWEEN 13 AND 12)";
        for condition in [
            format!("{null} AND c < 5"),
            format!("c = 0 AND {null}"),
            null.to_owned(),
        ] {
            let sql = format!("SELECT c FROM {counted} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, [] as [&str; 0], "{sql}");
        }
    }
}
