use datafusion::arrow::datatypes::{DataType, Field, Schema};
use iceberg::TableUpdate;
use serde_json::json;
use tidewater_core::reserved::holds_deleted_keys;
use tidewater_table::{CommitOutcome, TableCommit};

use super::*;
use crate::testing::{Lake, change, log_columns, patient, table_name};
use crate::{ModelRun, Pipelines, RunOptions, Selection};

const ROWS: &str = "/*---\nkind: table\n---*/ SELECT id FROM silver.secret";
const CHANGES: &str = "/*---\nkind: cdc\nsource: bronze.patients\nkey: id\n---*/\n";
const GRAVES: &str = "ops.tombstones__silver__patients";

async fn run(pipelines: &Pipelines) -> ModelRun {
    let report = pipelines.run(&Selection::All, RunOptions::default()).await;
    let report = report.expect("a run");
    report.models.into_iter().next().expect("one model")
}

fn code(run: &ModelRun) -> Option<&str> {
    run.failure.as_ref().map(|failure| failure.code.as_str())
}

async fn update(lake: &Lake, table: &str, update: TableUpdate) {
    let commit = TableCommit {
        name: table_name(table),
        requirements: Vec::new(),
        updates: vec![update],
    };
    let outcome = lake.catalog.commit(vec![commit]).await.expect("an answer");
    assert!(matches!(outcome, CommitOutcome::Committed(_)), "{outcome:?}");
}

async fn mark(lake: &Lake, table: &str, key: &str, value: &str) {
    let updates = [(key.to_owned(), value.to_owned())].into();
    update(lake, table, TableUpdate::SetProperties { updates }).await;
}

async fn unmark(lake: &Lake, table: &str, key: &str) {
    let removals = vec![key.to_owned()];
    update(lake, table, TableUpdate::RemoveProperties { removals }).await;
}

fn columns(name: &str) -> Schema {
    Schema::new(vec![Field::new(name, DataType::Int64, true)])
}

/// Rows that a model reads.
async fn secret() -> Lake {
    let lake = Lake::new();
    lake.create("silver.secret", &columns("id")).await;
    lake.append("silver.secret", &[json!({"id": 1}), json!({"id": 2})])
        .await;
    lake
}

// Goal: where grants bind, a model gives its rows to no table that somebody put there before its first run, until that one is marked; what it
// makes itself is marked. Method: a table of the model's name, runs before and after it is marked, and one that makes the table.
#[tokio::test]
async fn rows_do_not_go_into_tables_of_others() {
    let lake = secret().await;
    lake.create("gold.summary", &columns("zzz")).await;
    lake.catalog.bind();
    let model = lake.pipelines(&[("gold.summary", ROWS)]);
    assert_eq!(code(&run(&model).await), Some("PIP-0025"));
    let table = lake.load("gold.summary").await;
    assert_eq!(table.metadata.snapshots().len(), 0);
    assert!(table.metadata.current_schema().field_by_name("id").is_none());
    mark(&lake, "gold.summary", MODEL_KIND_KEY, "table").await;
    assert_eq!(code(&run(&model).await), None);
    assert_eq!(lake.lines("SELECT id FROM gold.summary ORDER BY id").await, ["1", "2"]);
    let own = lake.pipelines(&[("gold.own", ROWS)]);
    assert_eq!(code(&run(&own).await), None);
    let made = lake.load("gold.own").await;
    assert_eq!(
        made.metadata.properties().get(MODEL_KIND_KEY).map(String::as_str),
        Some("table")
    );
}

// Goal: a table that a model took before anything was granted stays its table. Method: one that was there first, a run, and another where
// grants bind.
#[tokio::test]
async fn tables_that_were_taken_before_stay() {
    let lake = secret().await;
    lake.create("gold.summary", &columns("id")).await;
    let model = lake.pipelines(&[("gold.summary", ROWS)]);
    assert_eq!(code(&run(&model).await), None);
    lake.catalog.bind();
    lake.append("silver.secret", &[json!({"id": 3})]).await;
    assert_eq!(code(&run(&model).await), None);
    assert_eq!(
        lake.lines("SELECT id FROM gold.summary ORDER BY id").await,
        ["1", "2", "3"]
    );
}

// Goal: deleted keys go into no table of somebody else, and are read from none; the tables of earlier versions, which have no mark, go on.
// Method: a table of their name before a model's first run, and one that the model made and that lost its mark, each where grants bind.
#[tokio::test]
async fn deleted_keys_do_not_go_into_tables_of_others() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 1, Some("a"))])
        .await;
    lake.create(GRAVES, &columns("zzz")).await;
    lake.catalog.bind();
    let model = lake.pipelines(&[("silver.patients", CHANGES)]);
    assert_eq!(code(&run(&model).await), Some("PIP-0025"));

    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    let model = lake.pipelines(&[("silver.patients", CHANGES)]);
    let created = [change("c", 1, 0, 1, 1, Some("a")), change("c", 2, 1, 2, 2, Some("b"))];
    lake.append("bronze.patients", &created).await;
    assert_eq!(code(&run(&model).await), None);
    lake.append("bronze.patients", &[change("d", 3, 2, 1, 0, None)]).await;
    assert_eq!(code(&run(&model).await), None);
    let made = lake.load(GRAVES).await;
    let told = made.metadata.properties().get(TOMBSTONES_OF_KEY);
    assert_eq!(told.map(String::as_str), Some("silver.patients"));
    // By this nobody is let at them.
    assert!(holds_deleted_keys(made.name.namespace().levels(), made.name.name()));
    unmark(&lake, GRAVES, TOMBSTONES_OF_KEY).await;
    lake.catalog.bind();
    lake.append("bronze.patients", &[change("d", 4, 3, 2, 0, None)]).await;
    assert_eq!(code(&run(&model).await), None);
    let deleted = lake.lines(&format!("SELECT id FROM {GRAVES} ORDER BY id")).await;
    assert_eq!(deleted, ["1", "2"]);
}
