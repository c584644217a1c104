//! What tells rows apart (the keys of groups, the columns of `DISTINCT`) does not beside the elements of lists, as many rows are made of one.
//! DataFusion 55.2 goes on to take it for keys there: it leaves out what else these rows are told apart, grouped and sorted by, and joins
//! whose rows it takes for single ones.

use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{Expr, Join, LogicalPlan};

/// Of each column, whether it is part of a key or will be: `DISTINCT` becomes groups later on.
pub(super) fn keys(rows: &LogicalPlan) -> Vec<bool> {
    let width = rows.schema().fields().len();
    let mut found: Vec<bool> = match rows {
        LogicalPlan::Projection(shown) => {
            let below = keys(&shown.input);
            let is_key = |expr: &Expr| {
                column_of(expr).is_some_and(|column| {
                    let at = shown.input.schema().maybe_index_of_column(column);
                    at.and_then(|at| below.get(at).copied()).unwrap_or(true)
                })
            };
            shown.expr.iter().map(is_key).collect()
        }
        LogicalPlan::Aggregate(groups) => vec![true; width.saturating_sub(groups.aggr_expr.len())],
        LogicalPlan::Distinct(_) => vec![true; width],
        LogicalPlan::Join(join) => keys_of_both(join),
        // What tells apart the rows of one part does not those of all, and below elements there are no keys by then.
        LogicalPlan::Union(_) | LogicalPlan::RecursiveQuery(_) | LogicalPlan::Unnest(_) => Vec::new(),
        // What windows show is behind the columns.
        LogicalPlan::Window(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Subquery(_) => rows.inputs().first().map(|below| keys(below)).unwrap_or_default(),
        other => vec![!other.inputs().is_empty(); width],
    };
    found.resize(width, false);
    for key in rows.schema().functional_dependencies().iter() {
        for at in &key.source_indices {
            if let Some(is_key) = found.get_mut(*at) {
                *is_key = true;
            }
        }
    }
    found
}

fn column_of(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => column_of(&alias.expr),
        _ => None,
    }
}

fn keys_of_both(join: &Join) -> Vec<bool> {
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => keys(&join.left),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => keys(&join.right),
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            [keys(&join.left), keys(&join.right)].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use tidewater_core::Coded;
    use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
    use tidewater_table::schema::to_arrow;

    use crate::testing::Lake;

    const GROUPS: &str = "(SELECT k, array_agg(n ORDER BY n) AS l FROM silver.few GROUP BY k) AS g";

    /// Two keys with two numbers each, of which those of the second are the same.
    async fn lake() -> Lake {
        let lake = Lake::new();
        let fields = [
            NestedField::required(1, "k", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::required(2, "n", Type::Primitive(PrimitiveType::Long)).into(),
        ];
        let schema = Schema::builder().with_fields(fields).build().expect("a schema");
        lake.create("silver.few", schema, None).await;
        let columns = to_arrow(lake.load("silver.few").await.metadata.current_schema()).expect("columns");
        let rows: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1, 1, 2, 2])),
            Arc::new(Int64Array::from(vec![5, 7, 6, 6])),
        ];
        let rows = RecordBatch::try_new(Arc::new(columns), rows).expect("rows");
        lake.append("silver.few", rows).await;
        lake
    }

    // Goal: a group's key is none beside the elements of its list. Method: rows of keys and elements told apart, grouped, sorted, joined and
    // looked at in windows, around the query that has them and in it, by its name, of groups and of distinct rows, here and after a journey.
    #[tokio::test]
    async fn keys_are_none_beside_elements() {
        let lake = lake().await;
        let q = format!("(SELECT g.k, unnest(g.l) AS x FROM {GROUPS}) AS q");
        let distinct = "(SELECT DISTINCT k FROM silver.few) AS d";
        for (sql, rows) in [
            (format!("SELECT DISTINCT q.k FROM {q}"), vec!["1", "2"]),
            (
                format!("SELECT DISTINCT g.k, unnest(g.l) AS x FROM {GROUPS}"),
                vec!["1,5", "1,7", "2,6"],
            ),
            (
                format!("SELECT q.k, count(*) AS c FROM {q} GROUP BY q.k"),
                vec!["1,2", "2,2"],
            ),
            (
                format!("SELECT count(*) AS c FROM {q} GROUP BY q.k, q.x"),
                vec!["1", "1", "2"],
            ),
            (
                format!("SELECT s.x FROM (SELECT q.k, q.x FROM {q} ORDER BY q.k, q.x DESC LIMIT 1) AS s"),
                vec!["7"],
            ),
            (
                format!(
                    "SELECT s.x FROM (SELECT g.k AS k, unnest(g.l) AS x FROM {GROUPS} ORDER BY k, x DESC LIMIT 1) AS s"
                ),
                vec!["7"],
            ),
            (
                format!("SELECT q.x, sum(q.x) OVER (ORDER BY q.k) AS s FROM {q}"),
                vec!["5,12", "6,24", "6,24", "7,12"],
            ),
            (
                format!("SELECT o.n FROM silver.few AS o LEFT JOIN {q} ON q.k = o.k WHERE o.n < 7"),
                vec!["5", "5", "6", "6", "6", "6"],
            ),
            (
                format!(
                    "WITH w AS (SELECT g.k, unnest(g.l) AS x FROM {GROUPS}) SELECT w.k, count(*) AS c FROM w GROUP BY w.k"
                ),
                vec!["1,2", "2,2"],
            ),
            (
                format!(
                    "SELECT s.x FROM (SELECT d.k AS k, unnest([1, 2]) AS x FROM {distinct} ORDER BY k, x DESC LIMIT 1) AS s"
                ),
                vec!["2"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect("rows"), rows, "{sql} after a journey");
        }
        let refused = lake.refused(&format!("SELECT q.x FROM {q} GROUP BY q.k")).await;
        assert_eq!(refused.code(), "ENG-0003", "{refused:?}");
    }
}
