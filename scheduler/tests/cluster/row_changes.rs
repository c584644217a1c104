//! `UPDATE`, `DELETE` and `MERGE` on executors: their rows, where they run, and what becomes of them when an executor dies.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::child::ExecutorChild;
use crate::lake::{Lake, START_DEADLINE};
use crate::loss::{Moment, PATIENCE, wait_for};
use tidewater_core::{Coded, Rng, SeededRng};
use tidewater_engine::sql::parse;
use tidewater_engine::{
    Done, Engine, EngineError, Execution, Place, PlanOutput, PlanRequest, PlanRunner, Route, SessionOptions, Sql,
    Workshop,
};
use tidewater_scheduler::{Router, Scheduler, SchedulerOptions};

const ALL: &str = "SELECT id, customer, note FROM orders";

/// How tables keep their changes.
pub(crate) const MODES: [&str; 4] = [
    "'write.update.mode' = 'copy-on-write'",
    "'write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'",
    "'format-version' = '3'",
    "'format-version' = '3', 'write.update.mode' = 'copy-on-write', 'write.delete.mode' = 'copy-on-write', 'write.merge.mode' = 'copy-on-write'",
];

/// A router of which is told where its plans ran, and how many have begun.
#[derive(Debug)]
pub(crate) struct Watched {
    router: Router,
    begun: AtomicUsize,
    routes: Mutex<Vec<Route>>,
}

impl Watched {
    pub(crate) fn new(lake: &Lake, scheduler: &Scheduler, options: &SchedulerOptions) -> Self {
        let local = Arc::new(lake.engine.local_runner());
        Self {
            router: Router::new(local, Some(scheduler.runner()), options, lake.clock.clone()),
            begun: AtomicUsize::new(0),
            routes: Mutex::default(),
        }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Where plans ran since this was asked last.
    pub(crate) fn routes(&self) -> Vec<Route> {
        std::mem::take(&mut *self.routes.lock().expect("no panic"))
    }

    async fn start(&self, request: PlanRequest) -> Result<PlanOutput, EngineError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let output = self.router.run(request).await?;
        self.routes.lock().expect("no panic").push(output.route.clone());
        Ok(output)
    }
}

impl PlanRunner for Watched {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        self.start(request).boxed()
    }
}

pub(crate) async fn change(
    engine: &Engine,
    runner: &dyn PlanRunner,
    execution: Execution,
    sql: &str,
) -> Result<Option<u64>, EngineError> {
    let command = match parse(sql)? {
        Sql::Command(command) => Some(command),
        _ => None,
    };
    let command = command.expect("a command");
    let options = SessionOptions {
        execution,
        ..SessionOptions::default()
    };
    let options = options.default_schema("silver");
    let shop = Workshop {
        engine,
        runner,
        options: &options,
        deadline: Some(PATIENCE * 2),
    };
    let done: Done = Box::pin(shop.execute(&command)).await?;
    Ok(done.rows)
}

/// Every form of a change of rows, the last of which is refused.
pub(crate) fn statements(rng: &SeededRng) -> [String; 5] {
    let (by, amount, above) = (3 + rng.below(5), rng.below(100), 200 + rng.below(700));
    [
        format!("UPDATE orders SET customer = customer + 1, note = 'changed' WHERE id % {by} = 0 OR customer IS NULL"),
        format!("DELETE FROM orders WHERE customer > {above} AND note IS NOT NULL"),
        format!("DELETE FROM orders WHERE id IN (SELECT order_id FROM items WHERE amount = {amount})"),
        format!(
            "MERGE INTO orders AS t USING (SELECT order_id + 16000 AS id, amount FROM items) AS c ON t.id = c.id \
             WHEN MATCHED AND c.amount > 90 THEN DELETE \
             WHEN MATCHED AND c.amount > 40 THEN UPDATE SET customer = c.amount \
             WHEN NOT MATCHED AND c.amount < {amount} THEN INSERT (id, customer) VALUES (c.id, c.amount) \
             WHEN NOT MATCHED BY SOURCE AND t.id < 100 THEN UPDATE SET note = NULL"
        ),
        "MERGE INTO orders AS t USING (SELECT id FROM orders UNION ALL SELECT id FROM orders WHERE id > 20000) AS c \
         ON t.id = c.id WHEN MATCHED THEN DELETE"
            .to_owned(),
    ]
}

// Goal: changes of rows that run on executors leave the rows that they leave in one process, count as many, and are refused for the same
// reason. Method: two lakes of the same rows in each mode; every form in both, one after the other, in one on the cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_rows_run_on_executors() {
    for (number, mode) in (0_u64..).zip(MODES) {
        let (here, there) = (Lake::new().await, Lake::new().await);
        let options = SchedulerOptions::loopback();
        let scheduler = there.scheduler(options.clone()).await;
        let _executor = there.executor(&scheduler).await;
        let watched = Watched::new(&there, &scheduler, &options);
        let local = here.engine.local_runner();
        let alter = format!("ALTER TABLE orders SET TBLPROPERTIES ({mode})");
        for (lake, runner) in [
            (&here, &local as &dyn PlanRunner),
            (&there, &watched as &dyn PlanRunner),
        ] {
            let altered = change(&lake.engine, runner, Execution::Auto, &alter).await;
            altered.expect("other properties");
        }
        for sql in statements(&SeededRng::new(500 + number)) {
            let expected = change(&here.engine, &local, Execution::Auto, &sql).await;
            let found = change(&there.engine, &watched, Execution::Cluster, &sql).await;
            match (expected, found) {
                (Ok(expected), Ok(found)) => {
                    assert_eq!(found, expected, "{mode}: {sql}");
                    assert!(found > Some(0), "{mode}: {sql}");
                }
                (Err(expected), Err(found)) => assert_eq!(
                    (found.code(), expected.code()),
                    ("ENG-0019", "ENG-0019"),
                    "{mode}: {sql}"
                ),
                (expected, found) => panic!("{mode}: {sql}: {expected:?} in one process, {found:?} on the cluster"),
            }
            let routes = watched.routes();
            assert!(!routes.is_empty(), "{mode}: {sql}");
            assert!(
                routes.iter().all(|route| route.place == Place::Cluster),
                "{sql}: {routes:?}"
            );
            let expected = here.rows(&local, ALL).await;
            let found = there.rows(&there.engine.local_runner(), ALL).await;
            assert!(
                found == expected,
                "{mode}: {sql}: {} rows, not {}",
                found.len(),
                expected.len()
            );
        }
        assert!(there.tasks.shutdown(Duration::from_secs(10)).await, "it drains");
    }
}

// Goal: a change of rows goes where it belongs: a small one stays, though other writes always go, a large one goes, and one whose rows may
// hang on the order in which they come stays. Method: the same change under a limit that holds its table and under one that does not; a
// source of numbered rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_rows_run_where_they_belong() {
    let lake = Lake::new().await;
    let roomy = SchedulerOptions::loopback();
    let tight = SchedulerOptions {
        local_scan_bytes_max: 1_000,
        ..roomy.clone()
    };
    let scheduler = lake.scheduler(roomy.clone()).await;
    let _executor = lake.executor(&scheduler).await;
    let update = "UPDATE orders SET customer = 5 WHERE note IS NULL";
    // Each order has one item, so that there is one answer all the same.
    let numbered = "MERGE INTO orders AS t USING (SELECT id FROM (SELECT order_id AS id, row_number() OVER (PARTITION BY order_id \
                 ORDER BY amount) AS n FROM items) AS v WHERE n = 1 AND id < 50) AS c ON t.id = c.id WHEN MATCHED THEN UPDATE SET customer = 6";
    for (options, sql, place, reason) in [
        (&roomy, update, Place::Local, "run in one process"),
        (&tight, update, Place::Cluster, "it reads"),
        (&tight, numbered, Place::Local, "the order in which rows come"),
    ] {
        let watched = Watched::new(&lake, &scheduler, options);
        let changed = change(&lake.engine, &watched, Execution::Auto, sql).await;
        assert!(changed.expect(sql) > Some(0), "{sql}");
        let routes = watched.routes();
        assert!(routes.len() > 1, "{sql}: {routes:?}");
        for route in routes {
            assert_eq!(route.place, place, "{sql}: {}", route.reason);
            assert!(route.reason.contains(reason), "{sql}: {}", route.reason);
        }
    }
}

// Goal: a change whose write is run again leaves every row once. Method: kill -9 of one of two executors while rows of each file are
// written anew, slowly and as they were; the table has its rows afterwards, and the route says that there was more than one run.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_that_runs_again_leaves_every_row_once() {
    let lake = Lake::new().await;
    let expected = lake.rows(&lake.engine.local_runner(), ALL).await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let mut victim = ExecutorChild::start("victim", scheduler.address(), lake.home.path());
    let registered = scheduler.wait_for_executors(1, START_DEADLINE).await;
    assert!(registered.is_ok(), "{}", victim.log_tail());
    let victim_id = scheduler.executors().await.expect("a list")[0].id.clone();
    let survivor = ExecutorChild::start("survivor", scheduler.address(), lake.home.path());
    let registered = scheduler.wait_for_executors(2, START_DEADLINE).await;
    assert!(registered.is_ok(), "{}", survivor.log_tail());

    let watched = Arc::new(Watched::new(&lake, &scheduler, &options));
    let (engine, running) = (lake.engine.clone(), Arc::clone(&watched));
    let (sender, mut ended) = tokio::sync::oneshot::channel();
    lake.tasks.spawn("statement", async move {
        let sql = "UPDATE orders SET customer = slow(customer, 200) WHERE id >= 0";
        let changed = change(&engine, running.as_ref(), Execution::Cluster, sql).await;
        let _nobody_waits_after_patience = sender.send(changed);
    });
    let since = lake.clock.monotonic();
    // The rows are counted first, then written.
    while watched.begun() < 2 {
        assert!(lake.clock.monotonic() - since < PATIENCE, "nothing is written");
        assert!(ended.try_recv().is_err(), "it ended before anything was written");
        lake.clock.sleep(Duration::from_millis(5)).await;
    }
    wait_for(&lake, &scheduler, Moment::Mapping, &victim_id).await;
    victim.kill();
    scheduler
        .executor_stopped(&victim_id, "process ended")
        .await
        .expect("told");
    let changed = tokio::select! {
        changed = ended => changed.expect("it ends or is told to"),
        () = lake.clock.sleep(PATIENCE) => panic!("it hangs; survivor says:\n{}", survivor.log_tail()),
    };
    let rows = u64::try_from(expected.len()).expect("few");
    assert_eq!(changed.expect("changed"), Some(rows));
    let routes = watched.routes();
    let again = routes
        .iter()
        .filter(|route| route.reason.contains("times, see the log"));
    assert_eq!(again.count(), 1, "{routes:?}");
    let found = lake.rows(&lake.engine.local_runner(), ALL).await;
    assert!(found == expected, "{} rows, not {}", found.len(), expected.len());
}
