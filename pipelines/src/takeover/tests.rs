use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use futures::future::BoxFuture;
use serde_json::json;
use tidewater_catalog_client::dto::JobPut;
use tidewater_engine::{EngineError, PlanOutput, PlanRequest, PlanRunner};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;
use crate::Selection;
use crate::noted::RUN_ID_KEY;
use crate::run_log::RunLog;
use crate::testing::{Lake, Noted, table_name};

const DEADLINE: Duration = Duration::from_secs(60);

/// The second reads the first.
const MODELS: &[(&str, &str)] = &[
    (
        "gold.sums",
        "/*---\nkind: table\n---*/ SELECT count(*) AS n, sum(id) AS s FROM bronze.t",
    ),
    (
        "gold.twice",
        "/*---\nkind: table\n---*/ SELECT s * 2 AS s FROM gold.sums",
    ),
];

async fn lake() -> Lake {
    let lake = Lake::new();
    let columns = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
    lake.create("bronze.t", &columns).await;
    lake.append("bronze.t", &[json!({"id": 1}), json!({"id": 2})]).await;
    lake
}

/// Stands still with the first plan.
#[derive(Debug, Default)]
struct Still {
    reached: Notify,
}

impl PlanRunner for Still {
    fn run(&self, _: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        Box::pin(async {
            self.reached.notify_one();
            pending::<Result<PlanOutput, EngineError>>().await
        })
    }
}

/// Stands still before the first end is noted.
#[derive(Debug)]
struct Mute {
    rows: Arc<Noted>,
    reached: Notify,
}

#[async_trait]
impl RunLog for Mute {
    async fn write(&self, run: JobId, row: &JobPut) -> Result<bool> {
        if row.phase.is_final() {
            self.reached.notify_one();
            pending::<()>().await;
        }
        self.rows.write(run, row).await
    }

    async fn read(&self, run: JobId) -> Result<Option<JobRow>> {
        self.rows.read(run).await
    }

    async fn open(&self) -> Result<Vec<JobRow>> {
        self.rows.open().await
    }
}

fn phases(lake: &Lake) -> Vec<(String, JobPhase, u32)> {
    let rows = lake.noted.rows();
    let phase = |row: &JobRow| {
        let name = row.body["name"].as_str().expect("a name").to_owned();
        (name, row.phase, RunRow::of(row).attempt)
    };
    let mut phases: Vec<_> = rows.iter().map(phase).collect();
    phases.sort_by(|a, b| a.0.cmp(&b.0));
    phases
}

fn both(phase: JobPhase, attempt: u32) -> Vec<(String, JobPhase, u32)> {
    ["gold.sums", "gold.twice"]
        .map(|name| (name.to_owned(), phase, attempt))
        .to_vec()
}

fn plant(lake: &Lake, name: &str, attempt: u32, asked: bool) -> (JobId, JobPut) {
    let id = JobId(lake.rng.uuid_v7(1));
    let asked = asked.then_some(Asked {
        request: id,
        options: RunOptions::default(),
    });
    let row = JobPut {
        kind: JOB_KIND.into(),
        phase: JobPhase::Running,
        body: json!({"name": name, "run": {"failure": null}, "attempt": attempt, "asked": asked}),
        expect_version: None,
    };
    (id, row)
}

// Goal: a run whose process ended in its middle is finished by the next one, with what had not begun, under the same rows. Method: a
// process that is dropped in its first plan, while one model waits for the other; a second one over the same lake and rows.
#[tokio::test]
async fn a_run_is_finished_by_another_process() {
    let lake = lake().await;
    let still = Arc::new(Still::default());
    let first = lake.pipelines_on(still.clone(), lake.noted.clone(), MODELS);
    {
        let run = first.run(&Selection::All, RunOptions::default());
        let mut run = std::pin::pin!(run);
        tokio::select! {
            moment = timeout(DEADLINE, still.reached.notified()) => moment.expect("it gets there"),
            report = &mut run => unreachable!("it ended: {report:?}"),
        }
        let mut taken = BTreeMap::new();
        first.claim(&mut taken).await.expect("a log");
        assert!(
            taken.is_empty(),
            "what a process is at it does not take over: {taken:?}"
        );
    }
    drop(first);
    let ids: Vec<JobId> = lake.noted.rows().iter().map(|row| row.id).collect();
    let begun = [("gold.sums", JobPhase::Running), ("gold.twice", JobPhase::Queued)];
    let begun = begun.map(|(name, phase)| (name.to_owned(), phase, 1));
    assert_eq!(phases(&lake), begun.to_vec());

    let second = lake.pipelines(MODELS);
    timeout(DEADLINE, second.resume()).await.expect("it ends");
    assert_eq!(lake.lines("SELECT n, s FROM gold.sums").await, ["2,3"]);
    assert_eq!(lake.lines("SELECT s FROM gold.twice").await, ["6"]);
    assert_eq!(phases(&lake), both(JobPhase::Succeeded, 2));
    assert_eq!(
        lake.noted.rows().iter().map(|row| row.id).collect::<Vec<_>>(),
        ids,
        "the same rows"
    );
    let commits = lake.catalog.commits();
    second.resume().await;
    assert_eq!(
        (lake.catalog.commits(), phases(&lake)),
        (commits, both(JobPhase::Succeeded, 2))
    );
}

// Goal: what was committed before the process ended is not committed again, even where everything is asked for anew (INV-JOB-1). Method:
// a full refresh whose end is not noted any more, finished by another process, which finds its snapshot and goes on with the next model.
#[tokio::test]
async fn what_was_committed_is_found() {
    let lake = lake().await;
    let mute = Arc::new(Mute {
        rows: lake.noted.clone(),
        reached: Notify::new(),
    });
    let first = lake.pipelines_on(Arc::new(lake.engine.local_runner()), mute.clone(), MODELS);
    let options = RunOptions {
        full_refresh: true,
        ..RunOptions::default()
    };
    {
        let run = first.run(&Selection::All, options);
        let mut run = std::pin::pin!(run);
        tokio::select! {
            moment = timeout(DEADLINE, mute.reached.notified()) => moment.expect("it gets there"),
            report = &mut run => unreachable!("it ended: {report:?}"),
        }
    }
    drop(first);
    let snapshot = lake.load("gold.sums").await.metadata.current_snapshot_id();
    assert!(snapshot.is_some(), "it was committed");

    timeout(DEADLINE, lake.pipelines(MODELS).resume())
        .await
        .expect("it ends");
    let sums = lake.load("gold.sums").await;
    assert_eq!(sums.metadata.current_snapshot_id(), snapshot);
    assert_eq!(sums.metadata.snapshots().len(), 1);
    assert_eq!(lake.lines("SELECT s FROM gold.twice").await, ["6"]);
    assert_eq!(phases(&lake), both(JobPhase::Succeeded, 2));
    let rows = lake.noted.rows();
    let row = rows
        .iter()
        .find(|row| row.body["name"] == "gold.sums")
        .expect("its row");
    assert_eq!(row.body["run"]["snapshot_id"], json!(snapshot));
    let summary = &sums
        .metadata
        .current_snapshot()
        .expect("one")
        .summary()
        .additional_properties;
    assert_eq!(summary.get(RUN_ID_KEY), Some(&row.id.to_string()));
}

// Goal: a run that was cancelled stays so, also if its process ends before it says so itself. Method: both models cancelled while the
// plan of one stands still and the other waits, the process dropped without another step; the next one starts nothing.
#[tokio::test]
async fn a_cancelled_run_stays_cancelled() {
    let lake = lake().await;
    let still = Arc::new(Still::default());
    let first = lake.pipelines_on(still.clone(), lake.noted.clone(), MODELS);
    {
        let run = first.run(&Selection::All, RunOptions::default());
        let mut run = std::pin::pin!(run);
        tokio::select! {
            moment = timeout(DEADLINE, still.reached.notified()) => moment.expect("it gets there"),
            report = &mut run => unreachable!("it ended: {report:?}"),
        }
        for row in lake.noted.rows() {
            assert!(first.cancel(row.id).await, "{row:?}");
        }
    }
    drop(first);
    assert_eq!(phases(&lake), both(JobPhase::Cancelled, 1));

    let commits = lake.catalog.commits();
    timeout(DEADLINE, lake.pipelines(MODELS).resume())
        .await
        .expect("it ends");
    assert_eq!(phases(&lake), both(JobPhase::Cancelled, 1));
    assert_eq!(lake.catalog.commits(), commits);
}

// Goal: attempts end, and what nobody asked for or nobody knows is not started. Method: rows as processes that are gone left them.
#[tokio::test]
async fn rows_that_do_not_go_on_fail() {
    let lake = lake().await;
    let planted = [
        ("gold.sums", PROCESSES_MAX, true, "PIP-0022"),
        ("gold.sums", 1, false, "PIP-0022"),
        ("gold.sum", 1, true, "PIP-0013"),
    ];
    for (name, attempt, asked, code) in planted {
        let (id, row) = plant(&lake, name, attempt, asked);
        assert!(lake.noted.write(id, &row).await.expect("a log"));
        timeout(DEADLINE, lake.pipelines(MODELS).resume())
            .await
            .expect("it ends");
        let row = lake.noted.read(id).await.expect("a log").expect("a row");
        let failure = &row.body["run"]["failure"];
        assert_eq!(
            (row.phase, failure["code"].as_str()),
            (JobPhase::Failed, Some(code)),
            "{row:?}"
        );
        assert!(failure["hint"].is_string(), "{row:?}");
    }
    assert!(!lake.catalog_has("gold.sums").await, "nothing ran");
    let (id, row) = plant(&lake, "gold.sums", PROCESSES_MAX - 1, true);
    assert!(lake.noted.write(id, &row).await.expect("a log"));
    timeout(DEADLINE, lake.pipelines(MODELS).resume())
        .await
        .expect("it ends");
    assert_eq!(lake.lines("SELECT n, s FROM gold.sums").await, ["2,3"]);
    assert_eq!(lake.noted.last(), Some((id, JobPhase::Succeeded)));
    assert!(lake.noted.all().contains(&(table_name("gold.sum"), JobPhase::Failed)));
}
