//! What remembered plans come to when they are optimised: of planning a small statement that takes as long as all the rest.

use std::sync::OnceLock;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

use super::Plans;
use crate::opaque::Opaque;
use crate::session::strict::whole;

/// Where the input of a plan's root is in memory, which tells remembered plans apart: their clones share it.
pub(super) type Address = usize;

/// A remembered plan, and what it comes to once that was asked for.
pub(super) struct Optimized {
    /// Keeps the address from being another plan's.
    plan: LogicalPlan,
    optimized: OnceLock<LogicalPlan>,
}

impl Optimized {
    /// Of a plan that optimising makes the same of at any time: not where it puts a time in the place of `now()`. None also for plans that
    /// are a single node.
    pub(super) fn of(plan: &LogicalPlan) -> Option<(Address, Self)> {
        let known = Self {
            plan: plan.clone(),
            optimized: OnceLock::new(),
        };
        Some((address(plan)?, known)).filter(|_| is_immutable(plan).unwrap_or(false))
    }

    /// Whether it is of this plan: the same tables by the pointer, under an equal root.
    fn is_of(&self, plan: &LogicalPlan) -> bool {
        let (known, asked) = (self.plan.inputs(), plan.inputs());
        let same = |(known, asked): (&&LogicalPlan, &&LogicalPlan)| std::ptr::eq(*known, *asked);
        known.len() == asked.len() && known.iter().zip(&asked).all(same) && self.plan == *plan
    }
}

impl Plans {
    /// What the plan comes to in a session of this process, whose settings that matter here are the same for all.
    pub(crate) fn optimized(&self, state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let known = address(plan).and_then(|address| self.optimized.get(&address));
        let Some(known) = known.filter(|known: &Opaque<Optimized>| known.is_of(plan)) else {
            return Ok(whole(state.optimize(plan)?)?);
        };
        if let Some(optimized) = known.optimized.get() {
            return Ok(optimized.clone());
        }
        let optimized = whole(state.optimize(plan)?)?;
        Ok(known.optimized.get_or_init(|| optimized).clone())
    }
}

fn address(plan: &LogicalPlan) -> Option<Address> {
    let inputs = plan.inputs();
    inputs.first().map(|input| std::ptr::from_ref(*input).addr())
}

/// Whether its expressions give the same for the same rows at any time.
fn is_immutable(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    let mut immutable = true;
    plan.apply_with_subqueries(|part| {
        part.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::ScalarFunction(call) = part {
                    immutable &= call.func.signature().volatility == Volatility::Immutable;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(immutable)
}
