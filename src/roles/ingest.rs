//! The ingest role: consumers of change data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use tidewater_core::Namespace;
use tidewater_ingest::{Ingest, IngestOptions, KafkaOptions, SourceConfig};
use tidewater_synth::sink::NextOffsets;

use super::{Parts, Role};
use crate::cli::failure::Failure;
use crate::settings::{IngestSettings, Settings, SourceSettings};

/// A running ingest, as screens and commands ask it.
#[derive(Debug, Clone)]
pub(crate) struct IngestHandle(Arc<Ingest>);

impl IngestHandle {
    /// Partitions, tables and rates.
    pub(crate) fn status(&self) -> Value {
        serde_json::to_value(self.0.status()).unwrap_or_default()
    }

    /// Name, meaning and value of what is counted.
    pub(crate) fn counters(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.0.metrics().all()
    }

    /// How far the consumers are.
    pub(crate) fn standing(&self) -> Standing {
        let status = self.0.status();
        let mut standing = Standing {
            freshness_ms: status.freshness_ms,
            commit_ms: status.commit_ms.and_then(|ms| i64::try_from(ms).ok()),
            ..Standing::default()
        };
        for partition in status.partitions {
            *standing.partitions_by_state.entry(partition.state).or_default() += 1;
            // What another process reads is its to tell, and what nobody may read yet is behind nobody knows how far.
            if !NOT_OURS.contains(&partition.state) {
                *standing.lag_by_topic.entry(partition.topic).or_default() += partition.lag;
            }
        }
        standing
    }

    /// From where the consumers go on: what lies before is committed.
    pub(crate) fn committed(&self) -> NextOffsets {
        let partitions = self.0.status().partitions;
        partitions
            .into_iter()
            .map(|partition| ((partition.topic, partition.partition), partition.next))
            .collect()
    }
}

/// How far the consumers are, in figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) lag_by_topic: BTreeMap<String, i64>,
    pub(crate) partitions_by_state: BTreeMap<&'static str, i64>,
    pub(crate) freshness_ms: Option<i64>,
    pub(crate) commit_ms: Option<i64>,
}

/// The states of a partition whose lease another process has, or for which none was asked yet.
const NOT_OURS: [&str; 2] = ["elsewhere", "waiting"];

/// Starts the consumers of all configured sources.
pub(super) fn start(parts: &Parts) -> Result<IngestHandle, Failure> {
    let ingest = Ingest::start(
        options(&parts.settings.ingest),
        Arc::new(parts.client.clone()),
        parts.store.clone(),
        Arc::clone(&parts.clock),
        Arc::clone(&parts.rng),
        &parts.tasks.child("ingest"),
    )?;
    Ok(IngestHandle(Arc::new(ingest)))
}

/// Refuses settings that no consumer can work with.
pub(super) fn check(settings: &Settings, roles: &BTreeSet<Role>) -> Result<(), Failure> {
    match roles.contains(&Role::Ingest) {
        true => options(&settings.ingest).check().map_err(Failure::from),
        false => Ok(()),
    }
}

/// Where the rows of topics go; nowhere without sources.
pub(super) fn schemas(settings: &Settings) -> BTreeSet<Namespace> {
    match settings.ingest.sources.is_empty() {
        true => BTreeSet::new(),
        false => IngestOptions::default()
            .namespace
            .parse::<Namespace>()
            .into_iter()
            .collect(),
    }
}

fn options(settings: &IngestSettings) -> IngestOptions {
    IngestOptions {
        sources: settings.sources.iter().map(source).collect(),
        commit_interval_ms: settings.commit_interval_ms,
        mapping: settings.mapping.clone(),
        decode: settings.decode.clone(),
        dead_letters_per_minute: settings.dead_letters_per_minute,
        dead_letters_percent: settings.dead_letters_percent,
        keep_snapshots: settings.keep_snapshots,
        lease_ttl_ms: settings.lease_ttl_ms,
        ..IngestOptions::default()
    }
}

fn source(settings: &SourceSettings) -> SourceConfig {
    match settings {
        SourceSettings::File { path } => SourceConfig::File {
            directory: path.clone(),
        },
        SourceSettings::Kafka {
            bootstrap,
            topics,
            properties,
        } => SourceConfig::Kafka(KafkaOptions {
            brokers: bootstrap.clone(),
            topics: topics.clone(),
            settings: properties
                .iter()
                .map(|(key, value)| (key.clone(), value.expose().to_owned()))
                .collect(),
        }),
    }
}
