//! How `COPY … TO STDOUT` is told to write rows, and what PostgreSQL 15 refuses of it (`ProcessCopyOptions`): rows that nobody could read
//! back.

use super::CopyOut;
use crate::postgres::failure::{Failure, state};

/// What a delimiter of texts cannot be: it would be read as part of a value or of a mark.
const NO_DELIMITERS: &str = "\\.abcdefghijklmnopqrstuvwxyz0123456789";

/// The options that have a text, as they were written.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) delimiter: Option<String>,
    pub(super) null: Option<String>,
    pub(super) quote: Option<String>,
    pub(super) escape: Option<String>,
    pub(super) encoding: Option<String>,
}

impl Said {
    /// Puts them into a `COPY` whose form is known.
    pub(super) fn put(self, copy: &mut CopyOut) -> Result<(), Failure> {
        if copy.binary && (copy.csv || copy.header || self.delimiter.is_some() || self.null.is_some()) {
            let text = "COPY in binary is no CSV and has no delimiter, no header and no null of its own";
            return Err(Failure::new(state::SYNTAX, text));
        }
        for (what, said) in [("quote", &self.quote), ("escape", &self.escape)] {
            if said.is_some() && !copy.csv {
                return Err(unsupported(format!("COPY {what} available only in CSV mode")));
            }
        }
        if let Some(encoding) = self.encoding {
            let plain: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
            if !["utf8", "unicode"].contains(&plain.to_lowercase().as_str()) {
                return Err(unsupported(format!("COPY writes UTF8, not \"{encoding}\"")));
            }
        }
        copy.delimiter = match self.delimiter {
            Some(said) => one("delimiter", &said)?,
            None if copy.csv => ',',
            None => '\t',
        };
        copy.null = match self.null {
            Some(said) => said,
            None if copy.csv => String::new(),
            None => "\\N".to_owned(),
        };
        copy.quote = self.quote.map_or(Ok('"'), |said| one("quote", &said))?;
        copy.escape = self.escape.map_or(Ok(copy.quote), |said| one("escape", &said))?;
        if matches!(copy.delimiter, '\n' | '\r') {
            return Err(wrong("COPY delimiter cannot be newline or carriage return"));
        }
        if copy.null.contains(['\n', '\r']) {
            return Err(wrong("COPY null representation cannot use newline or carriage return"));
        }
        if !copy.csv && NO_DELIMITERS.contains(copy.delimiter) {
            return Err(wrong(format!("COPY delimiter cannot be \"{}\"", copy.delimiter)));
        }
        if copy.csv && copy.delimiter == copy.quote {
            return Err(wrong("COPY delimiter and quote must be different"));
        }
        if copy.null.contains(copy.delimiter) {
            return Err(unsupported("COPY delimiter must not appear in the NULL specification"));
        }
        if copy.csv && copy.null.contains(copy.quote) {
            return Err(unsupported(
                "CSV quote character must not appear in the NULL specification",
            ));
        }
        Ok(())
    }
}

/// A text that has to be one byte.
fn one(what: &str, said: &str) -> Result<char, Failure> {
    let mut letters = said.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii() => Ok(letter),
        _ => Err(unsupported(format!("COPY {what} must be a single one-byte character"))),
    }
}

fn wrong(text: impl Into<String>) -> Failure {
    Failure::new(state::INVALID_PARAMETER, text)
}

/// What `COPY` does not do.
pub(super) fn unsupported(text: impl Into<String>) -> Failure {
    Failure::new(state::NOT_SUPPORTED, text)
}

#[cfg(test)]
mod tests {
    use super::super::{What, sentences};
    use super::*;

    // Goal: rows are written as they were asked for. Method: each option, in either way to write them.
    #[test]
    fn options_are_taken() {
        for (options, (delimiter, null, quote, escape)) in [
            ("", ('\t', "\\N", '"', '"')),
            ("CSV", (',', "", '"', '"')),
            ("(FORMAT csv, QUOTE '''')", (',', "", '\'', '\'')),
            ("CSV QUOTE AS '$' ESCAPE AS E'\\\\'", (',', "", '$', '\\')),
            ("(DELIMITER '|', NULL 'n/a', ENCODING 'UTF-8')", ('|', "n/a", '"', '"')),
            ("(DELIMITER E'\\x01', ENCODING 'utf8')", ('\u{1}', "\\N", '"', '"')),
            ("(NULL E'\\\\t')", ('\t', "\\t", '"', '"')),
        ] {
            let sql = format!("COPY t TO STDOUT {options}");
            let found = sentences(&sql).expect(options);
            let Some(What::CopyOut(copy)) = found.first().map(|sentence| &sentence.what) else {
                panic!("{options} is a copy");
            };
            let told = (copy.delimiter, copy.null.as_str(), copy.quote, copy.escape);
            assert_eq!(told, (delimiter, null, quote, escape), "{options}");
        }
    }

    // Goal: formats and headers are taken in each way to write them. Method: words, texts and numbers, and nothing.
    #[test]
    fn forms_are_taken() {
        for (options, (csv, binary, header)) in [
            ("", (false, false, false)),
            ("(FORMAT text)", (false, false, false)),
            ("(FORMAT 'csv')", (true, false, false)),
            ("(FORMAT CSV, HEADER)", (true, false, true)),
            ("(HEADER 0, FORMAT csv)", (true, false, false)),
            ("(FORMAT csv, HEADER 1)", (true, false, true)),
            ("(FORMAT csv, HEADER 'on')", (true, false, true)),
            ("(FORMAT csv, HEADER OFF)", (true, false, false)),
            ("CSV HEADER DELIMITER ';'", (true, false, true)),
            ("(FORMAT 'binary')", (false, true, false)),
        ] {
            let found = sentences(&format!("COPY t TO STDOUT {options}")).expect(options);
            let Some(What::CopyOut(copy)) = found.first().map(|sentence| &sentence.what) else {
                panic!("{options} is a copy");
            };
            assert_eq!((copy.csv, copy.binary, copy.header), (csv, binary, header), "{options}");
        }
    }

    // Goal: what could not be read back, or is not done, is refused as PostgreSQL refuses it. Method: each of its rules.
    #[test]
    fn options_are_refused() {
        for (options, expected) in [
            ("(DELIMITER 'ab')", state::NOT_SUPPORTED),
            ("(DELIMITER '')", state::NOT_SUPPORTED),
            ("(DELIMITER '§')", state::NOT_SUPPORTED),
            ("(DELIMITER '\\')", state::INVALID_PARAMETER),
            ("(DELIMITER 'a')", state::INVALID_PARAMETER),
            ("(DELIMITER E'\\n')", state::INVALID_PARAMETER),
            ("CSV DELIMITER '\"'", state::INVALID_PARAMETER),
            ("(NULL E'a\\nb')", state::INVALID_PARAMETER),
            ("(DELIMITER '|', NULL '|')", state::NOT_SUPPORTED),
            ("CSV NULL '\"'", state::NOT_SUPPORTED),
            ("(QUOTE '\"')", state::NOT_SUPPORTED),
            ("(ESCAPE '\"')", state::NOT_SUPPORTED),
            ("CSV QUOTE '\"\"'", state::NOT_SUPPORTED),
            ("CSV ESCAPE ''", state::NOT_SUPPORTED),
            ("(FORMAT csv, HEADER match)", state::NOT_SUPPORTED),
            ("(FORMAT csv, FORCE_QUOTE *)", state::NOT_SUPPORTED),
            ("CSV FORCE QUOTE a", state::NOT_SUPPORTED),
            ("(ENCODING 'latin1')", state::NOT_SUPPORTED),
            ("(FORMAT binary, DELIMITER '|')", state::SYNTAX),
            ("(FORMAT binary, NULL '')", state::SYNTAX),
            ("(NOPE 'x')", state::SYNTAX),
            ("(FORMAT 'CSV')", state::INVALID_PARAMETER),
            ("(FORMAT csv, HEADER 'match')", state::NOT_SUPPORTED),
            ("(FORMAT csv, HEADER 2)", state::SYNTAX),
        ] {
            let refused = sentences(&format!("COPY t TO STDOUT {options}")).expect_err(options);
            assert_eq!(refused.state, expected, "{options}");
        }
    }
}
