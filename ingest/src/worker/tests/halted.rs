//! What halts a topic or a partition, and lets the others go on.

use std::collections::BTreeSet;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use tidewater_core::SystemClock;
use tidewater_table::NewTable;
use tidewater_table::schema::from_arrow;

use super::{World, append, wait_for};
use crate::error::Result;
use crate::record::Partition;
use crate::source::file::FileSource;
use crate::source::{Discovered, Poll, PollBounds, Reach, Source};

// Goal: a topic whose table holds another topic is halted, the others go on. Method: two topics of the same last segment.
#[test]
fn a_taken_table_halts_its_topic() {
    let mut world = World::new();
    world.append("a.public.users", 5, 100);
    let process = world.start();
    world.wait(&process);
    world.append("a.public.users", 5, 100);
    append(
        &world.folder.path().join("0001.jsonl"),
        "{\"topic\":\"b.public.users\",\"partition\":0,\"offset\":0,\"key\":{\"text\":\"1\"},\"value\":{\"text\":\"{\\\"a\\\":1}\"}}\n",
    );
    world.wait(&process);
    wait_for(&process, || {
        process
            .ingest
            .status()
            .partitions
            .iter()
            .any(|partition| partition.state == "halted")
    });
    let status = process.ingest.status();
    let halted: Vec<_> = status
        .partitions
        .iter()
        .filter(|partition| partition.state == "halted")
        .collect();
    assert_eq!(halted.len(), 1);
    assert!(
        halted[0]
            .reason
            .as_deref()
            .is_some_and(|reason| reason.starts_with("ING-0005")),
        "{status:#?}"
    );
    world.append("a.public.users", 5, 100);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}

// Goal: records that were removed before they were read halt their partition. Method: offsets in the log, an older segment gone.
#[test]
fn a_loss_is_told() {
    let mut world = World::new();
    world.append("db.public.users", 10, 100);
    let process = world.start();
    world.wait(&process);
    process.stop();
    let path = world.folder.path().join("0001.jsonl");
    std::fs::remove_file(&path).expect("a segment");
    append(
        &path,
        "{\"topic\":\"db.public.users\",\"partition\":0,\"offset\":40,\"key\":{\"text\":\"1\"},\"value\":{\"text\":\"{\\\"a\\\":1}\"}}\n",
    );
    let process = world.start();
    wait_for(&process, || {
        process
            .ingest
            .status()
            .partitions
            .iter()
            .any(|partition| partition.state == "halted")
    });
    let reason = process.ingest.status().partitions[0].reason.clone();
    assert!(
        reason.as_deref().is_some_and(|reason| reason.starts_with("ING-0201")),
        "{reason:?}"
    );
    assert_eq!(world.log.next_offset("db.public.users", 0), Some(10));
    process.stop();
}

/// A reader whose answers about the end of its partitions are older than what was committed.
#[derive(Debug)]
struct OldEnds {
    inner: FileSource,
    /// An answer that is asked for anew is true.
    cured: bool,
    asked: bool,
}

#[async_trait]
impl Source for OldEnds {
    async fn partitions(&mut self) -> Result<Vec<Discovered>> {
        let mut found = self.inner.partitions().await?;
        for found in &mut found {
            if !self.asked {
                found.asked_at = Duration::ZERO;
            }
            if !(self.asked && self.cured) {
                found.high -= 5;
            }
        }
        Ok(found)
    }

    fn reach(&self) -> Reach {
        self.inner.reach()
    }

    fn topics(&self) -> Option<BTreeSet<String>> {
        self.inner.topics()
    }

    fn ask_anew(&mut self) {
        self.asked = true;
    }

    async fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<()> {
        self.inner.assign(positions).await
    }

    async fn poll(&mut self, bounds: PollBounds) -> Result<Poll> {
        self.inner.poll(bounds).await
    }
}

impl OldEnds {
    fn of(world: &World, cured: bool) -> Box<dyn Source> {
        Box::new(Self {
            inner: FileSource::new(world.folder.path(), SystemClock::shared()),
            cured,
            asked: false,
        })
    }
}

// Goal: an end that was asked for before another process committed halts nothing, one that still holds when asked anew does.
// Method: a reader whose first answers are old, then one whose answers stay.
#[test]
fn an_old_end_is_no_truncation() {
    let mut world = World::new();
    world.append("db.public.users", 10, 100);
    let process = world.start();
    world.wait(&process);
    process.stop();
    let process = world.start_with(OldEnds::of(&world, true));
    world.append("db.public.users", 3, 100);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    assert!(process.ingest.status().partitions.iter().all(|p| p.state == "running"));
    process.stop();
    let process = world.start_with(OldEnds::of(&world, false));
    let halted = || process.ingest.status().partitions.iter().any(|p| p.state == "halted");
    wait_for(&process, halted);
    let reason = process.ingest.status().partitions[0].reason.clone();
    assert!(reason.is_some_and(|reason| reason.starts_with("ING-0202")));
    process.stop();
}

// Goal: a table that cannot take its rows halts its own topic, loudly, and no other. Method: a table whose `op` is no string, made
// before its topic has rows.
#[test]
fn a_table_that_cannot_change_halts_its_topic() {
    let mut world = World::new();
    let process = world.start();
    let schema = Schema::new(vec![Field::new("op", DataType::Boolean, true)]);
    let name = "bronze.orders".parse().expect("a name");
    let table = NewTable::new(name, from_arrow(&schema, 1).expect("a schema"));
    process.runtime.block_on(world.log.make(&table));
    world.append("a.public.users", 5, 100);
    world.wait(&process);
    let good = world.written.clone();
    world.append("a.public.orders", 5, 100);
    let halted = || process.ingest.status().partitions.iter().any(|p| p.state == "halted");
    wait_for(&process, halted);
    world.written = good;
    world.append("a.public.users", 5, 100);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    let status = process.ingest.status();
    let halted: Vec<_> = status.partitions.iter().filter(|p| p.state == "halted").collect();
    assert_eq!(halted.len(), 1);
    assert_eq!(halted[0].topic, "a.public.orders");
    assert!(
        halted[0]
            .reason
            .as_deref()
            .is_some_and(|reason| reason.starts_with("ING-0007"))
    );
    assert_eq!(world.log.next_offset("a.public.orders", 0), None);
    process.stop();
}
