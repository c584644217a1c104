//! Intervals that are written as a text, as PostgreSQL 15 reads them (8.5.4), with the fields and the digits that may stand behind one:
//! `INTERVAL '1 02:03' DAY TO MINUTE`. The query engine knows numbers with units alone, and no fields.

use std::cmp::Ordering;

use datafusion::sql::sqlparser::ast::{DateTimeField, Interval, IntervalFields};

use super::super::names::{as_text, text};
use super::moments::iso_span;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Digits behind a point that are read, as so many can be reckoned with. Further ones, which floating-point numbers are written with, are
/// smaller than what is counted.
const FRACTION_DIGITS_MAX: usize = 15;

/// What an interval consists of. The three are counted apart, the last one in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    months: i64,
    days: i64,
    micros: i64,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

/// A number: its whole part, and what stands behind its point as so many parts of `of`. Both have its sign.
#[derive(Debug, Clone, Copy)]
struct Number {
    whole: i64,
    parts: i128,
    of: i128,
}

/// An interval's value as the query engine reads it. What is not understood stays to be refused.
pub(super) fn change(interval: &mut Interval) {
    let Some(written) = as_text(&interval.value) else {
        return;
    };
    let read = limits(interval).and_then(|(fields, digits)| words(written, fields, digits));
    if let Some(read) = read {
        *interval = Interval {
            value: Box::new(text(&read)),
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        };
    }
}

/// The fields of a literal, and the digits that its seconds keep; `None` for what PostgreSQL does not know.
fn limits(interval: &Interval) -> Option<(Option<IntervalFields>, Option<u64>)> {
    use DateTimeField as D;
    use IntervalFields as F;
    let fields = match (&interval.leading_field, &interval.last_field) {
        (None, None) => None,
        (Some(D::Year), None) => Some(F::Year),
        (Some(D::Month), None) => Some(F::Month),
        (Some(D::Day), None) => Some(F::Day),
        (Some(D::Hour), None) => Some(F::Hour),
        (Some(D::Minute), None) => Some(F::Minute),
        (Some(D::Second), None) => Some(F::Second),
        (Some(D::Year), Some(D::Month)) => Some(F::YearToMonth),
        (Some(D::Day), Some(D::Hour)) => Some(F::DayToHour),
        (Some(D::Day), Some(D::Minute)) => Some(F::DayToMinute),
        (Some(D::Day), Some(D::Second)) => Some(F::DayToSecond),
        (Some(D::Hour), Some(D::Minute)) => Some(F::HourToMinute),
        (Some(D::Hour), Some(D::Second)) => Some(F::HourToSecond),
        (Some(D::Minute), Some(D::Second)) => Some(F::MinuteToSecond),
        _ => return None,
    };
    // `SECOND (2)` alone is parsed as a precision of its first field.
    let digits = match (interval.leading_precision, interval.fractional_seconds_precision) {
        (None, digits) => digits,
        (Some(digits), None) if fields == Some(F::Second) => Some(digits),
        _ => return None,
    };
    Some((fields, digits))
}

/// The interval in months, days and microseconds, of which only those `fields` are left and so many `digits` of its seconds; `None` for a
/// text that is none.
pub(super) fn words(written: &str, fields: Option<IntervalFields>, digits: Option<u64>) -> Option<String> {
    let iso = iso_span(written);
    let mut span = read(iso.as_deref().unwrap_or(written), fields)?;
    if let Some(fields) = fields {
        span = span.of(fields);
    }
    if let Some(digits) = digits {
        span = span.rounded(digits)?;
    }
    let Span { months, days, micros } = span;
    Some(format!("{months} months {days} days {micros} microseconds"))
}

/// Reads from the last word to the first, as what a number counts stands behind it.
fn read(written: &str, fields: Option<IntervalFields>) -> Option<Span> {
    let mut span = Span::default();
    let (mut unit, mut named, mut taken, mut ago) = (None, false, 0_u16, false);
    let parts = parts(written)?;
    for (at, part) in parts.iter().rev().enumerate() {
        if part.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            match part.eq_ignore_ascii_case("ago") {
                true if at == 0 => ago = true,
                true => return None,
                false if named => return None,
                false => (unit, named) = (Some(unit_of(part)?), true),
            }
            continue;
        }
        let (mask, before) = if part.contains(':') {
            if named {
                return None;
            }
            span.micros = span.micros.checked_add(clock(part, fields)?)?;
            (Unit::Hour.mask() | Unit::Minute.mask() | SECONDS, Unit::Day)
        } else if let Some(months) = years_and_months(part) {
            if named {
                return None;
            }
            span.months = span.months.checked_add(months)?;
            (Unit::Month.mask(), Unit::Month)
        } else {
            let of = match unit {
                Some(unit) => unit,
                None if ago => return None,
                None => last_of(fields),
            };
            let number = Number::read(part)?;
            span.add(number, of)?;
            match of {
                Unit::Second if number.parts != 0 => (SECONDS, of),
                // Hours without a unit have days before them.
                Unit::Hour => (of.mask(), Unit::Day),
                _ => (of.mask(), of),
            }
        };
        if taken & mask != 0 {
            return None;
        }
        (taken, named, unit) = (taken | mask, false, Some(before));
    }
    if taken == 0 || named {
        return None;
    }
    match ago {
        true => span.negated(),
        false => Some(span),
    }
}

/// The numbers and words of an interval; `None` if it has something else.
fn parts(written: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    for chunk in written.split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | '@')) {
        let mut rest = chunk;
        while let Some(first) = rest.chars().next() {
            let is_word = first.is_ascii_alphabetic();
            let same = |letter: char| match is_word {
                true => letter.is_ascii_alphabetic(),
                false => letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.' | ':'),
            };
            let (part, behind) = rest.split_at(rest.find(|letter: char| !same(letter)).unwrap_or(rest.len()));
            if part.is_empty() {
                return None;
            }
            parts.push(part);
            rest = behind;
        }
    }
    Some(parts)
}

/// Seconds with a fraction are milliseconds and microseconds too.
const SECONDS: u16 = Unit::Second.mask() | Unit::Millisecond.mask() | Unit::Microsecond.mask();

impl Unit {
    /// Each unit may stand once.
    const fn mask(self) -> u16 {
        1 << self as u16
    }
}

fn unit_of(word: &str) -> Option<Unit> {
    Some(match word.to_ascii_lowercase().as_str() {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds" => Unit::Microsecond,
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds" => Unit::Millisecond,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennium" | "millennia" => Unit::Millennium,
        _ => return None,
    })
}

/// What the last number counts if it does not say it.
fn last_of(fields: Option<IntervalFields>) -> Unit {
    use IntervalFields as F;
    match fields {
        Some(F::Year) => Unit::Year,
        Some(F::Month | F::YearToMonth) => Unit::Month,
        Some(F::Day) => Unit::Day,
        Some(F::Hour | F::DayToHour) => Unit::Hour,
        Some(F::Minute | F::DayToMinute | F::HourToMinute) => Unit::Minute,
        Some(F::Second | F::DayToSecond | F::HourToSecond | F::MinuteToSecond) | None => Unit::Second,
    }
}

/// The microseconds of `h:m`, `h:m:s` and `m:s.f`, and of `m:s` where minutes and seconds are wanted.
fn clock(written: &str, fields: Option<IntervalFields>) -> Option<i64> {
    let (negative, clock) = signed(written);
    let numbers: Vec<&str> = clock.split(':').collect();
    let (hours, minutes, seconds) = match numbers.as_slice() {
        [minutes, seconds] if seconds.contains('.') || fields == Some(IntervalFields::MinuteToSecond) => {
            ("0", *minutes, *seconds)
        }
        [hours, minutes] => (*hours, *minutes, "0"),
        [hours, minutes, seconds] => (*hours, *minutes, *seconds),
        _ => return None,
    };
    let whole = |number: &str| match number.bytes().all(|digit| digit.is_ascii_digit()) {
        true => number.parse::<i64>().ok(),
        false => None,
    };
    let (hours, minutes) = (whole(hours)?, whole(minutes).filter(|minutes| *minutes < 60)?);
    if !seconds.starts_with(|digit: char| digit.is_ascii_digit()) {
        return None;
    }
    let seconds = Number::read(seconds).filter(|seconds| seconds.whole <= 60)?;
    let micros = hours.checked_mul(HOUR)?.checked_add(minutes * MINUTE)?;
    let micros = micros
        .checked_add(seconds.whole * SECOND)?
        .checked_add(seconds.fraction_of(SECOND)?)?;
    Some(if negative { -micros } else { micros })
}

/// The months of `years-months`.
fn years_and_months(written: &str) -> Option<i64> {
    let (negative, rest) = signed(written);
    let (years, months) = rest.split_once('-')?;
    let digits = |number: &str| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    if !digits(years) || !digits(months) {
        return None;
    }
    let months = months.parse::<i64>().ok().filter(|months| *months < 12)?;
    let months = years.parse::<i64>().ok()?.checked_mul(12)?.checked_add(months)?;
    Some(if negative { -months } else { months })
}

/// Whether a number is negative, and what stands behind its sign.
fn signed(written: &str) -> (bool, &str) {
    match written.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, written.strip_prefix('+').unwrap_or(written)),
    }
}

impl Number {
    fn read(written: &str) -> Option<Self> {
        let (negative, number) = signed(written);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let fraction = fraction.get(..FRACTION_DIGITS_MAX).unwrap_or(fraction);
        // `.5` and `5.` are numbers, a point alone is none.
        let value = |part: &str| match part.is_empty() {
            true => Some(0),
            false => part.parse::<i64>().ok(),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (whole, parts) = (value(whole)?, i128::from(value(fraction)?));
        let of = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        Some(match negative {
            true => Self {
                whole: -whole,
                parts: -parts,
                of,
            },
            false => Self { whole, parts, of },
        })
    }

    /// What its fraction is of so many, to the nearest whole number, of two as near to the even one.
    fn fraction_of(self, count: i64) -> Option<i64> {
        nearest(self.parts * i128::from(count), self.of)
    }
}

/// A quotient to the nearest whole number, of two as near to the even one.
fn nearest(dividend: i128, divisor: i128) -> Option<i64> {
    let (whole, rest) = (dividend / divisor, dividend % divisor);
    let further = match (rest.abs() * 2).cmp(&divisor) {
        Ordering::Less => false,
        Ordering::Equal => whole % 2 != 0,
        Ordering::Greater => true,
    };
    let whole = if further { whole + dividend.signum() } else { whole };
    i64::try_from(whole).ok()
}

impl Span {
    /// Adds so many of these; `None` if they are too many.
    fn add(&mut self, number: Number, of: Unit) -> Option<()> {
        match of {
            Unit::Microsecond => self.add_micros(number, 1),
            Unit::Millisecond => self.add_micros(number, 1000),
            Unit::Second => self.add_micros(number, SECOND),
            Unit::Minute => self.add_micros(number, MINUTE),
            Unit::Hour => self.add_micros(number, HOUR),
            Unit::Day => self.add_days(number, number.whole, 1),
            Unit::Week => self.add_days(number, number.whole.checked_mul(7)?, 7),
            Unit::Month => {
                self.months = self.months.checked_add(number.whole)?;
                self.add_days(number, 0, 30)
            }
            Unit::Year => self.add_months(number, 12),
            Unit::Decade => self.add_months(number, 120),
            Unit::Century => self.add_months(number, 1200),
            Unit::Millennium => self.add_months(number, 12_000),
        }
    }

    fn add_micros(&mut self, number: Number, each: i64) -> Option<()> {
        let micros = number.whole.checked_mul(each)?;
        let micros = micros.checked_add(number.fraction_of(each)?)?;
        self.micros = self.micros.checked_add(micros)?;
        Some(())
    }

    /// Adds whole days, and a fraction of so many days, which has hours.
    fn add_days(&mut self, number: Number, whole: i64, each: i64) -> Option<()> {
        let product = number.parts * i128::from(each);
        let days = i64::try_from(product / number.of).ok()?;
        self.days = self.days.checked_add(whole)?.checked_add(days)?;
        let micros = nearest((product % number.of) * i128::from(DAY), number.of)?;
        self.micros = self.micros.checked_add(micros)?;
        Some(())
    }

    fn add_months(&mut self, number: Number, each: i64) -> Option<()> {
        let months = number.whole.checked_mul(each)?;
        let months = months.checked_add(number.fraction_of(each)?)?;
        self.months = self.months.checked_add(months)?;
        Some(())
    }

    fn negated(self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            micros: self.micros.checked_neg()?,
        })
    }

    /// What is smaller than the last field is cut off. What is larger than the first one stays.
    fn of(self, fields: IntervalFields) -> Self {
        use IntervalFields as F;
        let whole = |of: i64| self.micros / of * of;
        match fields {
            F::Year => Self {
                months: self.months / 12 * 12,
                ..Self::default()
            },
            F::Month | F::YearToMonth => Self {
                months: self.months,
                ..Self::default()
            },
            F::Day => Self { micros: 0, ..self },
            F::Hour | F::DayToHour => Self {
                micros: whole(HOUR),
                ..self
            },
            F::Minute | F::DayToMinute | F::HourToMinute => Self {
                micros: whole(MINUTE),
                ..self
            },
            F::Second | F::DayToSecond | F::HourToSecond | F::MinuteToSecond => self,
        }
    }

    /// So many digits of its seconds, a half away from zero. More than six are six.
    fn rounded(self, digits: u64) -> Option<Self> {
        let digits = u32::try_from(digits.min(6)).ok()?;
        let each = 10_i64.pow(6 - digits);
        let half = if each == 1 { 0 } else { each / 2 };
        let micros = self.micros.checked_add(half * self.micros.signum())? / each * each;
        Some(Self { micros, ..self })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Expr;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    // Goal: a literal is the interval that PostgreSQL 15 reads, and its fields and digits say what is left of it; what is none stays as it is.
    // Method: literals with what PostgreSQL 15 answers, in months, days and microseconds.
    #[test]
    fn literals_are_read() {
        let minute = 60_000_000_i64;
        for (written, months, days, micros) in [
            ("'1 02:03:04'", 0, 1, 123 * minute + 4_000_000),
            ("'1-2'", 14, 0, 0),
            ("'-1-2'", -14, 0, 0),
            ("'5'", 0, 0, 5_000_000),
            ("'1 day 2'", 0, 1, 2_000_000),
            ("'2 weeks ago'", 0, -14, 0),
            ("'1 02:03 ago'", 0, -1, -123 * minute),
            ("'1 day -02:00'", 0, 1, -120 * minute),
            ("'-1 02:03'", 0, -1, 123 * minute),
            ("'02:03.5'", 0, 0, 2 * minute + 3_500_000),
            ("'1.5 months'", 1, 15, 0),
            ("'1.5 weeks'", 0, 10, 720 * minute),
            ("'-1.5 days'", 0, -1, -720 * minute),
            ("'1.25 years'", 15, 0, 0),
            ("'1 century 2 decades'", 1440, 0, 0),
            ("'1day 2hours'", 0, 1, 120 * minute),
            ("'.5 seconds'", 0, 0, 500_000),
            ("'0.30000000000000004 seconds'", 0, 0, 300_000),
            ("'@ 1 day 2 hours ago'", 0, -1, -120 * minute),
            ("'1-2 3 4:05:06'", 14, 3, 245 * minute + 6_000_000),
            ("'-1 day +02:00'", 0, -1, 120 * minute),
            ("'0.1 week'", 0, 0, 1008 * minute),
            ("'P1Y2M3DT4H'", 14, 3, 240 * minute),
            ("'1 02:03:04' DAY TO SECOND", 0, 1, 123 * minute + 4_000_000),
            ("'1 02:03:04.5' DAY TO MINUTE", 0, 1, 123 * minute),
            ("'1 2' DAY TO HOUR", 0, 1, 120 * minute),
            ("'1 2:03' DAY TO HOUR", 0, 1, 120 * minute),
            ("'2:03' HOUR TO MINUTE", 0, 0, 123 * minute),
            ("'2:03' MINUTE TO SECOND", 0, 0, 2 * minute + 3_000_000),
            ("'1-2' YEAR TO MONTH", 14, 0, 0),
            ("'5' YEAR TO MONTH", 5, 0, 0),
            ("'1 year 2 months 3 days' YEAR TO MONTH", 14, 0, 0),
            ("'18 months' YEAR", 12, 0, 0),
            ("'1.5' DAY", 0, 1, 0),
            ("'1 day 2 hours' DAY", 0, 1, 0),
            ("'-1:30' HOUR", 0, 0, -60 * minute),
            ("'P1D' DAY", 0, 1, 0),
            ("'1 day 02:03:04.567' DAY TO SECOND (2)", 0, 1, 123 * minute + 4_570_000),
            ("'-1.65' SECOND (1)", 0, 0, -1_700_000),
        ] {
            assert_eq!(
                changed(written),
                format!("INTERVAL '{months} months {days} days {micros} microseconds'"),
                "{written}"
            );
        }
        for written in [
            "''",
            "'soon'",
            "'1 2'",
            "'1 day 2 days'",
            "'1 day 02:60'",
            "'1:02:03:04'",
            "'1-12'",
            "'day'",
            "'ago 1 day'",
            "'5 ago'",
            "'1:02' WEEK",
            "'5' DAY (3)",
        ] {
            assert_eq!(changed(written), format!("INTERVAL {written}"), "{written}");
        }
    }

    fn changed(written: &str) -> String {
        let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(&format!("INTERVAL {written}"));
        let parsed = parsed.and_then(|mut parser| parser.parse_expr()).expect(written);
        let Expr::Interval(mut interval) = parsed else {
            panic!("{written} is no interval");
        };
        change(&mut interval);
        Expr::Interval(interval).to_string()
    }
}
