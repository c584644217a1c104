//! Texts that have one key are answered alike.

use std::collections::BTreeMap;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use tidewater_core::{Rng, SeededRng};
use tidewater_engine::SessionOptions;
use tidewater_security::Principal;

use crate::cache::Key;
use crate::handle::Statement;
use crate::service::tests::Lake;

const SEEDS: [u64; 2] = [1, 2];

const TEXTS: usize = 150;

/// What is read, and what its columns may be called by.
const TABLES: &[(&str, &[&str])] = &[
    ("numbers", &["", "numbers."]),
    ("gold.numbers", &["", "numbers.", "gold.numbers."]),
    ("numbers n", &["", "n."]),
    ("numbers AS n", &["", "n."]),
    ("gold.numbers AS n", &["", "n."]),
    ("gold.numbers \"N\"", &["", "\"N\"."]),
    ("(SELECT * FROM gold.numbers) n", &["", "n."]),
    (
        "numbers AS n CROSS JOIN (SELECT 7 AS id, 'x' AS name) numbers",
        &["n.", "numbers."],
    ),
    (
        "gold.numbers n CROSS JOIN (SELECT 7 AS id, 'x' AS name) numbers",
        &["n.", "numbers."],
    ),
];

const COLUMNS: &[&str] = &[
    "@id",
    "@id AS id",
    "@id \"ID\"",
    "@name, @id",
    "max(@id)",
    "max(@id) AS m",
    "count(*)",
    "count(@id) AS m",
];

const CONDITIONS: &[&str] = &[
    "",
    " WHERE @id > 3",
    " WHERE @id > 4",
    " WHERE 3 < @id",
    " WHERE @id > 3 AND @name <> 'n5'",
    " WHERE @name <> 'n5' AND @id > 3",
    " WHERE @name <> 'N5' AND @id > 3",
];

const SPACES: &[&str] = &[" ", " ", " ", "\n", "  ", " /* x */ ", " -- x\n"];

fn one<T: Copy>(rng: &SeededRng, of: &[T]) -> T {
    let count = u64::try_from(of.len()).expect("few");
    of[usize::try_from(rng.below(count)).expect("few")]
}

/// A text of these parts, with spaces and letters that make no difference.
fn text(rng: &SeededRng) -> String {
    let (table, names) = one(rng, TABLES);
    let (columns, condition) = (one(rng, COLUMNS), one(rng, CONDITIONS));
    let mut sql = String::new();
    let large = rng.below(2) == 0;
    let mut quoted = None;
    for letter in format!("SELECT {columns} FROM {table}{condition}").chars() {
        match letter {
            '@' => sql.push_str(one(rng, names)),
            ' ' => sql.push_str(one(rng, SPACES)),
            '\'' | '"' => {
                quoted = match quoted {
                    None => Some(letter),
                    Some(open) => Some(open).filter(|open| *open != letter),
                };
                sql.push(letter);
            }
            letter if large && quoted.is_none() => sql.push(letter.to_ascii_uppercase()),
            letter => sql.push(letter),
        }
    }
    sql
}

/// Its columns and rows, without the cache.
async fn answer(lake: &Lake, sql: &str) -> (SchemaRef, Vec<String>) {
    let service = lake.service.cached(false);
    let results = service.run(&Principal::local(), &Statement::new(sql)).await;
    let results = results.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let schema = results.schema;
    let batches: Vec<RecordBatch> = results.batches.try_collect().await.expect("rows");
    let table = pretty_format_batches(&batches).expect("printable rows").to_string();
    let mut rows: Vec<String> = table.lines().map(str::to_owned).collect();
    rows.sort();
    (schema, rows)
}

// Goal: texts with one key have the same columns, by name and type, and the same rows. Method: random texts that differ in spaces, comments,
// letters, aliases, names with their schema and without it, and conditions, each asked without the cache and compared with the first of its key;
// that many share a key, and many do not, is counted.
#[tokio::test]
async fn texts_with_one_key_have_one_answer() {
    let lake = Lake::new().await;
    for seed in SEEDS {
        let rng = SeededRng::new(seed);
        let mut first: BTreeMap<[u8; 32], (String, SchemaRef, Vec<String>)> = BTreeMap::new();
        let mut shared = 0;
        for _ in 0..TEXTS {
            let sql = text(&rng);
            let key = lake.key(&sql, Bytes::new(), &SessionOptions::default()).await;
            let Key(key) = key.unwrap_or_else(|reason| panic!("{sql}: {reason}"));
            let (schema, rows) = answer(&lake, &sql).await;
            match first.get(&key) {
                None => {
                    first.insert(key, (sql, schema, rows));
                }
                Some((other, columns, found)) => {
                    shared += usize::from(*other != sql);
                    assert_eq!(*columns, schema, "one key for\n{other}\n{sql}");
                    assert_eq!(*found, rows, "one key for\n{other}\n{sql}");
                }
            }
        }
        assert!(shared > 10, "seed {seed}: {shared} texts have another's key");
        assert!(first.len() > 50, "seed {seed}: {} keys", first.len());
    }
}
