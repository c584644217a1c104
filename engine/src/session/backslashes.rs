//! Regular expressions with a backslash: `s ~ '\\'`.
//!
//! DataFusion 55.2 makes a `LIKE` of one that is a text, and leaves the backslash in it, which in `LIKE` makes the next character a plain
//! one: `'%\%'` (`is_safe_for_like`). It takes none for a text that begins with a group, even an empty one.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// What means nothing and stands before an expression that is to stay one.
const GROUP: &str = "()";

/// The function that writes PostgreSQL's expressions as the query engine's. It keeps apart what it writes itself.
pub(crate) const WRITES: &str = "pg_regex";

/// Puts an empty group before such expressions. It has to run before each rule that folds.
#[derive(Debug)]
pub(super) struct Backslashes;

/// An expression that means the same and is not made a `LIKE` with a backslash.
pub(crate) fn kept(pattern: String) -> String {
    // A point that is meant is the usual one, and nothing else than a point becomes of it.
    match pattern.starts_with(GROUP) || !pattern.replace(r"\.", "").contains('\\') {
        true => pattern,
        false => format!("{GROUP}{pattern}"),
    }
}

impl OptimizerRule for Backslashes {
    fn name(&self) -> &str {
        "backslashes"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let schema = merge_schema(&plan.inputs());
        let mut any = false;
        plan.apply_expressions(|expr| {
            any = any || expr.exists(|part| Ok(replaced(part, &schema)?.is_some()))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !any {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|part| match replaced(&part, &schema)? {
                Some(other) => Ok(Transformed::yes(other)),
                None => Ok(Transformed::no(part)),
            })?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    }
}

/// What stands in place of a comparison whose expression is, or may be found to be, a text with a backslash.
fn replaced(part: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = part else {
        return Ok(None);
    };
    if !matches!(op, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch) {
        return Ok(None);
    }
    let other = match right.as_ref() {
        Expr::Literal(value, _) => match value.try_as_str().flatten() {
            Some(pattern) if kept(pattern.to_owned()) != pattern => {
                lit(ScalarValue::from(kept(pattern.to_owned())).cast_to(&value.data_type())?)
            }
            _ => return Ok(None),
        },
        Expr::Column(_) | Expr::Placeholder(_) => return Ok(None),
        Expr::ScalarFunction(call) if call.name() == WRITES => return Ok(None),
        Expr::BinaryExpr(BinaryExpr { left, op, .. }) if *op == Operator::StringConcat && is_group(left) => {
            return Ok(None);
        }
        computed => {
            // Of what was pushed down to a table the columns are not here; it has its group since before.
            let Ok(data_type) = computed.get_type(schema) else {
                return Ok(None);
            };
            let group = Expr::Cast(Cast::new(Box::new(lit(GROUP)), data_type));
            Expr::BinaryExpr(BinaryExpr::new(Box::new(group), Operator::StringConcat, right.clone()))
        }
    };
    let compared = BinaryExpr::new(left.clone(), *op, Box::new(other));
    Ok(Some(Expr::BinaryExpr(compared)))
}

/// Whether it is an empty group, also once its cast was folded.
fn is_group(part: &Expr) -> bool {
    match part {
        Expr::Cast(cast) => is_group(&cast.expr),
        Expr::Literal(value, _) => value.try_as_str().flatten() == Some(GROUP),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::kept;
    use crate::testing::Lake;

    // Goal: only what might become a backslash in LIKE is kept apart, and once. Method: expressions with and without.
    #[test]
    fn what_has_a_backslash_is_kept() {
        for (pattern, same) in [
            ("ab", "ab"),
            (r"a\.b", r"a\.b"),
            (r"\\", r"()\\"),
            (r"\\.", r"()\\."),
            (r"()\\", r"()\\"),
            (r"[\x5c]", r"()[\x5c]"),
        ] {
            assert_eq!(kept(pattern.to_owned()), same);
            assert_eq!(kept(same.to_owned()), same, "once");
        }
    }

    // Goal: a backslash in a regular expression is a backslash, written out, reckoned or from a query within. Method: texts with backslashes
    // and per cents beside what PostgreSQL 15 answers.
    #[tokio::test]
    async fn backslashes_are_found() {
        let lake = Lake::new();
        let texts = r"(VALUES (1, 'a\b'), (2, '100%'), (3, 'ab'), (4, '\')) AS t (id, s)";
        for (condition, found) in [
            (r"s ~ '\\'", ["1", "4"].as_slice()),
            (r"s !~ '\\'", &["2", "3"]),
            (r"s ~ '^\\'", &["4"]),
            (r"s ~ '[\\]'", &["1", "4"]),
            (r"s ~ 'x|\\'", &["1", "4"]),
            (r"s ~* '^A\\b$'", &["1"]),
            (r"s !~* '^A\\b$'", &["2", "3", "4"]),
            (r"s ~ ('\' || '\')", &["1", "4"]),
            (r"s ~ (SELECT max(p) FROM (VALUES ('\\')) AS q (p))", &["1", "4"]),
            (r"s ~ coalesce('\\', s)", &["1", "4"]),
            (r"s ~ '0%'", &["2"]),
        ] {
            let sql = format!("SELECT CAST(id AS varchar) FROM {texts} WHERE {condition} ORDER BY id");
            assert_eq!(lake.lines(&sql).await, found, "{condition}");
        }
    }
}
