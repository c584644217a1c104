//! Intervals that are written as a text, as PostgreSQL 15 reads them (8.5.4), as far as the query engine knows their parts.

use datafusion::arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use datafusion::arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::{Result, ScalarValue, not_impl_err, plan_err};

use super::sent_text;

/// The interval that a text stands for. A number alone is seconds.
pub(super) fn read(text: &str) -> Result<ScalarValue> {
    let words = match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Some(format!("{} seconds", text.trim().trim_start_matches('+'))),
        _ => sent_text(text.trim(), &DataType::Interval(IntervalUnit::MonthDayNano)),
    };
    let words = words.as_deref().unwrap_or(text).trim();
    if is_bare(words) {
        return not_impl_err!("an interval with numbers of no unit: {text:?}. Write one behind each");
    }
    match parse_interval_month_day_nano(words) {
        Ok(span) if !words.is_empty() => Ok(ScalarValue::IntervalMonthDayNano(Some(span))),
        _ => plan_err!("invalid input syntax for type interval: {text:?}"),
    }
}

/// Whether a number has no unit, which the query engine takes for months.
fn is_bare(words: &str) -> bool {
    let mut words = words.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let has_unit = words.peek().is_some_and(|next| next.starts_with(char::is_alphabetic));
        if !has_unit && word.ends_with(|last: char| last.is_ascii_digit() || last == '.') {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::IntervalMonthDayNano;
    use datafusion::common::{DataFusionError, ScalarValue};

    use super::read;

    // Goal: a text stands for the interval that PostgreSQL 15 reads. Method: units, clocks, ISO 8601 and a number alone; texts that it does
    // not read either, and one whose number would be taken for months.
    #[test]
    fn texts_are_read() {
        let hour = 3_600_000_000_000;
        for (text, months, days, nanos) in [
            ("1 mon", 1, 0, 0),
            (" 1 day ", 0, 1, 0),
            ("2 days 03:00", 0, 2, 3 * hour),
            ("-01:00", 0, 0, -hour),
            ("P1DT2H", 0, 1, 2 * hour),
            ("3600", 0, 0, hour),
            ("+1 year", 12, 0, 0),
            ("0", 0, 0, 0),
            ("1 2:00", 0, 1, 2 * hour),
            ("1-2", 14, 0, 0),
            ("1 week ago", 0, -7, 0),
        ] {
            let span = ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanos)));
            assert_eq!(read(text).expect(text), span, "{text}");
        }
        for text in ["", "soon", "1 day 2 days"] {
            assert!(matches!(read(text), Err(DataFusionError::Plan(_))), "{text}");
        }
        for text in ["1 2", "1 day 2 3"] {
            assert!(matches!(read(text), Err(DataFusionError::NotImplemented(_))), "{text}");
        }
    }
}
