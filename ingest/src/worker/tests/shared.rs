//! Topics that two sources have: neither is read, and their offsets stay.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tidewater_core::SystemClock;

use super::{Process, World, append, wait_for};
use crate::error::Result;
use crate::record::Partition;
use crate::source::file::FileSource;
use crate::source::{Discovered, Poll, PollBounds, Reach, Source};

const USERS: &str = "a.public.users";

fn folder(path: &Path) -> Box<dyn Source> {
    Box::new(FileSource::new(path, SystemClock::shared()))
}

/// The world's folder, and another one.
fn both(world: &World, other: &Path) -> Vec<Box<dyn Source>> {
    vec![folder(world.folder.path()), folder(other)]
}

/// A row, written behind the world's back.
fn write(folder: &Path, topic: &str, offset: i64) {
    let line = serde_json::json!({
        "topic": topic, "partition": 0, "offset": offset, "key": {"text": "1"}, "value": {"text": "{\"a\":1}"},
    });
    append(&folder.join("0001.jsonl"), &format!("{line}\n"));
}

/// A row that is to be read.
fn write_wanted(world: &mut World, folder: &Path, topic: &str, offset: i64) {
    write(folder, topic, offset);
    world.written.insert((topic.to_owned(), 0, offset), 1);
}

/// Topics that are halted for another source, once for each source.
fn shared(process: &Process) -> Vec<String> {
    let partitions = process.ingest.status().partitions.into_iter();
    let of_both = partitions.filter(|partition| {
        let reason = partition.reason.as_deref();
        partition.state == "halted" && reason.is_some_and(|reason| reason.starts_with("ING-0014"))
    });
    of_both.map(|partition| partition.topic).collect()
}

// Goal: a topic that two sources have at the start is read from neither, with its code, and all others are read. Method: two folders with a
// topic of the same name, and one more each.
#[test]
fn a_topic_of_two_sources_is_read_from_neither() {
    let mut world = World::new();
    let other = tempfile::tempdir().expect("a temporary directory");
    write(world.folder.path(), USERS, 0);
    write(other.path(), USERS, 0);
    world.append("a.public.orders", 5, 100);
    write_wanted(&mut world, other.path(), "a.public.late", 0);
    let process = world.start_all(both(&world, other.path()));
    world.wait(&process);
    wait_for(&process, || shared(&process) == [USERS; 2]);
    assert_eq!(world.stored(&process.runtime), world.written);
    assert_eq!(world.log.next_offset(USERS, 0), None);
    process.stop();
}

// Goal: a topic that another source gets later moves no more, not after a restart either, whichever source is faster then. Method: a topic
// that is read comes up in a second folder; both go on with it, then with others behind it in the same segments.
#[test]
fn a_topic_that_comes_up_again_moves_no_more() {
    let mut world = World::new();
    let other = tempfile::tempdir().expect("a temporary directory");
    world.append(USERS, 5, 100);
    write_wanted(&mut world, other.path(), "a.public.late", 0);
    let process = world.start_all(both(&world, other.path()));
    world.wait(&process);
    assert_eq!(shared(&process), [""; 0]);
    write(other.path(), USERS, 0);
    wait_for(&process, || shared(&process) == [USERS; 2]);
    process.stop();
    for round in 1..4 {
        let process = world.start_all(both(&world, other.path()));
        write(world.folder.path(), USERS, 4 + round);
        world.append("a.public.orders", 5, 100);
        write(other.path(), USERS, 4 + round);
        write_wanted(&mut world, other.path(), "a.public.late", round);
        world.wait(&process);
        wait_for(&process, || shared(&process) == [USERS; 2]);
        assert_eq!(world.log.next_offset(USERS, 0), Some(5));
        assert_eq!(world.stored(&process.runtime), world.written);
        process.stop();
    }
}

/// A folder that tells how often it was looked at.
#[derive(Debug)]
struct Counted {
    inner: FileSource,
    looks: Arc<AtomicUsize>,
}

#[async_trait]
impl Source for Counted {
    async fn partitions(&mut self) -> Result<Vec<Discovered>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.inner.partitions().await
    }

    fn reach(&self) -> Reach {
        self.inner.reach()
    }

    fn topics(&self) -> Option<BTreeSet<String>> {
        self.inner.topics()
    }

    fn ask_anew(&mut self) {
        self.inner.ask_anew();
    }

    async fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<()> {
        self.inner.assign(positions).await
    }

    async fn poll(&mut self, bounds: PollBounds) -> Result<Poll> {
        self.inner.poll(bounds).await
    }
}

// Goal: nothing is read after a start that another source may have which cannot list its topics yet, and all of it once that can. Method: a
// second folder that is made when the first was looked at several times; until then no lease was asked for, and the status tells.
#[test]
fn a_start_waits_for_whoever_may_have_a_topic() {
    let mut world = World::new();
    let parent = tempfile::tempdir().expect("a temporary directory");
    let other = parent.path().join("other");
    world.append(USERS, 5, 100);
    let looks: Arc<AtomicUsize> = Arc::default();
    let first = Counted {
        inner: FileSource::new(world.folder.path(), SystemClock::shared()),
        looks: Arc::clone(&looks),
    };
    let process = world.start_all(vec![Box::new(first), folder(&other)]);
    wait_for(&process, || looks.load(Ordering::Relaxed) > 3);
    let status = process.ingest.status();
    let states: Vec<_> = status
        .partitions
        .iter()
        .map(|found| (&*found.topic, found.state))
        .collect();
    assert_eq!((states, world.log.asked()), (vec![(USERS, "waiting")], 0));
    std::fs::create_dir(&other).expect("a writable directory");
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}
