//! Conditions that ask twice whether a value is among some: `x NOT IN (1, 2) OR x NOT IN (3, 4)`.
//!
//! DataFusion 55.2 makes one list of two. It compares what stands in them as text, so columns and nulls too, and takes an empty list for
//! false, and its opposite for true, where a value that may be null makes it unknown.

use std::collections::HashSet;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{merge_schema, split_binary, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
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
        let named = |expr: Expr| -> Result<Transformed<Expr>> {
            let name = names.save(&expr);
            Ok(apart(expr, passes, &schema)?.update_data(|expr| name.restore(expr)))
        };
        let hidden = plan.map_expressions(|expr| match expr {
            // They have no name of their own.
            Expr::GroupingSet(_) => expr.map_children(named),
            expr => named(expr),
        })?;
        match hidden.transformed {
            true => hidden.map_data(LogicalPlan::recompute_schema),
            false => Ok(hidden),
        }
    }
}

/// What a list is asked about: casts may go, and columns stay.
type Columns = HashSet<Column>;

/// A list, or an `OR` that is made one.
#[derive(Debug)]
struct Listed {
    of: Columns,
    /// Whether all that is listed is written out and there.
    told: bool,
}

fn columns(value: &Expr) -> Columns {
    value.column_refs().into_iter().cloned().collect()
}

fn is_value(item: &Expr) -> bool {
    matches!(item, Expr::Literal(value, _) if !value.is_null())
}

fn in_list(list: &InList) -> Listed {
    Listed {
        of: columns(&list.expr),
        told: list.list.iter().all(is_value),
    }
}

/// What an arm of an `OR` adds to a list.
fn arm(part: &Expr) -> Option<Listed> {
    match part {
        Expr::InList(list) if !list.negated => Some(in_list(list)),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => {
            let (value, item) = match (left.as_ref(), right.as_ref()) {
                (Expr::Literal(..), Expr::Literal(..)) => return None,
                (value, item @ Expr::Literal(..)) | (item @ Expr::Literal(..), value) => (value, item),
                _ => return None,
            };
            Some(Listed {
                of: columns(value),
                told: is_value(item),
            })
        }
        _ => None,
    }
}

/// The lists that the arms of an `OR` become, of two arms at least.
fn of_arms(either: &Expr) -> Vec<Listed> {
    let mut found: Vec<(Listed, usize)> = Vec::new();
    for one in split_binary(either, Operator::Or).into_iter().filter_map(arm) {
        match found.iter_mut().find(|(listed, _)| listed.of == one.of) {
            Some((listed, count)) => {
                listed.told &= one.told;
                *count += 1;
            }
            None => found.push((one, 1)),
        }
    }
    found.retain(|(_, count)| *count > 1);
    found.into_iter().map(|(listed, _)| listed).collect()
}

fn is_either(part: &Expr) -> bool {
    matches!(part, Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }))
}

fn is_hidden(part: &Expr) -> bool {
    matches!(part, Expr::ScalarFunction(call) if call.func == function())
}

/// The lists that are not hidden.
fn lists(expr: &Expr) -> Result<Vec<Listed>> {
    let mut found = Vec::new();
    collect(expr, &[], false, &mut found)?;
    Ok(found)
}

/// `own` are the lists of the `OR` that this is an arm of, if it is `within` one.
fn collect(part: &Expr, own: &[Columns], within: bool, found: &mut Vec<Listed>) -> Result<()> {
    if is_hidden(part) {
        return Ok(());
    }
    if is_either(part) {
        let mut inside = own.to_vec();
        if !within {
            let these = of_arms(part);
            inside = these.iter().map(|listed| listed.of.clone()).collect();
            found.extend(these);
        }
        part.apply_children(|child| {
            collect(child, &inside, true, found)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        return Ok(());
    }
    if let Expr::InList(list) = part {
        let listed = in_list(list);
        if !(within && !list.negated && own.contains(&listed.of)) {
            found.push(listed);
        }
    }
    part.apply_children(|child| {
        collect(child, &[], false, found)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn apart(expr: Expr, passes: bool, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let all = lists(&expr)?;
    let mut conjuncts = Vec::new();
    if passes {
        for part in split_conjunction(&expr) {
            match part {
                Expr::InList(list) => conjuncts.push(in_list(list)),
                part if is_either(part) => conjuncts.extend(of_arms(part)),
                _ => {}
            }
        }
    }
    let mut apart = Apart {
        all,
        conjuncts,
        schema,
        first: Vec::new(),
    };
    apart.hide(expr, &[], false)
}

struct Apart<'a> {
    all: Vec<Listed>,
    /// Those by which rows pass.
    conjuncts: Vec<Listed>,
    schema: &'a DFSchema,
    /// What the lists that stay are of.
    first: Vec<Columns>,
}

impl Apart<'_> {
    fn stays(&mut self, listed: &Listed, maybe_null: bool) -> bool {
        let same = |lists: &[Listed]| lists.iter().filter(|one| one.of == listed.of).count();
        let alone = same(&self.all) < 2;
        let harmless = !maybe_null || same(&self.conjuncts) == same(&self.all);
        let stays = alone || (listed.told && (harmless || !self.first.contains(&listed.of)));
        if stays {
            self.first.push(listed.of.clone());
        }
        stays
    }

    /// As `collect` goes through it.
    fn hide(&mut self, part: Expr, own: &[Columns], within: bool) -> Result<Transformed<Expr>> {
        if is_hidden(&part) {
            return Ok(Transformed::no(part));
        }
        if is_either(&part) {
            let mut inside = own.to_vec();
            if !within {
                let these = of_arms(&part);
                // Of which of its arms may be null nothing is said here.
                if !these.iter().all(|listed| self.stays(listed, true)) {
                    return Ok(hidden(part));
                }
                inside = these.into_iter().map(|listed| listed.of).collect();
            }
            return part.map_children(|child| self.hide(child, &inside, true));
        }
        if let Expr::InList(list) = &part {
            let listed = in_list(list);
            let of_own = within && !list.negated && own.contains(&listed.of);
            let maybe_null = list.expr.nullable(self.schema).unwrap_or(true);
            if !of_own && !self.stays(&listed, maybe_null) {
                return Ok(hidden(part));
            }
        }
        part.map_children(|child| self.hide(child, &[], false))
    }
}

fn hidden(part: Expr) -> Transformed<Expr> {
    Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function(), vec![part])))
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

    // Goal: lists of one column are of one value also where one of them is asked about the column as another type, or is a group's key.
    // Method: a column of 32 bits beside literals of 64, in conditions and in groups.
    #[tokio::test]
    async fn casts_do_not_set_lists_apart() {
        let lake = Lake::new();
        let table = "(SELECT CAST(a AS int) AS i, CAST(b AS int) AS k, id FROM (VALUES (1, 1, 1), (2, 1, 2), (3, 9, 3), (1, 1, 4), (NULL, 1, 5)) AS v (a, b, id)) AS t";
        for (condition, expected) in [
            ("i IN (1, 2, 3) AND i NOT IN (k)", vec!["2", "3"]),
            ("i IN (1, 2) AND i NOT IN (CAST(NULL AS int))", vec![]),
            ("i IN (1, 2, 3) AND i IN (k, id)", vec!["1", "2", "3", "4"]),
            ("i NOT IN (1, 2) OR i NOT IN (k, id)", vec!["3"]),
        ] {
            let sql = format!("SELECT id FROM {table} WHERE {condition} ORDER BY id");
            assert_eq!(lake.lines(&sql).await, expected, "{condition}");
        }
        let sql = format!(
            "SELECT count(*) FROM (SELECT i IN (1, 2) AND i IN (5, 7) AS b FROM {table} GROUP BY ROLLUP (i IN (1, 2) AND i IN (5, 7))) AS q WHERE NOT b"
        );
        assert_eq!(
            lake.lines(&sql).await,
            ["1"],
            "one group is false, one unknown, one of all"
        );
    }
}
