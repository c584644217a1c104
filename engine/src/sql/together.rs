//! One `INSERT` of what several insert, so that all of their rows come in one commit, or none.

use datafusion::sql::sqlparser::ast::{Expr, Parens, Query, SelectItem, SetExpr, Values};

use super::{Command, Insert, Overwrite};

/// The command that does what all of these do, which are the same but for values; none where they are no plain rows of an `INSERT`,
/// unless there is only one.
pub fn together(commands: Vec<Command>) -> Option<Command> {
    let mut commands = commands.into_iter();
    let first = commands.next()?;
    let mut others = commands.peekable();
    if others.peek().is_none() {
        return Some(first);
    }
    let Command::Insert(mut insert) = first else {
        return None;
    };
    let mut rows = rows(&insert)?;
    for other in others {
        let Command::Insert(other) = other else {
            return None;
        };
        rows.extend(self::rows(&other)?);
    }
    *insert.query.body = SetExpr::Values(Values {
        explicit_row: false,
        value_keyword: false,
        rows: rows.into_iter().map(Parens::with_empty_span).collect(),
    });
    Some(Command::Insert(insert))
}

/// The rows that stand in a statement: `VALUES`, or a `SELECT` of nothing but expressions.
fn rows(insert: &Insert) -> Option<Vec<Vec<Expr>>> {
    let Query {
        with: None,
        body,
        order_by: None,
        limit_clause: None,
        fetch: None,
        ..
    } = insert.query.as_ref()
    else {
        return None;
    };
    if insert.on_conflict.is_some() || !matches!(insert.overwrite, Overwrite::Nothing) {
        return None;
    }
    match body.as_ref() {
        SetExpr::Values(values) => Some(values.rows.iter().map(|row| row.content.clone()).collect()),
        SetExpr::Select(select)
            if select.from.is_empty() && select.selection.is_none() && select.distinct.is_none() =>
        {
            let columns = select.projection.iter().map(|item| match item {
                SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. } => Some(value.clone()),
                _ => None,
            });
            Some(vec![columns.collect::<Option<_>>()?])
        }
        _ => None,
    }
}
