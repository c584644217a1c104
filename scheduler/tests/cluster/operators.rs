//! What operators do with executors.

use std::time::Duration;

use crate::child::ExecutorChild;
use crate::lake::{Lake, START_DEADLINE, executor_options, text};
use crate::loss::{Moment, PATIENCE, wait_for};
use tidewater_core::Coded;
use tidewater_engine::{Class, PlanRunner};
use tidewater_executor::Executor;
use tidewater_scheduler::SchedulerOptions;

/// Long enough for an executor that wants to come back to have done so.
const COMES_BACK: Duration = Duration::from_secs(4);

// Goal: an executor that is drained ends its work, costs no job a second run, and does not come back. Method: drain one of two
// executor processes while a job runs on both; rows, attempts, and who is there for a while afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drained_executor_ends_its_work() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _first = ExecutorChild::start("first", scheduler.address(), lake.home.path());
    scheduler
        .wait_for_executors(1, START_DEADLINE)
        .await
        .expect("the first");
    let drained = scheduler.executors().await.expect("a list")[0].clone();
    let second = ExecutorChild::start("second", scheduler.address(), lake.home.path());
    scheduler.wait_for_executors(2, START_DEADLINE).await.expect("both");
    assert_eq!(drained.build, tidewater_core::build());

    let sql = Moment::Mapping.statement();
    let expected = lake.rows(&lake.engine.local_runner(), &sql.replace("{ms}", "0")).await;
    let request = lake.request(Class::Batch, &sql.replace("{ms}", "100")).await;
    let (job, runner) = (request.job, scheduler.runner());
    let (sender, rows) = tokio::sync::oneshot::channel();
    lake.tasks.spawn("statement", async move {
        let rows = runner.run(request).await.expect("it runs").collect().await;
        let _somebody_waits = sender.send(text(&rows.expect("rows")));
    });
    wait_for(&lake, &scheduler, Moment::Mapping, &drained.id).await;
    assert!(scheduler.load_of(&drained.id).await.tasks > 0);
    let done = scheduler.drain(&drained.id, PATIENCE).await.expect("it drains");
    assert_eq!(done.left.tasks, 0, "its work was waited for");
    assert_eq!(rows.await.expect("an end"), expected, "{}", second.log_tail());
    let report = scheduler.history().of(job).remove(0);
    assert_eq!(report.attempts.len(), 1, "{report:?}");
    let stages = &report.attempts[0].stages;
    assert!(
        stages.iter().any(|stage| stage.rows > 0 && stage.bytes > 0),
        "{stages:?}"
    );
    let told: Vec<String> = stages.iter().map(ToString::to_string).collect();
    assert_eq!(scheduler.runner().stages(job), told, "as people read it");
    lake.clock.sleep(COMES_BACK).await;
    let left = scheduler.executors().await.expect("a list");
    assert!(left.iter().all(|executor| executor.id != drained.id), "{left:?}");
    assert_eq!(left.len(), 1);
    let unknown = scheduler.drain("nobody", PATIENCE).await.expect_err("no such executor");
    assert_eq!(unknown.code(), "SCH-0020");
}

// Goal: a drain ends at its deadline, and what is left runs again elsewhere. Method: a deadline that is over at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drain_has_an_end() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _first = ExecutorChild::start("first", scheduler.address(), lake.home.path());
    scheduler
        .wait_for_executors(1, START_DEADLINE)
        .await
        .expect("the first");
    let drained = scheduler.executors().await.expect("a list")[0].id.clone();
    let _second = ExecutorChild::start("second", scheduler.address(), lake.home.path());
    scheduler.wait_for_executors(2, START_DEADLINE).await.expect("both");
    let sql = Moment::Mapping.statement();
    let expected = lake.rows(&lake.engine.local_runner(), &sql.replace("{ms}", "0")).await;
    let request = lake.request(Class::Batch, &sql.replace("{ms}", "200")).await;
    let (job, runner) = (request.job, scheduler.runner());
    let (sender, rows) = tokio::sync::oneshot::channel();
    lake.tasks.spawn("statement", async move {
        let rows = runner.run(request).await.expect("it runs").collect().await;
        let _somebody_waits = sender.send(text(&rows.expect("rows")));
    });
    wait_for(&lake, &scheduler, Moment::Mapping, &drained).await;
    let done = scheduler.drain(&drained, Duration::ZERO).await.expect("it is let go");
    assert!(done.left.tasks > 0, "{done:?}");
    assert_eq!(rows.await.expect("an end"), expected);
    let report = scheduler.history().of(job).remove(0);
    assert!(report.attempts.len() > 1, "{report:?}");
}

// Goal: an executor of another build gets no tasks and learns why. Method: one that says that it is of another build, and one that
// says nothing is wrong with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_build_is_refused() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let mut options = executor_options(scheduler.address(), lake.home.path().join("other"));
    options.build = "0.0.9".to_owned();
    let (clock, rng) = (lake.clock.clone(), lake.rng.clone());
    let tasks = lake.tasks.child("other");
    let other = Executor::start(options, lake.engine.clone(), clock, rng, &tasks)
        .await
        .expect("it starts");
    let refused = other.wait_registered(COMES_BACK).await.expect_err("another build");
    assert_eq!(refused.code(), "EXE-0007");
    assert!(format!("{refused:?}").contains("SCH-0017"), "{refused:?}");
    assert!(
        refused.hint().is_some_and(|hint| hint.contains("same tidewater")),
        "{refused:?}"
    );
    assert!(scheduler.executors().await.expect("a list").is_empty());
    tasks.token().cancel();
    let own = lake.executor(&scheduler).await;
    assert!(own.id().is_some());
}
