//! Hosts that hang: three moments, reading and writing. `TIDEWATER_EXECUTOR_HANGS=60` makes it longer.

use std::time::Duration;

use tidewater_core::Coded;

use crate::faults::Cluster;
use crate::kills::{MOMENTS, comes, statement};
use crate::lake::START_DEADLINE;
use crate::loss::{Moment, PATIENCE};
use crate::work::Work;

/// Each moment, reading and writing.
const CASES: usize = 6;

/// Statements that may be over before their moment was seen.
const TRIES_MAX: usize = 3;

/// A host that hangs is found within this, on a busy machine too, and within this a plan that nobody can run has failed.
const FOUND_MAX: Duration = Duration::from_secs(10);

/// Files of an attempt that was given up are asked for three times, the last time after 17 s.
const FILES_GONE_MAX: Duration = Duration::from_secs(30);

// Goal: a host that hangs costs time and no rows; when it comes back in the middle of what others do again, its tasks end, it doubles
// nothing and works anew; each file of a write is listed once, every place is used afterwards, and no files stay. Method: SIGSTOP of one
// of two executors while tasks run on it, SIGCONT when the next attempt runs on the other one; rows against one process, files against
// the folders of the table and of the executors, then a job that takes up all places. All cases run at the same time, as most of each is
// the wait for heartbeats.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: a minute"]
async fn hosts_hang_and_come_back() {
    let wanted = std::env::var("TIDEWATER_EXECUTOR_HANGS")
        .ok()
        .and_then(|count| count.parse().ok());
    let wanted: usize = wanted.unwrap_or(CASES);
    let works = [Work::Reads, Work::Writes].into_iter();
    let cases = works.flat_map(|work| MOMENTS.map(|moment| (work, moment)));
    let runs = cases.map(|(work, moment)| async move {
        let mut told = Vec::new();
        for _ in 0..wanted.div_ceil(CASES) {
            told.push(Box::pin(hangs(work, moment)).await);
        }
        told
    });
    let told = futures::future::join_all(runs).await.concat();
    println!("{}", told.join("\n"));
    assert!(told.len() >= wanted, "{} of {wanted}", told.len());
}

/// One hang in a cluster of its own. What happened when.
async fn hangs(work: Work, moment: Moment) -> String {
    let mut cluster = Cluster::new(work).await;
    let executors = cluster.scheduler.executors().await.expect("a list");
    let other = executors.into_iter().find(|executor| executor.id != cluster.first_id);
    let other = other.expect("two of them").id;
    let sql = statement(moment, true);
    let expected = cluster.expected(&sql).await;
    let mut tries = 0;
    let begun = loop {
        tries += 1;
        assert!(tries <= TRIES_MAX, "{moment:?} never came");
        let begun = cluster.begin(&sql).await;
        if hangs_at(&cluster, moment).await {
            break begun;
        }
        cluster.first.resume();
        cluster.end(begun).await.0.expect("rows");
    };
    let job = begun.job;
    let stopped = cluster.lake.clock.monotonic();
    let since = |what: &str| {
        let waited = cluster.lake.clock.monotonic().saturating_sub(stopped);
        assert!(waited < PATIENCE, "{moment:?} {work:?}: {what}");
        waited
    };
    let found = loop {
        let executors = cluster.scheduler.executors().await.expect("a list");
        let waited = since("it hangs and is not found");
        if executors.iter().all(|executor| executor.id != cluster.first_id) {
            break waited;
        }
        cluster.lake.clock.sleep(Duration::from_millis(20)).await;
    };
    assert!(found < FOUND_MAX, "{moment:?} {work:?}: {found:?}");
    while attempts(&cluster, job).len() < 2 || cluster.scheduler.load_of(&other).await.tasks == 0 {
        since("nobody does its work");
        cluster.lake.clock.sleep(Duration::from_millis(20)).await;
    }
    cluster.first.resume();
    let rows = cluster.end(begun).await.0.expect("rows");
    let took = since("it does not end");
    assert_eq!(rows, expected, "{moment:?} {work:?}: {}", cluster.first.log_tail());
    cluster.nothing_is_left().await;

    let there = cluster.scheduler.wait_for_executors(2, START_DEADLINE).await;
    assert!(there.is_ok(), "{}", cluster.first.log_tail());
    let executors = cluster.scheduler.executors().await.expect("a list");
    let old = executors.iter().any(|executor| executor.id == cluster.first_id);
    assert!(!old, "it begins anew: {executors:?}");
    let mut given_up = attempts(&cluster, job);
    given_up.pop();
    loop {
        let mut left = cluster.first.jobs_with_files();
        left.extend(cluster.second.jobs_with_files());
        left.retain(|job| given_up.contains(job));
        if left.is_empty() {
            break;
        }
        let waited = since("its files stay");
        assert!(waited < took + FILES_GONE_MAX, "{moment:?} {work:?}: {left:?}");
        cluster.lake.clock.sleep(Duration::from_millis(100)).await;
    }
    cluster.uses_every_place().await;
    cluster.nothing_runs().await;
    format!("{moment:?} {work:?}: found after {found:?}, rows after {took:?}")
}

// Goal: a plan that nobody can run any more fails in time, with the code that says so, also where hosts hang and no process ends; when
// they come back they work. Method: SIGSTOP of both executors while tasks run, SIGCONT after the failure; then a statement that takes up
// every place.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: a minute"]
async fn hosts_hang_all() {
    let mut cluster = Cluster::new(Work::Reads).await;
    let sql = statement(Moment::Mapping, false);
    let begun = cluster.begin(&sql).await;
    assert!(comes(&cluster.lake, &cluster.scheduler, Moment::Mapping, &cluster.first_id).await);
    cluster.first.pause();
    cluster.second.pause();
    let (rows, took) = cluster.end(begun).await;
    let error = rows.expect_err("nobody is there");
    assert_eq!(error.code(), "SCH-0003", "{error:?}");
    assert!(took < FOUND_MAX, "{took:?}");
    println!("both hang: it fails after {took:?}");
    cluster.first.resume();
    cluster.second.resume();
    let there = cluster.scheduler.wait_for_executors(2, START_DEADLINE).await;
    assert!(there.is_ok(), "{}", cluster.first.log_tail());
    cluster.uses_every_place().await;
}

/// Stops the first executor in its moment, with tasks that run. False: there were none any more.
async fn hangs_at(cluster: &Cluster, moment: Moment) -> bool {
    if !comes(&cluster.lake, &cluster.scheduler, moment, &cluster.first_id).await {
        return false;
    }
    cluster.first.pause();
    cluster.scheduler.load_of(&cluster.first_id).await.tasks > 0
}

/// What Ballista calls the runs of a job.
fn attempts(cluster: &Cluster, job: tidewater_core::JobId) -> Vec<String> {
    let reports = cluster.scheduler.history().of(job);
    let attempts = reports.into_iter().flat_map(|report| report.attempts);
    attempts.map(|attempt| attempt.ballista_job).collect()
}
