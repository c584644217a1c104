//! Tables of kind `cdc` against a model of what happened in the source.

mod row_ids;

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{DataType, Field};
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewater_table::testing::Fault;
use tidewater_table::{Catalog, Change, CommitOptions, RowMask, Scan, commit_change, plan_scan, schema, write_deletes};

use crate::testing::{Lake, change, log_columns, patient, table_name};
use crate::{Mode, Pipelines, RunOptions, Selection};

const MODEL: &str = "/*---\nkind: cdc\nsource: bronze.patients\nkey: id\n---*/\n";
const SILVER: &str = "SELECT id, score, notes FROM silver.patients ORDER BY id";

async fn lake() -> (Lake, Pipelines) {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    let pipelines = lake.pipelines(&[("silver.patients", MODEL)]);
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

/// What happened in the source database.
#[derive(Debug, Clone)]
enum Deed {
    Insert {
        id: i64,
        score: i64,
        notes: u8,
    },
    /// The long text did not change, so the log leaves it out.
    Update {
        id: i64,
        score: i64,
    },
    UpdateAll {
        id: i64,
        score: i64,
        notes: u8,
    },
    Delete {
        id: i64,
    },
    Rename {
        from: i64,
        to: i64,
    },
    Truncate,
}

fn deed() -> impl Strategy<Value = Deed> {
    let id = 0..5_i64;
    prop_oneof![
        6 => (id.clone(), 0..100_i64, any::<u8>()).prop_map(|(id, score, notes)| Deed::Insert { id, score, notes }),
        6 => (id.clone(), 0..100_i64).prop_map(|(id, score)| Deed::Update { id, score }),
        2 => (id.clone(), 0..100_i64, any::<u8>()).prop_map(|(id, score, notes)| Deed::UpdateAll { id, score, notes }),
        4 => id.clone().prop_map(|id| Deed::Delete { id }),
        2 => (id.clone(), id).prop_map(|(from, to)| Deed::Rename { from, to }),
        1 => Just(Deed::Truncate),
    ]
}

/// One record of the log, before it has an offset.
#[derive(Debug, Clone)]
struct Record {
    /// None: the source tells none.
    lsn: Option<i64>,
    op: &'static str,
    id: i64,
    score: i64,
    /// None: left out.
    notes: Option<String>,
    /// A delete that tells its key in the message key only.
    key_only: bool,
}

impl Record {
    fn event(&self, offset: i64) -> Value {
        if self.op == "t" {
            return json!({"op": "t", "_lsn": self.lsn, "_offset": offset, "_kafka_partition": 3});
        }
        let mut event = change(self.op, 0, offset, self.id, self.score, self.notes.as_deref());
        event["_lsn"] = json!(self.lsn);
        if self.notes.is_none() && self.op == "u" {
            event["_unavailable"] = json!(["notes"]);
        }
        if self.key_only {
            event["before"] = Value::Null;
        }
        event
    }
}

/// The log of a database in which these things happened.
fn log(deeds: &[Deed]) -> Vec<Record> {
    let mut rows: BTreeMap<i64, (i64, String)> = BTreeMap::new();
    let mut log = Vec::new();
    for (at, deed) in deeds.iter().enumerate() {
        let lsn = 100 + 10 * at as i64;
        let mut tell = |op, id, score, notes: Option<&str>| {
            let notes = notes.map(str::to_owned);
            log.push(Record {
                lsn: Some(lsn),
                op,
                id,
                score,
                notes,
                key_only: lsn % 20 == 0 && op == "d",
            });
        };
        match deed {
            Deed::Insert { id, score, notes } if !rows.contains_key(id) => {
                let notes = format!("n{notes}");
                tell("c", *id, *score, Some(&notes));
                rows.insert(*id, (*score, notes));
            }
            Deed::Update { id, score } | Deed::Insert { id, score, .. } => {
                if let Some(row) = rows.get_mut(id) {
                    row.0 = *score;
                    tell("u", *id, *score, None);
                }
            }
            Deed::UpdateAll { id, score, notes } => {
                if let Some(row) = rows.get_mut(id) {
                    *row = (*score, format!("m{notes}"));
                    tell("u", *id, *score, Some(&row.1));
                }
            }
            Deed::Delete { id } => {
                if rows.remove(id).is_some() {
                    tell("d", *id, 0, None);
                }
            }
            Deed::Rename { from, to } => {
                if !rows.contains_key(to)
                    && let Some(row) = rows.remove(from)
                {
                    tell("d", *from, 0, None);
                    tell("c", *to, row.0, Some(&row.1));
                    rows.insert(*to, row);
                }
            }
            Deed::Truncate => {
                tell("t", 0, 0, None);
                rows.clear();
            }
        }
    }
    log
}

/// The log of a source that tells no lsn: its records stand in the order they are told in.
fn without_lsn(mut log: Vec<Record>) -> Vec<Record> {
    for record in &mut log {
        record.lsn = None;
    }
    log
}

/// The naive way: all records seen so far, in the order of the source, one after the other.
fn naive(seen: &[(i64, Record)]) -> Vec<String> {
    let mut ordered: Vec<&(i64, Record)> = seen.iter().collect();
    ordered.sort_by_key(|(offset, record)| (record.lsn, *offset));
    let mut rows: BTreeMap<i64, (i64, Option<String>)> = BTreeMap::new();
    for (_, record) in ordered {
        match record.op {
            "t" => rows.clear(),
            "d" => {
                rows.remove(&record.id);
            }
            _ => {
                let old = rows.get(&record.id).and_then(|row| row.1.clone());
                rows.insert(record.id, (record.score, record.notes.clone().or(old)));
            }
        }
    }
    rows.iter()
        .map(|(id, (score, notes))| format!("{id},{score},{}", notes.clone().unwrap_or_default()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    // Goal: silver is what the log says, whatever came when. Method: random histories with records repeated and moved, cut
    // into random batches; after each batch silver against a naive map of all records seen; at the end a full refresh too.
    #[test]
    fn silver_equals_a_naive_map(
        deeds in prop::collection::vec(deed(), 1..24),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
        repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        cuts in prop::collection::vec(1..7_usize, 1..8),
        with_lsn in prop::bool::weighted(0.7),
    ) {
        let mut records = log(&deeds);
        if !with_lsn {
            records = without_lsn(records);
        }
        prop_assume!(!records.is_empty());
        for (from, to) in &moves {
            let record = records.remove(from.index(records.len()));
            records.insert(to.index(records.len() + 1), record);
        }
        for repeat in &repeats {
            let record = records[repeat.index(records.len())].clone();
            records.push(record);
        }
        let records: Vec<(i64, Record)> = records.into_iter().enumerate().map(|(at, r)| (at as i64, r)).collect();

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let (lake, pipelines) = lake().await;
            let (mut seen, mut cut) = (0, cuts.iter().cycle());
            while seen < records.len() {
                let until = records.len().min(seen + cut.next().expect("endless"));
                let events: Vec<Value> = records[seen..until].iter().map(|(offset, r)| r.event(*offset)).collect();
                lake.append("bronze.patients", &events).await;
                let run = run(&pipelines).await;
                prop_assert_eq!(run.mode, if seen == 0 { Mode::Full } else { Mode::Incremental });
                seen = until;
                prop_assert_eq!(lake.lines(SILVER).await, naive(&records[..seen]), "after {} of {:?}", seen, records);
            }
            let all = RunOptions { full_refresh: true, ..RunOptions::default() };
            prop_assert!(pipelines.run(&Selection::All, all).await.expect("a run").succeeded());
            prop_assert_eq!(lake.lines(SILVER).await, naive(&records), "full refresh of {:?}", records);
            Ok(())
        });
        outcome?;
    }
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

/// Of the log's file that is so many files old, only these rows are deleted, by position, as another engine would.
async fn delete_rows(lake: &Lake, file: usize, gone: &[u64]) {
    let table = lake.load("bronze.patients").await;
    let scan = Scan::new(&lake.store, &table.metadata).with_deletes();
    let mut files = scan.plan().await.expect("files");
    files.sort_by_key(|file| file.sequence);
    let file = files.remove(file);
    let mask: RowMask = gone.iter().copied().collect();
    let path = file.path.clone();
    let added = match gone.is_empty() {
        true => Vec::new(),
        false => write_deletes(&lake.store, &table.metadata, &[(file, mask)])
            .await
            .expect("deletes"),
    };
    let head = table.metadata.current_snapshot_id().expect("a snapshot");
    let delta = Change::row_delta(head, [path], added);
    let options = CommitOptions::default();
    commit_change(lake.catalog.as_ref(), &lake.store, &table.name, &delta, &options)
        .await
        .expect("a commit");
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
