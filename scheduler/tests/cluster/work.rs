//! Statements on their way: those that are read, and those whose rows go to a table.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::DataType;
use tokio::sync::oneshot::Receiver;

use tidewater_core::{JobId, TableName};
use tidewater_engine::{Class, EngineError, PlanRunner};
use tidewater_scheduler::Scheduler;
use tidewater_table::{Added, Change, CommitOptions, commit_change, plan_scan};

use crate::lake::{Lake, text};
use crate::loss::PATIENCE;

/// What becomes of a statement's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Reads,
    /// They go to a table of this name, which is made for it.
    Writes,
}

/// A statement whose columns are `note`, `n`, `s` and `a`, of the types of the tables that are written.
pub(crate) fn columns_of(sql: &str) -> String {
    format!("SELECT note, CAST(n AS BIGINT) AS n, CAST(s AS BIGINT) AS s, CAST(a AS BIGINT) AS a FROM ({sql})")
}

/// A statement under way.
pub(crate) struct Begun {
    pub(crate) job: JobId,
    way: Way,
}

enum Way {
    Reads(Receiver<Result<Vec<String>, EngineError>>),
    Writes(TableName, Receiver<Result<Vec<Added>, EngineError>>),
}

/// Begins a statement of [`columns_of`] on the cluster; one that writes makes the table `target`.
pub(crate) async fn begin(lake: &Lake, scheduler: &Scheduler, work: Work, sql: &str, target: &str) -> Begun {
    match work {
        Work::Reads => read(lake, scheduler, sql).await,
        Work::Writes => write(lake, scheduler, sql, target).await,
    }
}

/// Begins any statement on the cluster, whose rows are read.
pub(crate) async fn read(lake: &Lake, scheduler: &Scheduler, sql: &str) -> Begun {
    let mut request = lake.request(Class::Batch, sql).await;
    request.deadline = Some(PATIENCE * 2);
    let (job, runner) = (request.job, scheduler.runner());
    let (sender, rows) = tokio::sync::oneshot::channel();
    lake.tasks.spawn("statement", async move {
        let rows = match runner.run(request).await {
            Ok(output) => output.collect().await.map(|rows| text(&rows)),
            Err(error) => Err(error),
        };
        let _nobody_waits_after_patience = sender.send(rows);
    });
    let way = Way::Reads(rows);
    Begun { job, way }
}

async fn write(lake: &Lake, scheduler: &Scheduler, sql: &str, target: &str) -> Begun {
    let columns = [
        ("note", DataType::Utf8),
        ("n", DataType::Int64),
        ("s", DataType::Int64),
        ("a", DataType::Int64),
    ];
    let target = lake.create(target, &columns).await;
    let session = lake.session(Class::Batch);
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let table = lake.engine.load(&target).await.expect("a table");
    let (job, runner, engine) = (lake.job(), scheduler.runner(), lake.engine.clone());
    let (sender, files) = tokio::sync::oneshot::channel();
    lake.tasks.spawn("write", async move {
        let added = engine.write(&runner, job, &session, plan, &table).await;
        let _nobody_waits_after_patience = sender.send(added);
    });
    let way = Way::Writes(target, files);
    Begun { job, way }
}

impl Begun {
    /// Its rows in the end, sorted: of a write those that its table has after a commit of its files, each of which is listed once.
    pub(crate) async fn rows(self, lake: &Lake) -> Result<Vec<String>, EngineError> {
        match self.way {
            Way::Reads(rows) => within(lake, rows).await,
            Way::Writes(target, files) => {
                let added = within(lake, files).await?;
                let paths: BTreeSet<&str> = added.iter().map(|added| added.file.file_path()).collect();
                assert_eq!(paths.len(), added.len(), "each file once");
                let (catalog, store) = (lake.engine.catalog().as_ref(), lake.engine.store());
                let change = Change::append(added.clone());
                commit_change(catalog, store, &target, &change, &CommitOptions::default())
                    .await
                    .expect("committed");
                let sql = format!("SELECT note, n, s, a FROM {target}");
                Ok(lake.rows(&lake.engine.local_runner(), &sql).await)
            }
        }
    }
}

/// No data file lies with the table but those of its newest snapshot, which is its only one.
pub(crate) async fn nothing_is_left(lake: &Lake, target: &str) {
    let target: TableName = target.parse().expect("a name");
    let table = lake.engine.load(&target).await.expect("a table");
    let store = lake.engine.store();
    let name = |location: &str| location.rsplit('/').next().unwrap_or_default().to_owned();
    let files = plan_scan(store, &table.metadata, None, None).await.expect("its files");
    let named: BTreeSet<String> = files.iter().map(|file| name(&file.path)).collect();
    let folder = format!("{}/data", table.metadata.location());
    let listed = store.list(&folder).await.expect("a listing");
    let listed: BTreeSet<String> = listed.iter().map(|file| name(&file.location)).collect();
    assert!(!named.is_empty(), "{target} has no files");
    assert_eq!(listed, named, "{target}");
}

async fn within<T>(lake: &Lake, outcome: Receiver<Result<T, EngineError>>) -> Result<T, EngineError> {
    let ended = tokio::select! {
        outcome = outcome => Some(outcome),
        () = lake.clock.sleep(PATIENCE) => None,
    };
    ended.expect("an end in time").expect("it ends or is told to")
}
