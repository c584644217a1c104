//! `VALUES` in which numbers stand beside a NaN or an infinity. The planner makes one exact type of such a column, whole or decimal, which
//! those are not.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Query, SetExpr, Statement, UnaryOperator, Value, Values, VisitMut, VisitorMut,
};

/// What is a floating-point number and no decimal.
const SPECIAL: [&str; 9] = [
    "nan",
    "inf",
    "+inf",
    "-inf",
    "infinity",
    "+infinity",
    "-infinity",
    "+nan",
    "-nan",
];

/// Makes floating-point numbers of all numbers in such a column.
pub(super) fn floating(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Columns);
}

struct Columns;

impl VisitorMut for Columns {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        body(&mut query.body);
        ControlFlow::Continue(())
    }
}

fn body(of: &mut SetExpr) {
    match of {
        SetExpr::Values(values) => columns(values),
        SetExpr::SetOperation { left, right, .. } => {
            body(left);
            body(right);
        }
        _ => {}
    }
}

/// What a cell is, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Null,
    Number,
    Special,
    Other,
}

fn columns(values: &mut Values) {
    let width = values.rows.first().map_or(0, |row| row.len());
    for at in 0..width {
        let cells = values.rows.iter().map(|row| row.get(at).map_or(Cell::Other, cell));
        let (mut number, mut special, mut other) = (false, false, false);
        for cell in cells {
            number |= cell == Cell::Number;
            special |= cell == Cell::Special;
            other |= cell == Cell::Other;
        }
        if !number || !special || other {
            continue;
        }
        for row in &mut values.rows {
            if let Some(value) = row.get_mut(at)
                && cell(value) != Cell::Null
            {
                let number = std::mem::replace(value, Expr::Value(Value::Null.into()));
                *value = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(number),
                    data_type: DataType::DoublePrecision,
                    array: false,
                    format: None,
                };
            }
        }
    }
}

fn cell(expr: &Expr) -> Cell {
    let of_text = |text: &str| match SPECIAL.contains(&text.trim().to_ascii_lowercase().as_str()) {
        true => Cell::Special,
        false => Cell::Other,
    };
    match expr {
        Expr::Nested(inner)
        | Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr: inner,
        } => cell(inner),
        Expr::Value(value) => match &value.value {
            Value::Null => Cell::Null,
            Value::Number(..) => Cell::Number,
            Value::SingleQuotedString(text) => of_text(text),
            _ => Cell::Other,
        },
        Expr::TypedString(typed) if is_floating(&typed.data_type) => match &typed.value.value {
            Value::SingleQuotedString(text) => of_text(text),
            _ => Cell::Other,
        },
        Expr::Cast { expr, data_type, .. } if is_floating(data_type) => match cell(expr) {
            Cell::Special => Cell::Special,
            _ => Cell::Other,
        },
        _ => Cell::Other,
    }
}

fn is_floating(of: &DataType) -> bool {
    use DataType as D;
    matches!(
        of,
        D::Double(_) | D::DoublePrecision | D::Float(_) | D::Real | D::Float4 | D::Float8 | D::Float32 | D::Float64
    )
}

#[cfg(test)]
mod tests {
    use crate::statement::tests::{done, lake, rows};

    // Goal: numbers of a column that has a NaN are taken, to the digit that a floating-point number has; a column of texts stays one. Method:
    // rows in which exact numbers are read, by each way to write what no decimal is.
    #[tokio::test]
    async fn numbers_beside_nan_are_taken() {
        let lake = lake().await;
        done(&lake, "CREATE TABLE s.t (id int, x double, d decimal(20, 4), s text)").await;
        let values = "(1, 1.5, 12345678901234.5678, '1.5'), (2, 'NaN', 2, 'NaN'), (3, CAST('-Infinity' AS double), -3.25, 'x'), \
                      (4, -0.1, NULL, NULL), (5, NULL, 5, '5'), (6, 7, 6.5, 'inf'), (7, double 'inf', 7, '7')";
        assert_eq!(rows(&lake, &format!("INSERT INTO s.t VALUES {values}")).await, 7);
        assert_eq!(
            lake.lines("SELECT * FROM s.t").await,
            [
                "1,1.5,12345678901234.5678,1.5",
                "2,NaN,2.0000,NaN",
                "3,-inf,-3.2500,x",
                "4,-0.1,,",
                "5,,5.0000,5",
                "6,7.0,6.5000,inf",
                "7,inf,7.0000,7"
            ]
        );
        let mixed = "SELECT x FROM (VALUES (0.5), ('infinity'), (1)) AS v (x) WHERE x > 0.7";
        assert_eq!(lake.lines(mixed).await, ["1.0", "inf"]);
        let whole = "SELECT x FROM (VALUES (2), ('NaN'), (1)) AS v (x) WHERE x > 1";
        assert_eq!(lake.lines(whole).await, ["2.0", "NaN"]);
    }
}
