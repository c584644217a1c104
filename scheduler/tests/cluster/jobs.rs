use datafusion::arrow::datatypes::DataType;
use serde_json::json;

use crate::lake::Lake;
use tidewater_engine::{Class, EngineError};
use tidewater_scheduler::{
    JobRow, JobSpec, JobState, JobStore, MemoryJobStore, SchedulerOptions, committed_snapshot, run_job,
};
use tidewater_table::{Change, CommitOptions, commit_change};

// Goal: a job whose process died after its commit commits once (INV-JOB-1). Method: do its work and leave its row "running" as
// a killed process does, then run it under the same id; there must be one snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_runs_twice_commits_once() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let name = lake
        .create("gold.notes", &[("note", DataType::Utf8), ("n", DataType::Int64)])
        .await;
    let store = MemoryJobStore::default();
    let spec = JobSpec {
        id: lake.job(),
        kind: "model".into(),
        name: name.to_string(),
        attempts_max: 3,
        detail: json!({}),
    };
    let work = async |job| -> Result<i64, EngineError> {
        let table = lake.engine.load(&name).await?;
        if let Some(done) = committed_snapshot(&table.metadata, job) {
            return Ok(done);
        }
        let session = lake.session(Class::Batch);
        let sql = "SELECT note, count(*) AS n FROM orders GROUP BY note";
        let plan = lake.engine.plan(&session, sql).await?;
        let added = lake
            .engine
            .write(&scheduler.runner(), job, &session, plan, &table)
            .await?;
        let change = Change::append(added).of_job(job);
        let (catalog, files) = (lake.engine.catalog().as_ref(), lake.engine.store());
        let committed = commit_change(catalog, files, &name, &change, &CommitOptions::default()).await;
        Ok(committed?.snapshot_id)
    };
    let first = work(spec.id).await.expect("it commits");
    let row = JobRow {
        spec: spec.clone(),
        state: JobState::Running {
            attempt: 1,
            since_ms: 0,
        },
        queued_ms: 0,
        version: 0,
    };
    store.put(&row).await.expect("the row of a process that was killed");
    assert_eq!(store.unfinished().await.expect("a list").len(), 1);
    let second = run_job(&store, &lake.clock, spec.clone(), |attempt| {
        assert_eq!(attempt.number, 2);
        work(attempt.job)
    });
    assert_eq!(second.await.expect("it runs again"), first);

    let table = lake.engine.load(&name).await.expect("a table");
    assert_eq!(table.metadata.snapshots().len(), 1);
    assert!(store.unfinished().await.expect("a list").is_empty());
}
