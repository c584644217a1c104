//! The time in a statement. `now()` makes two askings of a statement two statements; `date_trunc('day', now())` does so once a day.
//! What is made of the time and of nothing else is computed before the key is, and if it is the same as some seconds ago, the
//! statement with the value in its place is what is asked.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::Bypass;
use super::expression::any;

/// What differs over so much time is no value that comes again: nothing is kept for it.
const GRAIN_MS: i64 = 10_000;

/// The plan with what it makes of the time as values; `None` where it does not ask for the time.
pub(super) fn settled(
    plan: &LogicalPlan,
    config: &dyn Fn() -> Arc<ConfigOptions>,
    now_ms: i64,
) -> Result<Option<LogicalPlan>, Bypass> {
    if !asks(plan) {
        return Ok(None);
    }
    let times = Times::new(&config(), now_ms).ok_or(Bypass::Time)?;
    let mut settled = true;
    let folded = plan.clone().transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let folded = times.fold(expr, &mut settled)?;
            Ok(folded.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    });
    match folded {
        Ok(folded) if settled => Ok(Some(folded.data)),
        _ => Err(Bypass::Time),
    }
}

fn asks(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= any(expr, is_stable);
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found || visited.is_err()
}

fn is_stable(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.signature().volatility == Volatility::Stable)
}

/// Whether something in it is no value before the statement runs.
fn varies(expr: &Expr) -> bool {
    any(expr, |part| match part {
        Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Volatile,
        Expr::Literal(..)
        | Expr::BinaryExpr(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::Negative(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::Between(_)
        | Expr::Case(_) => false,
        _ => true,
    })
}

/// Now and a little before.
struct Times {
    now: ExprSimplifier,
    before: ExprSimplifier,
    nothing: DFSchema,
}

impl Times {
    fn new(config: &Arc<ConfigOptions>, now_ms: i64) -> Option<Self> {
        let at = |milliseconds: i64| {
            let moment: DateTime<Utc> = DateTime::from_timestamp_millis(milliseconds)?;
            let context = SimplifyContext::builder()
                .with_config_options(Arc::clone(config))
                .with_query_execution_start_time(Some(moment));
            Some(ExprSimplifier::new(context.build()))
        };
        Some(Self {
            now: at(now_ms)?,
            before: at(now_ms.checked_sub(GRAIN_MS)?)?,
            nothing: DFSchema::empty(),
        })
    }

    /// Puts values in the places of the largest parts that are made of the time alone.
    fn fold(&self, expr: Expr, settled: &mut bool) -> Result<Transformed<Expr>> {
        expr.transform_down(|part| {
            if !any(&part, is_stable) {
                return Ok(Transformed::new(part, false, TreeNodeRecursion::Jump));
            }
            if varies(&part) {
                return Ok(Transformed::no(part));
            }
            match self.value(&part) {
                Some(value) => Ok(Transformed::new(value, true, TreeNodeRecursion::Jump)),
                None => {
                    *settled = false;
                    Ok(Transformed::new(part, false, TreeNodeRecursion::Jump))
                }
            }
        })
    }

    fn value(&self, part: &Expr) -> Option<Expr> {
        let wanted = part.get_type(&self.nothing).ok()?;
        let at = |simplifier: &ExprSimplifier| {
            let coerced = simplifier.coerce(part.clone(), &self.nothing).ok()?;
            match simplifier.simplify(coerced).ok()? {
                Expr::Literal(value, _) => Some(value),
                _ => None,
            }
        };
        let value = at(&self.now)?;
        let same = value.data_type() == wanted && at(&self.before)? == value;
        same.then(|| Expr::Literal(value, None))
    }
}
