//! Tables at a version, as Trino and Spark write them. The parser of our dialect does not know them, so each is turned into one
//! name before it parses: `t FOR VERSION AS OF 5` into `"t@5"`, with blanks behind it, so that errors point to the right place.

use std::collections::BTreeSet;

use datafusion::arrow::compute::kernels::cast_utils::string_to_datetime;
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::tokens::{self, Tokens};

/// What stands before a moment, in milliseconds, where a version of a table has one.
pub(crate) const MOMENT: char = '@';

/// What a table's name may stand behind. A version behind anything else, such as an alias, would be lost.
const BEFORE_TABLES: [&str; 17] = [
    "FROM",
    "JOIN",
    "INTO",
    "UPDATE",
    "TABLE",
    "USING",
    "ONLY",
    "LATERAL",
    "OVERWRITE",
    "MERGE",
    "TRUNCATE",
    "DESCRIBE",
    "DESC",
    "EXTENDED",
    "FORMATTED",
    "COLUMNS",
    "IN",
];

/// A statement whose tables at a version are names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) sql: String,
    /// The names that were made.
    pub(crate) names: BTreeSet<String>,
}

/// Turns every table at a version into a name.
pub(crate) fn rewrite(sql: &str, dialect: &dyn Dialect) -> Result<Versioned> {
    let unchanged = || Versioned {
        sql: sql.to_owned(),
        names: BTreeSet::new(),
    };
    let Some(tokens) = Tokens::of(sql, dialect) else {
        return Ok(unchanged());
    };
    let mut versioned = Versioned::default();
    let mut copied = 0;
    let mut rest = tokens.rest(0);
    while let Some((name, behind)) = rest.split_first() {
        let before = tokens.before(tokens.len() - rest.len());
        rest = behind;
        let (Token::Word(word), Some((kind, length))) = (&name.token, clause(rest)) else {
            continue;
        };
        if !is_table(before) {
            return plan_err!(
                "a version stands behind the name of a table, once and before its alias, which {} at {} is not",
                word.value,
                name.span.start
            );
        }
        let (version, values) = value(kind, rest.get(length..).unwrap_or_default())?;
        let Some(last) = rest.get(length + values - 1) else {
            continue;
        };
        let (begin, end) = (tokens.begin(name), tokens.end(last));
        let (Some(before), Some(clause)) = (sql.get(copied..begin), sql.get(begin..end)) else {
            return plan_err!("the version of table {} cannot be found in its statement", word.value);
        };
        let made = named(word, &version);
        let quoted = format!("\"{}\"", made.replace('"', "\"\""));
        versioned.sql.push_str(before);
        versioned.sql.push_str(&quoted);
        versioned.sql.push_str(&blanks(clause, quoted.chars().count()));
        versioned.names.insert(made);
        copied = end;
        rest = rest.get(length + values..).unwrap_or_default();
    }
    if copied == 0 {
        return Ok(unchanged());
    }
    versioned.sql.push_str(sql.get(copied..).unwrap_or_default());
    Ok(versioned)
}

/// Whether what follows these tokens can be the last part of a table's name.
fn is_table(before: &[TokenWithSpan]) -> bool {
    let mut before = before;
    while let [rest @ .., qualifier, period] = before
        && period.token == Token::Period
        && matches!(qualifier.token, Token::Word(_))
    {
        before = rest;
    }
    let Some(last) = before.last() else { return true };
    matches!(last.token, Token::Comma | Token::LParen) || BEFORE_TABLES.iter().any(|word| is(Some(last), word))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Version,
    Moment,
}

/// `[FOR] VERSION AS OF` and its like, with the number of its words.
fn clause(tokens: &[TokenWithSpan]) -> Option<(Kind, usize)> {
    let start = usize::from(is(tokens.first(), "FOR"));
    let kind = match () {
        () if is(tokens.get(start), "VERSION") || is(tokens.get(start), "SYSTEM_VERSION") => Kind::Version,
        () if is(tokens.get(start), "TIMESTAMP") || is(tokens.get(start), "SYSTEM_TIME") => Kind::Moment,
        () => return None,
    };
    let found = is(tokens.get(start + 1), "AS") && is(tokens.get(start + 2), "OF");
    found.then_some((kind, start + 3))
}

fn is(token: Option<&TokenWithSpan>, keyword: &str) -> bool {
    token.is_some_and(|token| tokens::is(token, keyword))
}

/// The version as it stands in a name, with the number of tokens it was written with.
fn value(kind: Kind, tokens: &[TokenWithSpan]) -> Result<(String, usize)> {
    let typed = kind == Kind::Moment && is(tokens.first(), "TIMESTAMP");
    let found = tokens.get(usize::from(typed));
    let version = match (kind, found.map(|found| &found.token)) {
        (Kind::Version, Some(Token::Number(number, _))) => number.clone(),
        (Kind::Version, Some(Token::SingleQuotedString(name))) => name.clone(),
        (Kind::Moment, Some(Token::SingleQuotedString(text))) => format!("{MOMENT}{}", milliseconds(text)?),
        // As Spark has it: seconds.
        (Kind::Moment, Some(Token::Number(seconds, _))) => match seconds.parse::<i64>() {
            Ok(seconds) => format!("{MOMENT}{}", seconds.saturating_mul(1_000)),
            Err(_) => return plan_err!("a table at a moment needs whole seconds, not {seconds}"),
        },
        (kind, _) => {
            let wanted = match kind {
                Kind::Version => "the number of a snapshot, or the name of a branch or a tag in quotes",
                Kind::Moment => "a timestamp in quotes",
            };
            let place = found.map_or_else(String::new, |found| format!(" at {}", found.span.start));
            return plan_err!("a table at a version needs {wanted}{place}");
        }
    };
    Ok((version, usize::from(typed) + 1))
}

/// Without a zone it is UTC, as in all of our sessions.
fn milliseconds(text: &str) -> Result<i64> {
    let plain = text.trim();
    let plain = plain.strip_suffix("UTC").map_or(plain, str::trim_end);
    let moment = string_to_datetime(&chrono::Utc, plain);
    moment
        .map(|moment| moment.timestamp_millis())
        .map_err(|error| DataFusionError::Plan(format!("{text:?} is not a timestamp: {error}")))
}

/// The name at a version; what follows a `$` is a table of its metadata.
fn named(word: &Word, version: &str) -> String {
    let name = match word.quote_style {
        None => word.value.to_lowercase(),
        Some(_) => word.value.clone(),
    };
    match name.split_once('$') {
        Some((table, part)) => format!("{table}@{version}${part}"),
        None => format!("{name}@{version}"),
    }
}

/// What keeps everything behind `clause` where it was, once so many characters stand for it.
fn blanks(clause: &str, taken: usize) -> String {
    match clause.split_once('\n') {
        None => " ".repeat(clause.chars().count().saturating_sub(taken)),
        Some((_, rest)) => {
            let rest = rest.chars().map(|c| if c == '\n' { '\n' } else { ' ' });
            std::iter::once('\n').chain(rest).collect()
        }
    }
}

#[cfg(test)]
mod tests;
