//! A text as its statements, and those that are about the session itself.

mod copying;
mod words;

use std::sync::Arc;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use tidewater_engine::complexity::STATEMENT_BYTES_MAX;
use tidewater_engine::reading;

use self::words::Words;
use super::failure::{Failure, state};
use crate::texts::Texts;

/// One statement of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sentence {
    pub(super) sql: String,
    /// Characters before it in the text.
    pub(super) before: usize,
    pub(super) what: What,
}

/// What a word or a value of a statement takes beside its letters, about.
const WORD_BYTES: usize = 48;

impl Sentence {
    /// What it takes in memory, about: what it asks for repeats parts of its text.
    pub(super) fn bytes(&self) -> usize {
        let words = match &self.what {
            What::Prepare { types, .. } => types.len(),
            What::Execute { values, .. } => values.len(),
            _ => 0,
        };
        2 * self.sql.len() + words * WORD_BYTES
    }
}

/// What a statement asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// Rows, or a change of data: the service tells.
    Query,
    /// `BEGIN`, and the isolation that it says.
    Begin(Option<String>),
    Commit,
    Rollback,
    /// `COMMIT AND CHAIN`, or `ROLLBACK`: another block begins at once.
    Chain {
        commit: bool,
    },
    Savepoint(String),
    /// Back to a savepoint.
    RollbackTo(String),
    Release(String),
    /// `SET name = values`; none is the default. With `LOCAL` it is for the transaction.
    Set {
        name: String,
        value: Option<String>,
        local: bool,
    },
    /// `SET TRANSACTION`, and the isolation that it says.
    SetTransaction(Option<String>),
    /// `RESET`; none is all.
    Reset(Option<String>),
    /// `SHOW`; none is all.
    Show(Option<String>),
    Discard {
        all: bool,
    },
    /// `DEALLOCATE`; none is all.
    Deallocate(Option<String>),
    /// `PREPARE`, and the types of its parameters as they were written.
    Prepare {
        name: String,
        types: Vec<String>,
        sql: String,
    },
    Execute {
        name: String,
        values: Vec<String>,
    },
    Declare {
        name: String,
        sql: String,
        hold: bool,
    },
    Fetch {
        name: String,
        count: Count,
        skip: bool,
    },
    /// `CLOSE`; none is all.
    Close(Option<String>),
    CopyOut(CopyOut),
    /// Something that is taken and does nothing, with its tag.
    Nothing(&'static str),
}

impl What {
    /// Whether it ends a transaction block, or what failed in it.
    pub(super) fn ends(&self) -> bool {
        matches!(
            self,
            Self::Commit | Self::Rollback | Self::Chain { .. } | Self::RollbackTo(_)
        )
    }
}

/// How many rows of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    All,
    Rows(usize),
}

/// `COPY … TO STDOUT`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CopyOut {
    pub(super) query: String,
    pub(super) binary: bool,
    pub(super) csv: bool,
    pub(super) header: bool,
    pub(super) delimiter: char,
    pub(super) null: String,
    /// What values of CSV stand in, and what stands before it within one.
    pub(super) quote: char,
    pub(super) escape: char,
}

/// Statements of one text that is known again.
const KEPT_MAX: usize = 100;

/// Texts that were read before, with their statements.
#[derive(Debug, Clone, Default)]
pub(super) struct Scripts(Texts<Arc<[Sentence]>>);

impl Scripts {
    /// The statements of a text; those with nothing in them are left out.
    pub(super) fn sentences(&self, text: &str) -> Result<Arc<[Sentence]>, Failure> {
        if let Some(known) = self.0.get(text) {
            return Ok(known);
        }
        let found: Arc<[Sentence]> = reading(text.len(), || sentences(text))?.into();
        // Short statements take far more than their text, and texts of many are not sent over and over.
        if found.len() <= KEPT_MAX {
            self.0.add(text, Arc::clone(&found));
        }
        Ok(found)
    }
}

fn sentences(text: &str) -> Result<Vec<Sentence>, Failure> {
    if text.len() > STATEMENT_BYTES_MAX {
        let limit = format!("a message has at most {STATEMENT_BYTES_MAX} bytes of SQL");
        return Err(Failure::new(state::TOO_COMPLEX, limit));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text)
        .with_unescape(false)
        .tokenize_with_location();
    let tokens = tokens.map_err(|error| {
        let place = place(text, error.location.line, error.location.column);
        Failure::new(state::SYNTAX, error.to_string()).behind(place)
    })?;
    let starts = starts(text, &tokens);
    let mut found = Vec::new();
    let mut begin = 0;
    for at in 0..=tokens.len() {
        let end = tokens.get(at).is_none_or(|token| token.token == Token::SemiColon);
        if !end {
            continue;
        }
        let part = tokens.get(begin..at).unwrap_or_default().iter();
        let part = part.zip(starts.get(begin..at).unwrap_or_default());
        begin = at + 1;
        let (words, places): (Vec<&TokenWithSpan>, Vec<&Start>) = part.filter(|(token, _)| !blank(token)).unzip();
        let Some(first) = places.first() else {
            continue;
        };
        let to = starts.get(at).map_or(text.len(), |start| start.bytes);
        let sql = text.get(first.bytes..to).unwrap_or_default();
        let places: Vec<usize> = places.iter().map(|start| start.bytes - first.bytes).collect();
        found.push(Sentence {
            sql: sql.to_owned(),
            before: first.characters,
            what: Words::new(sql, &words, &places).read()?,
        });
    }
    Ok(found)
}

/// Where a token begins in a text.
#[derive(Debug, Clone, Copy)]
struct Start {
    characters: usize,
    bytes: usize,
}

/// Where each token begins. The text is walked through once: a text has millions of them.
fn starts(text: &str, tokens: &[TokenWithSpan]) -> Vec<Start> {
    let mut rest = text.chars();
    let (mut here, mut characters) = (Location::new(1, 1), 0);
    let begins = |token: &TokenWithSpan| {
        let place = token.span.start;
        while (here.line, here.column) < (place.line, place.column) {
            here = match rest.next() {
                None => break,
                Some('\n') => Location::new(here.line + 1, 1),
                Some(_) => Location::new(here.line, here.column + 1),
            };
            characters += 1;
        }
        Start {
            characters,
            bytes: text.len() - rest.as_str().len(),
        }
    };
    tokens.iter().map(begins).collect()
}

fn blank(token: &TokenWithSpan) -> bool {
    matches!(
        token.token,
        Token::EOF
            | Token::Whitespace(
                Whitespace::Space
                    | Whitespace::Newline
                    | Whitespace::Tab
                    | Whitespace::SingleLineComment { .. }
                    | Whitespace::MultiLineComment(_)
            )
    )
}

/// Characters before a place in a text.
fn place(text: &str, line: u64, column: u64) -> usize {
    let lines = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let before: usize = text
        .split_inclusive('\n')
        .take(lines)
        .map(|line| line.chars().count())
        .sum();
    before.saturating_add(usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> What {
        let mut found = sentences(text).expect("it can be read");
        assert_eq!(found.len(), 1, "{text}");
        found.remove(0).what
    }

    // Goal: a text is cut where its statements end and nowhere else. Method: semicolons in every other place.
    #[test]
    fn texts_are_cut() {
        let text = "SELECT ';' , \"a;b\" -- ;\n; ;\n /* ; */ SELECT $$;$$;";
        let found = sentences(text).expect("it can be read");
        let cut: Vec<&str> = found.iter().map(|sentence| sentence.sql.trim_end()).collect();
        assert_eq!(cut, ["SELECT ';' , \"a;b\" -- ;", "SELECT $$;$$"]);
        assert_eq!(text.chars().skip(found[1].before).take(6).collect::<String>(), "SELECT");
        assert_eq!(sentences(" ; -- nothing").expect("nothing"), []);
        assert_eq!(sentences("SELECT '").expect_err("no end").state, state::SYNTAX);
        let text = "SELECT 'ä€\n';\r\n\tEXECUTE \"ü\" ('𝄞', -- é\n 2) ; BEGIN";
        let found = sentences(text).expect("it can be read");
        let cut: Vec<&str> = found.iter().map(|sentence| sentence.sql.as_str()).collect();
        assert_eq!(cut, ["SELECT 'ä€\n'", "EXECUTE \"ü\" ('𝄞', -- é\n 2) ", "BEGIN"]);
        assert_eq!(found[1].before, 16);
        assert_eq!(
            found[1].what,
            What::Execute {
                name: "ü".into(),
                values: vec!["'𝄞'".into(), "2".into()],
            }
        );
    }

    // Goal: a long text is cut in no more time than it takes to read it. Method: as many statements, values and points as a message holds,
    // each of which would be looked for from the beginning.
    #[test]
    fn long_texts_are_cut_at_once() {
        let count = STATEMENT_BYTES_MAX / 16;
        let many = sentences(&"SELECT 1;".repeat(count)).expect("it can be read");
        assert_eq!(many.len(), count);
        let What::Execute { values, .. } = one(&format!("EXECUTE p ({}1)", "1, ".repeat(count))) else {
            panic!("an execution");
        };
        assert_eq!(values.len(), count + 1);
        let What::Show(Some(name)) = one(&format!("SHOW a{}", ".a".repeat(count))) else {
            panic!("a setting");
        };
        assert_eq!(name.len(), 1 + 2 * count);
    }

    // Goal: statements about the session are told from others. Method: the forms that drivers send.
    #[test]
    fn session_statements_are_known() {
        let set = |name: &str, value: &str| What::Set {
            name: name.into(),
            value: Some(value.into()),
            local: false,
        };
        for (text, what) in [
            ("BEGIN", What::Begin(None)),
            (
                "begin transaction isolation level repeatable read read only",
                What::Begin(Some("repeatable read".into())),
            ),
            ("START TRANSACTION READ ONLY", What::Begin(None)),
            (
                "START TRANSACTION ISOLATION LEVEL READ COMMITTED",
                What::Begin(Some("read committed".into())),
            ),
            ("END", What::Commit),
            ("ABORT", What::Rollback),
            ("END TRANSACTION AND CHAIN", What::Chain { commit: true }),
            ("rollback and chain", What::Chain { commit: false }),
            ("COMMIT WORK AND NO CHAIN", What::Commit),
            ("ROLLBACK TO SAVEPOINT \"S 1\"", What::RollbackTo("S 1".into())),
            ("RELEASE s", What::Release("s".into())),
            ("SET extra_float_digits = 3", set("extra_float_digits", "3")),
            ("SET SESSION TIME ZONE 'Asia/Tokyo'", set("TimeZone", "Asia/Tokyo")),
            ("SET search_path TO a, \"B\"", set("search_path", "a, \"B\"")),
            (
                "SET search_path = 'Gold', 'a,b', c",
                set("search_path", "\"Gold\", \"a,b\", c"),
            ),
            ("set application_name = 'it''s'", set("application_name", "it's")),
            ("SET statement_timeout TO -1", set("statement_timeout", "-1")),
            (
                "SET TIME ZONE DEFAULT",
                What::Set {
                    name: "TimeZone".into(),
                    value: None,
                    local: false,
                },
            ),
            (
                "SET LOCAL statement_timeout = '5s'",
                What::Set {
                    name: "statement_timeout".into(),
                    value: Some("5s".into()),
                    local: true,
                },
            ),
            (
                "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
                What::SetTransaction(Some("serializable".into())),
            ),
            ("SET TRANSACTION READ ONLY", What::SetTransaction(None)),
            (
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
                set("default_transaction_isolation", "read uncommitted"),
            ),
            (
                "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                set("default_transaction_read_only", "on"),
            ),
            (
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE",
                set("default_transaction_read_only", "off"),
            ),
            (
                "SHOW TRANSACTION ISOLATION LEVEL",
                What::Show(Some("transaction_isolation".into())),
            ),
            ("SHOW timezone", What::Show(Some("timezone".into()))),
            ("SHOW ALL", What::Show(None)),
            ("SHOW TABLES", What::Query),
            ("SHOW COLUMNS FROM t", What::Query),
            ("RESET ALL", What::Reset(None)),
            ("DISCARD ALL", What::Discard { all: true }),
            ("DEALLOCATE PREPARE x", What::Deallocate(Some("x".into()))),
            (
                "PREPARE p (int, numeric(10, 2)) AS SELECT $1",
                What::Prepare {
                    name: "p".into(),
                    types: vec!["int".into(), "numeric(10, 2)".into()],
                    sql: "SELECT $1".into(),
                },
            ),
            (
                "EXECUTE p (1, 'a,b')",
                What::Execute {
                    name: "p".into(),
                    values: vec!["1".into(), "'a,b'".into()],
                },
            ),
            (
                "DECLARE \"c\" NO SCROLL CURSOR WITH HOLD FOR SELECT 1",
                What::Declare {
                    name: "c".into(),
                    sql: "SELECT 1".into(),
                    hold: true,
                },
            ),
            (
                "FETCH FORWARD 1000 FROM c",
                What::Fetch {
                    name: "c".into(),
                    count: Count::Rows(1000),
                    skip: false,
                },
            ),
            (
                "FETCH c",
                What::Fetch {
                    name: "c".into(),
                    count: Count::Rows(1),
                    skip: false,
                },
            ),
            (
                "MOVE ALL IN c",
                What::Fetch {
                    name: "c".into(),
                    count: Count::All,
                    skip: true,
                },
            ),
            ("CLOSE ALL", What::Close(None)),
            ("SELECT 1", What::Query),
            ("WITH x AS (SELECT 1) SELECT * FROM x", What::Query),
        ] {
            assert_eq!(one(text), what, "{text}");
        }
        let What::CopyOut(copy) = one("COPY (SELECT a FROM t) TO STDOUT WITH (FORMAT csv, HEADER, DELIMITER ';')")
        else {
            panic!("a copy");
        };
        assert_eq!(
            (copy.query.as_str(), copy.csv, copy.header, copy.delimiter),
            ("SELECT a FROM t", true, true, ';')
        );
        let What::CopyOut(copy) = one("copy s.t (a, b) to stdout csv header") else {
            panic!("a copy");
        };
        assert_eq!(
            (copy.query.as_str(), copy.csv, copy.header),
            ("SELECT a, b\nFROM s.t", true, true)
        );
        for (text, query) in [
            (
                "COPY (SELECT count(*) -- all\n, max(id) FROM t -- of it\n) TO STDOUT",
                "SELECT count(*) -- all\n, max(id) FROM t -- of it",
            ),
            (
                "COPY t (a -- first\n, b -- last\n) TO STDOUT",
                "SELECT a -- first\n, b -- last\nFROM t",
            ),
        ] {
            let What::CopyOut(copy) = one(text) else {
                panic!("{text} is a copy");
            };
            assert_eq!(copy.query, query);
        }
        for text in ["COPY t FROM STDIN", "SET x", "FETCH PRIOR FROM c", "LISTEN"] {
            assert!(sentences(text).is_err(), "{text}");
        }
        for text in [
            "EXECUTE p (1,,2)",
            "EXECUTE p (,1)",
            "EXECUTE p (1,)",
            "EXECUTE p (1, (2)",
            "PREPARE p (int,) AS SELECT $1",
            "COPY (SELECT 1,,2) TO STDOUT",
        ] {
            assert_eq!(sentences(text).expect_err(text).state, state::SYNTAX);
        }
        for text in ["COPY t TO '/tmp/t.csv'", "COPY (SELECT 1) TO PROGRAM 'cat'"] {
            assert_eq!(sentences(text).expect_err(text).state, state::DENIED);
        }
    }
}
