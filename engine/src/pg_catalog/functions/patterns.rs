//! PostgreSQL's patterns for dates: `YYYY-MM-DD HH24:MI:SS`.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::number_patterns::{ordinal_end, roman_of};

/// The parts of a pattern, longest first where one begins another.
const PARTS: &[&str] = &[
    "HH24", "HH12", "HH", "MI", "SSSSS", "SSSS", "SS", "MS", "US", "FF6", "FF3", "AM", "PM", "A.M.", "P.M.", "Y,YYY",
    "YYYY", "YYY", "YY", "Y", "IYYY", "IYY", "IY", "IW", "IDDD", "ID", "I", "MONTH", "MON", "MM", "DAY", "DY", "DDD",
    "DD", "D", "WW", "W", "Q", "CC", "J", "TZH", "TZM", "TZ", "OF", "RM", "BC", "AD",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

enum Piece {
    /// A part, as it is spelled, and whether it is without padding.
    Part(&'static str, String, bool),
    Plain(String),
    /// The end of an ordinal number, in small letters or not.
    Ordinal(bool),
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    let mut fill = false;
    while let Some(first) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            (rest, fill) = (behind, true);
            continue;
        }
        if let Some(behind) = rest.strip_prefix("FX").or_else(|| rest.strip_prefix("TM")) {
            rest = behind;
            continue;
        }
        if first == '"' {
            let inner = rest.get(1..).unwrap_or_default();
            let (text, behind) = inner.split_once('"').unwrap_or((inner, ""));
            pieces.push(Piece::Plain(text.to_owned()));
            rest = behind;
            continue;
        }
        let part = PARTS.iter().find(|part| {
            rest.get(..part.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(part))
        });
        match part {
            Some(part) => {
                let (spelled, behind) = rest.split_at(part.len());
                pieces.push(Piece::Part(part, spelled.to_owned(), fill));
                rest = behind;
                // Ends of ordinal numbers.
                for end in ["th", "TH"] {
                    if let Some(behind) = rest.strip_prefix(end) {
                        pieces.push(Piece::Ordinal(end == "th"));
                        rest = behind;
                    }
                }
                fill = false;
            }
            None => {
                pieces.push(Piece::Plain(first.to_string()));
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    pieces
}

/// A moment in a pattern; `offset_s` is how far its zone is east of Greenwich.
pub(super) fn date_to_text(at: NaiveDateTime, offset_s: i32, zone: &str, pattern: &str) -> String {
    let mut out = String::new();
    for piece in pieces(pattern) {
        match piece {
            Piece::Plain(text) => out.push_str(&text),
            Piece::Ordinal(small) => {
                let end = ordinal_end(&out);
                out.push_str(&if small { end.to_owned() } else { end.to_uppercase() });
            }
            Piece::Part(part, spelled, fill) => out.push_str(&shown(at, offset_s, zone, part, &spelled, fill)),
        }
    }
    out
}

fn shown(at: NaiveDateTime, offset_s: i32, zone: &str, part: &str, spelled: &str, fill: bool) -> String {
    let padded = |number: i64, width: usize| match fill {
        true => number.to_string(),
        false => format!("{number:0width$}"),
    };
    let hour12 = i64::from(at.hour12().1);
    let year = i64::from(at.year());
    let iso = i64::from(at.iso_week().year());
    let named = |name: &str, width: usize| {
        let name = cased(name, spelled);
        match fill {
            true => name,
            false => format!("{name:<width$}"),
        }
    };
    let month = usize::try_from(at.month0())
        .ok()
        .and_then(|month| MONTHS.get(month))
        .copied()
        .unwrap_or_default();
    let weekday = at.weekday().num_days_from_sunday();
    let day = usize::try_from(weekday)
        .ok()
        .and_then(|day| DAYS.get(day))
        .copied()
        .unwrap_or_default();
    match part {
        "HH24" => padded(at.hour().into(), 2),
        "HH12" | "HH" => padded(hour12, 2),
        "MI" => padded(at.minute().into(), 2),
        "SS" => padded(at.second().into(), 2),
        "SSSS" | "SSSSS" => at.num_seconds_from_midnight().to_string(),
        "MS" | "FF3" => format!("{:03}", at.nanosecond() / 1_000_000),
        "US" | "FF6" => format!("{:06}", at.nanosecond() / 1000),
        "AM" | "PM" => cased(if at.hour() < 12 { "AM" } else { "PM" }, spelled),
        "A.M." | "P.M." => cased(if at.hour() < 12 { "A.M." } else { "P.M." }, spelled),
        "Y,YYY" => format!("{},{:03}", year / 1000, year % 1000),
        "YYYY" => padded(year, 4),
        "YYY" => padded(year % 1000, 3),
        "YY" => padded(year % 100, 2),
        "Y" => (year % 10).to_string(),
        "IYYY" => padded(iso, 4),
        "IYY" => padded(iso % 1000, 3),
        "IY" => padded(iso % 100, 2),
        "IW" => padded(at.iso_week().week().into(), 2),
        "ID" => at.weekday().number_from_monday().to_string(),
        "MONTH" => named(month, 9),
        "MON" => cased(month.get(..3).unwrap_or(month), spelled),
        "MM" => padded(at.month().into(), 2),
        "DAY" => named(day, 9),
        "DY" => cased(day.get(..3).unwrap_or(day), spelled),
        "DDD" => padded(at.ordinal().into(), 3),
        "IDDD" => {
            let week = i64::from(at.iso_week().week());
            padded((week - 1) * 7 + i64::from(at.weekday().number_from_monday()), 3)
        }
        "DD" => padded(at.day().into(), 2),
        "D" => (weekday + 1).to_string(),
        "WW" => padded((i64::from(at.ordinal()) - 1) / 7 + 1, 2),
        "W" => ((at.day() - 1) / 7 + 1).to_string(),
        "Q" => ((at.month() - 1) / 3 + 1).to_string(),
        "CC" => padded((year - 1) / 100 + 1, 2),
        "J" => (i64::from(at.num_days_from_ce()) + 1_721_425).to_string(),
        "TZ" => cased(zone, spelled),
        "OF" | "TZH" => {
            let (sign, seconds) = (if offset_s < 0 { '-' } else { '+' }, offset_s.unsigned_abs());
            match part == "OF" && seconds % 3600 != 0 {
                true => format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60),
                false => format!("{sign}{:02}", seconds / 3600),
            }
        }
        "TZM" => format!("{:02}", offset_s.unsigned_abs() / 60 % 60),
        "RM" => {
            let roman = cased(&roman_of(at.month()), spelled);
            match fill {
                true => roman,
                false => format!("{roman:<4}"),
            }
        }
        "I" => (iso % 10).to_string(),
        "BC" | "AD" => cased(if year > 0 { "AD" } else { "BC" }, spelled),
        other => other.to_owned(),
    }
}

/// In the case in which the pattern spells it.
fn cased(name: &str, spelled: &str) -> String {
    let mut letters = spelled.chars();
    match (letters.next(), letters.next()) {
        (Some(first), _) if first.is_lowercase() => name.to_lowercase(),
        (Some(_), Some(second)) if second.is_lowercase() => name.to_owned(),
        _ => name.to_uppercase(),
    }
}

/// The moment that a text tells in a pattern, with its distance from Greenwich if it says one.
pub(super) fn text_to_date(text: &str, pattern: &str) -> Option<(NaiveDateTime, Option<i32>)> {
    let (mut year, mut month, mut day) = (1_i32, 1_u32, 1_u32);
    let (mut hour, mut minute, mut second, mut micros) = (0_u32, 0_u32, 0_u32, 0_u32);
    let mut afternoon = None;
    let mut of_year = None;
    let mut offset = None;
    let mut rest = text.trim_start();
    let pieces = pieces(pattern);
    for (at, piece) in pieces.iter().enumerate() {
        let (part, spelled) = match piece {
            Piece::Part(part, spelled, _) => (*part, spelled),
            Piece::Plain(plain) => {
                // Any separator stands for any other.
                for expected in plain.chars() {
                    let Some(found) = rest.chars().next() else {
                        break;
                    };
                    if found == expected
                        || (!found.is_alphanumeric() && !matches!(found, '+' | '-' if expected.is_whitespace()))
                    {
                        rest = rest.get(found.len_utf8()..)?;
                    }
                }
                continue;
            }
            Piece::Ordinal(_) => {
                rest = rest.trim_start_matches(char::is_alphabetic);
                continue;
            }
        };
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        // Digits up to the next separator, but no more than the part has where another part follows at once.
        let next_to = matches!(pieces.get(at + 1), Some(Piece::Part(..)));
        let digits = |width: usize, rest: &mut &str| {
            let limit = if next_to || width < 4 { width } else { 9 };
            let end = rest.bytes().take(limit).take_while(u8::is_ascii_digit).count();
            let (number, behind) = rest.split_at(end);
            *rest = behind;
            number.parse::<u32>().ok().map(|value| (value, end))
        };
        match part {
            "YYYY" | "IYYY" => year = i32::try_from(digits(4, &mut rest)?.0).ok()?,
            "YY" | "YYY" | "Y" => {
                let short = i32::try_from(digits(spelled.len(), &mut rest)?.0).ok()?;
                year = if short < 70 { 2000 + short } else { 1900 + short };
            }
            "MM" => month = digits(2, &mut rest)?.0,
            "DD" => day = digits(2, &mut rest)?.0,
            "DDD" => of_year = Some(digits(3, &mut rest)?.0),
            "HH24" => hour = digits(2, &mut rest)?.0,
            "HH12" | "HH" => hour = digits(2, &mut rest)?.0,
            "MI" => minute = digits(2, &mut rest)?.0,
            "SS" => second = digits(2, &mut rest)?.0,
            "MS" | "FF3" => micros = fraction(digits(3, &mut rest)?, 3) * 1000,
            "US" | "FF6" => micros = fraction(digits(6, &mut rest)?, 6),
            "MONTH" | "MON" => {
                let length = if part == "MON" { 3 } else { usize::MAX };
                let found = MONTHS.iter().position(|name| {
                    let name = name.get(..length.min(name.len())).unwrap_or(name);
                    rest.get(..name.len())
                        .is_some_and(|head| head.eq_ignore_ascii_case(name))
                })?;
                month = u32::try_from(found + 1).ok()?;
                let length = MONTHS.get(found)?.len().min(length);
                rest = rest.get(length..)?;
            }
            "DAY" | "DY" => rest = rest.trim_start_matches(char::is_alphabetic),
            "AM" | "PM" | "A.M." | "P.M." => {
                afternoon = Some(rest.starts_with(['p', 'P']));
                rest = rest.get(spelled.len().min(rest.len())..)?;
            }
            "TZH" | "OF" | "TZ" => {
                let negative = rest.starts_with('-');
                rest = rest.trim_start_matches(['+', '-']);
                let (hours, _) = digits(2, &mut rest)?;
                let minutes = match rest.strip_prefix(':') {
                    Some(behind) => {
                        rest = behind;
                        digits(2, &mut rest)?.0
                    }
                    None => 0,
                };
                let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
                offset = Some(if negative { -seconds } else { seconds });
            }
            _ => return None,
        }
    }
    match afternoon {
        Some(true) if hour < 12 => hour += 12,
        Some(false) if hour == 12 => hour = 0,
        _ => {}
    }
    let date = match of_year {
        Some(day) => NaiveDate::from_yo_opt(year, day)?,
        None => NaiveDate::from_ymd_opt(year, month, day)?,
    };
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, micros)?;
    Some((date.and_time(time), offset))
}

/// `5` in `MS` is half a second.
fn fraction((value, digits): (u32, usize), width: usize) -> u32 {
    let missing = u32::try_from(width.saturating_sub(digits)).unwrap_or_default();
    value * 10_u32.pow(missing.min(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().expect("a moment")
    }

    // Goal: patterns show what PostgreSQL 15 shows. Method: what `to_char` said for each.
    #[test]
    fn moments_are_shown_in_patterns() {
        let moment = at("2024-02-05T15:04:09.012345");
        for (pattern, shown) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "2024-02-05 15:04:09.012345"),
            ("Mon DD, YYYY", "Feb 05, 2024"),
            ("FMMonth FMDD", "February 5"),
            ("Month", "February "),
            ("DAY", "MONDAY   "),
            ("dy", "mon"),
            ("HH12:MI am", "03:04 pm"),
            ("\"Q\"Q YYYY", "Q1 2024"),
            ("IYYY-IW", "2024-06"),
            ("DDD WW W D", "036 06 1 2"),
            ("YY\"YYYY\"", "24YYYY"),
            ("FMDDth DDTH", "5th 05TH"),
            ("RM|FMrm|IDDD", "II  |ii|036"),
        ] {
            assert_eq!(date_to_text(moment, 0, "UTC", pattern), shown, "{pattern}");
        }
    }

    // Goal: texts are read by patterns as PostgreSQL 15 reads them. Method: what it made of each.
    #[test]
    fn texts_are_read_by_patterns() {
        for (text, pattern, moment) in [
            (
                "2024-01-01 00:00:00.000000",
                "YYYY-MM-DD HH24:MI:SS.US",
                "2024-01-01T00:00:00",
            ),
            ("20240131123059", "YYYYMMDDHH24MISS", "2024-01-31T12:30:59"),
            ("05 Dec 2000", "DD Mon YYYY", "2000-12-05T00:00:00"),
            ("1:05 PM", "HH12:MI AM", "0001-01-01T13:05:00"),
            ("2024/3/9", "YYYY-MM-DD", "2024-03-09T00:00:00"),
            ("12.5", "SS.MS", "0001-01-01T00:00:12.500"),
        ] {
            assert_eq!(
                text_to_date(text, pattern).map(|(moment, _)| moment),
                Some(at(moment)),
                "{text}"
            );
        }
        assert_eq!(text_to_date("2024-13-01", "YYYY-MM-DD"), None);
    }
}
