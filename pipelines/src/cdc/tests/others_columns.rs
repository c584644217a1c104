//! Tables of kind `cdc` whose columns others change.

use std::sync::{Arc, Mutex};

use datafusion::arrow::datatypes::{DataType, Field};
use futures::FutureExt;
use futures::future::BoxFuture;
use iceberg::spec::{FormatVersion, PrimitiveType, Type};
use serde_json::{Value, json};
use tidewater_engine::{EngineError, PlanOutput, PlanRequest, PlanRunner};
use tidewater_table::{Alteration, Catalog, Change, FileStore, NewColumn, alter_table, plan_scan, schema};

use super::{MODEL, SILVER, lake, lake_of, run};
use crate::testing::{Lake, change, log_columns, patient, table_name};
use crate::{Mode, ModelRun, RunOptions, Selection};

async fn alter(lake: &Lake, alteration: Alteration) {
    let name = table_name("silver.patients");
    alter_table(lake.catalog.as_ref(), &lake.store, &name, &[alteration])
        .await
        .expect("an altered table");
}

fn rename(from: &str, to: &str) -> Alteration {
    Alteration::RenameColumn(from.into(), to.to_owned())
}

fn is_refreshed(run: &ModelRun, column: &str) {
    let reason = format!("column {column} of its table was dropped or renamed since the last run");
    assert_eq!((run.mode, run.reason.as_str()), (Mode::Full, reason.as_str()));
}

/// Puts these rows in the place of the table's, as an UPDATE does.
async fn replace_rows(lake: &Lake, rows: &[Value]) {
    let table = lake.load("silver.patients").await;
    let files = plan_scan(&lake.store, &table.metadata, None, None).await;
    let gone = files.expect("files").into_iter().map(|file| file.path);
    let added = lake.write("silver.patients", rows).await;
    let change = Change::overwrite(gone, added).read_at(table.metadata.current_snapshot_id());
    lake.commit("silver.patients", &change).await;
}

// Goal: a column that others added keeps its values through increments, also of rows that change, and others may rename and drop it. Method: a
// table of one bucket, so that all of its rows are written anew each time, in both formats; a change, a delete, a new row, a late truncate.
#[tokio::test]
async fn columns_of_others_keep_their_values() {
    for format in [FormatVersion::V2, FormatVersion::V3] {
        let text = MODEL.replace("key: id\n", "key: id\npartition_by: bucket(1, id)\n");
        let (lake, pipelines) = lake_of(&text).await;
        let created = |id: i64| change("c", 10 + id, id, id, id, Some("a"));
        lake.append("bronze.patients", &[created(1), created(2), created(3)])
            .await;
        run(&pipelines).await;
        alter(&lake, Alteration::UpgradeFormat(format)).await;
        let extra = NewColumn::new("extra", Type::Primitive(PrimitiveType::String));
        alter(&lake, Alteration::AddColumn(extra)).await;
        let row = |id: i64| {
            json!({
                "id": id, "score": id, "notes": "a", "_lsn": 10 + id, "_offset": id, "_kafka_partition": 0,
                "extra": format!("x{id}")
            })
        };
        replace_rows(&lake, &[row(1), row(2), row(3)]).await;

        let events = [
            change("u", 20, 4, 1, 9, Some("z")),
            change("d", 21, 5, 3, 0, None),
            change("c", 22, 6, 4, 4, Some("d")),
        ];
        lake.append("bronze.patients", &events).await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        let rows = "SELECT id, score, notes, extra FROM silver.patients ORDER BY id";
        assert_eq!(lake.lines(rows).await, ["1,9,z,x1", "2,2,a,x2", "4,4,d,"], "{format}");

        let truncate = json!({"op": "t", "_lsn": 15, "_offset": 7, "_kafka_partition": 0});
        lake.append("bronze.patients", &[truncate]).await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        assert_eq!(lake.lines(rows).await, ["1,9,z,x1", "4,4,d,"], "{format}");

        alter(&lake, rename("extra", "more")).await;
        lake.append("bronze.patients", &[change("u", 30, 8, 4, 5, Some("e"))])
            .await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        let rows = "SELECT id, score, notes, more FROM silver.patients ORDER BY id";
        assert_eq!(lake.lines(rows).await, ["1,9,z,x1", "4,5,e,"], "{format}");

        alter(&lake, Alteration::DropColumn("more".into())).await;
        assert_eq!(run(&pipelines).await.mode, Mode::UpToDate);
    }
}

// Goal: a column of the model that was renamed or dropped is filled for all rows, loudly. Method: a rename with a change behind it and a drop
// without one; what is left of the former column is none of the model's, so that its end is no reason.
#[tokio::test]
async fn lost_columns_are_written_anew() {
    let (lake, pipelines) = lake().await;
    let created = [change("c", 1, 0, 1, 1, Some("a")), change("c", 2, 1, 2, 2, Some("b"))];
    lake.append("bronze.patients", &created).await;
    run(&pipelines).await;
    alter(&lake, rename("notes", "remarks")).await;
    lake.append("bronze.patients", &[change("u", 3, 2, 1, 9, Some("z"))])
        .await;
    is_refreshed(&run(&pipelines).await, "notes");
    assert_eq!(lake.lines(SILVER).await, ["1,9,z", "2,2,b"]);
    assert_eq!(lake.lines("SELECT count(remarks) FROM silver.patients").await, ["0"]);

    alter(&lake, Alteration::DropColumn("score".into())).await;
    is_refreshed(&run(&pipelines).await, "score");
    assert_eq!(lake.lines(SILVER).await, ["1,9,z", "2,2,b"]);
    assert_eq!(run(&pipelines).await.mode, Mode::UpToDate);

    alter(&lake, Alteration::DropColumn("remarks".into())).await;
    assert_eq!(run(&pipelines).await.mode, Mode::UpToDate);
}

/// Renames the notes before the first plan runs.
#[derive(Debug)]
struct Renaming {
    inner: Arc<dyn PlanRunner>,
    catalog: Arc<dyn Catalog>,
    store: FileStore,
    rename: Mutex<Option<Alteration>>,
}

impl Renaming {
    fn of(lake: &Lake) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(lake.engine.local_runner()),
            catalog: lake.catalog.clone(),
            store: lake.store.clone(),
            rename: Mutex::new(Some(rename("notes", "remarks"))),
        })
    }
}

impl PlanRunner for Renaming {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        async move {
            let rename = self.rename.lock().expect("no panic").take();
            if let Some(rename) = rename {
                let name = table_name("silver.patients");
                alter_table(self.catalog.as_ref(), &self.store, &name, &[rename])
                    .await
                    .expect("an altered table");
            }
            self.inner.run(request).await
        }
        .boxed()
    }
}

// Goal: an increment is not committed to a table that lost a column while it was computed. Method: a rename in between; the second attempt is
// a full refresh.
#[tokio::test]
async fn columns_are_lost_in_between() {
    let (lake, pipelines) = lake().await;
    let created = [change("c", 1, 0, 1, 1, Some("a")), change("c", 2, 1, 2, 2, Some("b"))];
    lake.append("bronze.patients", &created).await;
    run(&pipelines).await;
    lake.append("bronze.patients", &[change("u", 3, 2, 1, 9, Some("z"))])
        .await;
    let late = lake.pipelines_on(Renaming::of(&lake), lake.noted.clone(), &[("silver.patients", MODEL)]);
    let run = run(&late).await;
    is_refreshed(&run, "notes");
    assert_eq!(run.attempts, 2, "{run:?}");
    assert_eq!(lake.lines(SILVER).await, ["1,9,z", "2,2,b"]);
}

// Goal: the same where the increment gives the table a column, and with it the lost one anew, without its values. Method: a log that grew, and
// a rename in between.
#[tokio::test]
async fn columns_are_lost_while_others_are_added() {
    let (lake, pipelines) = lake().await;
    let created = [change("c", 1, 0, 1, 1, Some("a")), change("c", 2, 1, 2, 2, Some("b"))];
    lake.append("bronze.patients", &created).await;
    run(&pipelines).await;
    let mut fields = patient();
    fields.push(Field::new("phone", DataType::Utf8, true));
    let wanted = schema::from_arrow(&log_columns(fields), 1).expect("a schema");
    let log = table_name("bronze.patients");
    schema::evolve_table(lake.catalog.as_ref(), &lake.store, &log, &wanted)
        .await
        .expect("an evolved table");
    lake.append("bronze.patients", &[change("u", 3, 2, 1, 9, Some("z"))])
        .await;
    let late = lake.pipelines_on(Renaming::of(&lake), lake.noted.clone(), &[("silver.patients", MODEL)]);
    let report = late.run(&Selection::All, RunOptions::default()).await;
    let failure = report.expect("a report").models[0].failure.clone().expect("a failure");
    assert_eq!(failure.code, "PIP-0015", "{failure:?}");
    is_refreshed(&run(&pipelines).await, "notes");
    assert_eq!(lake.lines(SILVER).await, ["1,9,z", "2,2,b"]);
}

// Goal: a field that others added within a column stops increments, by its name, as no type holds the rows of both; without it they go on.
// Method: a struct that grows in the table, with a change behind it.
#[tokio::test]
async fn fields_of_others_within_columns_are_refused() {
    let lake = Lake::new();
    let mut fields = patient();
    let home = DataType::Struct(vec![Field::new("city", DataType::Utf8, true)].into());
    fields.push(Field::new("home", home, true));
    lake.create("bronze.patients", &log_columns(fields)).await;
    let pipelines = lake.pipelines(&[("silver.patients", MODEL)]);
    let living = |op: &str, lsn: i64, city: &str| {
        let mut event = change(op, lsn, lsn, 1, lsn, Some("a"));
        event["after"]["home"] = json!({"city": city});
        event
    };
    lake.append("bronze.patients", &[living("c", 1, "Bern")]).await;
    run(&pipelines).await;
    let street = NewColumn::new("home.street", Type::Primitive(PrimitiveType::String));
    alter(&lake, Alteration::AddColumn(street)).await;
    lake.append("bronze.patients", &[living("u", 2, "Basel")]).await;
    let report = pipelines.run(&Selection::All, RunOptions::default()).await;
    let failure = report.expect("a report").models[0].failure.clone().expect("a failure");
    assert_eq!(failure.code, "PIP-0014", "{failure:?}");
    assert!(failure.message.contains("home.street"), "{failure:?}");

    alter(&lake, Alteration::DropColumn("home.street".into())).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    let rows = "SELECT id, score, home['city'] AS city FROM silver.patients";
    assert_eq!(lake.lines(rows).await, ["1,2,Basel"]);
}
