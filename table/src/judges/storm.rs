//! Writers that meet on one table, with readers on every snapshot.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::join_all;
use tokio::sync::Notify;

use super::history::History;
use super::lake::{Done, Lake, Operation};
use crate::testing::Fault;
use crate::{FileStore, StoreOptions, TableError, expire};
use tidewater_core::{Coded, ErrorKind, Rng, SeededRng, SystemClock};

const WRITERS: u64 = 8;
const READERS: u64 = 2;

/// Commits of format 2, the one that tables are made in.
const COMMITS: u64 = 2_000;

/// Commits of each of the other formats.
const COMMITS_OF_OTHERS: u64 = 700;

/// Commits between two reads of a reader: one who reads without a pause takes the processor from the writers, who are to meet.
const COMMITS_PER_READ: u64 = 4;

/// Times that a writer does an operation that others kept from ending.
const TRIES: u32 = 10;

/// Of a hundred operations so many have to end well.
const WELL_MIN: u64 = 95;

/// Snapshots that an expiry keeps: more than commits are made while a reader reads.
const KEEP: u32 = 40;

/// What became of the statements of all writers.
#[derive(Debug, Default)]
struct Tally {
    commits: AtomicU64,
    refused: AtomicU64,
    given_up: AtomicU64,
    expired: AtomicU64,
    too_late: AtomicU64,
    done: AtomicBool,
    moved: Notify,
}

impl Tally {
    /// Waits until so many commits were made, or nobody makes any more.
    async fn reaches(&self, commits: u64) {
        loop {
            let mut moved = pin!(self.moved.notified());
            moved.as_mut().enable();
            if self.done.load(Ordering::SeqCst) || self.commits.load(Ordering::SeqCst) >= commits {
                return;
            }
            moved.await;
        }
    }
}

/// Commits of a format version; `TIDEWATER_TABLE_COMMITS` asks for more of each.
fn commits_wanted(version: &str) -> u64 {
    let asked = std::env::var("TIDEWATER_TABLE_COMMITS").ok();
    let told = asked.and_then(|text| text.parse().ok());
    told.unwrap_or(match version {
        "2" => COMMITS,
        _ => COMMITS_OF_OTHERS,
    })
}

/// Does an operation, again on the newest state where others were faster; nothing if they were each time.
async fn act(lake: &Lake, operation: Operation, rng: &SeededRng, first_id: i64, tally: &Tally) -> Option<Done> {
    for _ in 0..TRIES {
        match lake.act(operation, rng, first_id).await {
            Ok(done) => return Some(done),
            // Nothing happened. A file of what it read may even be swept already.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
            Err(TableError::Contention { .. }) => {}
            Err(error) => panic!("{operation:?}: {error:?}"),
        }
        tally.refused.fetch_add(1, Ordering::SeqCst);
    }
    None
}

async fn write(lake: &Lake, history: &History, tally: &Tally, writer: u64, wanted: u64) -> BTreeMap<Operation, u64> {
    let rng = SeededRng::new(writer + 1);
    let mut kinds = BTreeMap::new();
    for step in 0.. {
        if tally.commits.load(Ordering::SeqCst) >= wanted {
            break;
        }
        let first_id = (writer * 1_000_000 + step * 10) as i64;
        let operation = match rng.below(10) {
            0..=2 => Operation::Append,
            3..=4 => Operation::MergeCopying,
            5..=6 => Operation::MergeOnRead,
            7 => Operation::Overwrite,
            _ => Operation::Compact,
        };
        match act(lake, operation, &rng, first_id, tally).await {
            Some(done) => {
                history.note(&done);
                if done.committed.is_some() {
                    tally.commits.fetch_add(1, Ordering::SeqCst);
                    tally.moved.notify_waiters();
                    *kinds.entry(done.operation).or_default() += 1;
                }
            }
            None => {
                tally.given_up.fetch_add(1, Ordering::SeqCst);
            }
        }
        if rng.below(50) == 0 {
            let expired = expire(&lake.catalog, &lake.store, &lake.name, KEEP).await;
            let gone = expired.map_or(0, |expired| expired.snapshots.len() as u64);
            tally.expired.fetch_add(gone, Ordering::SeqCst);
        }
    }
    tally.done.store(true, Ordering::SeqCst);
    tally.moved.notify_waiters();
    kinds
}

async fn read(lake: &Lake, history: &History, tally: &Tally, reader: u64) {
    let rng = SeededRng::new(1_000 + reader);
    while !tally.done.load(Ordering::SeqCst) {
        let commits = tally.commits.load(Ordering::SeqCst);
        let table = lake.table().await;
        let snapshots: Vec<i64> = table.metadata.snapshots().map(|one| one.snapshot_id()).collect();
        let Some(newest) = table.metadata.current_snapshot_id() else {
            tokio::task::yield_now().await;
            continue;
        };
        let chosen = match rng.below(2) {
            0 => newest,
            _ => snapshots[rng.below(snapshots.len() as u64) as usize],
        };
        match lake.rows(&table.metadata, Some(chosen)).await {
            Ok(rows) => history.read(chosen, rows),
            Err(TableError::FileNotFound { location }) => {
                let now = lake.table().await;
                let expired = now.metadata.snapshot_by_id(chosen).is_none();
                assert!(expired, "{location} is gone, and snapshot {chosen} is not");
                tally.too_late.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => panic!("{error:?}"),
        }
        tally.reaches(commits + COMMITS_PER_READ).await;
    }
}

// Goal: of writers that meet, none loses or doubles a row, nearly all come to their end, and no reader sees anything but a committed
// snapshot (R11). Method: eight of them append, merge in both modes, overwrite, compact and expire, again where others were faster, over
// a catalog that refuses and forgets to answer now and then; readers of new and old snapshots; everything against a replay of the answers
// in the order of the commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::disallowed_methods, reason = "writers at work at the same time")]
async fn writers_that_meet_equal_a_replay() {
    for version in ["1", "2", "3"] {
        let wanted = commits_wanted(version);
        let rng = Arc::new(SeededRng::new(11));
        let store = FileStore::new(StoreOptions::default(), SystemClock::shared(), rng);
        let lake = Arc::new(Lake::new(store, "memory://lake", version).await);
        let (history, tally) = (Arc::new(History::default()), Arc::new(Tally::default()));
        lake.catalog
            .inject([Fault::AnswerLost, Fault::RequestLost, Fault::Conflict].repeat(20));
        let shared = || (lake.clone(), history.clone(), tally.clone());
        let writers = (0..WRITERS).map(|writer| {
            let (lake, history, tally) = shared();
            tokio::spawn(async move { write(&lake, &history, &tally, writer, wanted).await })
        });
        let readers = (0..READERS).map(|reader| {
            let (lake, history, tally) = shared();
            tokio::spawn(async move { read(&lake, &history, &tally, reader).await })
        });
        let (writers, readers) = (
            join_all(writers.collect::<Vec<_>>()),
            join_all(readers.collect::<Vec<_>>()),
        );
        let (wrote, read) = futures::join!(writers, readers);
        let mut kinds = BTreeMap::new();
        for of_writer in wrote {
            for (kind, count) in of_writer.expect("a writer") {
                *kinds.entry(kind).or_insert(0) += count;
            }
        }
        for ended in read {
            ended.expect("a reader");
        }
        let rows = history
            .replay()
            .unwrap_or_else(|wrong| panic!("format {version}: {wrong}"));
        let table = lake.table().await;
        let found = lake.rows(&table.metadata, None).await.expect("rows");
        assert_eq!(found, rows, "format {version}");
        println!("format {version}: {kinds:?}, {tally:?}, {} reads", history.reads());
        let possible = if version == "1" { 4 } else { 5 };
        assert_eq!(kinds.len(), possible, "not every operation was done: {kinds:?}");
        assert!(history.reads() as u64 > wanted / 20, "{} reads", history.reads());
        let count = |of: &AtomicU64| of.load(Ordering::SeqCst);
        let (well, given_up) = (count(&tally.commits), count(&tally.given_up));
        assert!(well * 100 >= WELL_MIN * (well + given_up), "{tally:?}");
        assert!(count(&tally.expired) > 0 && count(&tally.refused) > 0, "{tally:?}");
    }
}

// Goal: the replay tells a lost row and a doubled one, and a commit that nobody was told of. Method: a history of three commits, with
// each of the three done to it.
#[tokio::test]
async fn a_replay_can_fail() {
    let store = FileStore::new(
        StoreOptions::default(),
        SystemClock::shared(),
        Arc::new(SeededRng::new(5)),
    );
    let lake = Lake::new(store, "memory://lake", "2").await;
    let rng = SeededRng::new(1);
    let mut steps = Vec::new();
    for (at, operation) in [Operation::Append, Operation::Append, Operation::Compact]
        .into_iter()
        .enumerate()
    {
        steps.push(lake.act(operation, &rng, 10 * at as i64).await.expect("a commit"));
    }
    let noted = |steps: &[Done]| {
        let history = History::default();
        steps.iter().for_each(|done| history.note(done));
        history
    };
    let found = lake.rows(&lake.table().await.metadata, None).await.expect("rows");
    assert_eq!(noted(&steps).replay().as_ref(), Ok(&found));
    assert!(noted(&steps[1..]).replay().is_err(), "a commit was not told of");
    let wrong_read = noted(&steps);
    wrong_read.read(
        steps[2].committed.as_ref().expect("a commit").snapshot_id,
        BTreeMap::new(),
    );
    assert!(wrong_read.replay().is_err(), "a reader saw nothing");
    steps[0].effect.came.pop();
    let lost = noted(&steps).replay();
    assert!(lost.is_err() || lost != Ok(found), "a row was doubled");
}
