//! Columns of `VALUES` in which texts stand beside arrays: there they are arrays, as PostgreSQL reads them.

use std::mem::replace;

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, Expr, Query, SetExpr, Value, Values};

use super::names::{as_text, cast};

/// Makes arrays of such texts.
pub(super) fn arrays(query: &mut Query) {
    if let SetExpr::Values(values) = query.body.as_mut() {
        columns(values);
    }
}

fn columns(values: &mut Values) {
    let width = values.rows.first().map_or(0, |row| row.len());
    for at in 0..width {
        let Some(of) = values.rows.iter().find_map(|row| array(row.get(at)?)) else {
            continue;
        };
        for row in &mut values.rows {
            if let Some(value) = row.get_mut(at)
                && as_text(value).is_some()
            {
                let text = replace(value, Expr::value(Value::Null));
                *value = cast(text, of.clone());
            }
        }
    }
}

/// The type of an array that is written out, as far as it can be told.
fn array(value: &Expr) -> Option<DataType> {
    match value {
        Expr::Nested(value) => array(value),
        Expr::Cast {
            data_type: of @ DataType::Array(_),
            ..
        } => Some(of.clone()),
        Expr::Array(written) => {
            let of = element(&written.elem)?;
            Some(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(of), None)))
        }
        _ => None,
    }
}

fn element(items: &[Expr]) -> Option<DataType> {
    let known = items.iter().filter(|item| !is_null(item));
    let (mut texts, mut numbers) = (0_usize, 0_usize);
    for item in known {
        match (as_text(item), is_whole(item)) {
            (Some(_), _) => texts += 1,
            (None, true) => numbers += 1,
            (None, false) => return None,
        }
    }
    match (texts, numbers) {
        (1.., 0) => Some(DataType::Text),
        (0, 1..) => Some(DataType::BigInt(None)),
        _ => None,
    }
}

fn is_null(value: &Expr) -> bool {
    matches!(value, Expr::Value(value) if value.value == Value::Null)
}

fn is_whole(value: &Expr) -> bool {
    matches!(value, Expr::Value(value)
        if matches!(&value.value, Value::Number(number, _) if number.parse::<i64>().is_ok()))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    // Goal: a text is an array where the column has one, and stays a text elsewhere. Method: arrays of each kind that is told, in either order,
    // and columns without one.
    #[test]
    fn texts_beside_arrays_are_arrays() {
        for (before, after) in [
            (
                "VALUES ('{}', 'a'), (ARRAY['b'], 'c')",
                "VALUES (CAST('{}' AS TEXT[]), 'a'), (ARRAY['b'], 'c')",
            ),
            (
                "VALUES (ARRAY[1, NULL]), (NULL), ('{2}')",
                "VALUES (ARRAY[1, NULL]), (NULL), (CAST('{2}' AS BIGINT[]))",
            ),
            (
                "VALUES (CAST(ARRAY[] AS DATE[])), ('{2024-01-01}')",
                "VALUES (CAST(ARRAY[] AS DATE[])), (CAST('{2024-01-01}' AS DATE[]))",
            ),
            ("VALUES ('{}'), ('a')", "VALUES ('{}'), ('a')"),
            ("VALUES ('{}'), (ARRAY[x])", "VALUES ('{}'), (ARRAY[x])"),
        ] {
            let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, before).expect(before);
            let Some(Statement::Query(query)) = parsed.first_mut() else {
                panic!("{before} is a query");
            };
            arrays(query);
            assert_eq!(query.to_string(), after, "{before}");
        }
    }
}
