//! Consumer offsets, partition leases and the commit that binds them to tables.

use std::collections::BTreeSet;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::{Shared, State};
use crate::command::{
    IngestChange, IngestRefusal, LeaseGrant, LeaseRequest, OffsetRange, Outcome, PartitionId, Refusal,
};

/// How many partitions there may be: a guard; ten times what the largest clusters in the field hold for change data.
const PARTITIONS_MAX: usize = 100_000;

/// Who reads a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The owner.
    pub owner: String,
    /// Until when, in the state's time. Only decides who may take it over; commits are guarded by the epoch.
    pub expires_at_ms: i64,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRow {
    /// The offset the next commit has to begin at; none before the first commit.
    pub next_offset: Option<i64>,
    /// Raised whenever the lease goes to another owner.
    pub epoch: u64,
    /// The lease, unless it was given up.
    pub lease: Option<Lease>,
    /// When records were committed last.
    pub committed_at_ms: i64,
}

/// All partitions, by topic and number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ingest {
    topics: OrdMap<String, OrdMap<i32, Shared<PartitionRow>>>,
    count: usize,
}

impl Ingest {
    fn row(&self, id: &PartitionId) -> Option<&Shared<PartitionRow>> {
        self.topics.get(&id.topic)?.get(&id.partition)
    }

    fn put(&mut self, id: &PartitionId, row: PartitionRow) -> Result<(), Refusal> {
        if self.row(id).is_none() {
            if self.count >= PARTITIONS_MAX {
                return Err(Refusal::Full {
                    limit: format!("{PARTITIONS_MAX} partitions"),
                });
            }
            self.count += 1;
        }
        self.topics
            .entry(id.topic.clone())
            .or_default()
            .insert(id.partition, Shared::new(row));
        Ok(())
    }
}

impl State {
    /// One partition.
    pub fn partition(&self, id: &PartitionId) -> Option<&PartitionRow> {
        self.ingest.row(id).map(|row| &**row)
    }

    /// All partitions of topics that begin with `topic_prefix`, in order.
    pub fn partitions<'a>(
        &'a self,
        topic_prefix: &'a str,
    ) -> impl Iterator<Item = (PartitionId, &'a PartitionRow)> + 'a {
        let topics = self
            .ingest
            .topics
            .iter()
            .filter(move |(topic, _)| topic.starts_with(topic_prefix));
        topics.flat_map(|(topic, rows)| {
            rows.iter().map(move |(partition, row)| {
                let id = PartitionId {
                    topic: topic.clone(),
                    partition: *partition,
                };
                (id, &**row)
            })
        })
    }

    /// Whether these ranges could be committed now.
    ///
    /// # Errors
    /// What [`State::apply`] would refuse them for.
    pub fn check_ranges(&self, ranges: &[OffsetRange]) -> Result<(), Refusal> {
        let mut next = self.clone();
        ranges.iter().try_for_each(|range| next.advance(range))
    }

    pub(super) fn ingest(&mut self, change: IngestChange) -> Result<Outcome, Refusal> {
        let partitions: BTreeSet<&PartitionId> = change.ranges.iter().map(|range| &range.partition).collect();
        if partitions.len() != change.ranges.len() {
            return Err(Refusal::Repeated);
        }
        // A commit whose answer was lost comes again, perhaps after its idempotency row expired: then every range lies behind.
        let behind = |range: &OffsetRange| self.next_offset(&range.partition).is_some_and(|next| range.to <= next);
        if !change.ranges.is_empty() && change.ranges.iter().all(behind) {
            return Ok(Outcome::AlreadyIngested);
        }
        for range in &change.ranges {
            self.advance(range)?;
        }
        self.commit(change.changes)
    }

    fn next_offset(&self, id: &PartitionId) -> Option<i64> {
        self.partition(id)?.next_offset
    }

    fn advance(&mut self, range: &OffsetRange) -> Result<(), Refusal> {
        let mut row = self.partition(&range.partition).cloned().unwrap_or_default();
        if row.epoch != range.epoch || row.lease.is_none() {
            return Err(Refusal::Ingest(IngestRefusal::Fenced {
                partition: range.partition.clone(),
                epoch: row.epoch,
            }));
        }
        let expected = row.next_offset.unwrap_or(range.from);
        if range.from != expected || range.to < range.from {
            return Err(Refusal::Ingest(IngestRefusal::Gap {
                partition: range.partition.clone(),
                expected,
            }));
        }
        row.next_offset = Some(range.to);
        row.committed_at_ms = self.now_ms;
        self.ingest.put(&range.partition, row)
    }

    pub(super) fn lease(&mut self, request: LeaseRequest) -> Result<Outcome, Refusal> {
        for id in &request.release {
            self.release(id, &request.owner)?;
        }
        let ttl_ms = i64::try_from(request.ttl_ms).unwrap_or(i64::MAX);
        let until_ms = self.now_ms.saturating_add(ttl_ms);
        let grants: Result<Vec<LeaseGrant>, Refusal> = request
            .acquire
            .into_iter()
            .map(|id| self.acquire(id, &request.owner, until_ms))
            .collect();
        Ok(Outcome::Leases(grants?))
    }

    fn release(&mut self, id: &PartitionId, owner: &str) -> Result<(), Refusal> {
        let Some(row) = self.partition(id) else { return Ok(()) };
        if row.lease.as_ref().is_none_or(|lease| lease.owner != owner) {
            return Ok(());
        }
        let row = PartitionRow {
            lease: None,
            ..row.clone()
        };
        self.ingest.put(id, row)
    }

    fn acquire(&mut self, id: PartitionId, owner: &str, until_ms: i64) -> Result<LeaseGrant, Refusal> {
        let mut row = self.partition(&id).cloned().unwrap_or_default();
        let mine = row.lease.as_ref().is_some_and(|lease| lease.owner == owner);
        let free = row
            .lease
            .as_ref()
            .is_none_or(|lease| lease.expires_at_ms <= self.now_ms);
        let granted = mine || free;
        if granted {
            if !mine {
                row.epoch += 1;
            }
            row.lease = Some(Lease {
                owner: owner.to_owned(),
                expires_at_ms: until_ms,
            });
            self.ingest.put(&id, row.clone())?;
        }
        Ok(LeaseGrant {
            partition: id,
            granted,
            owner: row.lease.as_ref().map_or_else(String::new, |lease| lease.owner.clone()),
            epoch: row.epoch,
            expires_at_ms: row.lease.as_ref().map_or(0, |lease| lease.expires_at_ms),
            next_offset: row.next_offset,
        })
    }
}
