use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::lake::Lake;
use tidewater_core::{Coded, ErrorKind};
use tidewater_engine::{Class, EngineError, Place, PlanOutput, PlanRequest, PlanRunner, Route};
use tidewater_scheduler::{Router, SchedulerOptions};

// Goal: plans run where they belong and say why. Method: plans of each kind under a limit that holds them and one that does
// not, before and after an executor has come.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plans_run_where_they_belong() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let local = Arc::new(lake.engine.local_runner());
    let roomy = Router::new(local.clone(), Some(scheduler.runner()), &options, lake.clock.clone());
    let tight = SchedulerOptions {
        local_scan_bytes_max: 10_000,
        ..options.clone()
    };
    let tight = Router::new(local.clone(), Some(scheduler.runner()), &tight, lake.clock.clone());
    let alone = Router::new(local, None, &options, lake.clock.clone());
    let count = "SELECT count(*), sum(id) FROM orders";
    let request = lake.request(Class::Batch, count).await;
    let route = roomy.route(&request).await.expect("a route");
    assert_eq!(
        (route.place, route.reason.as_str()),
        (Place::Local, "no executor is there")
    );

    let _executor = lake.executor(&scheduler).await;
    for (router, class, sql, place, reason) in [
        (&roomy, Class::Interactive, count, Place::Local, "its tables have"),
        (&tight, Class::Interactive, count, Place::Cluster, "it reads"),
        // Pruned to nothing.
        (
            &tight,
            Class::Interactive,
            "SELECT * FROM orders WHERE id < 0",
            Place::Local,
            "it reads 0 B",
        ),
        (&roomy, Class::Batch, count, Place::Cluster, "it is a job"),
        (
            &tight,
            Class::Interactive,
            "SELECT 1",
            Place::Local,
            "it reads no table",
        ),
        (
            &tight,
            Class::Batch,
            "EXPLAIN SELECT * FROM orders",
            Place::Local,
            "it is an explanation",
        ),
        (
            &tight,
            Class::Batch,
            "SELECT table_name FROM information_schema.tables",
            Place::Local,
            "this process",
        ),
        (
            &tight,
            Class::Batch,
            "INSERT INTO orders SELECT * FROM orders",
            Place::Local,
            "it commits by itself",
        ),
        (&alone, Class::Batch, count, Place::Local, "this process has no cluster"),
    ] {
        let request = lake.request(class, sql).await;
        let route = router.route(&request).await.expect(sql);
        assert_eq!(route.place, place, "{sql}: {}", route.reason);
        assert!(route.reason.contains(reason), "{sql}: {}", route.reason);
    }

    // What it takes to read one column of the table.
    let ids = "SELECT sum(id) FROM orders";
    let request = lake.request(Class::Interactive, ids).await;
    let estimate = lake.engine.estimate(&request.session, &request.plan).await;
    let narrow = SchedulerOptions {
        local_scan_bytes_max: estimate.expect("an estimate").bytes(),
        ..options.clone()
    };
    let local = Arc::new(lake.engine.local_runner());
    let narrow = Router::new(local, Some(scheduler.runner()), &narrow, lake.clock.clone());
    for (sql, place) in [
        (ids, Place::Local),
        ("SELECT sum(id), min(note) FROM orders", Place::Cluster),
        ("SELECT * FROM orders LIMIT 10", Place::Local),
    ] {
        let request = lake.request(Class::Interactive, sql).await;
        let route = narrow.route(&request).await.expect(sql);
        assert_eq!(route.place, place, "{sql}: {}", route.reason);
        assert!(route.reason.contains("it reads"), "{sql}: {}", route.reason);
    }

    let local_rows = lake.rows(&lake.engine.local_runner(), count).await;
    let request = lake.request(Class::Interactive, count).await;
    let output = tight.run(request).await.expect("it runs");
    assert_eq!(output.route.place, Place::Cluster);
    assert_eq!(tight.admission().load(Class::Interactive).running, 1);
    assert_eq!(crate::lake::text(&output.collect().await.expect("rows")), local_rows);
    assert_eq!(
        tight.admission().load(Class::Interactive).running,
        0,
        "the place is given back with the last row"
    );
}

/// Takes every plan, and has no memory for any of them.
#[derive(Debug, Default)]
struct Forgetful(AtomicUsize);

impl PlanRunner for Forgetful {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let schema: SchemaRef = Arc::new(request.plan.schema().as_arrow().clone());
        let full = DataFusionError::ResourcesExhausted("no memory".to_owned());
        let rows = futures::stream::once(async { Err(full) });
        let output = PlanOutput {
            stream: Box::pin(RecordBatchStreamAdapter::new(schema.clone(), rows)),
            schema,
            route: Route::local("it was asked to"),
            attempt: 1,
        };
        futures::future::ready(Ok(output)).boxed()
    }
}

// Goal: a plan that is too large for this process runs on the cluster instead, once, and says so; one that cannot leave the
// process fails with the reason. Method: a local runner without memory; a query of a table, and one of none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_too_large_here_runs_there() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let _executor = lake.executor(&scheduler).await;
    let local = Arc::new(Forgetful::default());
    let router = Router::new(local.clone(), Some(scheduler.runner()), &options, lake.clock.clone());
    let sql = "SELECT note, count(*) FROM orders GROUP BY note";
    let expected = lake.rows(&lake.engine.local_runner(), sql).await;
    let request = lake.request(Class::Interactive, sql).await;
    let output = router.run(request).await.expect("it runs there");
    assert_eq!(output.route.place, Place::Cluster);
    assert!(output.route.reason.contains("more memory"), "{}", output.route.reason);
    assert_eq!(crate::lake::text(&output.collect().await.expect("rows")), expected);
    assert_eq!(local.0.load(Ordering::Relaxed), 1, "tried here once");
    let request = lake.request(Class::Interactive, "SELECT 1").await;
    let error = router.run(request).await.expect_err("it cannot run there");
    assert_eq!((error.code(), error.kind()), ("ENG-0005", ErrorKind::Exhausted));
}

// Goal: a plan without anybody to run it fails in time and says what to do. Method: a runner without executors, by a clock
// that is moved. The wait is the machine's, so only the error's meaning is checked here, by a short deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let mut request = lake.request(Class::Batch, "SELECT count(*) FROM orders").await;
    request.deadline = Some(Duration::from_millis(200));
    let error = scheduler.runner().run(request).await.expect_err("nobody there");
    assert_eq!(error.code(), "SCH-0006");
    assert!(!scheduler.has_executors().await);
}

// Goal: what tools ask of the catalog never waits for those who read tables. Method: one place, no line; a query of a table that holds
// the place and hands on no rows; another one, which is refused; then the catalog's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_needs_no_place() {
    let lake = Lake::new().await;
    let mut options = SchedulerOptions::loopback();
    options.limits.interactive.running_max = 1;
    options.limits.interactive.user_running_max = 1;
    options.limits.interactive.queued_max = 0;
    let router = Router::new(Arc::new(lake.engine.local_runner()), None, &options, lake.clock.clone());
    let count = "SELECT count(*) FROM orders";
    let held = router.run(lake.request(Class::Interactive, count).await).await;
    let refused = router.run(lake.request(Class::Interactive, count).await).await;
    assert_eq!(refused.expect_err("the place is taken").kind(), ErrorKind::Exhausted);
    for sql in [
        "SELECT 1",
        "SELECT table_name FROM information_schema.tables",
        "SELECT c.column_name FROM information_schema.tables t JOIN information_schema.columns c ON c.table_name = t.table_name",
    ] {
        let request = lake.request(Class::Interactive, sql).await;
        let output = router.run(request).await.expect(sql);
        assert!(!output.collect().await.expect(sql).is_empty(), "{sql}");
    }
    for heavy in [
        "SELECT count(*) FROM generate_series(1, 10)",
        "SELECT count(*) FROM orders a, orders b",
    ] {
        let request = lake.request(Class::Interactive, heavy).await;
        assert!(router.run(request).await.is_err(), "{heavy}");
    }
    drop(held);
}
