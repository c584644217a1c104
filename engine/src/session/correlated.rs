//! Keys of correlated conditions that are no plain columns.
//!
//! Of `(SELECT count(*) FROM t WHERE CAST(t.at AS date) = outer.day)` DataFusion 55.2 makes groups by the column within the cast, of
//! which many belong to one day, and joins each with the outer row: the row comes once for each of them. Here such a key becomes a column
//! first, and groups are by that. Keys of other expressions, which it refuses, are then understood too.
//!
//! Of `EXISTS (SELECT * FROM a JOIN b ON … WHERE b.id = outer.id)` it looks for the first column that is called `id`, which is that of `a`.
//! Columns that share their name with others are keys with names of their own.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, Projection};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Makes columns of the keys of correlated conditions.
#[derive(Debug)]
pub(super) struct CorrelatedKeys;

impl OptimizerRule for CorrelatedKeys {
    fn name(&self) -> &str {
        "correlated_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else {
            return Ok(Transformed::no(plan));
        };
        if !filter.predicate.contains_outer() {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        }
        let mut keys = Vec::new();
        let parts = split_conjunction_owned(filter.predicate.clone()).into_iter();
        let name = || config.alias_generator().next("__key");
        let parts = parts.map(|part| apart(keyed(part, name, &mut keys), filter.input.schema(), &name, &mut keys));
        let parts = parts.collect::<Result<Vec<Expr>>>()?;
        if keys.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        }
        let columns = || filter.input.schema().columns().into_iter().map(Expr::Column);
        let with_keys = Projection::try_new(columns().chain(keys).collect(), Arc::clone(&filter.input))?;
        let Some(condition) = conjunction(parts) else {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let passed = Filter::try_new(condition, Arc::new(LogicalPlan::Projection(with_keys)))?;
        let plan = Projection::try_new(columns().collect(), Arc::new(LogicalPlan::Filter(passed)))?;
        Ok(Transformed::yes(LogicalPlan::Projection(plan)))
    }
}

/// The condition with a column for what it compares with something from outside, which is put among `keys`.
fn keyed(part: Expr, name: impl FnOnce() -> String, keys: &mut Vec<Expr>) -> Expr {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = part
    else {
        return part;
    };
    let (left, right) = match (is_key(&left, &right), is_key(&right, &left)) {
        (true, _) => (Box::new(column(*left, name(), keys)), right),
        (_, true) => (left, Box::new(column(*right, name(), keys))),
        _ => (left, right),
    };
    Expr::BinaryExpr(BinaryExpr::new(left, Operator::Eq, right))
}

/// The condition with a column of its own for each that is called as another one is.
fn apart(part: Expr, schema: &DFSchema, name: &dyn Fn() -> String, keys: &mut Vec<Expr>) -> Result<Expr> {
    if !part.contains_outer() {
        return Ok(part);
    }
    let apart = part.transform_up(|part| {
        Ok(match part {
            Expr::Column(shared) if schema.columns_with_unqualified_name(&shared.name).len() > 1 => {
                Transformed::yes(column(Expr::Column(shared), name(), keys))
            }
            part => Transformed::no(part),
        })
    })?;
    Ok(apart.data)
}

fn column(key: Expr, name: String, keys: &mut Vec<Expr>) -> Expr {
    keys.push(key.alias(name.as_str()));
    Expr::Column(Column::from_name(name))
}

/// Whether `side` is made of columns from within, and `other` of columns from outside.
fn is_key(side: &Expr, other: &Expr) -> bool {
    let plain = matches!(side, Expr::Column(_)) || side.is_volatile();
    !plain && side.any_column_refs() && !side.contains_outer() && other.contains_outer() && !other.any_column_refs()
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: each outer row comes once, whatever the key that its rows are found by. Method: keys that many values of a column share, of
    // each kind, counted and summed, each beside the same question put as a join with groups.
    #[tokio::test]
    async fn outer_rows_come_once() {
        let lake = Lake::new();
        let at =
            |seconds: &str| format!("arrow_cast((1767225600 + {seconds}) * 1000000, 'Timestamp(Microsecond, None)')");
        let values = (0..96).map(|hour| format!("({}, {hour}, {hour}.5)", at(&(hour * 3600).to_string())));
        let values: Vec<String> = values.collect();
        let inner = format!("(VALUES {}) AS i (at, n, x)", values.join(", "));
        let day = at("o.n * 86400");
        for (key, outer) in [
            ("CAST(i.at AS date)", format!("CAST({day} AS date)")),
            ("date_trunc('day', i.at)", day),
            ("i.n / 24", "o.n".to_owned()),
            ("CAST(i.x AS bigint)", "o.n".to_owned()),
            ("abs(i.n - 48)", "o.n".to_owned()),
        ] {
            let from = "FROM (VALUES (0), (1), (2), (3), (7), (100)) AS o (n)";
            let correlated = format!(
                "SELECT o.n, (SELECT count(*) FROM {inner} WHERE {key} = {outer}), (SELECT sum(i.n) FROM {inner} WHERE {outer} = {key} AND i.n > 1) {from} ORDER BY o.n"
            );
            let joined = format!(
                "SELECT o.n, coalesce(a.c, 0), b.s {from} LEFT JOIN (SELECT {key} AS k, count(*) AS c FROM {inner} GROUP BY 1) AS a ON a.k = {outer} \
                 LEFT JOIN (SELECT {key} AS k, sum(i.n) AS s FROM {inner} WHERE i.n > 1 GROUP BY 1) AS b ON b.k = {outer} ORDER BY o.n"
            );
            let found = lake.lines(&correlated).await;
            assert_eq!(found.len(), 6, "{correlated}: {found:?}");
            assert_eq!(found, lake.lines(&joined).await, "{correlated}");
        }
    }

    // Goal: a condition is on the column that it names, though others are called so. Method: tables of which both have an `id`, looked for by
    // the one, by the other, by both and by order, in each kind of subquery.
    #[tokio::test]
    async fn columns_of_one_name_are_told_apart() {
        let lake = Lake::new();
        let joined = "(VALUES (1, 7), (2, 8)) AS y (id, k) JOIN (VALUES (20, 7), (10, 8)) AS w (id, k) ON y.k = w.k";
        for (condition, wanted) in [
            (
                format!("EXISTS (SELECT * FROM {joined} WHERE w.id = x.b)"),
                vec!["1,10", "2,10", "2,20"],
            ),
            (
                format!("a IN (SELECT y.id FROM {joined} WHERE w.id = x.b)"),
                vec!["2,10"],
            ),
            (
                format!("NOT EXISTS (SELECT 1 FROM {joined} WHERE y.id = x.a AND w.id = x.b)"),
                vec!["1,10", "2,20"],
            ),
            (
                format!("(SELECT count(*) FROM {joined} WHERE y.id = x.a AND w.id = x.b) = 1"),
                vec!["2,10"],
            ),
            (
                format!("EXISTS (SELECT y.id FROM {joined} WHERE w.id > x.b)"),
                vec!["1,10", "2,10"],
            ),
        ] {
            let sql = format!("SELECT a, b FROM (VALUES (1, 10), (2, 10), (2, 20)) AS x (a, b) WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
    }
}
