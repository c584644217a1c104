//! Changes of rows about sources that have other rows each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use tidewater_core::Coded;

use super::{MODES, done, lake, tried_with};
use crate::SessionOptions;
use crate::testing::{Lake, table_name};

/// Keys of the source.
const KEYS: i64 = 12;
/// Those of them that the table has.
const KNOWN: i64 = 10;
/// Rows of the source with each key.
const ROUNDS: i64 = 3;
/// By how many rows the source turns: the next round's row of a key comes first then, and another key.
const STEP: usize = 13;

/// Rows that come in another order each time that they are read.
#[derive(Debug)]
struct Turning {
    rows: RecordBatch,
    first: AtomicUsize,
}

impl PartitionStream for Turning {
    fn schema(&self) -> &SchemaRef {
        self.rows.schema_ref()
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let all = self.rows.num_rows();
        let first = self.first.fetch_add(STEP, Ordering::SeqCst) % all;
        let turned = [self.rows.slice(first, all - first), self.rows.slice(0, first)];
        let turned = stream::iter(turned.map(Ok::<_, DataFusionError>));
        Box::pin(RecordBatchStreamAdapter::new(self.rows.schema(), turned))
    }
}

/// A session with the source `s.src`: of each key a row of each round, all equal in `v`, and in each one third of the keys has each `d`.
fn options() -> SessionOptions {
    let rows: Vec<(i64, i64)> = (0..ROUNDS)
        .flat_map(|round| (0..KEYS).map(move |key| (key, round)))
        .collect();
    let texts = rows.iter().map(|(key, round)| text(*key, *round));
    let texts = StringArray::from_iter_values(texts);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let schema = Schema::new(vec![
        number("k"),
        number("v"),
        number("a"),
        number("d"),
        Field::new("b", DataType::Utf8, true),
    ]);
    let schema: SchemaRef = Arc::new(schema);
    let columns: Vec<ArrayRef> = vec![
        numbers(&rows, |key, _| key),
        numbers(&rows, |_, _| 0),
        numbers(&rows, value),
        numbers(&rows, |key, round| (key + round) % ROUNDS),
        Arc::new(texts),
    ];
    let turning = Turning {
        rows: RecordBatch::try_new(Arc::clone(&schema), columns).expect("rows"),
        first: AtomicUsize::new(0),
    };
    let source = StreamingTable::try_new(schema, vec![Arc::new(turning)]).expect("a table");
    SessionOptions::default().overlay(table_name("s.src"), Arc::new(source))
}

/// A column of numbers, of key and round.
fn numbers(rows: &[(i64, i64)], of: fn(i64, i64) -> i64) -> ArrayRef {
    let values = rows.iter().map(|(key, round)| of(*key, *round));
    Arc::new(Int64Array::from_iter_values(values))
}

fn value(key: i64, round: i64) -> i64 {
    100 * (round + 1) + key
}

fn text(key: i64, round: i64) -> String {
    format!("key {key} round {round}")
}

async fn table(mode: &str) -> Lake {
    let lake = lake().await;
    done(
        &lake,
        &format!("CREATE TABLE s.t (k bigint, a bigint, b string) TBLPROPERTIES ({mode})"),
    )
    .await;
    for keys in [0..KNOWN / 2, KNOWN / 2..KNOWN] {
        let values: Vec<String> = keys.map(|key| format!("({key}, -1, 'old')")).collect();
        done(&lake, &format!("INSERT INTO s.t VALUES {}", values.join(", "))).await;
    }
    lake
}

/// Rows that are gone, and rows that are one of the source's. Refuses rows that are neither that nor as they were, and keys that are
/// there twice.
async fn changes(lake: &Lake, sql: &str) -> u64 {
    let mut found = lake.lines("SELECT k, a, b FROM s.t").await;
    let all = found.len();
    found.dedup_by_key(|line| line.split(',').next().map(str::to_owned));
    assert_eq!(found.len(), all, "{sql}: a key is there twice");
    let mut changes = 0;
    for key in 0..KEYS {
        let line = found.iter().find(|line| line.starts_with(&format!("{key},")));
        let old = format!("{key},-1,old");
        changes += match line {
            Some(line) if *line == old => 0,
            Some(line) => {
                let mut whole = (0..ROUNDS).map(|round| format!("{key},{},{}", value(key, round), text(key, round)));
                assert!(whole.any(|row| row == *line), "{sql}: {line}");
                1
            }
            None => u64::from(key < KNOWN),
        };
    }
    changes
}

// Goal: a statement about a source that has other rows each time changes exactly the rows that it counts, each to a whole row of the
// source, and neither loses nor doubles one. Method: each form in each mode, several times, over a source that comes in another order each
// time that it is read; then the table's rows by key.
#[tokio::test]
async fn rows_are_asked_for_once() {
    let ties = "(SELECT k, a, b, d FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v) AS n FROM s.src) AS r WHERE n = 1)";
    let statements = [
        format!(
            "MERGE INTO s.t AS t USING {ties} AS c ON t.k = c.k WHEN MATCHED AND c.d = 1 THEN UPDATE SET a = c.a, b = c.b"
        ),
        format!(
            "MERGE INTO s.t AS t USING {ties} AS c ON t.k = c.k WHEN MATCHED AND c.d = 1 THEN DELETE \
             WHEN MATCHED AND c.d = 2 THEN UPDATE SET a = c.a, b = c.b \
             WHEN NOT MATCHED AND c.d > 0 THEN INSERT (k, a, b) VALUES (c.k, c.a, c.b)"
        ),
        "MERGE INTO s.t AS t USING (SELECT DISTINCT ON (k) k, a, b, d FROM s.src ORDER BY k) AS c ON t.k = c.k AND c.d = 0 \
         WHEN MATCHED THEN UPDATE SET a = c.a, b = c.b"
            .to_owned(),
        "MERGE INTO s.t AS t USING (SELECT k, a, b FROM s.src LIMIT 6) AS c ON t.k = c.k \
         WHEN MATCHED AND c.k < (SELECT max(k) FROM s.t) THEN UPDATE SET a = c.a, b = c.b WHEN NOT MATCHED BY SOURCE AND t.k = 3 THEN DELETE"
            .to_owned(),
        "UPDATE s.t SET a = c.a, b = c.b FROM (SELECT k, a, b FROM s.src LIMIT 1) AS c WHERE t.k = c.k".to_owned(),
        "DELETE FROM s.t WHERE k IN (SELECT k FROM s.src LIMIT 4)".to_owned(),
        "INSERT INTO s.t SELECT k, a, b FROM s.src LIMIT 5 ON CONFLICT (k) DO UPDATE SET a = excluded.a, b = excluded.b"
            .to_owned(),
    ];
    for mode in MODES {
        for sql in &statements {
            let options = options();
            let mut counted = 0;
            for _ in 0..3 {
                let lake = table(mode).await;
                let outcome = tried_with(&lake, &options, sql).await;
                let rows = outcome.unwrap_or_else(|error| panic!("{mode}: {sql}: {error:?}")).rows;
                let rows = rows.expect("a number of rows");
                assert_eq!(changes(&lake, sql).await, rows, "{mode}: {sql}");
                counted += rows;
            }
            assert!(counted > 0, "{mode}: {sql}");
        }
    }
}

// Goal: what a statement would have to be told several times even so is refused, and nothing is changed. Method: a condition of a clause
// that asks such a query, and two rows of one key.
#[tokio::test]
async fn what_cannot_be_asked_once_is_refused() {
    for mode in MODES {
        let (lake, options) = (table(mode).await, options());
        let before = lake.lines("SELECT * FROM s.t").await;
        for (sql, code) in [
            (
                "MERGE INTO s.t AS t USING (SELECT * FROM (VALUES (1), (2), (3)) AS v (k)) AS c ON t.k = c.k \
                 WHEN MATCHED AND t.k > (SELECT d FROM s.src LIMIT 1) THEN UPDATE SET a = 1",
                "ENG-0027",
            ),
            (
                "INSERT INTO s.t SELECT 77, a, b FROM s.src LIMIT 2 ON CONFLICT (k) DO NOTHING",
                "ENG-0019",
            ),
            (
                "UPDATE s.t SET a = c.a FROM (SELECT * FROM s.src LIMIT 2) AS c WHERE t.k < 5",
                "ENG-0019",
            ),
        ] {
            let refused = tried_with(&lake, &options, sql).await.expect_err(sql);
            assert_eq!(refused.code(), code, "{mode}: {sql}: {refused:?}");
            assert_eq!(lake.lines("SELECT * FROM s.t").await, before, "{mode}: {sql}");
        }
    }
}
