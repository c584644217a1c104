//! Windows that continue a named one, `OVER (w ORDER BY x)`: DataFusion 55.2 does not look at the name, and the window would be of all
//! rows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    Expr, NamedWindowExpr, Select, Statement, VisitMut, VisitorMut, WindowSpec, WindowType, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};

/// Writes each such window whole.
pub(super) fn whole(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Windows);
}

/// What is wrong with a statement that cannot be parsed, where it is a frame that leaves rows out.
pub(super) fn told(sql: &str, error: DataFusionError) -> DataFusionError {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return error;
    };
    let words: Vec<&Word> = tokens
        .iter()
        .filter_map(|token| match token {
            Token::Word(word) if word.quote_style.is_none() => Some(word),
            _ => None,
        })
        .collect();
    let is = |word: &Word, known: &[&str]| known.iter().any(|known| word.value.eq_ignore_ascii_case(known));
    let excludes = words.windows(2).any(|pair| {
        matches!(pair, [first, second]
            if is(first, &["EXCLUDE"]) && is(second, &["CURRENT", "GROUP", "TIES", "NO"]))
    });
    match excludes {
        true => DataFusionError::NotImplemented(
            "EXCLUDE in the frame of a window: take what is left out from the answer over the whole frame".to_owned(),
        ),
        false => error,
    }
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
    use tidewater_core::Coded;

    use crate::testing::Lake;

    // Goal: who leaves rows out of a frame is told that it cannot be done, and nobody else is. Method: each kind, and the word elsewhere.
    #[tokio::test]
    async fn frames_leave_no_rows_out() {
        let lake = Lake::new();
        for kind in ["CURRENT ROW", "GROUP", "TIES", "NO OTHERS"] {
            let sql = format!(
                "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE {kind}) FROM (VALUES (1)) AS v (x)"
            );
            assert_eq!(lake.refused(&sql).await.code(), "ENG-0004", "{kind}");
        }
        let wrong = lake
            .refused("SELECT * EXCLUDE (x) FROM (VALUES (1, 2)) AS v (x, y) WHERE")
            .await;
        assert_eq!(wrong.code(), "ENG-0003");
    }

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
