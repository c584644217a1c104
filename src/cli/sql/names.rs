//! The words that the shell completes: keywords, its own commands, and the names of the catalog as its user may know them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use super::session::ask;

/// Columns that are looked at: a catalog may have more than is worth completing.
const COLUMNS_MAX: usize = 50_000;

/// How long asking for them may take; the shell can be used without.
const DEADLINE: Duration = Duration::from_secs(5);

/// Words of a list that are shown.
const WORDS_MAX: usize = 200;

const KEYWORDS: [&str; 67] = [
    "ALTER",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CALL",
    "CASE",
    "CAST",
    "COLUMN",
    "COUNT",
    "CREATE",
    "CROSS",
    "CURRENT_DATE",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FOR",
    "FROM",
    "FULL",
    "GRANT",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MERGE",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "REVOKE",
    "RIGHT",
    "ROLE",
    "SCHEMA",
    "SELECT",
    "SET",
    "SHOW",
    "TABLE",
    "THEN",
    "TRUE",
    "UNION",
    "UPDATE",
    "USING",
    "VALUES",
    "WHERE",
    "WITH",
];

const COMMANDS: [&str; 14] = [
    "\\?",
    "\\conninfo",
    "\\d",
    "\\dn",
    "\\dt",
    "\\e",
    "\\export",
    "\\i",
    "\\l",
    "\\o",
    "\\q",
    "\\refresh",
    "\\timing",
    "\\x",
];

/// Statements that make or take away names.
const CHANGES: [&str; 3] = ["CREATE", "DROP", "ALTER"];

/// Whether a statement may change what there is.
pub(super) fn changes(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    CHANGES.iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Tables and their columns by schema.
    schemas: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Names {
    /// Asks anew. Where nobody answers in time, what was known stays.
    pub(super) fn refresh(&self, runtime: &Runtime, client: &mut FlightSqlServiceClient<Channel>) {
        let fetched = runtime.block_on(async { tokio::time::timeout(DEADLINE, fetch(client)).await });
        if let Ok(Some(known)) = fetched {
            *self.lock() = known;
        }
    }

    /// Where the word before `pos` begins, and what it could become.
    pub(super) fn complete(&self, line: &str, pos: usize) -> (usize, Vec<String>) {
        let before = line.get(..pos).unwrap_or_default();
        let part = |char: char| !(char.is_alphanumeric() || matches!(char, '_' | '.' | '"' | '\\'));
        let start = before.rfind(part).map_or(0, |at| {
            at + before
                .get(at..)
                .and_then(|rest| rest.chars().next())
                .map_or(1, char::len_utf8)
        });
        let word = before.get(start..).unwrap_or_default();
        if word.starts_with('\\') {
            let commands = COMMANDS.iter().filter(|command| command.starts_with(word));
            return (start, commands.map(|command| (*command).to_owned()).collect());
        }
        let known = self.lock();
        let mut words: Vec<String> = match word.rsplit_once('.') {
            Some((of, name)) => {
                let fitting = known.within(of).into_iter().filter(|found| begins(found, name));
                fitting.map(|found| format!("{of}.{}", quoted(found))).collect()
            }
            None if word.is_empty() => Vec::new(),
            None => {
                let upper = word.chars().any(char::is_uppercase);
                let keywords = KEYWORDS.iter().filter(|keyword| begins(keyword, word));
                let keywords = keywords.map(|keyword| match upper {
                    true => (*keyword).to_owned(),
                    false => keyword.to_lowercase(),
                });
                let names = known.all().into_iter().filter(|name| begins(name, word)).map(quoted);
                let words: BTreeSet<String> = names.chain(keywords).collect();
                words.into_iter().collect()
            }
        };
        words.truncate(WORDS_MAX);
        (start, words)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The names in a schema, or the columns of a table, which may be named without its schema.
    fn within(&self, of: &str) -> BTreeSet<&str> {
        let of = of.replace('"', "");
        if let Some(tables) = self.schemas.get(&of) {
            return tables.keys().map(String::as_str).collect();
        }
        let table = match of.rsplit_once('.') {
            Some((schema, table)) => self.schemas.get(schema).and_then(|tables| tables.get(table)),
            None => self.schemas.values().find_map(|tables| tables.get(&of)),
        };
        table.into_iter().flatten().map(String::as_str).collect()
    }

    fn all(&self) -> BTreeSet<&str> {
        let schemas = self.schemas.keys();
        let tables = self.schemas.values().flat_map(BTreeMap::keys);
        let columns = self.schemas.values().flat_map(BTreeMap::values).flatten();
        schemas.chain(tables).chain(columns).map(String::as_str).collect()
    }
}

fn begins(name: &str, word: &str) -> bool {
    let word = word.trim_start_matches('"');
    name.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// A name as a statement can have it.
pub(super) fn quoted(name: &str) -> String {
    let plain = name.starts_with(|char: char| char.is_ascii_lowercase() || char == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    match plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

async fn fetch(client: &mut FlightSqlServiceClient<Channel>) -> Option<Known> {
    let sql =
        format!("SELECT table_schema, table_name, column_name FROM information_schema.columns LIMIT {COLUMNS_MAX}");
    let (_, mut rows) = ask(client, &sql).await.ok()?;
    let mut known = Known::default();
    while let Some(batch) = rows.try_next().await.ok()? {
        let columns = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
        let columns: Vec<_> = columns.collect::<Result<_, _>>().ok()?;
        let [schemas, tables, names] = columns.as_slice() else {
            return None;
        };
        let (schemas, tables, names) = (
            schemas.as_string::<i32>(),
            tables.as_string::<i32>(),
            names.as_string::<i32>(),
        );
        for row in 0..batch.num_rows() {
            let of = known.schemas.entry(schemas.value(row).to_owned()).or_default();
            let of = of.entry(tables.value(row).to_owned()).or_default();
            of.insert(names.value(row).to_owned());
        }
    }
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a word becomes what it can be where it stands. Method: keywords, names of each kind, and a name that needs quotes.
    #[test]
    fn words_are_completed() {
        let names = Names::default();
        let columns = BTreeSet::from(["appointment_id".to_owned(), "Start".to_owned()]);
        let tables = BTreeMap::from([("appointments".to_owned(), columns)]);
        names.lock().schemas.insert("silver".into(), tables);
        let complete = |line: &str| names.complete(line, line.len());
        assert_eq!(complete("sel"), (0, vec!["select".to_owned()]));
        assert_eq!(complete("SEL"), (0, vec!["SELECT".to_owned()]));
        assert_eq!(complete("select * from sil"), (14, vec!["silver".to_owned()]));
        assert_eq!(complete("from silver.a"), (5, vec!["silver.appointments".to_owned()]));
        assert_eq!(
            complete("where appointments.s"),
            (6, vec!["appointments.\"Start\"".to_owned()])
        );
        assert_eq!(complete("x, appointment_"), (3, vec!["appointment_id".to_owned()]));
        assert_eq!(complete("\\ti"), (0, vec!["\\timing".to_owned()]));
        assert_eq!(complete("select "), (7, Vec::new()));
        assert_eq!(complete("é, sel"), (4, vec!["select".to_owned()]));
        assert!(changes(" create table x") && !changes("select 1"));
    }
}
