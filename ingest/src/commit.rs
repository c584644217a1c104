//! One commit: files of all tables, then one log entry that makes them visible and moves the offsets.

mod files;
mod last_lsn;
pub(crate) mod ownership;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream};
use uuid::Uuid;

pub(crate) use self::files::TableRows;
use self::files::{Written, write_files};
pub(crate) use self::last_lsn::last_lsn;
use crate::error::{IngestError, Result};
use crate::metrics::Metrics;
use crate::offset_log::OffsetLog;
use crate::status::Brought;
use tidewater_catalog_client::creation_updates;
use tidewater_catalog_client::dto::{IngestCommit, IngestOutcome, OffsetRange};
use tidewater_core::{Coded, ErrorKind, Retry, SharedClock};
use tidewater_table::iceberg::TableRequirement;
pub use tidewater_table::marks::TOPIC_KEY;
use tidewater_table::{Change, CommitOptions, FileStore, PlannedCommit, Tail, misfit, plan_commit};

/// Summary key: where each partition goes on, as JSON.
pub const OFFSETS_KEY: &str = "tidewater.ingest.offsets";
/// Summary key: first offset and one past the last of each partition, as JSON.
pub const RANGES_KEY: &str = "tidewater.ingest.ranges";
/// Summary key: the batch.
pub const BATCH_ID_KEY: &str = "tidewater.ingest.batch-id";
/// Summary key: Kafka's time of the newest record, in milliseconds.
pub const MAX_KAFKA_TS_KEY: &str = "tidewater.ingest.max-kafka-ts";

/// Tables written at the same time: encoding is bound by the processor, storing by the store's latency, which so many hide.
const TABLES_AT_ONCE: usize = 16;

/// Plans of one batch before it is given up and read again. Others (compaction) move a bronze table every few seconds at most.
const PLANS_MAX: u32 = 20;

/// How often the same commit is sent while its outcome is unknown, with pauses that add up to about half a minute.
const SENDS_MAX: u32 = 20;

/// Longest pause between two sends.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A batch, closed.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) id: Uuid,
    pub(crate) owner: String,
    pub(crate) ranges: Vec<OffsetRange>,
    pub(crate) tables: Vec<TableRows>,
    pub(crate) brought: Brought,
}

/// What a batch came to.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It is committed.
    Applied(Brought),
    /// It is not, or nobody knows: take the offsets from the log and read again.
    Lost(String),
    /// A table cannot take its rows.
    Refused {
        topic: Option<Arc<str>>,
        error: IngestError,
    },
    /// Something else failed; nothing was committed.
    Failed(IngestError),
}

/// Commits batches.
#[derive(Debug)]
pub(crate) struct Committer {
    pub(crate) log: Arc<dyn OffsetLog>,
    pub(crate) store: FileStore,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) keep_snapshots: u32,
}

impl Committer {
    pub(crate) async fn run(&self, sealed: Sealed) -> Ended {
        let begun = self.clock.monotonic();
        let mut written = match self.write_all(&sealed).await {
            Ok(written) => written,
            Err(ended) => return ended,
        };
        for _ in 0..PLANS_MAX {
            let plans = match self.plan_all(&sealed, &written).await {
                Ok(plans) => plans,
                Err((topic, error)) => {
                    self.discard(&written, &[]).await;
                    return ended(topic, error);
                }
            };
            match self.send(&sealed, &plans).await {
                Sent::Applied => {
                    let mut brought = sealed.brought;
                    brought.took = self.clock.monotonic().saturating_sub(begun);
                    return Ended::Applied(brought);
                }
                Sent::Moved(message) => {
                    tracing::debug!(message, "a bronze table moved, planning again");
                    self.metrics.conflicts.add(1);
                    self.sweep(&plans).await;
                    written = match self.again(&sealed, written).await {
                        Ok(written) => written,
                        Err(ended) => return ended,
                    };
                }
                Sent::Lost(reason) => {
                    self.discard(&written, &plans).await;
                    return Ended::Lost(reason);
                }
                // Its files may be in the table already, or get there when a late request arrives: they stay.
                Sent::Unknown(reason) => return Ended::Lost(reason),
                Sent::Failed(error) => {
                    self.discard(&written, &plans).await;
                    return Ended::Failed(error);
                }
            }
        }
        self.discard(&written, &[]).await;
        Ended::Lost(format!("{PLANS_MAX} plans met a table that had moved"))
    }

    async fn write_all(&self, sealed: &Sealed) -> std::result::Result<Vec<Written>, Ended> {
        let mut writes = Vec::new();
        for rows in &sealed.tables {
            writes.push(self.write_one(rows).boxed());
        }
        // All end before a failure is told, so that no file is left behind unseen.
        let outcomes: Vec<_> = stream::iter(writes).buffered(TABLES_AT_ONCE).collect().await;
        let (mut written, mut failed) = (Vec::new(), None);
        for outcome in outcomes {
            match outcome {
                Ok(table) => written.push(table),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        let Some((topic, error)) = failed else {
            return Ok(written);
        };
        self.discard(&written, &[]).await;
        Err(ended(topic, error))
    }

    async fn write_one(&self, rows: &TableRows) -> std::result::Result<Written, OfTopic> {
        write_files(self, rows)
            .await
            .map_err(|error| (rows.topic.clone(), error))
    }

    /// After a table moved: the files stand, unless their table is another one now, or has other columns.
    async fn again(&self, sealed: &Sealed, written: Vec<Written>) -> std::result::Result<Vec<Written>, Ended> {
        let mut renewed = Vec::with_capacity(written.len());
        for (mut table, rows) in written.into_iter().zip(&sealed.tables) {
            let now = match self.log.load_table(&rows.name).await {
                Ok(now) => now,
                Err(source) => {
                    let action = "load a table";
                    return Err(Ended::Failed(IngestError::Catalog { action, source }));
                }
            };
            let fit = now.as_ref().is_some_and(|now| {
                now.metadata.uuid() == table.table.metadata.uuid()
                    && misfit(&table.schema, now.metadata.current_schema()).is_none()
            });
            match now {
                Some(now) if fit => table.table = now,
                None if table.staged => {}
                _ => {
                    self.discard(std::slice::from_ref(&table), &[]).await;
                    table = match write_files(self, rows).await {
                        Ok(table) => table,
                        Err(error) => return Err(ended(rows.topic.clone(), error)),
                    };
                }
            }
            renewed.push(table);
        }
        Ok(renewed)
    }

    async fn plan_all(&self, sealed: &Sealed, written: &[Written]) -> std::result::Result<Vec<PlannedCommit>, OfTopic> {
        let options = CommitOptions {
            tail: Tail::Roll(100),
            keep_snapshots: Some(self.keep_snapshots),
            ..CommitOptions::default()
        };
        let mut plans = Vec::new();
        for (table, rows) in written.iter().zip(&sealed.tables) {
            let plan = self.plan_one(sealed, table, rows, &options);
            plans.push(plan.map_err(|error| (rows.topic.clone(), error)).boxed());
        }
        stream::iter(plans).buffered(TABLES_AT_ONCE).try_collect().await
    }

    async fn plan_one(
        &self,
        sealed: &Sealed,
        table: &Written,
        rows: &TableRows,
        options: &CommitOptions,
    ) -> Result<PlannedCommit> {
        let change = change(sealed, table, rows);
        let failed = |source| IngestError::Table {
            table: rows.name.to_string(),
            source: Box::new(source),
        };
        let planned = plan_commit(&self.store, &table.table, &change, options).await;
        let mut plan = planned.map_err(failed)?;
        let moved = last_lsn::moved(&table.table.metadata, &rows.last_lsn).map_err(failed)?;
        plan.commit.updates.extend(moved);
        if table.staged {
            let mut updates = creation_updates(&table.table.metadata);
            updates.append(&mut plan.commit.updates);
            plan.commit.updates = updates;
            plan.commit.requirements = vec![TableRequirement::NotExist];
        }
        Ok(plan)
    }

    /// Sends until the answer is known. A repetition cannot apply twice: its ranges no longer begin at the next offset.
    async fn send(&self, sealed: &Sealed, plans: &[PlannedCommit]) -> Sent {
        let commit = IngestCommit {
            owner: sealed.owner.clone(),
            ranges: sealed.ranges.clone(),
            commits: plans.iter().map(|plan| plan.commit.clone()).collect(),
        };
        let mut unknown = false;
        for send in 0..SENDS_MAX {
            tidewater_core::fail_point::pass("ingest.files_written");
            let answer = self.log.commit_offsets(&commit).await;
            tidewater_core::fail_point::pass("ingest.commit_answered");
            let fault = match answer {
                Ok(IngestOutcome::Applied { .. } | IngestOutcome::AlreadyApplied) => return Sent::Applied,
                // An earlier send may have been applied, and others may have committed since: only the log can tell.
                Ok(outcome) if unknown => return Sent::Unknown(describe(&outcome)),
                Ok(IngestOutcome::TableConflict { message } | IngestOutcome::TableMissing { message }) => {
                    return Sent::Moved(message);
                }
                Ok(outcome) => return Sent::Lost(describe(&outcome)),
                Err(fault) => fault,
            };
            // An answer that cannot be read is none.
            unknown |= fault.retry() == Retry::Unknown || fault.kind() == ErrorKind::Internal;
            if !matches!(fault.retry(), Retry::Unknown | Retry::Safe) {
                let error = IngestError::Catalog {
                    action: "commit offsets",
                    source: fault,
                };
                return if unknown {
                    Sent::Unknown(error.to_string())
                } else {
                    Sent::Failed(error)
                };
            }
            tracing::warn!(error = %fault, batch = %sealed.id, "commit is sent again");
            let pause = Duration::from_millis(50 << send.min(6)).min(PAUSE_MAX);
            self.clock.sleep(pause).await;
        }
        let reason = format!("no answer to {SENDS_MAX} sends");
        if unknown {
            Sent::Unknown(reason)
        } else {
            Sent::Lost(reason)
        }
    }

    async fn sweep(&self, plans: &[PlannedCommit]) {
        for location in plans.iter().flat_map(|plan| &plan.written) {
            if let Err(error) = self.store.delete(location).await {
                tracing::warn!(%error, location, "a file of a lost commit stays behind");
            }
        }
    }

    /// Removes everything a commit wrote that surely is in no table.
    async fn discard(&self, written: &[Written], plans: &[PlannedCommit]) {
        self.sweep(plans).await;
        for table in written {
            if let Err(error) = tidewater_table::write::discard(&self.store, &table.added).await {
                tracing::warn!(%error, table = %table.table.name, "files of a lost commit stay behind");
            }
        }
    }
}

/// A failure, and the topic whose rows met it.
type OfTopic = (Option<Arc<str>>, IngestError);

/// A table that cannot take its rows now or later stops its own topic. Dead letters come from all topics, and none may pass them.
fn ended(topic: Option<Arc<str>>, error: IngestError) -> Ended {
    if topic.is_some() && error.is_of_table() {
        Ended::Refused { topic, error }
    } else {
        Ended::Failed(error)
    }
}

enum Sent {
    Applied,
    /// Surely not applied: a table is not as it was.
    Moved(String),
    /// Surely not applied: a lease is over, or a range does not follow.
    Lost(String),
    /// Perhaps applied.
    Unknown(String),
    Failed(IngestError),
}

fn describe(outcome: &IngestOutcome) -> String {
    match outcome {
        IngestOutcome::Fenced { partition, epoch } => {
            format!(
                "lease of {}-{} is over, its epoch is {epoch}",
                partition.topic, partition.partition
            )
        }
        IngestOutcome::Gap { partition, expected } => {
            format!("{}-{} has to go on at {expected}", partition.topic, partition.partition)
        }
        IngestOutcome::TableConflict { message } | IngestOutcome::TableMissing { message } => message.clone(),
        IngestOutcome::Applied { .. } | IngestOutcome::AlreadyApplied => "applied".into(),
    }
}

fn change(sealed: &Sealed, table: &Written, rows: &TableRows) -> Change {
    let mut offsets: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
    let mut ranges: BTreeMap<&str, BTreeMap<i32, (i64, i64)>> = BTreeMap::new();
    let own = |range: &&OffsetRange| rows.topic.as_ref().is_none_or(|topic| **topic == *range.topic);
    for range in sealed.ranges.iter().filter(own) {
        offsets
            .entry(&range.topic)
            .or_default()
            .insert(range.partition, range.to);
        ranges
            .entry(&range.topic)
            .or_default()
            .insert(range.partition, (range.from, range.to));
    }
    let mut change = Change::append(table.added.clone())
        .of_schema(&table.schema)
        .property(OFFSETS_KEY, serde_json::json!(offsets).to_string())
        .property(RANGES_KEY, serde_json::json!(ranges).to_string())
        .property(BATCH_ID_KEY, sealed.id.to_string());
    if let Some(newest) = sealed.brought.max_kafka_ms {
        change = change.property(MAX_KAFKA_TS_KEY, newest.to_string());
    }
    change
}
