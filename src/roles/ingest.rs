//! The ingest role: consumers of change data.

use std::sync::Arc;

use serde_json::Value;

use tidewater_ingest::{Ingest, IngestOptions, KafkaOptions, SourceConfig};
use tidewater_synth::sink::NextOffsets;

use super::Parts;
use crate::cli::failure::Failure;
use crate::settings::SourceSettings;

/// A running ingest, as screens and commands ask it.
#[derive(Debug, Clone)]
pub(crate) struct IngestHandle(Arc<Ingest>);

impl IngestHandle {
    /// Partitions, tables and rates.
    pub(crate) fn status(&self) -> Value {
        serde_json::to_value(self.0.status()).unwrap_or_default()
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

/// Starts the consumers of all configured sources.
pub(super) fn start(parts: &Parts) -> Result<IngestHandle, Failure> {
    let settings = &parts.settings.ingest;
    let options = IngestOptions {
        sources: settings.sources.iter().map(source).collect(),
        commit_interval_ms: settings.commit_interval_ms,
        mapping: settings.mapping.clone(),
        decode: settings.decode.clone(),
        dead_letters_per_minute: settings.dead_letters_per_minute,
        dead_letters_percent: settings.dead_letters_percent,
        keep_snapshots: settings.keep_snapshots,
        lease_ttl_ms: settings.lease_ttl_ms,
        ..IngestOptions::default()
    };
    let ingest = Ingest::start(
        options,
        Arc::new(parts.client.clone()),
        parts.store.clone(),
        Arc::clone(&parts.clock),
        Arc::clone(&parts.rng),
        &parts.tasks.child("ingest"),
    )?;
    Ok(IngestHandle(Arc::new(ingest)))
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
