//! Tombstones of models whose keys change.

use datafusion::arrow::datatypes::{DataType, Field};
use tidewater_table::schema;

use super::{MODEL, run};
use crate::Mode;
use crate::testing::{Lake, change, log_columns, patient, table_name};

const TOMBSTONES: &str = "SELECT id, _lsn FROM ops.tombstones__silver__patients ORDER BY id";

// Goal: deletes of keys that became wider are remembered. Method: int becomes bigint in the log after the first delete; then a key beyond
// int comes, goes, and comes back late.
#[tokio::test]
async fn a_key_becomes_wider() {
    let lake = Lake::new();
    let mut narrow = patient();
    narrow[0] = Field::new("id", DataType::Int32, true);
    lake.create("bronze.patients", &log_columns(narrow)).await;
    let pipelines = lake.pipelines(&[("silver.patients", MODEL)]);
    let events = [change("c", 1, 0, 1, 1, Some("a")), change("d", 2, 1, 1, 0, None)];
    lake.append("bronze.patients", &events).await;
    run(&pipelines).await;
    assert_eq!(lake.lines(TOMBSTONES).await, ["1,2"]);

    let wanted = schema::from_arrow(&log_columns(patient()), 1).expect("a schema");
    let name = table_name("bronze.patients");
    schema::evolve_table(lake.catalog.as_ref(), &lake.store, &name, &wanted)
        .await
        .expect("an evolved table");
    let wide = 3_000_000_000;
    let events = [
        change("c", 3, 2, wide, 3, Some("w")),
        change("c", 4, 3, 5, 5, Some("e")),
    ];
    lake.append("bronze.patients", &events).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    lake.append("bronze.patients", &[change("d", 5, 4, wide, 0, None)])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(TOMBSTONES).await, ["1,2", "3000000000,5"]);
    let late = [
        change("u", 4, 5, wide, 4, Some("late")),
        change("u", 1, 6, 1, 4, Some("late")),
    ];
    lake.append("bronze.patients", &late).await;
    run(&pipelines).await;
    assert_eq!(lake.lines("SELECT id FROM silver.patients").await, ["5"]);
}

// Goal: a model that gets another key goes on, with a table of tombstones that has it. Method: a delete before and after.
#[tokio::test]
async fn a_model_gets_another_key() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    let pipelines = lake.pipelines(&[("silver.patients", MODEL)]);
    let events = [change("c", 1, 0, 1, 1, Some("a")), change("d", 2, 1, 1, 1, None)];
    lake.append("bronze.patients", &events).await;
    run(&pipelines).await;
    let changed = lake.pipelines(&[("silver.patients", &MODEL.replace("key: id\n", "key: [id, score]\n"))]);
    assert_eq!(run(&changed).await.mode, Mode::Full);
    let with_score = "SELECT id, score, _lsn FROM ops.tombstones__silver__patients ORDER BY id";
    assert_eq!(lake.lines(with_score).await, ["1,1,2"]);
    let events = [change("c", 3, 2, 2, 2, Some("b")), change("c", 4, 3, 2, 3, Some("c"))];
    lake.append("bronze.patients", &events).await;
    run(&changed).await;
    lake.append("bronze.patients", &[change("d", 5, 4, 2, 2, None)]).await;
    assert_eq!(run(&changed).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(with_score).await, ["1,1,2", "2,2,5"]);
    assert_eq!(lake.lines("SELECT id, score FROM silver.patients").await, ["2,3"]);
}
