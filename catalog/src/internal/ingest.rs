//! Ingest commits, leases and offsets.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use crate::command::{Ident, IngestRefusal, LeaseGrant, LeaseRequest, OffsetRange, Op, Outcome, PartitionId};
use crate::commit::{Choice, Retention, TableWork};
use crate::error::{CatalogError, Result};
use crate::rest::{Answer, Body, Query, Shared, json};
use tidewater_catalog_client::dto;
use tidewater_core::TableName;

/// Most partitions in one call: Kafka's own limit for one broker is about this.
const PARTITIONS_PER_CALL_MAX: usize = 4_000;

/// Longest name of a topic; Kafka's own limit.
const TOPIC_BYTES_MAX: usize = 249;

/// Longest lease: after a crash nobody reads the partition for as long.
const TTL_MS_MAX: u64 = 10 * 60 * 1_000;

/// `POST /internal/v1/ingest/commit`
pub(super) async fn commit(State(service): Shared, body: Body<dto::IngestCommit>) -> Answer {
    let dto::IngestCommit { owner, ranges, commits } = body.value;
    check_count(ranges.len())?;
    let ranges: Result<Vec<OffsetRange>> = ranges.into_iter().map(to_range).collect();
    let ranges = ranges?;
    if ranges.is_empty() {
        return Err(CatalogError::bad_request("an ingest commit has no ranges"));
    }
    let names: Vec<TableName> = commits.iter().map(|commit| commit.name.clone()).collect();
    let to_work = |commit: tidewater_table::TableCommit| TableWork {
        table: ident(&commit.name),
        requirements: commit.requirements,
        updates: commit.updates,
        // Ingest plans again by itself, and looks for what it committed first.
        may_rebase: false,
        choice: Choice::New,
        retention: Retention::Told,
    };
    let works: Vec<TableWork> = commits.into_iter().map(to_work).collect();
    let (worker, ticket) = (Arc::clone(&service), body.ticket);
    let run = async move { worker.once(&ticket, worker.commit(&ticket, works, ranges)).await };
    let outcome = match service.detached("ingest-commit", run).await {
        Ok(outcome) => to_outcome(&names, outcome)?,
        Err(error) => refused(error)?,
    };
    if !matches!(outcome, dto::IngestOutcome::Applied { .. }) {
        tracing::info!(owner, ?outcome, "ingest commit was not applied");
    }
    json(&outcome)
}

fn ident(name: &TableName) -> Ident {
    Ident {
        namespace: name.namespace().levels().to_vec(),
        name: name.name().to_owned(),
    }
}

fn to_outcome(names: &[TableName], outcome: Outcome) -> Result<dto::IngestOutcome> {
    match outcome {
        Outcome::AlreadyIngested => Ok(dto::IngestOutcome::AlreadyApplied),
        Outcome::Committed(tables) => {
            let pairs = names.iter().cloned().zip(tables);
            let to_table = |(name, table): (TableName, crate::command::TableRef)| dto::CommittedTable {
                name,
                version: table.version,
                metadata_location: table.metadata_location,
            };
            Ok(dto::IngestOutcome::Applied {
                tables: pairs.map(to_table).collect(),
            })
        }
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}

/// Refusals that the caller has to act on are outcomes; everything else stays an error.
fn refused(error: CatalogError) -> Result<dto::IngestOutcome> {
    let (_, kind) = error.status_and_type();
    let kind = kind.to_owned();
    match (error, kind.as_str()) {
        (CatalogError::Ingest(refusal), _) => Ok(to_refusal(refusal)),
        // The same request once more, after it was refused: the refusal stands in the log.
        (CatalogError::Remembered { message, .. }, "IngestFencedException" | "IngestGapException") => {
            let refusal = serde_json::from_str(&message).map_err(|error| CatalogError::internal(error.to_string()))?;
            Ok(to_refusal(refusal))
        }
        (error, "CommitFailedException" | "AlreadyExistsException") => Ok(dto::IngestOutcome::TableConflict {
            message: error.to_string(),
        }),
        (error, "NoSuchTableException" | "NoSuchNamespaceException") => Ok(dto::IngestOutcome::TableMissing {
            message: error.to_string(),
        }),
        (error, _) => Err(error),
    }
}

fn to_refusal(refusal: IngestRefusal) -> dto::IngestOutcome {
    match refusal {
        IngestRefusal::Fenced { partition, epoch } => dto::IngestOutcome::Fenced {
            partition: from_partition(partition),
            epoch,
        },
        IngestRefusal::Gap { partition, expected } => dto::IngestOutcome::Gap {
            partition: from_partition(partition),
            expected,
        },
    }
}

/// `POST /internal/v1/ingest/leases`
pub(super) async fn leases(State(service): Shared, body: Body<dto::LeaseRequest>) -> Answer {
    let dto::LeaseRequest {
        owner,
        ttl_ms,
        acquire,
        release,
    } = body.value;
    check_count(acquire.len() + release.len())?;
    if owner.is_empty() || owner.len() > TOPIC_BYTES_MAX {
        return Err(CatalogError::bad_request("the owner of a lease has 1 to 249 bytes"));
    }
    if ttl_ms == 0 || ttl_ms > TTL_MS_MAX {
        return Err(CatalogError::bad_request(format!("a lease lasts 1 to {TTL_MS_MAX} ms")));
    }
    let to_partitions = |names: Vec<dto::TopicPartition>| -> Result<Vec<PartitionId>> {
        names
            .into_iter()
            .map(|name| to_partition(name.topic, name.partition))
            .collect()
    };
    let request = LeaseRequest {
        owner,
        ttl_ms,
        acquire: to_partitions(acquire)?,
        release: to_partitions(release)?,
    };
    match service.propose(&body.ticket, Op::Lease(request)).await? {
        Outcome::Leases(grants) => json(&dto::LeaseResponse {
            leases: grants.into_iter().map(from_grant).collect(),
        }),
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct OfTopics {
    #[serde(default)]
    topic_prefix: String,
}

/// `GET /internal/v1/ingest/offsets`
pub(super) async fn offsets(State(service): Shared, Query(wanted): Query<OfTopics>) -> Answer {
    let state = service.fresh_state().await?;
    let partitions = state
        .partitions(&wanted.topic_prefix)
        .map(|(id, row)| dto::PartitionState {
            topic: id.topic,
            partition: id.partition,
            next_offset: row.next_offset,
            epoch: row.epoch,
            owner: row.lease.as_ref().map(|lease| lease.owner.clone()),
            expires_at_ms: row.lease.as_ref().map(|lease| lease.expires_at_ms),
            committed_at_ms: row.committed_at_ms,
        });
    json(&dto::OffsetsResponse {
        partitions: partitions.collect(),
    })
}

fn check_count(count: usize) -> Result<()> {
    if count > PARTITIONS_PER_CALL_MAX {
        return Err(CatalogError::TooLarge {
            what: "the number of partitions in one call",
            limit: PARTITIONS_PER_CALL_MAX,
        });
    }
    Ok(())
}

fn to_partition(topic: String, partition: i32) -> Result<PartitionId> {
    if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || topic.chars().any(char::is_control) || partition < 0 {
        return Err(CatalogError::bad_request(format!(
            "partition {partition} of topic {topic:?} cannot be"
        )));
    }
    Ok(PartitionId { topic, partition })
}

fn to_range(range: dto::OffsetRange) -> Result<OffsetRange> {
    if range.from < 0 || range.to <= range.from {
        let what = format!(
            "offsets {}..{} of topic {:?} are no range",
            range.from, range.to, range.topic
        );
        return Err(CatalogError::bad_request(what));
    }
    Ok(OffsetRange {
        partition: to_partition(range.topic, range.partition)?,
        epoch: range.epoch,
        from: range.from,
        to: range.to,
    })
}

fn from_partition(id: PartitionId) -> dto::TopicPartition {
    dto::TopicPartition {
        topic: id.topic,
        partition: id.partition,
    }
}

fn from_grant(grant: LeaseGrant) -> dto::LeaseGrant {
    dto::LeaseGrant {
        topic: grant.partition.topic,
        partition: grant.partition.partition,
        granted: grant.granted,
        owner: grant.owner,
        epoch: grant.epoch,
        expires_at_ms: grant.expires_at_ms,
        next_offset: grant.next_offset,
    }
}
