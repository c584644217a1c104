//! The times that a statement asks for, as far as its conditions say so plainly.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// From one moment on and until before another, in milliseconds since the Unix epoch; all times where neither is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// From this moment on.
    pub since_ms: Option<i64>,
    /// Until before this moment.
    pub until_ms: Option<i64>,
}

impl Times {
    /// The times outside of which no row meets these conditions on a column of instants, which are told in milliseconds.
    pub(super) fn said_by_all(filters: &[Expr], column: &str) -> Self {
        let said = filters.iter().filter_map(|filter| Self::said_by(filter, column));
        said.fold(Self::default(), |all, said| Self {
            since_ms: all.since_ms.max(said.since_ms),
            until_ms: match (all.until_ms, said.until_ms) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
        })
    }

    /// Those that one condition says; none where it does not say any, or not so that it is surely understood.
    pub(super) fn said_by(filter: &Expr, column: &str) -> Option<Self> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
            return None;
        };
        let (op, moment_ms) = match (is_instant(left, column), is_instant(right, column)) {
            (true, false) => (*op, instant_ms(right)?),
            (false, true) => (op.swap()?, instant_ms(left)?),
            _ => return None,
        };
        // A moment lies within the millisecond that it is cut to.
        let (since_ms, until_ms) = (Some(moment_ms), Some(moment_ms.saturating_add(1)));
        match op {
            Operator::Gt | Operator::GtEq => Some(Self {
                since_ms,
                until_ms: None,
            }),
            Operator::Lt | Operator::LtEq => Some(Self {
                since_ms: None,
                until_ms,
            }),
            Operator::Eq => Some(Self { since_ms, until_ms }),
            _ => None,
        }
    }
}

/// Whether it is the column, as an instant of any zone that is told no less exactly. What has no zone may be by the clocks of some place.
fn is_instant(expr: &Expr, column: &str) -> bool {
    match expr {
        Expr::Column(found) => found.name == column,
        Expr::Cast(Cast { expr, field }) => {
            let exact = matches!(field.data_type(), DataType::Timestamp(unit, Some(_)) if *unit != TimeUnit::Second);
            exact && is_instant(expr, column)
        }
        _ => false,
    }
}

/// An instant that is written, cut to milliseconds.
fn instant_ms(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    match value {
        ScalarValue::TimestampSecond(Some(value), Some(_)) => Some(value.saturating_mul(1_000)),
        ScalarValue::TimestampMillisecond(Some(value), Some(_)) => Some(*value),
        ScalarValue::TimestampMicrosecond(Some(value), Some(_)) => Some(value.div_euclid(1_000)),
        ScalarValue::TimestampNanosecond(Some(value), Some(_)) => Some(value.div_euclid(1_000_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    fn instant(value_us: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(value_us), Some("+00:00".into())))
    }

    // Goal: times are told of conditions that surely mean them, and never fewer than meet them. Method: each comparison, on either side, within
    // a millisecond; two together; and conditions that mean something else or that cannot be told.
    #[test]
    fn conditions_say_times() {
        let said = |filters: &[Expr]| {
            let times = Times::said_by_all(filters, "at");
            (times.since_ms, times.until_ms)
        };
        let (at, moment) = (|| col("at"), || instant(5_999));
        assert_eq!(said(&[at().gt(moment())]), (Some(5), None));
        assert_eq!(said(&[at().gt_eq(moment())]), (Some(5), None));
        assert_eq!(said(&[at().lt(moment())]), (None, Some(6)));
        assert_eq!(said(&[at().lt_eq(moment())]), (None, Some(6)));
        assert_eq!(said(&[at().eq(moment())]), (Some(5), Some(6)));
        assert_eq!(said(&[moment().gt(at())]), (None, Some(6)));
        assert_eq!(said(&[at().gt(instant(-1))]), (Some(-1), None));
        let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into()));
        assert_eq!(said(&[cast(at(), nanoseconds).gt(moment())]), (Some(5), None));
        let both = [
            at().gt_eq(instant(1_000)),
            at().lt(instant(9_000)),
            at().gt_eq(instant(2_000)),
        ];
        assert_eq!(said(&both), (Some(2), Some(10)));
        let seconds = DataType::Timestamp(TimeUnit::Second, Some("+00:00".into()));
        let by_some_clock = DataType::Timestamp(TimeUnit::Millisecond, None);
        let local = lit(ScalarValue::TimestampMillisecond(Some(5), None));
        for other in [
            col("began").gt(moment()),
            at().not_eq(moment()),
            at().gt(at()),
            at().gt(local.clone()),
            cast(at(), by_some_clock).gt(local),
            cast(at(), seconds).lt_eq(moment()),
            at().gt(moment()).or(col("user").eq(lit("ana"))),
            at().is_null(),
        ] {
            assert_eq!(said(std::slice::from_ref(&other)), (None, None), "{other}");
        }
    }
}
