//! Plans of a process without executors, run by the process that schedules.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::prelude::SessionContext;

use crate::child::ExecutorChild;
use crate::lake::{FILES, Lake, ROWS_PER_FILE, START_DEADLINE, engine_options, text};
use crate::queries::{STATEMENTS, until};
use tidewater_core::{Coded, ErrorKind, RemoteError};
use tidewater_engine::{Class, Engine, Execution, Place, PlanRequest, PlanRunner, SessionOptions};
use tidewater_scheduler::{RemoteRunner, Router, Scheduler, SchedulerOptions, WhoSchedules};

/// Who schedules, as the test says.
#[derive(Debug, Clone, Default)]
struct Named {
    address: Arc<Mutex<Option<SocketAddr>>>,
    /// How often it was said.
    said: Arc<AtomicU32>,
}

impl Named {
    fn at(address: SocketAddr) -> Self {
        let named = Self::default();
        named.becomes(address);
        named
    }

    fn becomes(&self, address: SocketAddr) {
        *self.address.lock().expect("nobody panics with it") = Some(address);
    }
}

#[async_trait]
impl WhoSchedules for Named {
    async fn who(&self) -> Option<(String, u16)> {
        let named = *self.address.lock().expect("nobody panics with it");
        self.said.fetch_add(1, Ordering::SeqCst);
        named.map(|address| (address.ip().to_string(), address.port()))
    }
}

/// An engine beside that of the cluster, over the same catalog, with no scheduler of its own.
struct Asker {
    engine: Engine,
    router: Router,
}

impl Asker {
    fn new(lake: &Lake, who: Named, options: &SchedulerOptions) -> Self {
        let engine = Engine::open(
            engine_options(lake.home.path(), &format!("asker-{}", lake.job())),
            Arc::clone(lake.engine.catalog()),
            lake.engine.store().clone(),
            lake.clock.clone(),
            lake.rng.clone(),
        );
        let engine = engine.expect("an engine");
        let remote = RemoteRunner::new(engine.clone(), Arc::new(who), options, lake.clock.clone());
        let local = Arc::new(engine.local_runner());
        Self {
            router: Router::new(local, None, options, lake.clock.clone()).beside(remote),
            engine,
        }
    }

    fn session(&self, class: Class, execution: Execution) -> SessionContext {
        let options = SessionOptions {
            execution,
            ..SessionOptions::default()
        };
        self.engine.session(class, &options.default_schema("silver"))
    }

    async fn request(&self, lake: &Lake, execution: Execution, sql: &str) -> PlanRequest {
        let class = Class::Interactive;
        let session = self.session(class, execution);
        let plan = self.engine.plan(&session, sql).await.expect(sql);
        PlanRequest {
            job: lake.job(),
            session,
            plan,
            class,
            deadline: Some(Duration::from_secs(100)),
        }
    }
}

/// Columns of one name, constants, distinct values and windows.
const SHAPES: [&str; 4] = [
    "SELECT a.id, b.id, a.note FROM orders a JOIN orders b ON a.id = b.id WHERE a.id < 300",
    "SELECT 7 AS c, order_id FROM items WHERE order_id < 100 UNION ALL SELECT 8, id FROM orders WHERE id < 100",
    "SELECT note, count(DISTINCT customer) FROM orders GROUP BY note",
    "SELECT id, lag(id) OVER (PARTITION BY note ORDER BY id), avg(customer) OVER (ORDER BY id ROWS 3 PRECEDING) FROM orders WHERE id < 300",
];

// Goal: a process without executors answers by those of the process that schedules, with the same rows, and says so; what it ran is known
// there. Method: statements of several shapes, from an engine of its own; the history of the scheduler.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_come_from_elsewhere() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let _executor = lake.executor(&scheduler).await;
    let asker = Asker::new(&lake, Named::at(scheduler.address()), &options);
    let local = lake.engine.local_runner();
    for sql in STATEMENTS.into_iter().chain(SHAPES) {
        let expected = lake.rows(&local, sql).await;
        let request = asker.request(&lake, Execution::Cluster, sql).await;
        let job = request.job;
        let route = asker.router.route(&request).await.expect(sql);
        assert_eq!(route.place, Place::Cluster, "{sql}: {}", route.reason);
        let output = asker.router.run(request).await.expect(sql);
        assert_eq!(output.route.place, Place::Cluster, "{sql}: {}", output.route.reason);
        assert_eq!(
            (output.route.reason.as_str(), output.attempt),
            ("tidewater.execution says so", 1)
        );
        assert_eq!(text(&output.collect().await.expect(sql)), expected, "{sql}");
        assert_eq!(scheduler.history().of(job).len(), 1, "{sql}");
        let stages = asker.router.stages(job);
        assert_eq!(stages, scheduler.runner().stages(job), "{sql}");
        assert!(!stages.is_empty(), "{sql}");
    }
}

// Goal: what stays in the process for its size or its form stays there, and what is too large goes. Method: the same engine with a limit that
// holds a table and one that does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_small_stays() {
    let lake = Lake::new().await;
    let tight = SchedulerOptions {
        local_scan_bytes_max: 10_000,
        ..SchedulerOptions::loopback()
    };
    let scheduler = lake.scheduler(tight.clone()).await;
    let roomy = SchedulerOptions::loopback();
    let who = Named::at(scheduler.address());
    let [roomy, tight] = [roomy, tight].map(|options| Asker::new(&lake, who.clone(), &options));
    let sum = "SELECT count(*), sum(id) FROM orders";
    let request = tight.request(&lake, Execution::Auto, sum).await;
    let route = tight.router.route(&request).await.expect(sum);
    assert_eq!(
        (route.place, route.reason.as_str()),
        (Place::Local, "no executor is there")
    );
    let _executor = lake.executor(&scheduler).await;
    // What was known before is believed for a moment.
    let begun = lake.clock.monotonic();
    loop {
        let request = tight.request(&lake, Execution::Auto, sum).await;
        let route = tight.router.route(&request).await.expect(sum);
        if route.place == Place::Cluster {
            break;
        }
        let waited = lake.clock.monotonic() - begun;
        assert!(waited < Duration::from_secs(20), "{}", route.reason);
        lake.clock.sleep(Duration::from_millis(50)).await;
    }
    for (asker, execution, sql, place) in [
        (&roomy, Execution::Auto, sum, Place::Local),
        (&roomy, Execution::Cluster, sum, Place::Cluster),
        (&roomy, Execution::Cluster, "SELECT 1", Place::Local),
        (
            &roomy,
            Execution::Cluster,
            "SELECT table_name FROM information_schema.tables",
            Place::Local,
        ),
    ] {
        let request = asker.request(&lake, execution, sql).await;
        let route = asker.router.route(&request).await.expect(sql);
        assert_eq!(route.place, place, "{sql}: {}", route.reason);
    }
}

// Goal: where a plan would run is where it does, also if it cannot be sent. Method: an answer with large lists, and an asker of another
// build, each explained and run.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_sent_is_told_to_stay() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let _executor = lake.executor(&scheduler).await;
    let other = SchedulerOptions {
        build: "another".to_owned(),
        ..options.clone()
    };
    let large = "SELECT arrow_cast(make_array(id), 'LargeList(Int64)') AS ids FROM orders WHERE id < 10";
    for (options, sql, reason) in [
        (&options, large, "large lists"),
        (&other, "SELECT count(*) FROM orders", "build"),
    ] {
        let asker = Asker::new(&lake, Named::at(scheduler.address()), options);
        let request = asker.request(&lake, Execution::Cluster, sql).await;
        let route = asker.router.route(&request).await.expect(sql);
        assert_eq!(route.place, Place::Local, "{sql}: {}", route.reason);
        assert!(route.reason.contains(reason), "{sql}: {}", route.reason);
        let output = asker.router.run(request).await.expect(sql);
        assert_eq!(output.route.place, Place::Local, "{sql}: {}", output.route.reason);
        assert_eq!(output.route.reason, "the cluster cannot plan it", "{sql}");
        assert!(!output.collect().await.expect(sql).is_empty(), "{sql}");
    }
}

// Goal: a write lists each of its files once, wherever its plan was made. Method: a joined table written by the engine without executors.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_are_written_elsewhere() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let _executor = lake.executor(&scheduler).await;
    let asker = Asker::new(&lake, Named::at(scheduler.address()), &options);
    let columns = [("id", DataType::Int64), ("amount", DataType::Int64)];
    let name = lake.create("gold.joined", &columns).await;
    let table = asker.engine.load(&name).await.expect("a table");
    let session = asker.session(Class::Batch, Execution::Auto);
    let sql = "SELECT o.id, i.amount FROM orders o JOIN items i ON o.id = i.order_id";
    let plan = asker.engine.plan(&session, sql).await.expect("a plan");
    let job = lake.job();
    let added = asker.engine.write(&asker.router, job, &session, plan, &table).await;
    let added = added.expect("written");
    assert_eq!(scheduler.history().of(job).len(), 1, "it ran there");
    let rows: u64 = added.iter().map(|added| added.file.record_count()).sum();
    assert_eq!(rows, u64::try_from(FILES * ROWS_PER_FILE).expect("few"));
    let listed: BTreeSet<&str> = added.iter().map(|added| added.file.file_path()).collect();
    assert_eq!(listed.len(), added.len(), "each once");
    let data = format!("{}/data", table.metadata.location());
    let on_disk = lake.engine.store().list(&data).await.expect("a list");
    assert_eq!(on_disk.len(), listed.len(), "nothing besides");
}

// Goal: rows that are more than a message holds come all. Method: a product of two tables, its rows counted and summed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_rows_come_in_parts() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let _executor = lake.executor(&scheduler).await;
    let asker = Asker::new(&lake, Named::at(scheduler.address()), &options);
    let sql = "SELECT o.id, i.order_id, i.amount FROM orders o CROSS JOIN items i WHERE o.id < 20";
    let request = asker.request(&lake, Execution::Cluster, sql).await;
    let output = asker.router.run(request).await.expect("rows");
    assert_eq!(output.route.place, Place::Cluster, "{}", output.route.reason);
    let batches = output.collect().await.expect("all rows");
    assert!(batches.len() > 2, "{}", batches.len());
    let (mut rows, mut ids) = (0, 0);
    for batch in &batches {
        rows += i64::try_from(batch.num_rows()).expect("few");
        ids += batch.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>();
    }
    let items = FILES * ROWS_PER_FILE;
    assert_eq!((rows, ids), (20 * items, (0..20).sum::<i64>() * items));
}

// Goal: errors of executors arrive as they do in the process that schedules. Method: a division by zero, from there and from elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn errors_are_the_same_elsewhere() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let _executor = lake.executor(&scheduler).await;
    let asker = Asker::new(&lake, Named::at(scheduler.address()), &options);
    let sql = "SELECT sum(1 / (amount - 17)) FROM items";
    let request = asker.request(&lake, Execution::Cluster, sql).await;
    let error = asker.router.run(request).await.expect_err(sql);
    assert_eq!(
        (error.code(), error.kind()),
        ("SCH-0005", ErrorKind::Invalid),
        "{error:?}"
    );
    let told = RemoteError::of(&error).message;
    assert!(told.contains("ENG-0003"), "{told}");
}

// Goal: nothing runs on for a process that wants it no more. Method: a slow plan, dropped while it runs; the scheduler must know of no
// running job soon after.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_dropped_ends_elsewhere() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let _executor = lake.executor(&scheduler).await;
    let asker = Asker::new(&lake, Named::at(scheduler.address()), &options);
    let sql = "SELECT sum(slow(amount, 200)) FROM items";
    let request = asker.request(&lake, Execution::Cluster, sql).await;
    let mut running = Box::pin(asker.router.run(request));
    let begun = until(&lake, "it runs", || !scheduler.running().is_empty());
    tokio::select! {
        _ = &mut running => panic!("it takes longer than that"),
        () = begun => {}
    }
    drop(running);
    until(&lake, "the dropped plan is cancelled", || {
        scheduler.running().is_empty()
    })
    .await;
}

// Goal: where nobody schedules, a plan runs here at once, and one that was to run on executors at any price ends with an error once it has
// waited for as long as nobody can run it, or for all of its time. Method: nobody, and an address where nobody listens, with little time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_schedules() {
    let lake = Lake::new().await;
    let options = SchedulerOptions {
        local_scan_bytes_max: 0,
        ..SchedulerOptions::loopback()
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = listener.local_addr().expect("an address");
    drop(listener);
    let sql = "SELECT note, count(*) FROM orders GROUP BY note";
    let (long, short) = (Duration::from_secs(100), Duration::from_millis(300));
    for (who, allowed, waits, code) in [
        (Named::default(), long, Duration::from_secs(8), "SCH-0023"),
        (Named::at(free), short, short, "ENG-0009"),
    ] {
        let asker = Asker::new(&lake, who, &options);
        let request = asker.request(&lake, Execution::Auto, sql).await;
        let output = asker.router.run(request).await.expect("it runs here");
        assert_eq!(
            (output.route.place, output.route.reason.as_str()),
            (Place::Local, "nobody was found who schedules")
        );
        assert!(!output.collect().await.expect("rows").is_empty());
        let mut request = asker.request(&lake, Execution::Cluster, sql).await;
        request.deadline = Some(allowed);
        let begun = lake.clock.monotonic();
        let error = asker.router.run(request).await.expect_err("it was to run there");
        assert_eq!(error.code(), code, "{error:?}");
        let waited = lake.clock.monotonic() - begun;
        assert!(waited >= waits, "{waited:?} for {waits:?}");
    }
}

// Goal: a plan that was to run on executors at any price waits for the next process to schedule, and for its executors, and tells how long.
// Method: nobody, and once that was said, a scheduler without an executor, to which one comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_schedules_next_is_waited_for() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let scheduler = lake.scheduler(options.clone()).await;
    let who = Named::default();
    let asker = Asker::new(&lake, who.clone(), &options);
    let sql = "SELECT count(*), sum(id) FROM orders";
    let request = asker.request(&lake, Execution::Cluster, sql).await;
    let mut running = Box::pin(asker.router.run(request));
    let looked = until(&lake, "it was looked for", || who.said.load(Ordering::SeqCst) > 0);
    tokio::select! {
        _ = &mut running => panic!("nobody is there"),
        () = looked => {}
    }
    who.becomes(scheduler.address());
    let (output, _executor) = tokio::join!(running, lake.executor(&scheduler));
    let output = output.expect("it runs there");
    assert_eq!(output.route.place, Place::Cluster, "{}", output.route.reason);
    assert!(output.route.waited > Duration::ZERO, "it waited");
    let expected = lake.rows(&lake.engine.local_runner(), sql).await;
    assert_eq!(text(&output.collect().await.expect("rows")), expected);
}

// Goal: a plan whose scheduler ends before its first row runs with the next one, once, and says so. Method: two schedulers with an executor
// each, the second's in a process of its own; the first is told to end amid a slow plan, and the second is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_next_scheduler_runs_it() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let tasks = lake.tasks.child("first");
    let first = Scheduler::start(&options, lake.engine.clone(), lake.clock.clone(), &tasks);
    let first = first.await.expect("a scheduler");
    let second = lake.scheduler(options.clone()).await;
    let _with_first = lake.executor(&first).await;
    let _with_second = ExecutorChild::start("second", second.address(), lake.home.path());
    let came = second.wait_for_executors(1, START_DEADLINE).await;
    came.expect("the other executor");
    let who = Named::at(first.address());
    let asker = Asker::new(&lake, who.clone(), &options);
    let sql = "SELECT sum(slow(amount, 100)) FROM items";
    let request = asker.request(&lake, Execution::Cluster, sql).await;
    let mut running = Box::pin(asker.router.run(request));
    let begun = until(&lake, "it runs", || !first.running().is_empty());
    tokio::select! {
        _ = &mut running => panic!("it takes longer than that"),
        () = begun => {}
    }
    who.becomes(second.address());
    tasks.token().cancel();
    let output = running.await.expect("the next one runs it");
    assert_eq!(output.attempt, 2);
    let rows = text(&output.collect().await.expect("rows"));
    let expected = lake
        .rows(&lake.engine.local_runner(), "SELECT sum(amount) FROM items")
        .await;
    assert_eq!(rows, expected);
}

// Goal: a plan whose executors are gone while its scheduler lives runs with the next one if another schedules, and ends as it would in that
// process if none does, without a second try. Method: two schedulers with an executor each, killed amid a slow plan: the first one's while
// the second is named, then the second's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_runs_where_the_executors_went() {
    let lake = Lake::new().await;
    let options = SchedulerOptions::loopback();
    let [first, second] = [
        lake.scheduler(options.clone()).await,
        lake.scheduler(options.clone()).await,
    ];
    let mut with_first = ExecutorChild::start("first", first.address(), lake.home.path());
    let mut with_second = ExecutorChild::start("second", second.address(), lake.home.path());
    for scheduler in [&first, &second] {
        let came = scheduler.wait_for_executors(1, START_DEADLINE).await;
        came.expect("its executor");
    }
    let who = Named::at(first.address());
    let asker = Asker::new(&lake, who.clone(), &options);
    let sql = "SELECT sum(slow(amount, 100)) FROM items";

    let request = asker.request(&lake, Execution::Cluster, sql).await;
    let job = request.job;
    let mut running = Box::pin(asker.router.run(request));
    let begun = until(&lake, "the first has it", || !first.history().of(job).is_empty());
    tokio::select! {
        _ = &mut running => panic!("it takes longer than that"),
        () = begun => {}
    }
    who.becomes(second.address());
    with_first.kill();
    let output = running.await.expect("the next one runs it");
    assert_eq!(output.attempt, 2);
    let rows = text(&output.collect().await.expect("rows"));
    let expected = lake
        .rows(&lake.engine.local_runner(), "SELECT sum(amount) FROM items")
        .await;
    assert_eq!(rows, expected);
    assert_eq!(second.history().of(job).len(), 1, "it ran there");

    let request = asker.request(&lake, Execution::Cluster, sql).await;
    let job = request.job;
    let mut running = Box::pin(asker.router.run(request));
    let begun = until(&lake, "the second has it", || !second.history().of(job).is_empty());
    tokio::select! {
        _ = &mut running => panic!("it takes longer than that"),
        () = begun => {}
    }
    with_second.kill();
    let killed = lake.clock.monotonic();
    let error = running.await.expect_err("nobody is left");
    assert_eq!(error.code(), "SCH-0003", "{error:?}");
    let waited = lake.clock.monotonic() - killed;
    assert!(
        waited < Duration::from_secs(20),
        "{waited:?}: no other scheduler is waited for"
    );
    assert_eq!(second.history().of(job).len(), 1, "it was not sent again");
}
