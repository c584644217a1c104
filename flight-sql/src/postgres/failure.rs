//! Errors as PostgreSQL's clients know them: a SQLSTATE, a message, a hint and a place in the statement.

use tidewater_core::{Coded, ErrorKind};
use tidewater_security::SecurityError;

use crate::error::QueryError;

/// The SQLSTATEs that are given.
pub(super) mod state {
    /// Of notices.
    pub(in crate::postgres) const SUCCESSFUL: &str = "00000";
    pub(in crate::postgres) const WARNING: &str = "01000";
    pub(in crate::postgres) const PROTOCOL: &str = "08P01";
    pub(in crate::postgres) const NOT_SUPPORTED: &str = "0A000";
    pub(in crate::postgres) const OUT_OF_RANGE: &str = "22003";
    pub(in crate::postgres) const INVALID_DATE: &str = "22007";
    pub(in crate::postgres) const DATE_OUT_OF_RANGE: &str = "22008";
    pub(in crate::postgres) const DIVISION_BY_ZERO: &str = "22012";
    pub(in crate::postgres) const INVALID_PARAMETER: &str = "22023";
    pub(in crate::postgres) const BAD_PATTERN: &str = "2201B";
    pub(in crate::postgres) const BAD_POWER: &str = "2201F";
    pub(in crate::postgres) const ARRAY_ELEMENT: &str = "2202E";
    // What SQL/JSON paths find, and do not.
    pub(in crate::postgres) const JSON_SUBSCRIPT: &str = "22033";
    pub(in crate::postgres) const JSON_NOT_NUMERIC: &str = "22036";
    pub(in crate::postgres) const JSON_NOT_ONE: &str = "22038";
    pub(in crate::postgres) const JSON_NO_ARRAY: &str = "22039";
    pub(in crate::postgres) const JSON_NO_MEMBER: &str = "2203A";
    pub(in crate::postgres) const JSON_NO_NUMBER: &str = "2203B";
    pub(in crate::postgres) const JSON_NO_OBJECT: &str = "2203C";
    pub(in crate::postgres) const INVALID_TEXT: &str = "22P02";
    pub(in crate::postgres) const INVALID_BINARY: &str = "22P03";
    pub(in crate::postgres) const NO_TRANSACTION: &str = "25P01";
    pub(in crate::postgres) const IN_TRANSACTION: &str = "25001";
    pub(in crate::postgres) const READ_ONLY_TRANSACTION: &str = "25006";
    pub(in crate::postgres) const FAILED_TRANSACTION: &str = "25P02";
    pub(in crate::postgres) const IDLE_IN_TRANSACTION: &str = "25P03";
    pub(in crate::postgres) const NO_STATEMENT: &str = "26000";
    pub(in crate::postgres) const NO_AUTHORIZATION: &str = "28000";
    pub(in crate::postgres) const BAD_PASSWORD: &str = "28P01";
    pub(in crate::postgres) const NOT_EMPTY: &str = "2BP01";
    pub(in crate::postgres) const NO_CURSOR: &str = "34000";
    pub(in crate::postgres) const NO_DATABASE: &str = "3D000";
    pub(in crate::postgres) const NO_SAVEPOINT: &str = "3B001";
    pub(in crate::postgres) const CONFLICT: &str = "40001";
    pub(in crate::postgres) const DENIED: &str = "42501";
    pub(in crate::postgres) const SYNTAX: &str = "42601";
    pub(in crate::postgres) const COLUMN_TWICE: &str = "42701";
    pub(in crate::postgres) const AMBIGUOUS_COLUMN: &str = "42702";
    pub(in crate::postgres) const NO_COLUMN: &str = "42703";
    pub(in crate::postgres) const UNKNOWN_PARAMETER: &str = "42704";
    pub(in crate::postgres) const NO_TYPE: &str = "42704";
    pub(in crate::postgres) const OBJECT_EXISTS: &str = "42710";
    pub(in crate::postgres) const GROUPING: &str = "42803";
    pub(in crate::postgres) const TYPES_DIFFER: &str = "42804";
    pub(in crate::postgres) const NO_FUNCTION: &str = "42883";
    pub(in crate::postgres) const NO_TABLE: &str = "42P01";
    pub(in crate::postgres) const NO_SUCH_KEY: &str = "42P10";
    pub(in crate::postgres) const CURSOR_EXISTS: &str = "42P03";
    pub(in crate::postgres) const STATEMENT_EXISTS: &str = "42P05";
    pub(in crate::postgres) const TABLE_EXISTS: &str = "42P07";
    pub(in crate::postgres) const EXHAUSTED: &str = "53000";
    pub(in crate::postgres) const TOO_MANY: &str = "53300";
    pub(in crate::postgres) const LIMIT: &str = "54000";
    pub(in crate::postgres) const TOO_COMPLEX: &str = "54001";
    pub(in crate::postgres) const CURSOR_FAILED: &str = "55000";
    pub(in crate::postgres) const CANNOT_CHANGE: &str = "55P02";
    pub(in crate::postgres) const CANCELLED: &str = "57014";
    pub(in crate::postgres) const SHUTDOWN: &str = "57P01";
    pub(in crate::postgres) const IDLE: &str = "57P05";
    pub(in crate::postgres) const UNAVAILABLE: &str = "58000";
    /// PostgreSQL calls it a snapshot that is too old.
    pub(in crate::postgres) const SNAPSHOT_GONE: &str = "72000";
    pub(in crate::postgres) const INTERNAL: &str = "XX000";
    pub(in crate::postgres) const CORRUPT: &str = "XX001";
}

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) state: &'static str,
    pub(super) message: String,
    /// Our own code; of a notice, more about it.
    detail: Option<String>,
    hint: Option<String>,
    /// The place in the statement, in characters from 1.
    position: Option<usize>,
}

impl Failure {
    pub(super) fn new(state: &'static str, message: impl Into<String>) -> Self {
        Self {
            state,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
        }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// A message that is out of order or no message at all: SQL-0008.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self {
            detail: Some("SQL-0008".into()),
            ..Self::new(state::PROTOCOL, message)
        }
    }

    /// The fields of its message, with this severity.
    pub(super) fn fields(&self, severity: &str) -> Vec<(u8, String)> {
        let mut fields = vec![
            (b'S', severity.to_owned()),
            (b'V', severity.to_owned()),
            (b'C', self.state.to_owned()),
            (b'M', self.message.clone()),
        ];
        fields.extend(self.detail.iter().map(|detail| (b'D', detail.clone())));
        fields.extend(self.hint.iter().map(|hint| (b'H', hint.clone())));
        fields.extend(self.position.iter().map(|position| (b'P', position.to_string())));
        fields
    }

    /// The same, found in a statement that begins so many characters into what the client sent.
    #[must_use]
    pub(super) fn behind(mut self, characters: usize) -> Self {
        self.position = self.position.map(|position| position + characters);
        self
    }

    /// What became of a statement. Internal and corrupt states are masked; the log has them, under the code that is told.
    pub(super) fn of(error: &QueryError, sql: &str) -> Self {
        let masked = matches!(error.kind(), ErrorKind::Internal | ErrorKind::Corrupt);
        let chain = error.chain();
        let state = state_of(error, &chain);
        let masked = masked && matches!(state, state::INTERNAL | state::CORRUPT);
        if masked {
            tracing::error!(code = error.code(), error = chain, "query failed");
        }
        let message = match masked {
            true => "internal error: see the server's log".to_owned(),
            false => plain(&chain).to_owned(),
        };
        Self {
            state,
            position: place(&message, sql),
            message,
            detail: Some(error.code().to_owned()),
            hint: error.hint(),
        }
    }
}

/// Without what the query engine says of every error.
fn plain(chain: &str) -> &str {
    let mut text = chain;
    let prefixes = [
        "query failed: ",
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "Arrow error: ",
        "Execution error: ",
        "External error: ",
        "This feature is not implemented: ",
        "Optimizer rule ",
    ];
    while let Some(rest) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    text
}

/// Words of the query engine's messages, which it gives no codes, and what they mean. The first that is found counts.
const WORDS: &[(&str, &str)] = &[
    ("ParserError", state::SYNTAX),
    ("TokenizerError", state::SYNTAX),
    ("sql parser error", state::SYNTAX),
    ("invalid regular expression option", state::INVALID_PARAMETER),
    ("invalid regular expression", state::BAD_PATTERN),
    ("Regular expression did not compile", state::BAD_PATTERN),
    ("regex parse error", state::BAD_PATTERN),
    ("No field named", state::NO_COLUMN),
    ("the query has two columns", state::COLUMN_TWICE),
    ("Ambiguous reference", state::AMBIGUOUS_COLUMN),
    ("is ambiguous", state::AMBIGUOUS_COLUMN),
    ("would be ambiguous", state::AMBIGUOUS_COLUMN),
    ("require unique expression names", state::AMBIGUOUS_COLUMN),
    ("must be in GROUP BY", state::GROUPING),
    ("must appear in the GROUP BY", state::GROUPING),
    ("non-aggregate values", state::GROUPING),
    ("must appear in select list", state::NO_SUCH_KEY),
    ("columns specified", state::NO_SUCH_KEY),
    ("Invalid function", state::NO_FUNCTION),
    ("function does not exist", state::NO_FUNCTION),
    ("No function matches", state::NO_FUNCTION),
    ("does not support zero arguments", state::NO_FUNCTION),
    ("Failed to coerce arguments", state::NO_FUNCTION),
    ("Unary operator '-' only supports", state::NO_FUNCTION),
    ("to be coercible", state::NO_FUNCTION),
    ("of jsonpath input", state::SYNTAX),
    (".datetime() is not supported", state::NOT_SUPPORTED),
    ("a jsonpath of more than", state::LIMIT),
    ("a jsonpath that ", state::LIMIT),
    ("a comparison of json documents that ", state::LIMIT),
    ("could not find jsonpath variable", state::UNKNOWN_PARAMETER),
    ("jsonpath array subscript", state::JSON_SUBSCRIPT),
    ("operand of unary jsonpath operator", state::JSON_NO_NUMBER),
    ("operand of jsonpath operator", state::JSON_NOT_ONE),
    ("single boolean result is expected", state::JSON_NOT_ONE),
    ("JSON object does not contain key", state::JSON_NO_MEMBER),
    ("jsonpath member accessor", state::JSON_NO_MEMBER),
    ("jsonpath wildcard member accessor", state::JSON_NO_OBJECT),
    (".keyvalue() can only be applied", state::JSON_NO_OBJECT),
    ("array accessor can only be applied", state::JSON_NO_ARRAY),
    (".size() can only be applied", state::JSON_NO_ARRAY),
    ("jsonpath item method", state::JSON_NOT_NUMERIC),
    ("Divide by zero", state::DIVISION_BY_ZERO),
    ("division by zero", state::DIVISION_BY_ZERO),
    ("DivideByZero", state::DIVISION_BY_ZERO),
    ("field value out of range", state::DATE_OUT_OF_RANGE),
    ("Unable to parse date from", state::DATE_OUT_OF_RANGE),
    ("cannot take square root", state::BAD_POWER),
    ("number of elements to trim", state::ARRAY_ELEMENT),
    ("time zone \"", state::INVALID_PARAMETER),
    ("for format()", state::INVALID_PARAMETER),
    ("format() type specifier", state::INVALID_PARAMETER),
    ("Step cannot be zero", state::INVALID_PARAMETER),
    ("cannot delete from", state::INVALID_PARAMETER),
    ("syntax for type interval", state::INVALID_DATE),
    ("Can't cast value", state::OUT_OF_RANGE),
    ("Error parsing timestamp", state::INVALID_DATE),
    ("to value of Date", state::INVALID_DATE),
    ("to value of Timestamp", state::INVALID_DATE),
    ("to value of Time", state::INVALID_DATE),
    ("malformed array literal", state::INVALID_TEXT),
    ("Cannot cast string", state::INVALID_TEXT),
    ("Cannot parse", state::INVALID_TEXT),
    ("Overflowing on", state::OUT_OF_RANGE),
    ("is out of range", state::OUT_OF_RANGE),
    ("to store in a Decimal", state::OUT_OF_RANGE),
    ("Cast error: ", state::INVALID_TEXT),
    ("Overflow happened", state::OUT_OF_RANGE),
    ("overflow", state::OUT_OF_RANGE),
    ("out of range", state::OUT_OF_RANGE),
    ("Cannot coerce", state::TYPES_DIFFER),
    ("Cannot infer common", state::TYPES_DIFFER),
];

fn state_of(error: &QueryError, chain: &str) -> &'static str {
    match error {
        QueryError::Security(SecurityError::PermissionDenied { .. } | SecurityError::NothingGranted) => {
            return state::DENIED;
        }
        QueryError::Security(SecurityError::BadStatement { .. }) => return state::SYNTAX,
        QueryError::Security(_) if error.kind() == ErrorKind::Denied => return state::BAD_PASSWORD,
        QueryError::Parameters { .. } | QueryError::BadHandle => return state::PROTOCOL,
        _ if error.is_not_admitted() => return state::TOO_MANY,
        _ => {}
    }
    match error.code() {
        // Something of that name is there already: a table or namespace, or a column, branch or tag of one.
        "TBL-0031" => return state::TABLE_EXISTS,
        "TBL-0022" => return state::OBJECT_EXISTS,
        "TBL-0038" => return state::NOT_EMPTY,
        "ENG-0020" => return state::TOO_COMPLEX,
        "ENG-0021" => return state::LIMIT,
        "ENG-0026" => return state::BAD_PATTERN,
        "ENG-0040" => return state::SNAPSHOT_GONE,
        _ => {}
    }
    let named = || {
        let missing = chain.contains("table '") && chain.contains("not found");
        let found = WORDS.iter().find(|(word, _)| chain.contains(word));
        match (missing, found) {
            (true, _) => Some(state::NO_TABLE),
            (_, Some((_, state))) => Some(*state),
            _ => None,
        }
    };
    match error.kind() {
        ErrorKind::Invalid | ErrorKind::Internal => named().unwrap_or_else(|| match error.kind() {
            ErrorKind::Internal => state::INTERNAL,
            _ => state::SYNTAX,
        }),
        ErrorKind::Unsupported => match named() {
            Some(named) if named != state::SYNTAX => named,
            _ => state::NOT_SUPPORTED,
        },
        ErrorKind::NotFound => state::NO_TABLE,
        ErrorKind::Conflict => state::CONFLICT,
        ErrorKind::Denied => state::DENIED,
        ErrorKind::Exhausted => state::EXHAUSTED,
        ErrorKind::Timeout | ErrorKind::Cancelled => state::CANCELLED,
        ErrorKind::Corrupt => state::CORRUPT,
        ErrorKind::Unavailable | ErrorKind::Fenced => state::UNAVAILABLE,
    }
}

/// Where in the statement the error lies, as far as the message tells.
fn place(message: &str, sql: &str) -> Option<usize> {
    if let Some((_, rest)) = message.rsplit_once("Line: ") {
        let (line, rest) = rest.split_once(", Column: ")?;
        let line: usize = line.trim().parse().ok()?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let column: usize = rest.get(..digits)?.parse().ok()?;
        let before: usize = sql
            .split_inclusive('\n')
            .take(line.checked_sub(1)?)
            .map(|line| line.chars().count())
            .sum();
        // The words may be those of a value: what is no place in the statement is none.
        let end = sql.chars().count() + 1;
        return before.checked_add(column).filter(|place| *place <= end);
    }
    for before in [
        "No field named ",
        "Ambiguous reference to unqualified field ",
        "Invalid function '",
        "table '",
    ] {
        let Some((_, rest)) = message.split_once(before) else {
            continue;
        };
        let name = rest.split(['\'', ' ', ',', '\n']).next()?.trim_end_matches('.');
        let last = name.rsplit('.').next()?.trim_matches('"');
        let at = word(sql, last)?;
        return Some(sql.get(..at)?.chars().count() + 1);
    }
    None
}

/// Where a word stands first.
fn word(sql: &str, word: &str) -> Option<usize> {
    let (lower, word) = (sql.to_ascii_lowercase(), word.to_ascii_lowercase());
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let mut from = 0;
    while let Some(found) = lower.get(from..)?.find(&word) {
        let at = from + found;
        let before = lower.get(..at)?.chars().next_back();
        let after = lower.get(at + word.len()..)?.chars().next();
        if !word.is_empty() && !before.is_some_and(part) && !after.is_some_and(part) {
            return Some(at);
        }
        from = at + word.chars().next()?.len_utf8();
    }
    None
}

#[cfg(test)]
mod tests {
    use datafusion::error::DataFusionError;
    use tidewater_engine::EngineError;
    use tidewater_table::{CatalogFault, TableError};

    use super::*;
    use crate::error::not_admitted;

    // Goal: messages of the query engine become SQLSTATEs, with the place where it is known. Method: its messages.
    #[test]
    fn messages_have_states() {
        let plan = |text: &str| QueryError::Engine(EngineError::from(DataFusionError::Plan(text.into())));
        let sql = "SELECT a,\n nope FROM t";
        for (text, state, position) in [
            ("No field named nope. Did you mean 'a'?", state::NO_COLUMN, Some(12)),
            ("table 'lake.gold.t' not found", state::NO_TABLE, Some(22)),
            ("Invalid function 'f'.", state::NO_FUNCTION, None),
            (
                "Unary operator '-' only supports signed numeric, interval and timestamp types",
                state::NO_FUNCTION,
                None,
            ),
            ("malformed array literal: \"{a\"", state::INVALID_TEXT, None),
            ("bigint out of range", state::OUT_OF_RANGE, None),
            (
                "Cast error: value of 18446744073709551616 is out of range Int64",
                state::OUT_OF_RANGE,
                None,
            ),
            (
                "Cast error: Cannot cast to Decimal128(38, 0). Overflowing on 1",
                state::OUT_OF_RANGE,
                None,
            ),
            (
                "Invalid argument error: 100 is too large to store in a Decimal128 of precision 2. Max is 99",
                state::OUT_OF_RANGE,
                None,
            ),
            (
                "invalid regular expression: regex parse error: Cannot parse",
                state::BAD_PATTERN,
                None,
            ),
            (
                "invalid regular expression option: \"z\"",
                state::INVALID_PARAMETER,
                None,
            ),
            ("division by zero", state::DIVISION_BY_ZERO, None),
            ("jsonpath array subscript is out of bounds", state::JSON_SUBSCRIPT, None),
            (
                "jsonpath wildcard array accessor can only be applied to an array",
                state::JSON_NO_ARRAY,
                None,
            ),
            (
                "numeric argument of jsonpath item method .double() is out of range for type double precision",
                state::JSON_NOT_NUMERIC,
                None,
            ),
            ("syntax error at end of jsonpath input", state::SYNTAX, None),
            (
                "a comparison of json documents that takes so many steps is not supported",
                state::LIMIT,
                None,
            ),
            (
                "sql parser error: Expected: x, found: y at Line: 2, Column: 2",
                state::SYNTAX,
                Some(12),
            ),
            ("something else", state::SYNTAX, None),
            (
                "Cannot cast string 'Line: 2, Column: 18446744073709551615' to value of Int32 type",
                state::INVALID_TEXT,
                None,
            ),
        ] {
            let failure = Failure::of(&plan(text), sql);
            assert_eq!((failure.state, failure.position), (state, position), "{text}");
        }
        let held = TableError::from(CatalogFault::NotEmpty {
            message: "namespace s is not empty".into(),
        });
        let held = Failure::of(&QueryError::Engine(EngineError::from(held)), "DROP SCHEMA s");
        assert_eq!(held.state, state::NOT_EMPTY);
        assert!(held.hint.is_some_and(|hint| hint.contains("CASCADE")));
        let busy = Failure::of(&QueryError::Busy { running: 3 }, sql);
        assert_eq!(busy.state, state::TOO_MANY);
        assert!(busy.fields("ERROR").contains(&(b'D', "SQL-0004".to_owned())));
        for error in not_admitted() {
            assert_eq!(Failure::of(&error, sql).state, state::TOO_MANY);
        }
        assert_eq!(
            Failure::of(&plan("No field named nope."), sql).behind(10).position,
            Some(22)
        );
    }
}
