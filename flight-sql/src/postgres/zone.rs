//! The time zone of a session: where instants are shown, and whose days and hours they have.

use std::str::FromStr;

use chrono::{Offset, TimeZone, Utc};
use datafusion::arrow::array::timezone::Tz;

/// A zone by name or by offset.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Zone(Option<Tz>);

impl Zone {
    /// Of this name; `None` where no zone is called so.
    pub(super) fn named(name: &str) -> Option<Self> {
        if ["UTC", "GMT", "Z", "ZULU", "Etc/UTC"]
            .iter()
            .any(|utc| utc.eq_ignore_ascii_case(name))
        {
            return Some(Self(None));
        }
        // A bare number is hours east of Greenwich.
        if let Ok(hours) = name.parse::<i32>()
            && (-15..=15).contains(&hours)
        {
            let sign = if hours < 0 { '-' } else { '+' };
            return Tz::from_str(&format!("{sign}{:02}:00", hours.unsigned_abs()))
                .ok()
                .map(|zone| Self(Some(zone)));
        }
        Tz::from_str(name).ok().map(|zone| Self(Some(zone)))
    }

    /// As the query engine calls it; none of UTC.
    pub(super) fn name(self) -> Option<String> {
        self.0.map(|zone| zone.to_string())
    }

    /// Seconds east of Greenwich at this instant, given in microseconds since 1970.
    pub(super) fn offset_s(self, micros: i64) -> i32 {
        let Some(zone) = self.0 else {
            return 0;
        };
        match Utc.timestamp_micros(micros).single() {
            Some(instant) => zone
                .offset_from_utc_datetime(&instant.naive_utc())
                .fix()
                .local_minus_utc(),
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: offsets are those of the zone at that instant. Method: a zone with summer time in both halves of a year, and what
    // is no zone.
    #[test]
    fn offsets_follow_the_year() {
        let berlin = Zone::named("Europe/Berlin").expect("a zone");
        assert_eq!(berlin.offset_s(1_704_067_200_000_000), 3600);
        assert_eq!(berlin.offset_s(1_719_792_000_000_000), 7200);
        assert_eq!(Zone::named("-3").map(|zone| zone.offset_s(0)), Some(-10_800));
        assert!(Zone::named("Nowhere/Land").is_none());
    }
}
