//! Statements that several ask for at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt, TryStreamExt, poll, stream};
use tidewater_core::Coded;
use tidewater_engine::pg_catalog::Postgres;
use tidewater_engine::{EngineError, LocalRunner, PlanOutput, PlanRequest, PlanRunner, SessionOptions};
use tidewater_security::Principal;
use tokio::sync::{Semaphore, mpsc};

use crate::cache::{CacheOptions, CacheUse, Joined, Key, Lead, Outcome, ResultCache, Waiting};
use crate::error::QueryError;
use crate::handle::Statement;
use crate::service::tests::Lake;
use crate::service::{Batches, Opened};

const KEY: Key = Key([7; 32]);

/// Sends rows one by one, and knows when nobody wants them any more.
struct Tap {
    send: mpsc::Sender<Result<RecordBatch, QueryError>>,
    dropped: Arc<AtomicBool>,
}

struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn rows_of() -> (Tap, Batches) {
    let (send, receive) = mpsc::channel(100);
    let dropped = Arc::new(AtomicBool::new(false));
    let tap = Tap {
        send,
        dropped: Arc::clone(&dropped),
    };
    let state = (receive, Flag(dropped));
    let batches = stream::unfold(state, |(mut receive, flag)| async move {
        let next = receive.recv().await?;
        Some((next, (receive, flag)))
    });
    (tap, Box::pin(batches))
}

impl Tap {
    fn give(&self, first: i64, rows: i64) {
        let numbers = Int64Array::from_iter_values(first..first + rows);
        let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).expect("rows");
        self.send.try_send(Ok(batch)).expect("room");
    }
}

fn lead(cache: &ResultCache) -> Lead {
    match cache.join(KEY) {
        Joined::Lead(lead) => lead,
        _ => panic!("somebody leads already, or it is kept"),
    }
}

fn wait(cache: &ResultCache) -> Waiting {
    match cache.join(KEY) {
        Joined::Waiting(waiting) => waiting,
        _ => panic!("nobody is at work"),
    }
}

async fn numbers(batches: Batches) -> Vec<i64> {
    let batches: Vec<RecordBatch> = batches.try_collect().await.expect("rows");
    let columns = batches.iter().map(|batch| {
        let column = batch.column(0).as_any().downcast_ref::<Int64Array>().expect("numbers");
        column.values().to_vec()
    });
    columns.flatten().collect()
}

async fn shared(waiting: Waiting) -> Vec<i64> {
    match waiting.await {
        Outcome::Rows(rows) => numbers(rows).await,
        Outcome::Failed | Outcome::Abandoned => panic!("it failed"),
        Outcome::Large => panic!("it is large"),
    }
}

fn cache() -> ResultCache {
    ResultCache::new(CacheOptions::default())
}

// Goal: one run answers all who ask meanwhile, and those who ask later. Method: one who leads and two who wait, rows in two parts,
// and one afterwards.
#[tokio::test]
async fn one_run_answers_all() {
    let cache = cache();
    let (tap, rows) = rows_of();
    let leads = lead(&cache);
    let (first, second) = (wait(&cache), wait(&cache));
    let rows = leads.follow(rows);
    tap.give(0, 3);
    tap.give(3, 2);
    drop(tap);
    let all = futures::join!(numbers(rows), shared(first), shared(second));
    let expected: Vec<i64> = (0..5).collect();
    assert_eq!(all, (expected.clone(), expected.clone(), expected.clone()));
    match cache.join(KEY) {
        Joined::Kept(rows) => assert_eq!(numbers(rows).await, expected),
        _ => panic!("it is kept"),
    }
    assert_eq!(cache.0.coming_bytes.load(Ordering::SeqCst), 0);
}

// Goal: who waits needs nobody who leads: neither one that reads slowly nor one that goes away with some rows read. Method: one that
// reads once and then not at all, and is dropped in the middle or stays.
#[tokio::test]
async fn those_who_wait_go_on() {
    for stays in [true, false] {
        let cache = cache();
        let (tap, rows) = rows_of();
        let mut rows = lead(&cache).follow(rows);
        tap.give(0, 2);
        let first = rows.next().await.expect("rows").expect("rows");
        assert_eq!(first.num_rows(), 2);
        assert!(poll!(rows.next()).is_pending());
        let mut waiting = wait(&cache);
        assert!(poll!(&mut waiting).is_pending());
        let rows = stays.then_some(rows);
        tap.give(2, 2);
        drop(tap);
        assert_eq!(shared(waiting).await, [0, 1, 2, 3], "stays: {stays}");
        if let Some(rows) = rows {
            assert_eq!(numbers(rows).await, [2, 3]);
        }
        assert!(cache.holds(&KEY));
    }
}

// Goal: whoever goes away does so alone, and with the last one the work ends. Method: one who leads and two who wait leave one after
// the other, in each order.
#[tokio::test]
async fn the_work_ends_with_the_last_who_asks() {
    for last in 0..3 {
        let cache = cache();
        let (tap, rows) = rows_of();
        let mut rows = Some(lead(&cache).follow(rows));
        let mut waiting = [Some(wait(&cache)), Some(wait(&cache))];
        tap.give(0, 10);
        assert!(poll!(waiting[0].as_mut().expect("waits")).is_pending());
        for at in (0..3).filter(|at| *at != last).chain([last]) {
            assert!(!tap.dropped.load(Ordering::SeqCst), "somebody still asks");
            match at {
                0 => drop(rows.take()),
                at => drop(waiting[at - 1].take()),
            }
        }
        assert!(tap.dropped.load(Ordering::SeqCst), "nobody asks, last was {last}");
        assert_eq!(cache.0.coming_bytes.load(Ordering::SeqCst), 0);
        assert!(!cache.holds(&KEY));
        drop(lead(&cache));
    }
}

// Goal: a run that fails, or ends before it began, answers nobody else, and one of those who wait may run it. Method: an error after
// some rows, and one who leads that is dropped without rows.
#[tokio::test]
async fn failures_are_nobody_elses() {
    let cache = cache();
    let (tap, rows) = rows_of();
    let rows = lead(&cache).follow(rows);
    let waiting = wait(&cache);
    tap.give(0, 1);
    tap.send.try_send(Err(QueryError::BadHandle)).expect("room");
    let (led, waited) = futures::join!(rows.try_collect::<Vec<_>>(), waiting);
    assert_eq!(led.expect_err("it failed").code(), QueryError::BadHandle.code());
    assert!(matches!(waited, Outcome::Failed));
    let leads = lead(&cache);
    let waiting = wait(&cache);
    leads.fail();
    assert!(matches!(waiting.await, Outcome::Failed));
    let leads = lead(&cache);
    let waiting = wait(&cache);
    drop(leads);
    assert!(matches!(waiting.await, Outcome::Abandoned));
    assert!(!cache.holds(&KEY));
    let again = lead(&cache);
    let mut waiting = wait(&cache);
    assert!(poll!(&mut waiting).is_pending(), "it waits for the next one");
    drop(again);
}

// Goal: rows that are too many reach who leads, all of them and in order, and are not kept; who waits is told at once and nobody waits
// for them again. Method: limits below the rows of one run, by entry and by what may come in at all.
#[tokio::test]
async fn large_results_are_handed_on() {
    for (bytes_max, entry_bytes_max) in [(1 << 20, 20_000), (40_000, 1 << 20)] {
        let cache = ResultCache::new(CacheOptions {
            bytes_max,
            entry_bytes_max,
            ..CacheOptions::default()
        });
        let (tap, rows) = rows_of();
        let mut rows = lead(&cache).follow(rows);
        let mut waiting = wait(&cache);
        tap.give(0, 500);
        assert_eq!(rows.next().await.expect("rows").expect("rows").num_rows(), 500);
        for part in 1..10 {
            tap.give(part * 500, 500);
        }
        drop(tap);
        assert!(matches!((&mut waiting).await, Outcome::Large));
        drop(waiting);
        assert_eq!(
            cache.0.coming_bytes.load(Ordering::SeqCst),
            0,
            "what was kept is let go"
        );
        assert_eq!(numbers(rows).await, (500..5_000).collect::<Vec<i64>>());
        assert!(!cache.holds(&KEY));
        assert_eq!(matches!(cache.join(KEY), Joined::Large), entry_bytes_max == 20_000);
    }
}

/// Counts what runs, and lets it begin when it is told to.
#[derive(Debug)]
struct Gate {
    runner: LocalRunner,
    runs: AtomicUsize,
    open: Semaphore,
    fails: AtomicUsize,
}

impl PlanRunner for Gate {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        let run = async move {
            self.runs.fetch_add(1, Ordering::SeqCst);
            self.open.acquire().await.expect("it is never closed").forget();
            if self.fails.load(Ordering::SeqCst) > 0 {
                self.fails.fetch_sub(1, Ordering::SeqCst);
                return Err(EngineError::Unsupported { what: "today".into() });
            }
            self.runner.run(request).await
        };
        run.boxed()
    }
}

impl Gate {
    fn over(lake: &Lake) -> Arc<Self> {
        Arc::new(Self {
            runner: lake.engine().local_runner(),
            runs: AtomicUsize::new(0),
            open: Semaphore::new(0),
            fails: AtomicUsize::new(0),
        })
    }
}

// Goal: the same statement of many clients at once runs once; when the one that runs fails or is cancelled, another one runs it; each
// can be cancelled alone. Method: a runner that waits until all are there; the history tells who was answered how.
#[tokio::test]
async fn the_service_runs_a_statement_once() {
    let lake = Lake::new().await;
    let gate = Gate::over(&lake);
    let service = lake.over_same(gate.clone(), cache());
    let user = Principal::local();
    let statement = Statement::new("SELECT sum(id) FROM numbers");
    let ask = |service: crate::QueryService| {
        let (user, statement) = (user.clone(), statement.clone());
        async move {
            let (results, how) = service.run_and_tell(&user, &statement).await?;
            let batches: Vec<RecordBatch> = results.batches.try_collect().await?;
            Ok::<_, QueryError>((batches, how))
        }
        .boxed()
    };
    let mut all: Vec<_> = (0..8).map(|_| ask(service.clone())).collect();
    // The first one leads: the others come when it is at work.
    for one in &mut all {
        while gate.runs.load(Ordering::SeqCst) == 0 {
            assert!(poll!(&mut *one).is_pending());
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            assert!(poll!(&mut *one).is_pending());
            tokio::task::yield_now().await;
        }
    }
    // It goes away, and one of the others fails.
    drop(all.remove(0));
    gate.fails.store(1, Ordering::SeqCst);
    gate.open.add_permits(2);
    let ended = tokio::time::timeout(Duration::from_secs(60), join_all(all)).await;
    let ended = ended.expect("nobody waits for ever");
    assert_eq!(
        ended.iter().filter(|one| one.is_err()).count(),
        1,
        "one failed, and told its client"
    );
    let answers: Vec<_> = ended.into_iter().filter_map(Result::ok).collect();
    let ran = answers.iter().filter(|(_, how)| *how == CacheUse::Miss).count();
    assert_eq!((answers.len(), ran, gate.runs.load(Ordering::SeqCst)), (6, 1, 3));
    assert!(answers.iter().all(|(batches, _)| *batches == answers[0].0));
    let (_, how) = ask(service.clone()).await.expect("rows");
    assert_eq!(how, CacheUse::Hit);
    let told: Vec<Option<String>> = service.history().all().into_iter().map(|record| record.cache).collect();
    let count = |word: &str| told.iter().flatten().filter(|told| *told == word).count();
    assert_eq!((count("HIT"), count("MISS"), count("COALESCED")), (1, 1, 5));
    gate.open.add_permits(1);
    let off = service.cached(false);
    let (_, how) = off.run_and_tell(&user, &statement).await.expect("rows");
    assert_eq!(how.to_string(), "BYPASS (the session switched it off)");
}

// Goal: a session says for itself whether it takes rows that are kept, and history and EXPLAIN tell what became of a statement. Method:
// one statement by sessions of the PostgreSQL wire with the setting on and off, by Flight SQL's, and explained before and after.
#[tokio::test]
async fn sessions_say_what_they_take() {
    let lake = Lake::new().await;
    let user = Principal::local();
    let sql = "SELECT name FROM numbers WHERE id < 5";
    let explain = async || {
        let statement = Statement::new(format!("EXPLAIN {sql}"));
        let rows = lake.service.run(&user, &statement).await.expect("rows").batches;
        let rows: Vec<RecordBatch> = rows.try_collect().await.expect("rows");
        pretty_format_batches(&rows).expect("printable").to_string()
    };
    let before = explain().await;
    assert!(before.contains("cache") && before.contains("miss: "), "{before}");
    for setting in ["off", "on", "on"] {
        let postgres = Postgres {
            settings: BTreeMap::from([("tidewater.cache".to_owned(), setting.to_owned())]),
            ..Postgres::default()
        };
        let client = SessionOptions {
            postgres: Some(Arc::new(postgres)),
            ..SessionOptions::default()
        };
        let (id, deadline) = (lake.service.fresh_id(), Duration::from_secs(60));
        let opened = lake.service.open(&user, id, sql, Vec::new(), &client, deadline).await;
        let Opened::Rows(results, _) = opened.expect("rows") else {
            panic!("a query");
        };
        let rows: Vec<RecordBatch> = results.batches.try_collect().await.expect("rows");
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
    }
    let (results, how) = lake
        .service
        .run_and_tell(&user, &Statement::new(sql))
        .await
        .expect("rows");
    assert_eq!(
        (how.word(), numbers_of_rows(results.batches).await),
        ("HIT", 5),
        "the other front's rows"
    );
    let after = explain().await;
    assert!(after.contains("hit: "), "{after}");
    let mut told: Vec<String> = lake
        .service
        .history()
        .all()
        .into_iter()
        .filter_map(|one| one.cache)
        .collect();
    told.reverse();
    assert_eq!(
        told,
        [
            "BYPASS (it is an explanation)",
            "BYPASS (the session switched it off)",
            "MISS",
            "HIT",
            "HIT",
            "BYPASS (it is an explanation)",
        ]
    );
}

async fn numbers_of_rows(batches: Batches) -> usize {
    let batches: Vec<RecordBatch> = batches.try_collect().await.expect("rows");
    batches.iter().map(RecordBatch::num_rows).sum()
}
