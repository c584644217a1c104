//! Statements that change rows are written anew for the planner: what is written has to mean what was read.

use std::fs::read_dir;
use std::ops::ControlFlow;
use std::path::Path;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Statement, Value, ValueWithSpan, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// What ends literals, escapes, begins comments, and nothing of the kind.
const LETTERS: [char; 7] = ['\'', '"', '\\', '`', '-', '\n', 'x'];

/// Texts are no longer.
const LENGTH_MAX: u32 = 4;

/// Statements of the corpus that the parser reads by itself, at least.
const STATEMENTS_MIN: usize = 3_000;

fn read(sql: &str) -> Option<Statement> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).ok()?;
    statements.pop().filter(|_| statements.is_empty())
}

fn expression(sql: &str) -> Expr {
    let parser = Parser::new(&GenericDialect {}).try_with_sql(sql);
    let mut parser = parser.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let read = parser.parse_expr().unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(parser.peek_token().token.to_string(), "EOF", "{sql}");
    read
}

/// The values of a statement, from the left.
fn values(statement: &Statement) -> Vec<Value> {
    struct Values(Vec<Value>);
    impl Visitor for Values {
        type Break = ();

        fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
            self.0.push(value.value.clone());
            ControlFlow::Continue(())
        }
    }
    let mut found = Values(Vec::new());
    let _: ControlFlow<()> = statement.visit(&mut found);
    found.0
}

/// Every text of the letters.
fn texts() -> impl Iterator<Item = String> {
    (0..=LENGTH_MAX).flat_map(|length| {
        let count = LETTERS.len().pow(length);
        (0..count).map(move |mut number| {
            let letters = (0..length).map(|_| {
                let letter = LETTERS[number % LETTERS.len()];
                number /= LETTERS.len();
                letter
            });
            letters.collect()
        })
    })
}

// Goal: no text in a literal or a name becomes another one, or syntax, when a statement is written anew: a value that is bound would
// choose other rows, or what is done. Method: every text of seven letters that mean something, up to four of them, as each kind of
// literal and as a name, written and read again.
#[test]
fn texts_stay_what_they_are() {
    for text in texts() {
        for value in [
            Value::SingleQuotedString(text.clone()),
            Value::NationalStringLiteral(text.clone()),
            Value::EscapedStringLiteral(text.clone()),
            Value::UnicodeStringLiteral(text.clone()),
            Value::SingleQuotedRawStringLiteral(text.clone()),
        ] {
            // With a quote at its beginning it would begin with three, which is another kind of literal: none is read so.
            if matches!(&value, Value::SingleQuotedRawStringLiteral(raw) if raw.starts_with('\'')) {
                continue;
            }
            let Expr::Value(again) = expression(&value.to_string()) else {
                panic!("{text:?}: {value} is no value");
            };
            assert_eq!(again.value, value);
        }
        if text.is_empty() {
            continue;
        }
        let name = Expr::Identifier(Ident::with_quote('"', text));
        assert_eq!(expression(&name.to_string()), name);
    }
}

// Goal: signs that stand beside each other are not another operator, nor a comment. Method: signs written and read again.
#[test]
fn signs_stay_apart() {
    for sql in [
        "- -n",
        "- - -5",
        "- +n",
        "+ -n",
        "-(-n)",
        "a - -5",
        "a - - -b",
        "-.5",
        "~ -1",
        "NOT - -n > 0",
    ] {
        let read = expression(sql);
        assert_eq!(expression(&read.to_string()).to_string(), read.to_string(), "{sql}");
        assert!(!read.to_string().contains("--"), "{sql}: {read}");
    }
}

// Goal: a whole statement that is written anew says the same. Method: the corpus of SQL, each statement read, written and read again:
// the same values from the left, and the same text when it is written once more.
#[test]
fn statements_say_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/slt");
    let mut count = 0;
    for part in ["common", "lake"] {
        for file in read_dir(folder.join(part)).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for record in text.split("\n\n") {
                let mut lines = record
                    .lines()
                    .skip_while(|line| !line.starts_with("query ") && !line.starts_with("statement "));
                lines.next();
                let sql: Vec<&str> = lines.take_while(|line| *line != "----").collect();
                let Some(statement) = read(&sql.join("\n")) else {
                    continue;
                };
                let written = statement.to_string();
                let again = read(&written).unwrap_or_else(|| panic!("is not read again: {written}"));
                assert_eq!(values(&again), values(&statement), "{written}");
                assert_eq!(again.to_string(), written);
                count += 1;
            }
        }
    }
    assert!(count >= STATEMENTS_MIN, "{count} statements");
}
