//! The order in which tables are joined.
//!
//! DataFusion 55.2 joins tables in the order in which a statement names them, and chooses only which side of each join is looked up. A
//! statement that names the large tables first and what leaves out most of their rows last, as people and tools write them, then carries
//! all rows through every join. This rule takes inner joins that stand together, tells from snapshots and conditions how many rows each
//! order would make on the way ([`rows`], [`search`]), and takes the one that makes the fewest, if that is far fewer.
//!
//! What rows come out is the same, whatever was told: keys are columns that are compared for equality, and everything else is a condition
//! of the rows that have all its columns. That one condition keeps another from failing is said by `CASE` within it before (`guarded.rs`).
//!
//! Sources: Selinger et al., "Access path selection in a relational database management system", 1979 (the search over subsets);
//! Leis et al., "How good are query optimizers, really?", VLDB 2015 (the sum of the rows on the way as the cost).

mod group;
mod rows;
mod search;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Projection};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use self::group::Group;
use self::search::{Estimates, Tree};

/// What it is called among the rules.
const NAME: &str = "join_order";

/// Puts inner joins in order.
#[derive(Debug)]
pub(super) struct JoinOrder {
    /// Below this many rows that an order spares, any will do.
    spared_rows_min: f64,
    /// What an order may cost of that of the statement, to be taken instead: estimates are often wrong by a little, and whoever wrote the
    /// statement may have known better.
    share_max: f64,
}

impl Default for JoinOrder {
    fn default() -> Self {
        Self {
            spared_rows_min: 100_000.0,
            share_max: 0.5,
        }
    }
}

impl OptimizerRule for JoinOrder {
    fn name(&self) -> &str {
        NAME
    }

    /// It goes on by itself: of what it has put in order no part is looked at again.
    fn apply_order(&self) -> Option<ApplyOrder> {
        None
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        self.ordered(plan)
    }
}

impl JoinOrder {
    fn ordered(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        if !begins(&plan) {
            return plan.map_children(|child| self.ordered(child));
        }
        let Some((group, stated)) = Group::of(&plan) else {
            return plan.map_children(|child| self.ordered(child));
        };
        let Some(best) = self.better(&group, &stated) else {
            return self.within(plan);
        };
        let relations = group.relations.iter().map(|relation| {
            let relation = self.ordered(relation.as_ref().clone())?;
            Ok(Arc::new(relation.data))
        });
        let relations = relations.collect::<Result<Vec<_>>>()?;
        let joined = group.joined(&best, &relations)?;
        let schema = Arc::clone(plan.schema());
        let columns = schema.iter().map(|field| Expr::Column(Column::from(field)));
        let projection = Projection::try_new_with_schema(columns.collect(), Arc::new(joined), schema)?;
        Ok(Transformed::yes(LogicalPlan::Projection(projection)))
    }

    /// The same for what lies below joins that stay as they are.
    fn within(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        plan.map_children(|child| match begins(&child) {
            true => self.within(child),
            false => self.ordered(child),
        })
    }

    /// The best order, if it is worth it.
    fn better(&self, group: &Group, stated: &Tree) -> Option<Tree> {
        let estimates: Estimates = group.estimates()?;
        let (best, stated) = (estimates.best()?, estimates.cost(stated));
        let spared = stated - best.cost;
        (best.cost < self.share_max * stated && spared > self.spared_rows_min).then_some(best.tree)
    }
}

/// Whether joins stand together from here on.
fn begins(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(join) => join.join_type == JoinType::Inner,
        LogicalPlan::Filter(filter) => begins(&filter.input),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
