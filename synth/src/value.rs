//! One cell of a row, and its canonical text.

use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use uuid::Uuid;

/// Microseconds of one second.
const SECOND_US: i64 = 1_000_000;

/// Microseconds of one day.
pub(crate) const DAY_US: i64 = 86_400 * SECOND_US;

/// One cell.
///
/// Timestamps with and without time zone are both microseconds since the Unix epoch; which one it is says the column.
/// A decimal is its unscaled number; the scale is the column's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// boolean
    Bool(bool),
    /// integer or bigint
    Int(i64),
    /// numeric: the number without its decimal point
    Decimal(i64),
    /// date: days since the Unix epoch
    Date(i32),
    /// timestamp or timestamptz: microseconds since the Unix epoch
    Micros(i64),
    /// text or jsonb
    Text(Arc<str>),
    /// uuid
    Uuid(Uuid),
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Is it NULL?
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The number of an integer, decimal, date or timestamp cell.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Int(number) | Self::Decimal(number) | Self::Micros(number) => Some(*number),
            Self::Date(days) => Some(i64::from(*days)),
            _ => None,
        }
    }

    /// The text of a text cell.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The id of a uuid cell.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self {
            Self::Uuid(id) => Some(*id),
            _ => None,
        }
    }

    /// The day (UTC) of a date or timestamp cell, in days since the Unix epoch.
    pub fn day(&self) -> Option<i32> {
        match self {
            Self::Date(days) => Some(*days),
            Self::Micros(micros) => Some(day_of(*micros)),
            _ => None,
        }
    }
}

/// The day (UTC) a microsecond falls on.
pub(crate) fn day_of(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY_US)).unwrap_or(i32::MAX)
}

/// `2026-01-08`.
pub fn date_text(days: i32) -> String {
    let date = NaiveDate::from_epoch_days(days).unwrap_or_default();
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

/// `2026-01-08T10:00:00.123456`, always six digits, followed by `suffix`.
pub fn timestamp_text(micros: i64, suffix: &str) -> String {
    let moment = DateTime::from_timestamp_micros(micros).unwrap_or_default().naive_utc();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}{suffix}",
        moment.year(),
        moment.month(),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second(),
        micros.rem_euclid(SECOND_US),
    )
}

/// `-12.50`: exactly `scale` digits after the point.
pub fn decimal_text(unscaled: i64, scale: u8) -> String {
    if scale == 0 {
        return unscaled.to_string();
    }
    let unit = 10_u64.pow(u32::from(scale));
    let sign = if unscaled < 0 { "-" } else { "" };
    let magnitude = unscaled.unsigned_abs();
    format!(
        "{sign}{}.{:0width$}",
        magnitude / unit,
        magnitude % unit,
        width = usize::from(scale)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: canonical texts are what the documentation says. Method: a table of cases, edges included.
    #[test]
    fn canonical_texts() {
        assert_eq!(decimal_text(1250, 2), "12.50");
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(7, 0), "7");
        assert_eq!(date_text(20_461), "2026-01-08");
        assert_eq!(date_text(-1), "1969-12-31");
        assert_eq!(timestamp_text(1_767_866_400_123_456, ""), "2026-01-08T10:00:00.123456");
        assert_eq!(timestamp_text(-1, "Z"), "1969-12-31T23:59:59.999999Z");
    }
}
