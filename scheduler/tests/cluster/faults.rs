//! Eleven faults, each while a statement is read and while one writes (reliability of distributed queries): whatever happens, the rows are
//! those of one process, or there is the code that says why there are none; and afterwards the cluster works.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidewater_core::{Coded, ErrorKind, RemoteError, Tasks};
use tidewater_engine::EngineError;
use tidewater_scheduler::{Scheduler, SchedulerOptions};

use crate::child::ExecutorChild;
use crate::failing::{Failure, let_fail, take_back};
use crate::kills::{kill_at, statement};
use crate::lake::{Lake, START_DEADLINE};
use crate::loss::{Moment, wait_for};
use crate::work::{Begun, Work, begin, columns_of, nothing_is_left};

/// Nothing may hang longer, whatever happens.
const DEADLINE: Duration = Duration::from_secs(60);

/// The loss of one executor is made good within this, beyond what the statement takes.
const HEALED_MAX: Duration = Duration::from_secs(20);

/// Within this a statement that nobody can run has failed.
const FAILED_MAX: Duration = Duration::from_secs(10);

/// A pause of an executor, and its work between two of them: it has a fifth of its speed.
const STOPPED: Duration = Duration::from_millis(400);
const WORKS: Duration = Duration::from_millis(100);

/// A cluster of two executors.
pub(crate) struct Cluster {
    pub(crate) lake: Lake,
    pub(crate) scheduler: Scheduler,
    pub(crate) first: ExecutorChild,
    pub(crate) second: ExecutorChild,
    pub(crate) first_id: String,
    /// Ends the scheduler.
    scheduling: Tasks,
    work: Work,
    begun: usize,
}

impl Cluster {
    pub(crate) async fn new(work: Work) -> Self {
        Self::of(work, ExecutorChild::start).await
    }

    async fn of(work: Work, start: fn(&str, std::net::SocketAddr, &std::path::Path) -> ExecutorChild) -> Self {
        let lake = Lake::new().await;
        let scheduling = lake.tasks.child("scheduler");
        let (engine, clock) = (lake.engine.clone(), lake.clock.clone());
        let scheduler = Scheduler::start(&SchedulerOptions::loopback(), engine, clock, &scheduling).await;
        let scheduler = scheduler.expect("a scheduler");
        let first = start("first", scheduler.address(), lake.home.path());
        let registered = scheduler.wait_for_executors(1, START_DEADLINE).await;
        assert!(registered.is_ok(), "{}", first.log_tail());
        let first_id = scheduler.executors().await.expect("a list")[0].id.clone();
        let second = start("second", scheduler.address(), lake.home.path());
        let registered = scheduler.wait_for_executors(2, START_DEADLINE).await;
        assert!(registered.is_ok(), "{}", second.log_tail());
        Self {
            lake,
            scheduler,
            first,
            second,
            first_id,
            scheduling,
            work,
            begun: 0,
        }
    }

    /// The rows that one process makes of it.
    pub(crate) async fn expected(&self, sql: &str) -> Vec<String> {
        let sql = columns_of(&sql.replace("{ms}", "0"));
        self.lake.rows(&self.lake.engine.local_runner(), &sql).await
    }

    pub(crate) async fn begin(&mut self, sql: &str) -> Begun {
        self.begun += 1;
        let (sql, target) = (
            columns_of(&sql.replace("{ms}", "100")),
            format!("gold.fault_{}", self.begun),
        );
        begin(&self.lake, &self.scheduler, self.work, &sql, &target).await
    }

    /// What the statement comes to, and how long that took from now on.
    pub(crate) async fn end(&self, begun: Begun) -> (Result<Vec<String>, EngineError>, Duration) {
        let since = self.lake.clock.monotonic();
        let rows = begun.rows(&self.lake).await;
        let took = self.lake.clock.monotonic().saturating_sub(since);
        assert!(took < DEADLINE, "{took:?}");
        (rows, took)
    }

    /// Begins a statement and waits for a moment of it.
    async fn begin_until(&mut self, moment: Moment) -> (Begun, Vec<String>) {
        let sql = statement(moment, false);
        let expected = self.expected(&sql).await;
        let begun = self.begin(&sql).await;
        wait_for(&self.lake, &self.scheduler, moment, &self.first_id).await;
        (begun, expected)
    }

    /// A statement has its rows, and every place of so many executors is free in the end.
    async fn works(&mut self, executors: usize) {
        let there = self.scheduler.wait_for_executors(executors, START_DEADLINE).await;
        assert!(there.is_ok(), "executors: {there:?}");
        let sql = statement(Moment::Reading, true);
        let expected = self.expected(&sql).await;
        let begun = self.begin(&sql.replace("{ms}", "0")).await;
        assert_eq!(self.end(begun).await.0.expect("rows"), expected, "{:?}", self.work);
        self.nothing_runs().await;
    }

    /// A statement has its rows, and takes up every place that the two executors have while it runs.
    pub(crate) async fn uses_every_place(&mut self) {
        let names = self.scheduler.executors().await.expect("a list");
        let sql = statement(Moment::Mapping, false);
        let expected = self.expected(&sql).await;
        let begun = self.begin(&sql).await;
        let since = self.lake.clock.monotonic();
        loop {
            let mut used = 0;
            for executor in &names {
                used += self.scheduler.load_of(&executor.id).await.vcores;
            }
            if used == 4 {
                break;
            }
            assert!(
                self.lake.clock.monotonic() - since < DEADLINE,
                "{used} of 4 places are used"
            );
            self.lake.clock.sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.end(begun).await.0.expect("rows"), expected);
    }

    /// No data file lies with the table that was written last but those that it has.
    pub(crate) async fn nothing_is_left(&self) {
        if self.work == Work::Writes {
            nothing_is_left(&self.lake, &format!("gold.fault_{}", self.begun)).await;
        }
    }

    pub(crate) async fn nothing_runs(&self) {
        let began = self.lake.clock.monotonic();
        loop {
            let mut tasks = 0;
            for executor in self.scheduler.executors().await.expect("a list") {
                tasks += self.scheduler.load_of(&executor.id).await.tasks;
            }
            if tasks == 0 {
                return;
            }
            assert!(
                self.lake.clock.monotonic() - began < DEADLINE,
                "{tasks} tasks run for nobody"
            );
            self.lake.clock.sleep(Duration::from_millis(20)).await;
        }
    }

    fn attempts(&self, job: tidewater_core::JobId) -> usize {
        self.scheduler
            .history()
            .of(job)
            .iter()
            .map(|report| report.attempts.len())
            .sum()
    }
}

/// The same for reading and for writing.
async fn both<F: Future<Output = ()>>(fault: fn(Work) -> F) {
    for work in [Work::Reads, Work::Writes] {
        fault(work).await;
    }
}

/// What is said of the error, with its causes.
fn tells(error: &EngineError, part: &str) {
    let told = RemoteError::of(error).message;
    assert!(told.contains(part), "{told}");
}

const FAILING: &str = "SELECT note, count(*) AS n, sum(failing(id)) AS s, 0 AS a FROM orders GROUP BY note";

// Goal: a read that fails now and then costs time, no rows. Method: two calls in whichever executor fail as reads do; both have to have failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn fault_that_passes() {
    both(|work| async move {
        let mut cluster = Cluster::new(work).await;
        let expected = cluster.expected(FAILING).await;
        let_fail(cluster.lake.home.path(), Failure::Read, 2);
        let begun = cluster.begin(FAILING).await;
        assert_eq!(cluster.end(begun).await.0.expect("rows"), expected, "{work:?}");
        assert_eq!(take_back(cluster.lake.home.path()), 0, "faults that did not happen");
        cluster.works(2).await;
    })
    .await;
}

// Goal: a read that always fails ends the statement with a code. Method: more faults than any number of attempts takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn fault_that_stays() {
    both(|work| async move {
        let faults = 1_000;
        let mut cluster = Cluster::new(work).await;
        let_fail(cluster.lake.home.path(), Failure::Read, faults);
        let begun = cluster.begin(FAILING).await;
        let error = cluster.end(begun).await.0.expect_err("it cannot be read");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        tells(&error, "[ENG-0007]");
        tells(&error, "a fault of the test");
        let left = take_back(cluster.lake.home.path());
        assert!(left < faults, "no fault happened");
        cluster.works(2).await;
    })
    .await;
}

// Goal: a panic ends the statement that it happens in with a code, and nothing else. Method: a call that panics; the executors have to be there
// afterwards under their names.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn panics() {
    both(|work| async move {
        let mut cluster = Cluster::new(work).await;
        let names = |list: Vec<tidewater_scheduler::ExecutorInfo>| -> Vec<String> {
            list.into_iter().map(|executor| executor.id).collect()
        };
        let before = names(cluster.scheduler.executors().await.expect("a list"));
        let_fail(cluster.lake.home.path(), Failure::Panic, 1);
        let begun = cluster.begin(FAILING).await;
        let error = cluster.end(begun).await.0.expect_err("it panics");
        assert_eq!(error.kind(), ErrorKind::Internal, "{error:?}");
        tells(&error, "[ENG-0008]");
        tells(&error, "a fault of the test");
        assert_eq!(take_back(cluster.lake.home.path()), 0, "it did not panic");
        cluster.works(2).await;
        assert_eq!(names(cluster.scheduler.executors().await.expect("a list")), before);
    })
    .await;
}

/// One of two executors dies at this moment.
async fn dies(work: Work, moment: Moment) -> Cluster {
    let mut cluster = Cluster::new(work).await;
    let sql = statement(moment, true);
    let expected = cluster.expected(&sql).await;
    let begun = cluster.begin(&sql).await;
    let job = begun.job;
    let died = kill_at(
        &cluster.lake,
        &cluster.scheduler,
        moment,
        &cluster.first_id,
        &mut cluster.first,
    )
    .await;
    assert!(died, "{moment:?} never came");
    let (rows, took) = cluster.end(begun).await;
    assert_eq!(rows.expect("rows"), expected, "{work:?}");
    assert!(cluster.attempts(job) > 1, "its death disturbed nothing");
    assert!(took < HEALED_MAX * 2, "{took:?}");
    cluster.nothing_is_left().await;
    cluster
}

// Goal: an executor that dies while its first stage runs costs time, no rows. Method: kill -9.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn dies_while_mapping() {
    both(|work| async move { dies(work, Moment::Mapping).await.works(1).await }).await;
}

// Goal and method as above, once its files are written.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn dies_when_written() {
    both(|work| async move { dies(work, Moment::Written).await.works(1).await }).await;
}

// Goal: an executor that died and comes back takes part again. Method: kill -9 once its files are read, and another process with its folder; a
// statement has to use all places.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn comes_back() {
    both(|work| async move {
        let mut cluster = dies(work, Moment::Reading).await;
        cluster.first = ExecutorChild::start("first", cluster.scheduler.address(), cluster.lake.home.path());
        cluster.works(2).await;
        cluster.uses_every_place().await;
    })
    .await;
}

// Goal: where nobody is left, a statement fails in time, with the code that says so; who comes then is used. Method: kill -9 of both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn all_die() {
    both(|work| async move {
        let mut cluster = Cluster::new(work).await;
        let (begun, _) = cluster.begin_until(Moment::Mapping).await;
        cluster.first.kill();
        cluster.second.kill();
        let (rows, took) = cluster.end(begun).await;
        let error = rows.expect_err("nobody is there");
        assert_eq!(error.code(), "SCH-0003", "{error:?}");
        assert!(took < FAILED_MAX, "{took:?}");
        cluster.first = ExecutorChild::start("first", cluster.scheduler.address(), cluster.lake.home.path());
        cluster.works(1).await;
    })
    .await;
}

// Goal: what a scheduler ran when it ended is over for its clients, in time and with a code, and nothing of it is committed; the next one at
// its address has the executors. Method: end it in the middle of a statement, start another and ask again. (That a process which dies
// leaves its jobs to another one: tests/it/leader.rs.)
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn the_scheduler_ends() {
    both(|work| async move {
        let mut cluster = Cluster::new(work).await;
        let (begun, expected) = cluster.begin_until(Moment::Mapping).await;
        let listen = cluster.scheduler.address();
        cluster.scheduling.shutdown(Duration::from_secs(5)).await;
        let (rows, took) = cluster.end(begun).await;
        let error = rows.expect_err("nobody schedules it");
        assert!(took < FAILED_MAX, "{took:?}: {error:?}");
        assert_eq!(error.code(), "SCH-0022", "{error:?}");
        let options = SchedulerOptions {
            listen,
            ..SchedulerOptions::loopback()
        };
        cluster.scheduling = cluster.lake.tasks.child("scheduler");
        let (engine, clock) = (cluster.lake.engine.clone(), cluster.lake.clock.clone());
        let again = Scheduler::start(&options, engine, clock, &cluster.scheduling).await;
        cluster.scheduler = again.expect("another scheduler");
        let there = cluster.scheduler.wait_for_executors(2, START_DEADLINE).await;
        assert!(there.is_ok(), "{}", cluster.first.log_tail());
        let known = cluster.scheduler.executors().await.expect("a list");
        let old = known.iter().any(|executor| executor.id == cluster.first_id);
        assert!(!old, "it came with its old tasks: {known:?}");
        let begun = cluster.begin(&statement(Moment::Mapping, false)).await;
        assert_eq!(cluster.end(begun).await.0.expect("rows"), expected);
        cluster.works(2).await;
    })
    .await;
}

// Goal: an executor that is drained costs nobody anything. Method: drain one in the middle of a statement, which must not run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn is_drained() {
    both(|work| async move {
        let mut cluster = Cluster::new(work).await;
        let (begun, expected) = cluster.begin_until(Moment::Mapping).await;
        let job = begun.job;
        let drained = cluster
            .scheduler
            .drain(&cluster.first_id, DEADLINE)
            .await
            .expect("it drains");
        assert_eq!(drained.left.tasks, 0);
        assert_eq!(cluster.end(begun).await.0.expect("rows"), expected);
        assert_eq!(cluster.attempts(job), 1, "it ran again");
        cluster.works(1).await;
    })
    .await;
}

// Goal: an executor that is slow is waited for. Method: stop one for most of the time while it has tasks; nothing may run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn is_slow() {
    both(|work| async move {
        let mut cluster = Cluster::new(work).await;
        let (begun, expected) = cluster.begin_until(Moment::Mapping).await;
        let job = begun.job;
        let ended = Arc::new(AtomicBool::new(false));
        let slow = async {
            let mut pauses = 0;
            while !ended.load(Ordering::SeqCst) {
                cluster.first.pause();
                cluster.lake.clock.sleep(STOPPED).await;
                cluster.first.resume();
                pauses += 1;
                cluster.lake.clock.sleep(WORKS).await;
            }
            pauses
        };
        let end = async {
            let rows = cluster.end(begun).await.0;
            ended.store(true, Ordering::SeqCst);
            rows
        };
        let (pauses, rows) = tokio::join!(slow, end);
        assert_eq!(rows.expect("rows"), expected, "{work:?}");
        assert!(pauses > 1, "it was not slow");
        assert_eq!(cluster.attempts(job), 1, "it ran again");
        cluster.works(2).await;
    })
    .await;
}

// Goal: a statement that fills the disk it spills to fails with the code that says so; the executor goes on, and its disk is free. Method: a
// statement that sorts 65 MB on executors with a mebibyte of disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn the_disk_is_full() {
    both(|work| async move {
        let mut cluster = Cluster::of(work, ExecutorChild::start_with_little).await;
        let sorts = "SELECT note, count(*) AS n, sum(length(text)) AS s, max(at) AS a
                     FROM (SELECT note, text, row_number() OVER (PARTITION BY note ORDER BY text) AS at
                           FROM (SELECT note, repeat('x', 2000) || id AS text FROM orders)) GROUP BY note";
        let begun = cluster.begin(sorts).await;
        let error = cluster.end(begun).await.0.expect_err("no room");
        assert_eq!(error.kind(), ErrorKind::Exhausted, "{error:?}");
        tells(&error, "[ENG-0005]");
        tells(&error, "disk");
        cluster.works(2).await;
        for who in ["first", "second"] {
            let folder = cluster.lake.home.path().join("spill").join(who);
            let left: Vec<_> = walk(&folder);
            assert!(left.is_empty(), "{left:?}");
        }
    })
    .await;
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .collect()
}
