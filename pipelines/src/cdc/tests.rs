//! Tables of kind `cdc` against a model of what happened in the source.

mod erased;
mod generations;
mod hidden_rows;
mod histories;
mod keys;
mod others_columns;
mod raced;
mod rolled_back;
mod row_ids;

use datafusion::arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};
use tidewater_table::testing::Fault;
use tidewater_table::{
    Catalog, Change, RowMask, Scan, ScanFile, plan_scan, rollback_to_snapshot, schema, write_deletes,
};

use crate::testing::{Lake, change, log_columns, patient, table_name};
use crate::{Mode, Pipelines, RunOptions, Selection};

const MODEL: &str = "/*---\nkind: cdc\nsource: bronze.patients\nkey: id\n---*/\n";
const SILVER: &str = "SELECT id, score, notes FROM silver.patients ORDER BY id";

/// Keeps rows of a low score only.
const FILTER: &str = "/*---\nkind: cdc\nkey: id\n---*/\nSELECT after.* FROM bronze.patients WHERE after.score < 60";
/// The same, by what it takes for a delete.
const SOFT_DELETE: &str =
    "/*---\nkind: cdc\nsource: bronze.patients\nkey: id\ndelete_when: \"op = 'd' OR after.score >= 60\"\n---*/\n";

async fn lake() -> (Lake, Pipelines) {
    lake_of(MODEL).await
}

async fn lake_of(model: &str) -> (Lake, Pipelines) {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    let pipelines = lake.pipelines(&[("silver.patients", model)]);
    (lake, pipelines)
}

async fn run(pipelines: &Pipelines) -> crate::ModelRun {
    let report = pipelines
        .run(&Selection::All, RunOptions::default())
        .await
        .expect("a run");
    let run = report.models.into_iter().next().expect("one model");
    assert_eq!(run.failure, None);
    run
}

/// Everything is read again.
async fn run_full(pipelines: &Pipelines) {
    let all = RunOptions {
        full_refresh: true,
        ..RunOptions::default()
    };
    let report = pipelines.run(&Selection::All, all).await.expect("a run");
    assert!(report.succeeded(), "{report:?}");
}

// Goal: a run that dies between writing and committing loses and doubles nothing, and a lost answer is no second commit.
// Method: the catalog fails in each way once; every snapshot's job is counted.
#[tokio::test]
async fn faults_at_the_commit() {
    let (lake, pipelines) = lake().await;
    for (at, fault) in [
        Fault::Unavailable,
        Fault::AnswerLost,
        Fault::RequestLost,
        Fault::Conflict,
    ]
    .into_iter()
    .enumerate()
    {
        let at = at as i64;
        lake.append("bronze.patients", &[change("c", 10 + at, at, at, at, Some("x"))])
            .await;
        if at == 0 {
            run(&pipelines).await;
            lake.append("bronze.patients", &[change("u", 30, 50, 0, 7, Some("y"))])
                .await;
        }
        lake.catalog.inject([fault]);
        let report = pipelines
            .run(&Selection::All, RunOptions::default())
            .await
            .expect("a report");
        if fault == Fault::Unavailable {
            let failure = report.models[0].failure.clone().expect("a failure");
            assert_eq!(failure.code, "PIP-0020", "{failure:?}");
            run(&pipelines).await;
        } else {
            assert!(report.succeeded(), "{report:?}");
        }
        assert_eq!(run(&pipelines).await.mode, Mode::UpToDate);
    }
    assert_eq!(lake.lines(SILVER).await, ["0,7,y", "1,1,x", "2,2,x", "3,3,x"]);
    let table = lake.load("silver.patients").await;
    let mut jobs: Vec<&String> = table
        .metadata
        .snapshots()
        .filter_map(|s| s.summary().additional_properties.get("job-id"))
        .collect();
    assert_eq!(jobs.len(), 5);
    jobs.sort();
    jobs.dedup();
    assert_eq!(jobs.len(), 5);
}

// Goal: a job that runs twice commits once. Method: two processes' pipelines run at the same time over one catalog.
#[tokio::test]
async fn two_runners_commit_once() {
    let (lake, first) = lake().await;
    let second = lake.pipelines(&[("silver.patients", MODEL)]);
    lake.append(
        "bronze.patients",
        &[change("c", 1, 0, 1, 1, Some("a")), change("c", 2, 1, 2, 2, Some("b"))],
    )
    .await;
    run(&first).await;
    lake.append(
        "bronze.patients",
        &[change("d", 3, 2, 1, 0, None), change("u", 4, 3, 2, 9, Some("c"))],
    )
    .await;
    let (a, b) = tokio::join!(run(&first), run(&second));
    assert_eq!(a.snapshot_id.or(b.snapshot_id), b.snapshot_id.or(a.snapshot_id));
    assert_eq!(lake.lines(SILVER).await, ["2,9,c"]);
    assert_eq!(lake.load("silver.patients").await.metadata.snapshots().len(), 2);
    assert_eq!(
        lake.lines("SELECT id, _lsn FROM ops.tombstones__silver__patients")
            .await,
        ["1,3"]
    );
}

// Goal: a column that appears in the log is added to silver, old rows keep null. Method: the log grows a field in between.
#[tokio::test]
async fn new_columns_are_appended() {
    let (lake, pipelines) = lake().await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 1, Some("a"))])
        .await;
    run(&pipelines).await;
    let mut fields = patient();
    fields.push(Field::new("phone", DataType::Utf8, true));
    let wanted = schema::from_arrow(&log_columns(fields), 1).expect("a schema");
    let name = table_name("bronze.patients");
    schema::evolve_table(lake.catalog.as_ref(), &lake.store, &name, &wanted)
        .await
        .expect("an evolved table");
    let mut event = change("c", 2, 1, 2, 2, Some("b"));
    event["after"]["phone"] = json!("555");
    lake.append("bronze.patients", &[event]).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    let rows = lake
        .lines("SELECT id, score, notes, phone FROM silver.patients ORDER BY id")
        .await;
    assert_eq!(rows, ["1,1,a,", "2,2,b,555"]);
}

// Goal: conditions on rows and on changes, derived columns and derived keys do what they say. Method: one model with all.
#[tokio::test]
async fn selections_and_derived_columns() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    let text = "/*---\nkind: cdc\nkey: [patient]\npartition_by: bucket(4, patient)\nsort_by: patient desc\n---*/
        SELECT p.after.id + 100 AS patient, upper(after.notes) AS loud, score_of.after.score FROM bronze.patients score_of
        WHERE after.score < 50 AND _kafka_partition = 0";
    let text = text.replace("p.after", "score_of.after");
    let pipelines = lake.pipelines(&[("silver.patients", &text)]);
    let mut elsewhere = change("c", 9, 9, 9, 9, Some("z"));
    elsewhere["_kafka_partition"] = json!(1);
    let events = [
        change("c", 1, 0, 1, 1, Some("a")),
        change("c", 2, 1, 2, 2, Some("b")),
        elsewhere,
    ];
    lake.append("bronze.patients", &events).await;
    run(&pipelines).await;
    let rows = "SELECT patient, loud, score FROM silver.patients ORDER BY patient";
    assert_eq!(lake.lines(rows).await, ["101,A,1", "102,B,2"]);
    // One row leaves the selection, the other one is deleted and told by key only.
    let mut delete = change("d", 4, 3, 2, 0, None);
    delete["before"] = Value::Null;
    lake.append("bronze.patients", &[change("u", 3, 2, 1, 70, Some("a")), delete])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert!(lake.lines(rows).await.is_empty());
}

// Goal: a truncate that the model leaves out takes no rows away, and one counts of which its conditions cannot tell. Method: two databases in
// one log, told apart by the partition, of which each is truncated; and conditions on the key, which a truncate has none of, and on the kind
// of a change.
#[tokio::test]
async fn truncates_that_are_left_out() {
    for (condition, after_other) in [
        ("_kafka_partition = 0", vec!["1,1,a"]),
        ("_key.id < 100", Vec::new()),
        ("_key.id IS NOT NULL", Vec::new()),
        ("op IN ('c', 'u', 'd')", Vec::new()),
        ("op <> 'r' AND patients._kafka_partition = 0", vec!["1,1,a"]),
    ] {
        let text = format!("/*---\nkind: cdc\nkey: id\n---*/\nSELECT after.* FROM bronze.patients WHERE {condition}");
        let (lake, pipelines) = lake_of(&text).await;
        let truncate =
            |lsn: i64, partition: i32| json!({"op": "t", "_lsn": lsn, "_offset": lsn, "_kafka_partition": partition});
        lake.append("bronze.patients", &[change("c", 1, 0, 1, 1, Some("a"))])
            .await;
        run(&pipelines).await;
        lake.append("bronze.patients", &[truncate(10, 1)]).await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        assert_eq!(lake.lines(SILVER).await, after_other, "{condition}");
        run_full(&pipelines).await;
        assert_eq!(lake.lines(SILVER).await, after_other, "{condition}");
        lake.append("bronze.patients", &[truncate(20, 0)]).await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        assert!(lake.lines(SILVER).await.is_empty(), "{condition}");
    }
}

// Goal: a condition that would be asked when a change is read, and never again, is refused. Method: one on the day of the run.
#[tokio::test]
async fn conditions_on_the_time_of_the_run() {
    let text = "/*---\nkind: cdc\nkey: id\n---*/\n\
        SELECT after.* FROM bronze.patients WHERE after.id < 5 AND after.score < date_part('day', run_date())";
    let (lake, pipelines) = lake_of(text).await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 1, Some("a"))])
        .await;
    let report = pipelines.run(&Selection::All, RunOptions::default()).await;
    let failure = report.expect("a report").models[0].failure.clone().expect("a failure");
    assert_eq!(failure.code, "PIP-0011", "{failure:?}");
    assert!(failure.message.contains("time of the run"), "{failure:?}");
}

// Goal: when increments cannot go on, everything is read again and it is said why. Method: a changed model, a log made anew.
#[tokio::test]
async fn full_refresh_when_increments_cannot_go_on() {
    let (lake, pipelines) = lake().await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 1, Some("a"))])
        .await;
    run(&pipelines).await;
    let changed = lake.pipelines(&[(
        "silver.patients",
        &format!("{MODEL}SELECT after.*, 1 AS one FROM bronze.patients"),
    )]);
    let again = run(&changed).await;
    assert_eq!(
        (again.mode, again.reason.as_str()),
        (Mode::Full, "the model has changed since its last run")
    );
    Catalog::drop_table(lake.catalog.as_ref(), &table_name("bronze.patients"), false)
        .await
        .expect("a drop");
    let gone = changed
        .run(&Selection::All, RunOptions::default())
        .await
        .expect_err("the log is gone");
    assert_eq!(tidewater_core::Coded::code(&gone), "PIP-0009");
    lake.create("bronze.patients", &log_columns(patient())).await;
    lake.append("bronze.patients", &[change("c", 1, 0, 5, 5, Some("e"))])
        .await;
    let again = run(&changed).await;
    assert_eq!(
        (again.mode, again.reason.as_str()),
        (Mode::Full, "bronze.patients was made anew since the last run")
    );
    assert_eq!(lake.lines("SELECT id, one FROM silver.patients").await, ["5,1"]);
}

// Goal: changes that change nothing move the watermark all the same. Method: only messages, then nothing to do.
#[tokio::test]
async fn messages_only() {
    let (lake, pipelines) = lake().await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 1, Some("a"))])
        .await;
    run(&pipelines).await;
    lake.append(
        "bronze.patients",
        &[json!({"op": "m", "_lsn": 2, "_offset": 1, "_kafka_partition": 0})],
    )
    .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(run(&pipelines).await.mode, Mode::UpToDate);
    assert_eq!(lake.lines(SILVER).await, ["1,1,a"]);
}

// Goal: tombstones are put together and still remembered. Method: many small deletes, then late changes of the same keys.
#[tokio::test]
async fn tombstones_are_compacted() {
    let (lake, pipelines) = lake().await;
    let count = super::tombstones::FILES_COUNT_MAX as i64 + 2;
    for id in 0..count {
        lake.append("bronze.patients", &[change("d", 1_000 + id, id, id, 0, None)])
            .await;
        run(&pipelines).await;
    }
    let table = lake.load("ops.tombstones__silver__patients").await;
    let files = plan_scan(&lake.store, &table.metadata, None, None)
        .await
        .expect("files");
    assert!(files.len() < 5, "{}", files.len());
    let late: Vec<Value> = (0..count)
        .map(|id| change("c", 10, 5_000 + id, id, id, Some("late")))
        .collect();
    lake.append("bronze.patients", &late).await;
    run(&pipelines).await;
    assert!(lake.lines(SILVER).await.is_empty());
}

// Goal: a model with other partitions gets them with its full refresh. Method: the same model, partitioned anew.
#[tokio::test]
async fn partitions_follow_the_model() {
    let (lake, pipelines) = lake().await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 1, Some("a"))])
        .await;
    run(&pipelines).await;
    let text = MODEL.replace("key: id\n", "key: id\npartition_by: bucket(3, id)\n");
    let changed = lake.pipelines(&[("silver.patients", &text)]);
    assert_eq!(run(&changed).await.mode, Mode::Full);
    let spec = lake
        .load("silver.patients")
        .await
        .metadata
        .default_partition_spec()
        .clone();
    assert_eq!(spec.fields()[0].transform.to_string(), "bucket[3]");
    lake.append("bronze.patients", &[change("u", 2, 1, 1, 5, Some("b"))])
        .await;
    assert_eq!(run(&changed).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,5,b"]);
}

/// The log's files, the oldest first.
async fn log_files(lake: &Lake) -> Vec<ScanFile> {
    let table = lake.load("bronze.patients").await;
    let scan = Scan::new(&lake.store, &table.metadata).with_deletes();
    let mut files = scan.plan().await.expect("files");
    files.sort_by_key(|file| file.sequence);
    files
}

/// Commits a change of the log that rests on how it is now.
async fn commit_at_head(lake: &Lake, change: Change) {
    let head = lake.load("bronze.patients").await.metadata.current_snapshot_id();
    lake.commit("bronze.patients", &change.read_at(head)).await;
}

/// Of the log's file that is so many files old, only these rows are deleted, by position, as another engine would.
async fn delete_rows(lake: &Lake, file: usize, gone: &[u64]) {
    let file = log_files(lake).await.remove(file);
    delete_rows_of(lake, file, gone).await;
}

async fn delete_rows_of(lake: &Lake, file: ScanFile, gone: &[u64]) {
    let table = lake.load("bronze.patients").await;
    let mask: RowMask = gone.iter().copied().collect();
    let path = file.path.clone();
    let added = match gone.is_empty() {
        true => Vec::new(),
        false => write_deletes(&lake.store, &table.metadata, &[(file, mask)])
            .await
            .expect("deletes"),
    };
    let head = table.metadata.current_snapshot_id().expect("a snapshot");
    lake.commit("bronze.patients", &Change::row_delta(head, [path], added))
        .await;
}

async fn roll_back(lake: &Lake, snapshot_id: i64) {
    let name = table_name("silver.patients");
    rollback_to_snapshot(lake.catalog.as_ref(), &lake.store, &name, snapshot_id)
        .await
        .expect("a rollback");
}

async fn silver_head(lake: &Lake) -> i64 {
    let table = lake.load("silver.patients").await;
    table.metadata.current_snapshot_id().expect("a snapshot")
}

// Goal: a log of which rows are deleted by delete files is followed: those that were not read before are not read, those that were stay
// applied, and where rows come back, so that some may never be read, an increment is refused. Method: deletes between the runs, then full
// refreshes.
#[tokio::test]
async fn logs_with_deleted_rows_are_followed() {
    let (lake, pipelines) = lake().await;
    let all = RunOptions {
        full_refresh: true,
        ..RunOptions::default()
    };
    let created = |id: i64| change("c", 10 + id, id, id, id, Some("a"));
    lake.append("bronze.patients", &[created(1), created(2), created(3)])
        .await;
    run(&pipelines).await;
    lake.append("bronze.patients", &[created(4), created(5)]).await;
    delete_rows(&lake, 1, &[0]).await;
    delete_rows(&lake, 0, &[0]).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,1,a", "2,2,a", "3,3,a", "5,5,a"]);
    lake.append("bronze.patients", &[change("u", 30, 6, 2, 9, Some("b"))])
        .await;
    delete_rows(&lake, 1, &[0, 1]).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,1,a", "2,9,b", "3,3,a", "5,5,a"]);
    let report = pipelines.run(&Selection::All, all).await.expect("a run");
    assert!(report.succeeded(), "{report:?}");
    assert_eq!(lake.lines(SILVER).await, ["2,9,b", "3,3,a"]);
    delete_rows(&lake, 1, &[]).await;
    let report = pipelines.run(&Selection::All, RunOptions::default()).await;
    let failure = report.expect("a run").models[0].failure.clone().expect("a failure");
    assert_eq!(failure.code, "PIP-0020", "{failure:?}");
    assert!(failure.message.contains("are there again"), "{failure:?}");
    let report = pipelines.run(&Selection::All, all).await.expect("a run");
    assert!(report.succeeded(), "{report:?}");
    assert_eq!(lake.lines(SILVER).await, ["2,9,b", "3,3,a", "4,4,a", "5,5,a"]);
}
