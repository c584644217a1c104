//! Joins of which one side runs first, as it may be small: its keys say which rows of the other one are worth a shuffle, or it is
//! broadcast. Two stages read its files.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::SessionConfigExt;
use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;

use crate::child::ExecutorChild;
use crate::lake::{Lake, START_DEADLINE, text};
use crate::loss::{PATIENCE, Progress, progress};
use crate::work::read;
use tidewater_engine::{Class, PlanRequest, PlanRunner};
use tidewater_scheduler::{Scheduler, SchedulerOptions};

/// Files of `silver.visits`, and rows of each: so many that the planner takes the table for a large one.
const VISITS_FILES: i64 = 20;
const VISITS_PER_FILE: i64 = 12_500;

/// Rows of `silver.visits`.
const VISITS: u64 = 250_000;

/// Joins that give rows of a small side and ask the large one by key, with nulls among the keys of both.
const ASKED_BY_KEY: [&str; 8] = [
    "SELECT count(*), sum(id) FROM orders AS o WHERE id < 2000
     AND EXISTS (SELECT 1 FROM visits AS v WHERE v.k = o.id AND v.doctor <> o.customer)",
    "SELECT count(*), sum(id) FROM orders AS o WHERE id < 2000
     AND NOT EXISTS (SELECT 1 FROM visits AS v WHERE v.k = o.id AND v.doctor <> o.customer)",
    "SELECT note, count(*), sum(id) FROM orders AS o WHERE id < 2000
     AND EXISTS (SELECT 1 FROM visits AS v WHERE v.k = o.id AND v.doctor <> o.customer)
     AND NOT EXISTS (SELECT 1 FROM visits AS w WHERE w.k = o.id AND w.doctor > o.customer + 300) GROUP BY note",
    "SELECT count(*), sum(id) FROM orders AS o WHERE id < 2000
     AND NOT EXISTS (SELECT 1 FROM visits AS v WHERE v.k = o.id AND v.doctor = o.customer)",
    "SELECT id, customer FROM orders WHERE id < 40 AND customer IN (SELECT doctor FROM visits)",
    "SELECT o.note, count(*), sum(i.amount) FROM orders AS o JOIN items AS i ON i.order_id = o.id WHERE o.id < 500
     AND NOT EXISTS (SELECT 1 FROM visits AS v WHERE v.k = o.id AND v.doctor < i.amount) GROUP BY o.note",
    // Nulls are equal to nulls here.
    "SELECT customer FROM orders WHERE id < 40 INTERSECT SELECT doctor FROM visits",
    "SELECT customer * (1 + id % 2) AS doctor FROM orders WHERE id < 40 EXCEPT SELECT doctor FROM visits",
];

/// A join of a large table with what a join leaves, of which nobody knows before how much it is.
const OF_UNKNOWN_SIZE: &str =
    "SELECT count(*), sum(v.doctor), min(o.id) FROM orders AS o JOIN items AS i ON i.order_id = o.id
     JOIN visits AS v ON v.k = o.id WHERE i.amount = 50";

/// A small side that has no row at all.
const OF_NOTHING: &str = "SELECT count(*), sum(id) FROM orders AS o WHERE id < 2000 AND id % 1000 = 1001
     AND EXISTS (SELECT 1 FROM visits AS v WHERE v.k = o.id AND v.doctor <> o.customer)";

/// A lake with `silver.visits(k, doctor)`, whose keys are ids of orders and others.
async fn lake_with_visits() -> Lake {
    let lake = Lake::new().await;
    let visits = lake
        .create("silver.visits", &[("k", DataType::Int64), ("doctor", DataType::Int64)])
        .await;
    let mut files = Vec::new();
    for file in 0..VISITS_FILES {
        let numbers = || file * VISITS_PER_FILE..(file + 1) * VISITS_PER_FILE;
        let keys: Int64Array = numbers().map(|at| (at % 11 != 0).then_some(at * 7 % 40_000)).collect();
        let doctors: Int64Array = numbers().map(|at| (at % 13 != 0).then_some(at % 1_000)).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(doctors)];
        files.extend(lake.write(&visits, columns).await);
    }
    lake.append(&visits, files).await;
    lake
}

/// A session in which no side of a join is taken for small by a guess at its rows.
fn without_guesses(lake: &Lake) -> SessionContext {
    let session = lake.session(Class::Batch);
    let state = session.state_ref();
    let mut state = state.write();
    let config = std::mem::take(state.config_mut()).upgrade_for_ballista();
    *state.config_mut() = config.with_ballista_broadcast_join_threshold_rows(10);
    drop(state);
    session
}

async fn request(lake: &Lake, session: SessionContext, sql: &str) -> PlanRequest {
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    PlanRequest {
        job: lake.job(),
        session,
        plan,
        class: Class::Batch,
        deadline: Some(PATIENCE),
    }
}

/// The rows of a plan on the cluster, sorted, and how many the stage made that made the most.
async fn on_cluster(scheduler: &Scheduler, request: PlanRequest) -> (Vec<String>, u64) {
    let job = request.job;
    let output = scheduler.runner().run(request).await.expect("it runs");
    let rows = text(&output.collect().await.expect("rows"));
    let report = scheduler.history().of(job).remove(0);
    let stages = &report.attempts.last().expect("an attempt").stages;
    let most = stages.iter().map(|stage| stage.rows).max();
    (rows, most.expect("a stage"))
}

// Goal: rows of a large table that no key of a small side asks for are not shuffled, and the answers are those of one process. Method: semi
// and anti joins with nulls, with filters of both sides, one above another, and where nulls are equal, on an executor whose tasks have
// several partitions; the rows of each stage.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_that_no_key_asks_for_are_not_shuffled() {
    let lake = lake_with_visits().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let local = lake.engine.local_runner();
    for sql in ASKED_BY_KEY {
        let expected = lake.rows(&local, sql).await;
        assert!(!expected.is_empty(), "{sql}");
        let request = request(&lake, lake.session(Class::Batch), sql).await;
        let (rows, most) = on_cluster(&scheduler, request).await;
        assert_eq!(rows, expected, "{sql}");
        assert!(most < VISITS, "a stage made {most} rows: {sql}");
    }
    let expected = lake.rows(&local, OF_NOTHING).await;
    assert_eq!(lake.rows(&scheduler.runner(), OF_NOTHING).await, expected);
}

// Goal: where the size of a side is a guess, it runs first, and is broadcast if it is small. Method: a join with what a join leaves, in a
// session in which guesses make no side small; the rows of each stage.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_may_be_small_runs_first() {
    let lake = lake_with_visits().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let expected = lake.rows(&lake.engine.local_runner(), OF_UNKNOWN_SIZE).await;
    let request = request(&lake, without_guesses(&lake), OF_UNKNOWN_SIZE).await;
    let (rows, most) = on_cluster(&scheduler, request).await;
    assert_eq!(rows, expected);
    assert!(most < VISITS, "a stage made {most} rows");
}

/// Whether so many stages are done with tasks of an executor, and it works on another.
fn reads_of(id: &str, done: usize, progress: &Progress) -> bool {
    let of = |wanted: &str, count: fn((usize, usize)) -> usize| {
        let stages = progress.values().filter(|(state, _)| *state == wanted);
        let tasks = stages.map(|(_, tasks)| count(tasks.get(id).copied().unwrap_or_default()));
        tasks.filter(|tasks| *tasks > 0).count()
    };
    of("done", |tasks| tasks.1) >= done && of("running", |tasks| tasks.0) > 0
}

/// Kills the one of two executors whose files are read, when so many stages are done; `{ms}` of the statement is its sleep for each batch.
async fn killed_when(done: usize, ms: &str, sql: &str) {
    let lake = lake_with_visits().await;
    let expected = lake.rows(&lake.engine.local_runner(), &sql.replace("{ms}", "0")).await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let mut executors: Vec<(String, ExecutorChild)> = Vec::new();
    for name in ["one", "other"] {
        let child = ExecutorChild::start(name, scheduler.address(), lake.home.path());
        let registered = scheduler.wait_for_executors(executors.len() + 1, START_DEADLINE).await;
        assert!(registered.is_ok(), "{}", child.log_tail());
        let listed = scheduler.executors().await.expect("a list");
        let is_new = |id: &str| executors.iter().all(|(known, _)| known != id);
        let new = listed.into_iter().find(|one| is_new(&one.id)).expect("a new one");
        executors.push((new.id, child));
    }
    let statement = read(&lake, &scheduler, &sql.replace("{ms}", ms)).await;
    let job = statement.job;
    let begun = lake.clock.monotonic();
    let victim = loop {
        let now = progress(&scheduler).await;
        if let Some(at) = executors.iter().position(|(id, _)| reads_of(id, done, &now)) {
            break at;
        }
        assert!(lake.clock.monotonic() - begun < PATIENCE, "it never came: {now:?}");
        lake.clock.sleep(Duration::from_millis(5)).await;
    };
    let (id, mut victim) = executors.swap_remove(victim);
    let (_, survivor) = &executors[0];
    victim.kill();
    scheduler
        .executor_stopped(&id, "process ended")
        .await
        .expect("it is told");
    let rows = statement.rows(&lake).await.expect("rows");
    assert_eq!(rows, expected, "{}", survivor.log_tail());
    let report = scheduler.history().of(job).remove(0);
    assert!(report.attempts.len() > 1, "the death disturbed nothing: {report:?}");
    let stages = &report.attempts.last().expect("an attempt").stages;
    assert!(stages.iter().all(|stage| stage.rows < VISITS), "{stages:?}");
}

// Goal: an executor whose files two stages read may die while the first of them does, and no row is lost or doubled. Method: kill -9 of one
// of two executor processes while the large side is looked through for the keys of the small one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_while_the_first_reads() {
    let sql = "SELECT count(*), sum(id) FROM orders WHERE id < 20000
               AND id IN (SELECT k FROM (SELECT slow(k, {ms}) AS k FROM visits) AS v)";
    killed_when(1, "20", sql).await;
}

// Goal and method as above, while the second of them reads: the join itself, with what is left of the large side.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_while_the_second_reads() {
    let sql = "SELECT count(*), sum(slow(id, {ms})) FROM orders AS o WHERE id < 20000
               AND EXISTS (SELECT 1 FROM visits AS v WHERE v.k = o.id AND v.doctor <> o.customer)";
    killed_when(2, "100", sql).await;
}
