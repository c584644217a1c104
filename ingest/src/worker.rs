//! One worker reads one source: takes leases, polls, decodes, seals batches, and goes back to the log's offsets whenever
//! anything is in doubt.
//!
//! The worker alone owns its state. A sealed batch is committed by a task of its own while the next one is read; there is
//! never more than one on its way, so commits keep the order of offsets.

mod read;
mod seal;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::batch::{Budget, Buffers, Pending};
use crate::commit::{Committer, Ended};
use crate::decode::DecodeOptions;
use crate::error::{Chain, IngestError, Result};
use crate::halt::Halt;
use crate::mapping::Mapping;
use crate::options::IngestOptions;
use crate::record::Partition;
use crate::source::{Discovered, Source};
use crate::status::{Board, PartitionStatus};
use crate::topics::Topics;
use tidewater_catalog_client::dto::{LeaseGrant, LeaseRequest, TopicPartition};
use tidewater_core::{Coded, SharedClock, SharedRng, Tasks};

/// First pause after a failure; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause after a failure: whoever repairs something waits no longer than this for it to show.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A batch of offsets alone (heartbeats, transaction markers) waits this long: no rows wait for it.
const OFFSETS_INTERVAL: Duration = Duration::from_secs(5);
/// Rows wait so many intervals while the log has more than is read at once: they are late already, and a commit costs the same
/// files whatever it holds.
const CATCH_UP_INTERVALS: u32 = 5;
/// Pause before a partition that is suspected, stalled, or waits for another source is looked at again: about as long as a broker takes
/// to answer.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Time for the last batch when the worker is told to stop. What does not make it is read again by the next process.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// A partition that is read.
#[derive(Debug)]
struct Held {
    epoch: u64,
    /// Where the next record is read.
    position: i64,
    /// Where the next commit begins, as far as the worker knows.
    committed: i64,
    /// When the bounds of its log first contradicted the position. It is not read until they are asked anew: what was asked before
    /// another process committed, say, ends too early.
    suspected_at: Option<Duration>,
    /// The buffer of its topic knows where it was left.
    resumed: bool,
}

/// What a worker is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) source: Box<dyn Source>,
    pub(crate) committer: Arc<Committer>,
    pub(crate) mapping: Mapping,
    pub(crate) options: Arc<IngestOptions>,
    pub(crate) clock: SharedClock,
    pub(crate) rng: SharedRng,
    pub(crate) tasks: Tasks,
    pub(crate) board: Arc<Board>,
    pub(crate) topics: Arc<Topics>,
    /// Unique for this run of the process.
    pub(crate) owner: String,
}

/// Reads one source.
#[derive(Debug)]
pub(crate) struct Worker {
    parts: Parts,
    decode: Arc<DecodeOptions>,
    held: BTreeMap<Partition, Held>,
    halted: BTreeMap<Partition, Halt>,
    found: BTreeMap<Partition, (i64, i64)>,
    elsewhere: BTreeMap<Partition, String>,
    buffers: Buffers,
    budget: Budget,
    pending: Pending,
    in_flight: Option<oneshot::Receiver<Ended>>,
    /// Ends commits that are on their way when the worker is gone: nobody waits for them, and they keep the process from ending.
    gone: CancellationToken,
    /// The topic that a table's rows come from, for tables met by this worker.
    owners: BTreeMap<String, Arc<str>>,
    discover_at: Duration,
    renew_at: Duration,
    /// What the source reads; none if it has to be told anew.
    assigned: Option<BTreeSet<Partition>>,
    /// What waits for another source, which may have the topic and has not told yet.
    awaited: BTreeMap<Partition, usize>,
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            decode: Arc::new(parts.options.decode.clone()),
            parts,
            held: BTreeMap::new(),
            halted: BTreeMap::new(),
            found: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            buffers: Buffers::new(),
            budget: Budget::default(),
            pending: Pending::default(),
            in_flight: None,
            gone: CancellationToken::new(),
            owners: BTreeMap::new(),
            discover_at: Duration::ZERO,
            renew_at: Duration::ZERO,
            assigned: None,
            awaited: BTreeMap::new(),
        }
    }

    /// Works until it is told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pause = PAUSE_MIN;
        while !stop.is_cancelled() {
            match self.step(&stop).await {
                Ok(true) => pause = PAUSE_MIN,
                Ok(false) => {}
                Err(IngestError::Stopped) => break,
                Err(error) => {
                    tracing::warn!(code = error.code(), error = %Chain(&error), "ingest failed, reading again from the last commit");
                    self.parts.board.failed(format!("{}: {}", error.code(), Chain(&error)));
                    self.abandon().await;
                    let clock = Arc::clone(&self.parts.clock);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = clock.sleep(pause) => {}
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        self.drain().await;
        self.gone.cancel();
    }

    /// One round. True if it got on.
    async fn step(&mut self, stop: &CancellationToken) -> Result<bool> {
        if self.now() >= self.discover_at {
            self.discover().await?;
        }
        let settled = self.settle_if_done()?;
        self.seal_if_due().await?;
        self.wait_for_room(stop).await?;
        let read = self.read(stop).await?;
        Ok(settled || read)
    }

    fn now(&self) -> Duration {
        self.parts.clock.monotonic()
    }

    /// Looks for partitions, renews leases, and starts or stops reading accordingly.
    async fn discover(&mut self) -> Result<()> {
        let found = self.parts.source.partitions().await;
        // Also where their bounds cannot be told: others wait for the names alone.
        if let Some(topics) = self.parts.source.topics() {
            self.parts.topics.tell(self.parts.index, topics);
        }
        let mut found = found?;
        self.found = found
            .iter()
            .map(|found| (found.partition.clone(), (found.low, found.high)))
            .collect();
        self.part_shared(&mut found);
        let known = |partition: &Partition| self.held.contains_key(partition) || self.elsewhere.contains_key(partition);
        if self.now() >= self.renew_at || !found.iter().all(|found| known(&found.partition)) {
            self.renew(&found).await?;
        }
        let mut wait = self.parts.options.discovery_interval();
        if self.check_losses(&found) {
            self.parts.source.ask_anew();
            wait = wait.min(LOOK_AGAIN);
        }
        if !self.awaited.is_empty() {
            wait = wait.min(LOOK_AGAIN);
        }
        self.assign().await?;
        self.discover_at = self.now() + wait;
        self.publish();
        Ok(())
    }

    /// Each renewal is an entry in the catalog's log, so there are few: three in the life of a lease.
    async fn renew(&mut self, found: &[Discovered]) -> Result<()> {
        let mut grants = self.lease(found).await?;
        if self.lost_any(&grants) {
            tracing::warn!("a lease was lost, reading again from the last commit");
            self.abandon().await;
            // The commit that was on its way may have moved offsets after the grants were made.
            grants = self.lease(found).await?;
        }
        self.take(found, grants);
        self.renew_at = self.now() + Duration::from_millis(self.parts.options.lease_ttl_ms / 3);
        Ok(())
    }

    async fn lease(&self, found: &[Discovered]) -> Result<Vec<LeaseGrant>> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let request = LeaseRequest {
            owner: self.parts.owner.clone(),
            ttl_ms: self.parts.options.lease_ttl_ms,
            acquire: found.iter().map(|found| topic_partition(&found.partition)).collect(),
            release: Vec::new(),
        };
        let response = self.parts.committer.log.acquire(&request).await;
        let response = response.map_err(|source| IngestError::Catalog {
            action: "lease partitions",
            source,
        })?;
        Ok(response.leases)
    }

    fn lost_any(&self, grants: &[LeaseGrant]) -> bool {
        grants.iter().any(|grant| {
            let held = self.held.iter().find(|(partition, _)| is(partition, grant));
            held.is_some_and(|(_, held)| !grant.granted || grant.epoch != held.epoch)
        })
    }

    /// Grants come in the order of the request.
    fn take(&mut self, found: &[Discovered], grants: Vec<LeaseGrant>) {
        self.elsewhere.clear();
        for (found, grant) in found.iter().zip(grants) {
            if !grant.granted {
                self.elsewhere.insert(found.partition.clone(), grant.owner);
                continue;
            }
            let next = grant.next_offset.unwrap_or(found.low);
            self.held.entry(found.partition.clone()).or_insert(Held {
                epoch: grant.epoch,
                position: next,
                committed: next,
                suspected_at: None,
                resumed: false,
            });
        }
    }

    /// A log that no longer has what comes next is told, never skipped: once bounds say so that were asked for after a first
    /// suspicion. True if any partition is under suspicion.
    fn check_losses(&mut self, found: &[Discovered]) -> bool {
        let (now, mut suspicious, mut halts) = (self.now(), false, Vec::new());
        for found in found {
            let Some(held) = self.held.get_mut(&found.partition) else {
                continue;
            };
            let next = held.position;
            let halt = if found.low > next {
                Halt::Lost { next, low: found.low }
            } else if found.high < next {
                Halt::Truncated { next, high: found.high }
            } else {
                held.suspected_at = None;
                continue;
            };
            let suspected_at = *held.suspected_at.get_or_insert(now);
            if self.halted.contains_key(&found.partition) {
                continue;
            }
            if found.asked_at > suspected_at {
                halts.push((found.partition.clone(), halt));
            } else {
                suspicious = true;
            }
        }
        for (partition, halt) in halts {
            self.halt(&partition, halt);
        }
        suspicious
    }

    /// Once for all: only a restart, after somebody looked, reads the partition again.
    fn halt(&mut self, partition: &Partition, halt: Halt) {
        if self.halted.contains_key(partition) {
            return;
        }
        tracing::error!(%partition, code = halt.code(), reason = %halt, "partition is halted");
        self.parts.committer.metrics.halts.add(1);
        self.halted.insert(partition.clone(), halt);
    }

    /// Tells the source what to read, if that is not what it reads: a source may forget what it fetched.
    async fn assign(&mut self) -> Result<()> {
        let running = self
            .held
            .iter()
            .filter(|(partition, held)| held.suspected_at.is_none() && !self.halted.contains_key(*partition));
        let positions: Vec<_> = running
            .map(|(partition, held)| (partition.clone(), held.position))
            .collect();
        let running: BTreeSet<_> = positions.iter().map(|(partition, _)| partition.clone()).collect();
        if self.assigned.as_ref() == Some(&running) {
            return Ok(());
        }
        self.assigned = None;
        self.parts.source.assign(&positions).await?;
        self.assigned = Some(running);
        Ok(())
    }

    /// Drops everything that is not committed. The next round takes the offsets from the log.
    async fn abandon(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            // Whatever it came to, the offsets in the log tell; the next process asks them too.
            let stop = self.parts.tasks.token();
            let _ended = stop.run_until_cancelled(in_flight).await;
        }
        if !self.pending.is_empty() {
            self.parts.committer.metrics.batches_dropped.add(1);
        }
        self.pending = Pending::default();
        self.buffers.clear();
        self.held.clear();
        self.elsewhere.clear();
        self.assigned = None;
        self.discover_at = Duration::ZERO;
    }

    async fn drain(&mut self) {
        let clock = Arc::clone(&self.parts.clock);
        let last = async {
            if let Some(in_flight) = self.in_flight.take() {
                match in_flight.await {
                    Ok(ended @ Ended::Applied(_)) => self.settle(ended)?,
                    _ => return Ok(()),
                }
            }
            if !self.pending.is_empty() {
                self.seal().await?;
                if let Some(in_flight) = self.in_flight.take() {
                    let _ended = in_flight.await;
                }
            }
            self.release().await
        };
        let outcome: Option<Result<()>> = tokio::select! {
            outcome = last => Some(outcome),
            () = clock.sleep(DRAIN_DEADLINE) => None,
        };
        match outcome {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::info!(%error, "stopped without a last commit"),
            None => tracing::info!("stopped before the last commit was answered"),
        }
    }

    /// Gives all leases up, so that the next owner need not wait for their end.
    async fn release(&self) -> Result<()> {
        let request = LeaseRequest {
            owner: self.parts.owner.clone(),
            ttl_ms: self.parts.options.lease_ttl_ms,
            acquire: Vec::new(),
            release: self.held.keys().map(topic_partition).collect(),
        };
        let released = self.parts.committer.log.acquire(&request).await;
        released.map(|_| ()).map_err(|source| IngestError::Catalog {
            action: "release leases",
            source,
        })
    }

    fn publish(&self) {
        let statuses = self.found.iter().map(|(partition, (low, high))| {
            let held = self.held.get(partition);
            let halt = self.halted.get(partition);
            let awaited = self.awaited.get(partition);
            let next = held.map_or(0, |held| held.committed);
            let status = PartitionStatus {
                topic: partition.topic.to_string(),
                partition: partition.number,
                owner: match awaited {
                    Some(_) => String::new(),
                    None => self.elsewhere.get(partition).unwrap_or(&self.parts.owner).clone(),
                },
                epoch: held.map_or(0, |held| held.epoch),
                next,
                low: *low,
                high: *high,
                lag: if held.is_some() {
                    high.saturating_sub(next).max(0)
                } else {
                    0
                },
                state: match (held, halt) {
                    (_, Some(_)) => "halted",
                    (Some(_), None) => "running",
                    (None, None) if awaited.is_some() => "waiting",
                    (None, None) => "elsewhere",
                },
                reason: match (halt, awaited) {
                    (Some(halt), _) => Some(format!("{}: {halt}", halt.code())),
                    (None, Some(other)) => Some(format!(
                        "ingest.sources.{other} may have this topic too, and has not listed its own yet"
                    )),
                    (None, None) => None,
                },
            };
            (partition.clone(), status)
        });
        self.parts.board.set_partitions(self.parts.index, statuses.collect());
    }

    fn settle_if_done(&mut self) -> Result<bool> {
        let Some(in_flight) = &mut self.in_flight else {
            return Ok(false);
        };
        let Some(ended) = in_flight.now_or_never() else {
            return Ok(false);
        };
        self.in_flight = None;
        self.settle(ended.map_err(|_| IngestError::Task { what: "a commit" })?)?;
        Ok(true)
    }

    /// Waits while a batch is on its way and the next one is full: this is where a slow store slows reading down. Leases are kept
    /// meanwhile, or two processes would take the partitions from each other for ever, and none of them would get on.
    async fn wait_for_room(&mut self, stop: &CancellationToken) -> Result<()> {
        let clock = Arc::clone(&self.parts.clock);
        while self.pending.bytes >= self.parts.options.commit_bytes {
            let left = self.discover_at.saturating_sub(self.now());
            let Some(in_flight) = &mut self.in_flight else {
                self.seal().await?;
                return Ok(());
            };
            let ended = tokio::select! {
                () = stop.cancelled() => return Err(IngestError::Stopped),
                ended = in_flight => Some(ended),
                () = clock.sleep(left) => None,
            };
            match ended {
                Some(ended) => {
                    self.in_flight = None;
                    self.settle(ended.map_err(|_| IngestError::Task { what: "a commit" })?)?;
                }
                None => self.discover().await?,
            }
        }
        Ok(())
    }
}

fn topic_partition(partition: &Partition) -> TopicPartition {
    TopicPartition {
        topic: partition.topic.to_string(),
        partition: partition.number,
    }
}

fn is(partition: &Partition, grant: &LeaseGrant) -> bool {
    partition.number == grant.partition && *partition.topic == *grant.topic
}

#[cfg(test)]
mod tests;
