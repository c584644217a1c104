//! Ids of rows of format 3 through the increments of a model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::prelude::col;
use iceberg::TableUpdate;
use iceberg::spec::FormatVersion;
use serde_json::json;
use tidewater_engine::{Class, LAST_UPDATED_COLUMN, PlanRunner, ROW_ID_COLUMN, SessionOptions};
use tidewater_table::{Catalog as _, TableCommit, plan_scan};

use super::{MODEL, SILVER, run};
use crate::Mode;
use crate::testing::{Journeys, Lake, change, lines, log_columns, patient};

/// `id,_row_id,_last_updated_sequence_number` of a table's rows.
async fn numbers(lake: &Lake, name: &str) -> Vec<String> {
    let table = lake.load(name).await;
    let files = plan_scan(&lake.store, &table.metadata, None, None).await;
    let moving = lake.engine.moving(&table, files.expect("files")).expect("rows");
    let rows = moving.expect("format 3").rows;
    let session = lake.engine.session(Class::Interactive, &SessionOptions::default());
    let rows = session.read_table(rows).expect("a table");
    let rows = rows.select_columns(&["id", ROW_ID_COLUMN, LAST_UPDATED_COLUMN]);
    let rows = rows.expect("columns").sort_by(vec![col("id")]).expect("an order");
    lines(&rows.collect().await.expect("rows"))
}

// Goal: in format 3 a row keeps its id through every increment, and the number of the commit that changed it last until another one does:
// whether it changes whole, in a column that was left out before, by a late change of a single column, or not at all. Method: a table of one
// bucket that is upgraded, so that all of its rows are written anew each time; what is told of each row, before and after.
#[tokio::test]
async fn rows_keep_their_ids_in_format_3() {
    let lake = Lake::new();
    let local = Arc::new(lake.engine.local_runner());
    Box::pin(ids_are_kept_in_format_3(&lake, local)).await;
}

// Goal: the same where models run on executors. Method: each of the plans sent and received before it runs.
#[tokio::test]
async fn rows_that_travel_keep_their_ids_in_format_3() {
    let lake = Lake::new();
    let journeys = Arc::new(Journeys::of(&lake.engine));
    Box::pin(ids_are_kept_in_format_3(&lake, journeys.clone())).await;
    assert!(journeys.positions() > 1, "no increment travelled");
}

async fn ids_are_kept_in_format_3(lake: &Lake, runner: Arc<dyn PlanRunner>) {
    lake.create("bronze.patients", &log_columns(patient())).await;
    let text = MODEL.replace("key: id\n", "key: id\npartition_by: bucket(1, id)\n");
    let pipelines = lake.pipelines_on(runner, lake.noted.clone(), &[("silver.patients", &text)]);
    let created = |id: i64| change("c", 10 + id, id, id, id, Some("a"));
    lake.append("bronze.patients", &[created(1), created(2), created(3), created(4)])
        .await;
    run(&pipelines).await;
    let table = lake.load("silver.patients").await;
    let upgrade = TableCommit {
        name: table.name.clone(),
        requirements: Vec::new(),
        updates: vec![TableUpdate::UpgradeFormatVersion {
            format_version: FormatVersion::V3,
        }],
    };
    lake.catalog.commit(vec![upgrade]).await.expect("format 3");

    // Rows of before the upgrade have no ids: they get them here.
    lake.append("bronze.patients", &[change("u", 20, 5, 2, 22, Some("b"))])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    let before = numbers(lake, "silver.patients").await;
    let ids: BTreeMap<&str, (&str, i64)> = before.iter().map(|line| parts(line)).collect();
    assert_eq!(ids.len(), 4, "{before:?}");
    let distinct: BTreeSet<&str> = ids.values().map(|(row, _)| *row).collect();
    assert_eq!(distinct.len(), 4, "{before:?}");

    // A new row, a change of a whole row, one that leaves the notes out, one that is too old, and a delete.
    let mut short = change("u", 31, 7, 3, 33, None);
    short["_unavailable"] = json!(["notes"]);
    let events = [
        created(9),
        change("u", 30, 6, 2, 23, Some("c")),
        short,
        change("u", 5, 8, 1, 99, Some("late")),
        change("d", 40, 9, 4, 0, None),
    ];
    lake.append("bronze.patients", &events).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,1,a", "2,23,c", "3,33,a", "9,9,a"]);
    let after = numbers(lake, "silver.patients").await;
    let now: BTreeMap<&str, (&str, i64)> = after.iter().map(|line| parts(line)).collect();
    for id in ["1", "2", "3"] {
        assert_eq!(now[id].0, ids[id].0, "{id}: {before:?} {after:?}");
    }
    assert_eq!(now["1"].1, ids["1"].1, "{before:?} {after:?}");
    let newest = now["9"].1;
    assert!(newest > ids["1"].1, "{before:?} {after:?}");
    assert_eq!((now["2"].1, now["3"].1), (newest, newest), "{before:?} {after:?}");
    assert!(!distinct.contains(now["9"].0), "{before:?} {after:?}");

    // A late change of a column that a row was not told of is a change of the row.
    lake.append("bronze.patients", &[change("u", 25, 10, 3, 0, Some("between"))])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,1,a", "2,23,c", "3,33,between", "9,9,a"]);
    let last = numbers(lake, "silver.patients").await;
    let last: BTreeMap<&str, (&str, i64)> = last.iter().map(|line| parts(line)).collect();
    assert_eq!((last["2"], last["9"]), (now["2"], now["9"]));
    assert!(last["3"].0 == now["3"].0 && last["3"].1 > newest, "{last:?}");

    // A truncate that is told late takes the rows before it away, and of row 3, which has changed since but for its notes, these.
    let mut again = change("u", 60, 12, 3, 34, None);
    again["_unavailable"] = json!(["notes"]);
    lake.append("bronze.patients", &[again]).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    let before = numbers(lake, "silver.patients").await;
    let before: BTreeMap<&str, (&str, i64)> = before.iter().map(|line| parts(line)).collect();
    let truncate = json!({"op": "t", "_lsn": 50, "_offset": 11, "_kafka_partition": 0});
    lake.append("bronze.patients", &[truncate]).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["3,34,"]);
    let truncated = numbers(lake, "silver.patients").await;
    let (_, now) = parts(&truncated[0]);
    assert!(
        now.0 == before["3"].0 && now.1 > before["3"].1,
        "{before:?} {truncated:?}"
    );
    lake.append("bronze.patients", &[change("c", 70, 14, 8, 8, Some("e"))])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    let after = numbers(lake, "silver.patients").await;
    assert_eq!(after[..1], truncated[..], "it stays as it is");
}

/// A row's key, its id, and the number of its last commit.
fn parts(line: &str) -> (&str, (&str, i64)) {
    let mut cells = line.split(',');
    let mut next = || cells.next().expect("three cells");
    let (id, row) = (next(), next());
    (id, (row, next().parse().expect("a number")))
}
