//! Days and moments that a word tells, `DATE 'today'` or `'now'::timestamptz` (PostgreSQL 15, 8.5.1.4): functions of the time, as
//! `current_date` and `now()` are, so that whoever keeps plans or answers sees that they depend on it.

use datafusion::sql::sqlparser::ast::{DataType, Expr, TimezoneInfo, UnaryOperator};

use super::super::names::{as_text, call, cast, text};
use super::casts::plain;
use super::elements::number;

/// What a word stands for where it is cast to a day or a moment. None for what is no such word, or no such cast.
pub(super) fn meant(expression: &Expr) -> Option<Expr> {
    let (written, of) = match expression {
        Expr::Cast { expr, data_type, .. } => (as_text(expr)?.to_owned(), data_type),
        Expr::TypedString(typed) => (typed.value.value.clone().into_string()?, &typed.data_type),
        _ => return None,
    };
    let mut of = of.clone();
    plain(&mut of);
    let (is_day, zoned) = match &of {
        DataType::Date => (true, false),
        DataType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => (false, true),
        DataType::Timestamp(..) => (false, false),
        _ => return None,
    };
    let today = || call("current_date", Vec::new());
    let day = |days: Expr| call("pg_date_plus", vec![today(), days]);
    let told = match written.trim().to_lowercase().as_str() {
        "now" if !is_day => call("now", Vec::new()),
        "now" | "today" => today(),
        "tomorrow" => day(number("1")),
        "yesterday" => day(Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(number("1")),
        }),
        "epoch" if zoned => text("1970-01-01 00:00:00+00"),
        "epoch" if is_day => text("1970-01-01"),
        "epoch" => text("1970-01-01 00:00:00"),
        _ => return None,
    };
    Some(cast(told, of))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    // Goal: a word is the day or moment that PostgreSQL takes it for, and other texts stay texts. Method: casts and typed literals before and
    // after.
    #[test]
    fn words_tell_days_and_moments() {
        for (written, wanted) in [
            ("DATE 'today'", Some("CAST(\"current_date\"() AS DATE)")),
            ("' NOW '::date", Some("CAST(\"current_date\"() AS DATE)")),
            (
                "'tomorrow'::date",
                Some("CAST(\"pg_date_plus\"(\"current_date\"(), 1) AS DATE)"),
            ),
            (
                "CAST('yesterday' AS timestamp)",
                Some("CAST(\"pg_date_plus\"(\"current_date\"(), -1) AS TIMESTAMP(6))"),
            ),
            ("'now'::timestamptz(0)", Some("CAST(\"now\"() AS TIMESTAMPTZ(0))")),
            (
                "TIMESTAMP WITH TIME ZONE 'epoch'",
                Some("CAST('1970-01-01 00:00:00+00' AS TIMESTAMP(6) WITH TIME ZONE)"),
            ),
            (
                "'epoch'::timestamp",
                Some("CAST('1970-01-01 00:00:00' AS TIMESTAMP(6))"),
            ),
            ("'today'::text", None),
            ("'2024-02-29'::date", None),
            ("now()::date", None),
        ] {
            let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(written);
            let parsed = parsed.and_then(|mut parser| parser.parse_expr()).expect(written);
            let found = meant(&parsed).map(|found| found.to_string());
            assert_eq!(found.as_deref(), wanted, "{written}");
        }
    }
}
