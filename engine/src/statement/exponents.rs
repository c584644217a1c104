//! Numbers with an exponent among the rows of an `INSERT`. The planner makes one type of a column in which they stand beside others: an
//! exact one, of which a small one becomes zero and for which a large one has no room, or one with a floating point, which long whole
//! numbers do not fit into. Each is read as its column has it.

use std::borrow::Cow;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Expr, Query, SetExpr, UnaryOperator, Value, Values,
};

use super::parameters::columns_of;
use crate::sql::Insert;

/// Digits of a number that are written out.
const DIGITS_MAX: usize = 38;

/// The query of an `INSERT` into a table with these columns.
pub(super) fn read<'a>(insert: &'a Insert, schema: &Schema) -> Cow<'a, Query> {
    let query = insert.query.as_ref();
    let SetExpr::Values(values) = query.body.as_ref() else {
        return Cow::Borrowed(query);
    };
    if !values.rows.iter().any(|row| row.iter().any(has_exponent)) {
        return Cow::Borrowed(query);
    }
    let all = schema.fields().iter().map(|field| field.name().as_str());
    let names = columns_of(insert, all.collect());
    let mut values = values.clone();
    for (at, name) in names.iter().enumerate() {
        let Ok(field) = schema.field_with_name(name) else {
            continue;
        };
        if values.rows.iter().any(|row| row.get(at).is_some_and(has_exponent)) {
            column(&mut values, at, field.data_type());
        }
    }
    Cow::Owned(Query {
        body: Box::new(SetExpr::Values(values)),
        ..query.clone()
    })
}

/// Reads the cells of one column.
fn column(values: &mut Values, at: usize, of: &DataType) {
    for cell in values.rows.iter_mut().filter_map(|row| row.get_mut(at)) {
        let anew = match of {
            DataType::Float64 => written(cell).map(|number| cast(number, SqlType::DoublePrecision)),
            DataType::Float32 => written(cell).map(|number| cast(number, SqlType::Real)),
            // A whole number beside a floating-point number would keep 53 bits.
            DataType::Decimal128(..) | DataType::Int32 | DataType::Int64 => {
                let digits = number(cell).and_then(|number| written_out(&number));
                digits.map(|digits| Expr::value(Value::Number(digits, false)))
            }
            _ => None,
        };
        if let Some(anew) = anew {
            *cell = anew;
        }
    }
}

fn cast(number: String, data_type: SqlType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::value(Value::SingleQuotedString(number))),
        data_type,
        array: false,
        format: None,
    }
}

fn has_exponent(cell: &Expr) -> bool {
    number(cell).is_some_and(|number| number.contains(['e', 'E']))
}

/// A number as it is written, or the text of one.
fn written(cell: &Expr) -> Option<String> {
    match cell {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => number(cell),
        },
        _ => number(cell),
    }
}

fn number(cell: &Expr) -> Option<String> {
    match cell {
        Expr::Nested(inner)
        | Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr: inner,
        } => number(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: inner,
        } => number(inner).map(|number| match number.strip_prefix('-') {
            Some(positive) => positive.to_owned(),
            None => format!("-{number}"),
        }),
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => Some(number.clone()),
            _ => None,
        },
        // As which a number with an exponent is read where it stands in a statement.
        Expr::TypedString(typed) if matches!(typed.data_type, SqlType::Double(_)) => match &typed.value.value {
            Value::SingleQuotedString(text) if text.contains(['e', 'E']) && text.parse::<f64>().is_ok() => {
                Some(text.clone())
            }
            _ => None,
        },
        _ => None,
    }
}

/// A number with an exponent without it; `None` of one that has none, or too many digits.
fn written_out(number: &str) -> Option<String> {
    let (digits, exponent) = number.split_once(['e', 'E'])?;
    let exponent: i64 = exponent.parse().ok()?;
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole}{fraction}");
    // Where the point comes to stand.
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let zeros = |count: usize| (count <= DIGITS_MAX).then(|| "0".repeat(count));
    let written = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => format!("{digits}{}", zeros(point - digits.len())?),
        Ok(point) => {
            let (whole, fraction) = digits.split_at_checked(point)?;
            format!("{whole}.{fraction}")
        }
        Err(_) => {
            let before = usize::try_from(point.unsigned_abs()).ok()?;
            format!("0.{}{digits}", zeros(before)?)
        }
    };
    (written.len() <= DIGITS_MAX).then(|| format!("{sign}{written}"))
}

#[cfg(test)]
mod tests {
    use super::written_out;
    use crate::statement::tests::{done, lake, rows};

    // Goal: without its exponent a number is the same. Method: points to the left, within and to the right of its digits, and what is left.
    #[test]
    fn exponents_are_written_out() {
        for (number, written) in [
            ("1e3", Some("1000")),
            ("-1.5E+3", Some("-1500")),
            ("1.25e1", Some("12.5")),
            ("12e-1", Some("1.2")),
            ("1e-3", Some("0.001")),
            ("1.5e0", Some("1.5")),
            ("15e-2", Some(".15")),
            ("1.5", None),
            ("1e40", None),
            ("1e-40", None),
            ("1e99999999999999999999", None),
        ] {
            assert_eq!(written_out(number).as_deref(), written, "{number}");
        }
    }

    // Goal: whole numbers beside numbers with an exponent are stored as they are written. Method: one that no floating-point number is, in
    // rows of values and in rows of which one asks.
    #[tokio::test]
    async fn whole_numbers_keep_their_digits() {
        let lake = lake().await;
        done(&lake, "CREATE TABLE s.w (n bigint, id int)").await;
        for sql in [
            "INSERT INTO s.w VALUES (9007199254740993, 1), (1e3, 2)",
            "INSERT INTO s.w VALUES (9007199254740993, (SELECT 3)), (-2e1, 4)",
        ] {
            assert_eq!(rows(&lake, sql).await, 2, "{sql}");
        }
        assert_eq!(
            lake.lines("SELECT id, n FROM s.w").await,
            ["1,9007199254740993", "2,1000", "3,9007199254740993", "4,-20"]
        );
    }

    // Goal: numbers with an exponent are stored as they are written, whatever stands beside them. Method: the smallest and the largest of
    // each column beside others, with a key too, which makes a MERGE of it.
    #[tokio::test]
    async fn numbers_with_an_exponent_are_stored_as_they_are_written() {
        let lake = lake().await;
        done(&lake, "CREATE TABLE s.e (id int, x double, d decimal(20, 4))").await;
        let values = "(1, 1e-20, 1e15), (2, 0.5, 2.5), (3, -1e300, -12.5e-1), (4, NULL, NULL), (5, 'NaN', 7)";
        assert_eq!(rows(&lake, &format!("INSERT INTO s.e VALUES {values}")).await, 5);
        let keyed = "INSERT INTO s.e (d, id, x) VALUES (2.25, 6, 1e-20), (1e3, 7, 2.5) ON CONFLICT (id) DO NOTHING";
        assert_eq!(rows(&lake, keyed).await, 2);
        assert_eq!(
            lake.lines("SELECT id, x = 1e-20, x < -1e299, x = 0.5, d FROM s.e ORDER BY id")
                .await,
            [
                "1,true,false,false,1000000000000000.0000",
                "2,false,false,true,2.5000",
                "3,false,true,false,-1.2500",
                "4,,,,",
                "5,false,false,false,7.0000",
                "6,true,false,false,2.2500",
                "7,false,false,false,1000.0000"
            ]
        );
    }
}
