//! `DateStyle` as PostgreSQL 15 takes it: a style in which dates are written, of which there is one here, and the order in which a date of
//! three numbers is read.

use tidewater_engine::pg_catalog::DATE_STYLE;

use crate::postgres::failure::{Failure, state};

/// The style that dates are written in.
const WRITTEN: &str = "ISO";

/// What `said` comes to where it was `now`, and `usual` when the session began, as it is shown: `ISO, DMY`.
pub(super) fn canonical(said: &str, now: &str, usual: &str) -> Result<String, Failure> {
    let invalid = |detail: String| {
        let text = format!("invalid value for parameter \"{DATE_STYLE}\": \"{said}\"");
        Failure::new(state::INVALID_PARAMETER, text).detail(detail)
    };
    let words = words(said).ok_or_else(|| invalid("List syntax is invalid.".to_owned()))?;
    let (mut style, mut order, mut before) = (None, None, now);
    for word in &words {
        let (own_style, own_order) = (style_of(word), order_of(word));
        match word.as_str() {
            "default" => before = usual,
            _ if own_style.or(own_order).is_none() => {
                return Err(invalid(format!("Unrecognized key word: \"{word}\".")));
            }
            _ => {}
        }
        let differ =
            |one: Option<&str>, other: Option<&str>| matches!((one, other), (Some(one), Some(other)) if one != other);
        if differ(style, own_style) || differ(order, own_order) {
            return Err(invalid("Conflicting \"datestyle\" specifications.".to_owned()));
        }
        (style, order) = (style.or(own_style), order.or(own_order));
    }
    let order = order.or_else(|| before.rsplit(", ").next()).unwrap_or("MDY");
    match style {
        None | Some(WRITTEN) => Ok(format!("{WRITTEN}, {order}")),
        Some(style) => {
            let text = format!("dates are written in style {WRITTEN} only, not in {style}");
            Err(Failure::new(state::NOT_SUPPORTED, text).hint(format!("SET {DATE_STYLE} = '{WRITTEN}, {order}'")))
        }
    }
}

fn style_of(word: &str) -> Option<&'static str> {
    match word {
        "iso" => Some(WRITTEN),
        "sql" => Some("SQL"),
        "german" => Some("German"),
        word if word.starts_with("postgres") => Some("Postgres"),
        _ => None,
    }
}

fn order_of(word: &str) -> Option<&'static str> {
    match word {
        "ymd" => Some("YMD"),
        "dmy" => Some("DMY"),
        "mdy" | "us" => Some("MDY"),
        word if word.starts_with("euro") => Some("DMY"),
        word if word.starts_with("noneuro") => Some("MDY"),
        _ => None,
    }
}

/// The words of a list, in quotes or without, in small letters; `None` for what is no list.
fn words(list: &str) -> Option<Vec<String>> {
    if list.trim().is_empty() {
        return Some(Vec::new());
    }
    let word = |part: &str| {
        let part = part.trim();
        let quoted = part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let word = quoted.unwrap_or(part);
        let is_word = !word.is_empty() && !word.contains(|letter: char| letter.is_whitespace() || letter == '"');
        is_word.then(|| word.to_lowercase())
    };
    list.split(',').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: what is said is shown as PostgreSQL 15 shows it, and what it refuses is refused. Method: each of its words, alone and together,
    // after another order.
    #[test]
    fn styles_are_shown_in_one_form() {
        for (said, expected) in [
            ("ISO", "ISO, YMD"),
            ("iso, dmy", "ISO, DMY"),
            ("DMY,ISO", "ISO, DMY"),
            ("MDY", "ISO, MDY"),
            ("US", "ISO, MDY"),
            ("European", "ISO, DMY"),
            ("NonEuropean", "ISO, MDY"),
            ("\"iso\",   Ymd", "ISO, YMD"),
            ("DMY, dmy", "ISO, DMY"),
            ("default", "ISO, MDY"),
            ("DMY, default", "ISO, DMY"),
            ("default, DMY", "ISO, DMY"),
            ("", "ISO, YMD"),
        ] {
            let shown = canonical(said, "ISO, YMD", "ISO, MDY");
            assert_eq!(shown.expect(said), expected, "{said}");
        }
        for (said, refused) in [
            ("x", state::INVALID_PARAMETER),
            ("ISO8601", state::INVALID_PARAMETER),
            ("ISO DMY", state::INVALID_PARAMETER),
            ("ISO,", state::INVALID_PARAMETER),
            ("ISO, SQL", state::INVALID_PARAMETER),
            ("MDY, DMY", state::INVALID_PARAMETER),
            ("SQL, MDY", state::NOT_SUPPORTED),
            ("German", state::NOT_SUPPORTED),
            ("Postgres", state::NOT_SUPPORTED),
        ] {
            let error = canonical(said, "ISO, YMD", "ISO, MDY").expect_err(said);
            assert_eq!(error.state, refused, "{said}");
        }
    }
}
