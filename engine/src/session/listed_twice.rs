//! Conditions that ask twice whether a value is among some: `x NOT IN (1, 2) OR x NOT IN (3, 4)`.
//!
//! DataFusion 55.2 makes one list of two. It compares what stands in them as text, so columns and nulls too, and takes an empty list for
//! false, and its opposite for true, where a value that may be null makes it unknown.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{merge_schema, split_conjunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::functions::perhaps::function;

/// Hides such lists in a function, so that no two of one value are left. Where rows pass by each of them, false and unknown are one, and
/// lists of literals stay: files are left out by them.
#[derive(Debug)]
pub(super) struct ListedTwice;

impl OptimizerRule for ListedTwice {
    fn name(&self) -> &str {
        "listed_twice"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut any = false;
        plan.apply_expressions(|expr| {
            any = any || lists(expr)?.len() > 1;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !any {
            return Ok(Transformed::no(plan));
        }
        let passes = matches!(plan, LogicalPlan::Filter(_));
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        let hidden = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(apart(expr, passes, &schema)?.update_data(|expr| name.restore(expr)))
        })?;
        match hidden.transformed {
            true => hidden.map_data(LogicalPlan::recompute_schema),
            false => Ok(hidden),
        }
    }
}

/// The lists that are not hidden.
fn lists(expr: &Expr) -> Result<Vec<InList>> {
    let mut found = Vec::new();
    expr.apply(|part| {
        Ok(match part {
            Expr::InList(list) => {
                found.push(list.clone());
                TreeNodeRecursion::Continue
            }
            part if is_hidden(part) => TreeNodeRecursion::Jump,
            _ => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

fn is_hidden(part: &Expr) -> bool {
    matches!(part, Expr::ScalarFunction(call) if call.func == function())
}

/// Whether all that is listed is written out and there.
fn is_told(list: &InList) -> bool {
    let told = |item: &Expr| matches!(item, Expr::Literal(value, _) if !value.is_null());
    list.list.iter().all(told)
}

fn apart(expr: Expr, passes: bool, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let lists = lists(&expr)?;
    let conjuncts: Vec<Expr> = match passes {
        true => split_conjunction(&expr).into_iter().cloned().collect(),
        false => Vec::new(),
    };
    let of = |value: &Expr| lists.iter().filter(|list| *list.expr == *value).count();
    let as_conjuncts = |value: &Expr| {
        let same = |part: &&Expr| matches!(part, Expr::InList(list) if *list.expr == *value);
        conjuncts.iter().filter(same).count()
    };
    let mut first: Vec<Expr> = Vec::new();
    expr.transform_down(|part| {
        let Expr::InList(list) = &part else {
            let recursion = match is_hidden(&part) {
                true => TreeNodeRecursion::Jump,
                false => TreeNodeRecursion::Continue,
            };
            return Ok(Transformed::new(part, false, recursion));
        };
        let value = list.expr.as_ref();
        let alone = of(value) < 2;
        let harmless = || as_conjuncts(value) == of(value) || !value.nullable(schema).unwrap_or(true);
        if alone || (is_told(list) && (harmless() || !first.contains(value))) {
            first.push(value.clone());
            return Ok(Transformed::no(part));
        }
        let hidden = ScalarFunction::new_udf(function(), vec![part]);
        Ok(Transformed::new(
            Expr::ScalarFunction(hidden),
            true,
            TreeNodeRecursion::Jump,
        ))
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: a value that is asked for twice is among both or it is not, and unknown where it or what is listed is. Method: lists of literals,
    // columns and nulls, whole and opposite, as conditions, as parts of them and as values, beside what each says alone.
    #[tokio::test]
    async fn two_lists_are_two() {
        let lake = Lake::new();
        let table =
            "(VALUES (1, 1, 1, 1), (2, 2, 1, 2), (3, 3, 3, 4), (4, 4, 4, 4), (5, NULL, 1, 1)) AS t (id, x, y, w)";
        for (condition, expected) in [
            ("x IN (y, 2) AND x IN (w, 3)", vec!["1", "2", "3", "4"]),
            ("x IN (y, 9) AND x IN (w, 8)", vec!["1", "4"]),
            ("x NOT IN (y, 7) OR x NOT IN (w, 8)", vec!["2", "3"]),
            ("x NOT IN (1, 2) OR x NOT IN (3, 4)", vec!["1", "2", "3", "4"]),
            ("NOT (x IN (1, 2) AND x IN (3, 4))", vec!["1", "2", "3", "4"]),
            ("NOT (x IN (1, 2, NULL) AND x NOT IN (2, 3))", vec!["2", "3"]),
            ("x IN (1, 2, 3) AND x IN (2, 3, 4)", vec!["2", "3"]),
            ("x IN (1, 2, 3, 4) AND id < 9 AND x NOT IN (2, 3, 5, 6)", vec!["1", "4"]),
            ("(x IN (1, 2, 5, 6) AND x IN (3, 4, 7, 8)) IS NULL", vec!["5"]),
            (
                "(x NOT IN (1, 2, 3, 4) OR x NOT IN (5, 6, 7, 8)) IS NOT TRUE",
                vec!["5"],
            ),
        ] {
            let sql = format!("SELECT id FROM {table} WHERE {condition} ORDER BY id");
            assert_eq!(lake.lines(&sql).await, expected, "{condition}");
            let sql = format!("SELECT id FROM {table} WHERE CASE WHEN {condition} THEN 1 END = 1 ORDER BY id");
            assert_eq!(lake.lines(&sql).await, expected, "{condition}, as a value");
        }
    }
}
