//! The corpus of SQL in `tests/slt`: the same statements in one process, on a cluster of three and, where the dialects meet, in
//! PostgreSQL; and through the PostgreSQL wire.

mod file;
mod postgres;

use std::collections::BTreeSet;
use std::path::Path;

use self::file::{Answer, Expected, Record, files, parse};
use self::postgres::Postgres;
use crate::kit::NodeBuilder;
use crate::kit::cluster::Cluster;
use crate::kit::sql::{Rows, Sql};

/// Statements that the corpus has at least for us: a folder that is not found must not be a success.
const STATEMENTS_MIN: usize = 6_400;

/// Statements of those that PostgreSQL's tools can ask.
const COMMON_MIN: usize = 4_900;

/// Statements that change something or read tables.
const WITH_TABLES_MIN: usize = 5_400;

/// Statements of those that executors must have run.
const ON_CLUSTER_MIN: usize = 3_000;

/// Runs the records of all files that are for these labels; what went wrong.
fn run(
    folders: &[&str],
    labels: &[&str],
    asked: impl Fn(&Record) -> bool,
    mut ask: impl FnMut(&Record) -> Result<Answer, String>,
) -> (usize, Vec<String>) {
    let only = std::env::var("TIDEWATER_SLT_FILE").unwrap_or_default();
    let (mut statements, mut wrong) = (0, Vec::new());
    for path in folders
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|path| path.to_string_lossy().contains(&only))
    {
        let records = parse(&path);
        let meant = |record: &&Record| record.is_for(labels) && asked(record);
        for record in records.iter().filter(meant) {
            statements += 1;
            let answer = ask(record);
            if let Some(said) = record.check(&answer) {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                wrong.push(format!("{name}:{}: {}\n{said}\n", record.line, record.sql));
            }
        }
    }
    (statements, wrong)
}

fn all(_: &Record) -> bool {
    true
}

/// What reads no table never leaves the process, where the corpus asks it as well.
fn has_tables(record: &Record) -> bool {
    let query = matches!(record.expected, Expected::Rows { .. });
    !query || record.sql.to_lowercase().contains("from")
}

#[expect(clippy::print_stdout, reason = "how many there were is what a run tells")]
fn judge(what: &str, min: usize, (statements, wrong): (usize, Vec<String>)) {
    println!("{what}: {statements} statements, {} wrong", wrong.len());
    assert!(
        wrong.is_empty(),
        "{what}: {} of {statements} are wrong\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let whole = std::env::var_os("TIDEWATER_SLT_FILE").is_none();
    assert!(!whole || statements >= min, "only {statements} statements");
}

fn ask(sql: &mut Sql, record: &Record) -> Result<Answer, String> {
    let rows: Rows = sql.rows(&record.sql)?;
    let count = match rows.as_slice() {
        [row] => row.first().and_then(|value| value.as_ref()?.parse().ok()),
        _ => None,
    };
    Ok(Answer { rows, count })
}

// Goal: SQL answers what its meaning, and PostgreSQL's, say it must. Method: the corpus against `tidewater up`.
#[test]
fn the_corpus_in_one_process() {
    let dir = tempfile::tempdir().unwrap();
    // Some of the statements for one thread, most for several: nearly all tables of the corpus are small.
    let node = NodeBuilder::up(dir.path())
        .config("[engine]\none_thread_rows = 3\n")
        .start();
    let mut sql = Sql::connect(&node);
    judge(
        "one process",
        STATEMENTS_MIN,
        run(&["common", "lake"], &["tidewater", "local"], all, |record| {
            ask(&mut sql, record)
        }),
    );
}

// Goal: where a statement runs changes no answer. Method: the corpus against a process that sends whatever reads a table to two others.
#[test]
#[ignore = "scripts/interop sql runs it: two minutes"]
fn the_corpus_on_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path(), 2);
    let mut sql = Sql::connect(&cluster.head);
    let (mut asked, mut there) = (0, BTreeSet::new());
    judge(
        "cluster",
        WITH_TABLES_MIN,
        run(&["common", "lake"], &["tidewater", "cluster"], has_tables, |record| {
            asked += 1;
            // The history knows the last statements only.
            if asked % 500 == 0 {
                there.extend(on_executors(&mut sql));
            }
            ask(&mut sql, record)
        }),
    );
    assert_eq!(cluster.executors.len(), 2);
    there.extend(on_executors(&mut sql));
    let (there, whole) = (there.len(), std::env::var_os("TIDEWATER_SLT_FILE").is_none());
    println!("{there} of them ran on executors");
    assert!(!whole || there >= ON_CLUSTER_MIN, "{there} statements ran on executors");
}

/// The statements that ran on executors, as far as the history goes back.
fn on_executors(sql: &mut Sql) -> Vec<String> {
    let there = sql.rows("SELECT CAST(id AS VARCHAR) FROM ops.queries WHERE route = 'cluster' AND error IS NULL");
    there.unwrap().into_iter().flatten().flatten().collect()
}

// Goal: what PostgreSQL's tools are answered is what PostgreSQL answers them. Method: the common part of the corpus through the
// PostgreSQL wire.
#[test]
#[ignore = "scripts/interop sql runs it: it needs psql"]
fn the_corpus_through_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    let mut wire = Postgres::at(node.ports().postgres);
    judge(
        "PostgreSQL wire",
        COMMON_MIN,
        run(&["common"], &["wire"], all, |record| {
            forgiving(record, wire.run(&record.sql))
        }),
    );
}

// Goal: what the corpus holds for right is what PostgreSQL answers. Method: its common part against a PostgreSQL of its own. With
// TIDEWATER_SLT_FILL=1 its answers are written into the files where none stands.
#[test]
#[ignore = "scripts/interop sql runs it: it needs PostgreSQL"]
fn the_corpus_in_postgresql() {
    let mut postgres = Postgres::up();
    if std::env::var_os("TIDEWATER_SLT_FILL").is_some() {
        for path in files("common") {
            fill(&path, &mut postgres);
        }
        postgres = Postgres::up();
    }
    judge(
        "PostgreSQL",
        COMMON_MIN,
        run(&["common"], &["postgres"], all, |record| {
            forgiving(record, postgres.run(&record.sql))
        }),
    );
}

/// Its errors have words and codes of their own.
fn forgiving(record: &Record, answer: Result<Answer, String>) -> Result<Answer, String> {
    match (&record.expected, answer) {
        (Expected::Error(part), Err(_)) => Err(part.clone()),
        (_, answer) => answer,
    }
}

/// Writes answers into a file where a query has none.
fn fill(path: &Path, postgres: &mut Postgres) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let records = parse(path);
    let answers: Vec<_> = records
        .iter()
        .map(|record| record.is_for(&["postgres"]).then(|| postgres.run(&record.sql)))
        .collect();
    for (record, answer) in records.iter().zip(answers).rev() {
        let (Expected::Rows { types, sorted, rows }, Some(Ok(answer))) = (&record.expected, answer) else {
            continue;
        };
        if rows.is_empty() {
            let mut filled = answer.lines(types, *sorted).unwrap_or_else(|wrong| vec![wrong]);
            if record.answer.start > lines.len()
                || lines
                    .get(record.answer.start.wrapping_sub(1))
                    .is_none_or(|line| line.trim_end() != "----")
            {
                filled.insert(0, "----".into());
            }
            let at = record.answer.start.min(lines.len());
            lines.splice(at..at, filled);
        }
    }
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}
