use std::collections::BTreeSet;
use std::future::pending;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tidewater_core::{JobId, ManualClock};
use tidewater_table::Added;

use super::*;
use crate::{Engine, EngineError, EngineOptions, LocalRunner, PlanOutput, PlanRequest, PlanRunner, Result};

const TABLE: &str = "silver.events";

/// Longest wait for what is to come.
const DEADLINE: Duration = Duration::from_secs(60);

/// How far the clock is moved each time it is looked.
const STEP: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    RunsAgain,
    Fails,
    Hangs,
}

/// Loses the first attempt at each plan, after the tasks have written all their files.
#[derive(Debug)]
struct Loses {
    local: LocalRunner,
    then: Then,
}

impl PlanRunner for Loses {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput>> {
        async move {
            let lost = self.local.run(request.clone()).await?.collect().await?;
            assert!(lost.iter().any(|files| files.num_rows() > 0), "nothing was written");
            match self.then {
                Then::RunsAgain => {
                    let mut output = self.local.run(request).await?;
                    output.attempt = 2;
                    Ok(output)
                }
                Then::Fails => Err(EngineError::Deadline { allowed: STEP }),
                Then::Hangs => pending().await,
            }
        }
        .boxed()
    }
}

async fn write_by(engine: &Engine, lake: &Lake, job: JobId, runner: &dyn PlanRunner) -> Result<Vec<Added>> {
    let session = engine.session(Class::Batch, &SessionOptions::default());
    let input = engine.plan(&session, ROWS).await?;
    let target = lake.load(TABLE).await;
    engine.write(runner, job, &session, input, &target).await
}

fn names<'a>(locations: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let names = locations.into_iter().filter_map(|location| location.rsplit('/').next());
    names.map(str::to_owned).collect()
}

fn names_of(added: &[Added]) -> BTreeSet<String> {
    names(added.iter().map(|added| added.file.file_path()))
}

async fn stored(lake: &Lake) -> BTreeSet<String> {
    let location = lake.load(TABLE).await.metadata.location().to_owned();
    let listed = lake.store.list(&format!("{location}/data")).await.expect("a listing");
    names(listed.iter().map(|file| file.location.as_str()))
}

// Goal: files of a lost attempt are gone when the next one answers, and what the same job wrote before stays. Method: two writes of one
// job, the first of which is in no snapshot yet; all attempts write to their end.
#[tokio::test]
async fn files_of_lost_attempts_are_removed() {
    let lake = Lake::new();
    lake.create(TABLE, events(), Some(by_day())).await;
    let job = lake.job();
    let engine = &lake.engine;
    let local = engine.local_runner();
    let first = write_by(engine, &lake, job, &local).await.expect("files");
    assert_eq!(stored(&lake).await, names_of(&first));

    let then = Then::RunsAgain;
    let second = write_by(engine, &lake, job, &Loses { local, then })
        .await
        .expect("files");
    let both = &names_of(&first) | &names_of(&second);
    assert_eq!(both.len(), first.len() + second.len());
    assert_eq!(stored(&lake).await, both);
    lake.commit(TABLE, first).await;
    lake.commit(TABLE, second).await;
    let sql = "select count(*), count(distinct id) from silver.events";
    assert_eq!(lake.lines(sql).await, ["80,40"]);
}

// Goal: what tasks had written of a run that fails, or that nobody waits for any more, goes once those are over who may write still; what
// others wrote stays. Method: a clock that is moved; a run that fails at its end, and one that is dropped there.
#[tokio::test]
async fn files_of_runs_without_an_answer_are_removed() {
    for then in [Then::Fails, Then::Hangs] {
        let lake = Lake::new();
        lake.create(TABLE, events(), Some(by_day())).await;
        let spill = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(1_000));
        let engine = Engine::open(
            EngineOptions::new(spill.path()),
            lake.catalog.clone(),
            lake.store.clone(),
            clock.clone(),
            lake.store.rng().clone(),
        )
        .expect("an engine");
        let local = engine.local_runner();
        let kept = write_by(&engine, &lake, lake.job(), &local).await.expect("files");
        let kept = names_of(&kept);

        let loses = Loses { local, then };
        let writing = write_by(&engine, &lake, lake.job(), &loses);
        let written = async {
            while then == Then::Fails || stored(&lake).await.len() == kept.len() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, async {
            tokio::select! {
                failed = writing => assert!(failed.is_err() && then == Then::Fails, "{then:?}: {failed:?}"),
                () = written => {}
            }
        })
        .await
        .expect("an end");
        assert!(stored(&lake).await.len() > kept.len(), "{then:?}: nothing was left");

        tokio::time::timeout(DEADLINE, async {
            // Beyond the wait for the sweep, and not beyond the time that it may take.
            let mut steps = 0;
            while stored(&lake).await != kept {
                if steps < 40 {
                    clock.advance(STEP);
                    steps += 1;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("they go");
    }
}
