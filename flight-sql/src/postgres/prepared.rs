//! Statements that SQL keeps: the types that `PREPARE` says, and how the values of `EXECUTE` take the places of parameters.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use tidewater_engine::reading;

use super::failure::{Failure, state};
use super::types;
use crate::placeholder::{placeholders, with_values};

/// Digits of two that a `float4` has at most; `float(n)` with more is a `float8`.
const FLOAT4_DIGITS: u32 = 24;

/// The numbers of the types that `PREPARE` says.
pub(super) fn declared(written: &[String]) -> Result<Vec<u32>, Failure> {
    let known =
        |of: &String| number(of).ok_or_else(|| Failure::new(state::NO_TYPE, format!("type \"{of}\" does not exist")));
    written.iter().map(known).collect()
}

/// The number of a type. Its digits or its length are not those of a parameter, in PostgreSQL neither.
fn number(written: &str) -> Option<u32> {
    let lower = written.to_lowercase();
    let (element, array) = match (lower.split_once('['), lower.strip_suffix(" array")) {
        (Some((element, _)), _) | (None, Some(element)) => (element, "[]"),
        (None, None) => (lower.as_str(), ""),
    };
    let (words, digits) = match element.split_once('(') {
        Some((before, after)) => {
            let (digits, behind) = after.split_once(')')?;
            (format!("{before} {behind}"), digits.trim().parse::<u32>().ok())
        }
        None => (element.to_owned(), None),
    };
    let words: Vec<&str> = words.split_whitespace().collect();
    let words = words.join(" ");
    let name = match words.as_str() {
        "decimal" | "dec" => "numeric",
        "float" if digits.is_some_and(|digits| digits <= FLOAT4_DIGITS) => "float4",
        "float" => "float8",
        "char" => "bpchar",
        other => other,
    };
    types::named(&format!("{name}{array}"))
}

/// The text of a kept statement with these values, each as one expression, of its type where that was said.
pub(super) fn filled(name: &str, sql: &str, declared: &[u32], values: &[String]) -> Result<String, Failure> {
    let wanted = placeholders(sql).max(declared.len());
    if values.len() != wanted {
        let text = format!("wrong number of parameters for prepared statement \"{name}\"");
        let detail = format!("Expected {wanted} parameters but got {}.", values.len());
        return Err(Failure::new(state::SYNTAX, text).detail(detail));
    }
    let pasted = values.iter().enumerate();
    let pasted = pasted.map(|(at, value)| expression(value, declared.get(at).copied()));
    with_values(sql, &pasted.collect::<Vec<String>>())
        .map_err(|number| Failure::new(state::SYNTAX, format!("there is no parameter ${number}")))
}

/// A value so that nothing around it binds to a part of it. It may end in a comment, hence the line.
fn expression(value: &str, declared: Option<u32>) -> String {
    let said = declared.filter(|oid| !matches!(*oid, 0 | types::UNKNOWN));
    match said.and_then(|oid| types::formatted(oid, -1)) {
        Some(of) => format!("CAST(({value}\n) AS {of})"),
        // Some places take a literal and no parentheses.
        None if is_one_token(value) => value.to_owned(),
        None => format!("({value}\n)"),
    }
}

fn is_one_token(value: &str) -> bool {
    let tokens = reading(value.len(), || {
        Tokenizer::new(&PostgreSqlDialect {}, value)
            .with_unescape(false)
            .tokenize()
    });
    tokens.is_ok_and(|tokens| tokens.len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a type is known by each of its names, whatever its digits. Method: the names that SQL has for them, and some of nothing.
    #[test]
    fn types_are_known_by_their_names() {
        for (written, oid) in [
            ("int", types::INT4),
            ("INTEGER", types::INT4),
            ("bigint", types::INT8),
            ("float8", types::FLOAT8),
            ("double  precision", types::FLOAT8),
            ("float", types::FLOAT8),
            ("float(24)", types::FLOAT4),
            ("float(25)", types::FLOAT8),
            ("numeric(10, 2)", types::NUMERIC),
            ("decimal", types::NUMERIC),
            ("varchar(3)", types::VARCHAR),
            ("character varying(3)", types::VARCHAR),
            ("char(3)", types::BPCHAR),
            ("timestamp(3) with time zone", types::TIMESTAMPTZ),
            ("timestamp", types::TIMESTAMP),
            ("pg_catalog.text", types::TEXT),
            ("int[]", 1007),
            ("text [3]", 1009),
            ("int4 array", 1007),
        ] {
            assert_eq!(declared(&[written.to_owned()]), Ok(vec![oid]), "{written}");
        }
        for written in ["", "nope", "numeric(3", "nope[]"] {
            let refused = declared(&[written.to_owned()]).expect_err(written);
            assert_eq!(refused.state, state::NO_TYPE, "{written}");
        }
    }

    // Goal: a value is one expression wherever it stands, and of the type that was said; there are as many as parameters. Method: values of
    // several words beside operators, one that ends in a comment, and counts that are wrong.
    #[test]
    fn values_are_expressions() {
        let fill = |sql: &str, declared: &[u32], values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            filled("p", sql, declared, &values)
        };
        let good: &[(&str, &[u32], &[&str], &str)] = &[
            ("SELECT 10 - $1", &[], &["1 - 2"], "SELECT 10 - (1 - 2\n)"),
            ("SELECT 3 - $1", &[], &["-5"], "SELECT 3 - (-5\n)"),
            ("SELECT $1, $1", &[], &["'it''s'"], "SELECT 'it''s', 'it''s'"),
            ("SELECT $1 LIMIT 1", &[], &["1 -- one"], "SELECT (1 -- one\n) LIMIT 1"),
            (
                "SELECT $1/2",
                &[types::FLOAT8],
                &["5"],
                "SELECT CAST((5\n) AS double precision)/2",
            ),
            ("SELECT $1", &[types::UNKNOWN], &["5"], "SELECT 5"),
            ("SELECT $1", &[1007], &["'{1}'"], "SELECT CAST(('{1}'\n) AS integer[])"),
        ];
        for (sql, said, values, expected) in good {
            assert_eq!(fill(sql, said, values).as_deref(), Ok(*expected), "{sql}");
        }
        let wrong: &[(&str, &[u32], &[&str])] = &[
            ("SELECT $1", &[], &[]),
            ("SELECT $1", &[], &["1", "2"]),
            ("SELECT 1", &[types::INT4], &[]),
            ("SELECT 1", &[], &["1"]),
        ];
        for (sql, said, values) in wrong {
            let refused = fill(sql, said, values).expect_err(sql);
            assert_eq!(refused.state, state::SYNTAX, "{sql}");
        }
    }
}
