//! Names as clients send them: checked once, at the edge.
//!
//! Wider than [`tidewater_core::TableName`]: Iceberg clients may use dots and spaces in a level, tidewater's own SQL names may not.

use crate::command::Ident;
use crate::error::{CatalogError, Result};
use tidewater_core::limits::{NAME_BYTES_MAX, NAMESPACE_LEVELS_MAX};

/// Joins the levels of a namespace in a path or a query parameter, whatever else is advertised.
const LEVEL_SEPARATOR: char = '\u{1f}';

/// What clients are told to join levels with: some proxies and servers refuse control characters in a path. No name may hold it.
pub(crate) const ADVERTISED_SEPARATOR: char = '*';

/// How much of a refused name is shown.
const SHOWN_CHARS: usize = 60;

/// Splits and checks a namespace as it stands in a path.
pub(crate) fn parse_namespace(joined: &str) -> Result<Vec<String>> {
    checked_namespace(
        joined
            .split([LEVEL_SEPARATOR, ADVERTISED_SEPARATOR])
            .map(str::to_owned)
            .collect(),
    )
}

/// Checks the levels of a namespace.
pub(crate) fn checked_namespace(levels: Vec<String>) -> Result<Vec<String>> {
    if levels.is_empty() {
        return Err(refused("", "a namespace has at least one level"));
    }
    if levels.len() > NAMESPACE_LEVELS_MAX {
        return Err(refused(&levels.join("."), "it has more than 8 levels"));
    }
    levels.iter().try_for_each(|level| check(level))?;
    Ok(levels)
}

/// Checks the name of a table.
pub(crate) fn checked_ident(namespace: Vec<String>, name: String) -> Result<Ident> {
    let namespace = checked_namespace(namespace)?;
    check(&name)?;
    Ok(Ident { namespace, name })
}

fn check(name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 255 bytes"
    } else if name.split('.').any(str::is_empty) {
        // This covers `.`, `..`, and names that would read as another name once joined by dots.
        "it begins or ends with a dot or has two in a row"
    } else if name.trim() != name {
        "it begins or ends with a blank"
    } else if name.chars().any(is_forbidden) {
        "it holds a control character, a separator, a wildcard or a quote"
    } else {
        return Ok(());
    };
    Err(refused(name, reason))
}

/// Not to be seen, or not to be told from a separator.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(
            c,
            '\u{2044}' | '\u{2215}' | '\u{ff0f}' | '\u{29f8}' | '\u{fe68}' | '\u{ff3c}' | '\u{2024}' | '\u{ff0e}'
        )
}

fn is_forbidden(c: char) -> bool {
    let separates = matches!(c, '/' | '\\' | '%' | '*' | '?' | '#' | '"' | '\'' | '`');
    separates || is_invisible(c)
}

fn refused(name: &str, reason: &'static str) -> CatalogError {
    CatalogError::BadName {
        name: name.chars().take(SHOWN_CHARS).collect(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: no name that could leave its folder or fool a reader gets in. Method: a table of good and bad names.
    #[test]
    fn hostile_names_are_refused() {
        let long = "x".repeat(256);
        for good in ["users", "größe", "a b", "v1.2", "_dead_letter", "users$snapshots"] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        let bad = [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.",
            " a",
            "a/b",
            "a\\b",
            "%2e",
            "a\0b",
            "a\nb",
            "*",
            "\u{202e}x",
            "a\u{1f}b",
        ];
        for bad in bad.into_iter().chain([long.as_str()]) {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
