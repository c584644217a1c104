//! Windows that continue a named one, `OVER (w ORDER BY x)`: DataFusion 55.2 does not look at the name, and the window would be of all
//! rows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, NamedWindowExpr, Select, Statement, VisitMut, VisitorMut, WindowSpec, WindowType, visit_expressions_mut,
};

/// Writes each such window whole.
pub(super) fn whole(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Windows);
}

struct Windows;

impl VisitorMut for Windows {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.named_window.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut known: BTreeMap<String, WindowSpec> = BTreeMap::new();
        for definition in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = &mut definition.1 {
                complete(spec, &known);
                known.insert(definition.0.value.to_lowercase(), spec.clone());
            }
        }
        for item in &mut select.projection {
            let _: ControlFlow<()> = visit_expressions_mut(item, |expression| {
                if let Expr::Function(function) = expression
                    && let Some(WindowType::WindowSpec(spec)) = &mut function.over
                {
                    complete(spec, &known);
                }
                ControlFlow::Continue(())
            });
        }
        ControlFlow::Continue(())
    }
}

fn complete(spec: &mut WindowSpec, known: &BTreeMap<String, WindowSpec>) {
    let name = spec.window_name.as_ref().map(|name| name.value.to_lowercase());
    let Some(base) = name.and_then(|name| known.get(&name)) else {
        return;
    };
    if spec.partition_by.is_empty() {
        spec.partition_by.clone_from(&base.partition_by);
    }
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&base.order_by);
    }
    spec.window_name = None;
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: a window that continues a named one has its partitions and its order. Method: both, where all rows would answer otherwise.
    #[tokio::test]
    async fn windows_continue_named_ones() {
        let lake = Lake::new();
        let rows = "FROM (VALUES ('a', 1), ('a', 2), ('b', 1)) AS v (g, x)";
        let sql = format!("SELECT sum(x) OVER (w ORDER BY x) AS s {rows} WINDOW w AS (PARTITION BY g)");
        assert_eq!(lake.lines(&sql).await, ["1", "1", "3"]);
        let sql = format!(
            "SELECT sum(x) OVER (o ROWS 1 PRECEDING) AS s {rows} WINDOW w AS (PARTITION BY g), o AS (w ORDER BY x DESC)"
        );
        assert_eq!(lake.lines(&sql).await, ["1", "2", "3"]);
    }
}
