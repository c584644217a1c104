//! How old an answer about a table may be: a choice of the table, which says nothing unless somebody chooses.

use std::collections::HashMap;
use std::time::Duration;

use crate::error::{EngineError, Result};

/// Property of a table: kept results may be given so long after the table has moved on, as `30s`, `5m` or `1h`.
pub const MAX_STALENESS_KEY: &str = "tidewater.cache.max-staleness";

/// The longest time that a table may choose: what may be older is a table of its own, which somebody fills.
pub const STALENESS_MAX: Duration = Duration::from_secs(3_600);

/// What a table's properties choose. What is no such time counts as no choice: other engines write properties too.
pub(super) fn chosen(properties: &HashMap<String, String>) -> Option<Duration> {
    let chosen = properties.get(MAX_STALENESS_KEY).and_then(|value| parse(value));
    chosen.filter(|chosen| !chosen.is_zero())
}

/// Refuses properties of a statement that choose no such time.
pub(crate) fn check<'a>(properties: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<()> {
    for (key, value) in properties {
        if key == MAX_STALENESS_KEY && parse(value).is_none() {
            return Err(EngineError::statement(format!(
                "{MAX_STALENESS_KEY} is a time such as 30s, 5m or 1h, of an hour at most, and not '{value}'"
            )));
        }
    }
    Ok(())
}

fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        // Nothing is nothing in every unit.
        "" if number == 0 => 1,
        _ => return None,
    };
    let time = Duration::from_millis(number.checked_mul(factor)?);
    (time <= STALENESS_MAX).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a table chooses a time within the limit or none. Method: times with each unit, at the limit and over it, and what is no time.
    #[test]
    fn times_are_read_within_the_limit() {
        let chosen = |value: &str| {
            let properties = HashMap::from([(MAX_STALENESS_KEY.to_owned(), value.to_owned())]);
            (chosen(&properties), check(&properties).is_ok())
        };
        for (value, milliseconds) in [
            ("1500ms", 1_500),
            ("30s", 30_000),
            (" 5 m ", 300_000),
            ("5min", 300_000),
            ("1h", 3_600_000),
            ("3600s", 3_600_000),
        ] {
            assert_eq!(
                chosen(value),
                (Some(Duration::from_millis(milliseconds)), true),
                "{value}"
            );
        }
        for value in ["0", "0s"] {
            assert_eq!(chosen(value), (None, true), "{value}");
        }
        let wrong = [
            "",
            "30",
            "-1s",
            "1.5s",
            "61m",
            "3601s",
            "1d",
            "soon",
            "99999999999999999999s",
        ];
        for value in wrong {
            assert_eq!(chosen(value), (None, false), "{value}");
        }
        assert_eq!(super::chosen(&HashMap::new()), None);
    }
}
