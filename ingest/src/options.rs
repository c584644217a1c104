//! Settings of ingest.

mod named;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decode::DecodeOptions;
use crate::error::{IngestError, Result};

/// Where records come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceConfig {
    /// Segment files in a directory.
    File {
        /// The directory.
        directory: PathBuf,
    },
    /// Kafka topics.
    Kafka(KafkaOptions),
}

/// A Kafka cluster and topics of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaOptions {
    /// `host:port,…`
    pub brokers: String,
    /// Regular expressions; a topic that matches one as a whole is read.
    pub topics: Vec<String>,
    /// Further settings of the client, such as `security.protocol`.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("topics", &self.topics)
            // Some values are passwords.
            .field("settings", &self.settings.keys())
            .finish()
    }
}

/// Gives a topic a table of its own choosing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingRule {
    /// A regular expression for the whole topic.
    pub topic: String,
    /// The table's name, with `$1` and so on for groups of the expression.
    pub table: String,
}

/// How ingest works. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestOptions {
    /// Where records come from.
    pub sources: Vec<SourceConfig>,
    /// Namespace of bronze tables.
    pub namespace: String,
    /// The first rule that matches names a topic's table; without one it is the last segment of the topic.
    pub mapping: Vec<MappingRule>,
    /// How records are read.
    pub decode: DecodeOptions,
    /// Rows wait this long at most before they are committed; up to five times as long while ingest is behind.
    pub commit_interval_ms: u64,
    /// Rows are committed earlier once there is this much of them: the text of their records, without schemas. At most 1 GiB.
    pub commit_bytes: usize,
    /// The same for all rows held in memory, over all sources.
    pub buffered_bytes_max: usize,
    /// A lease is good for this long.
    pub lease_ttl_ms: u64,
    /// How often partitions are looked for and leases renewed.
    pub discovery_interval_ms: u64,
    /// Bad records of a partition and minute that are borne, whatever their share.
    pub dead_letters_per_minute: u32,
    /// Beyond that, bad records may be this share of a partition's records of a minute, in percent.
    pub dead_letters_percent: u32,
    /// Snapshots that bronze tables keep.
    pub keep_snapshots: u32,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            namespace: "bronze".into(),
            mapping: Vec::new(),
            decode: DecodeOptions::default(),
            commit_interval_ms: 1_000,
            commit_bytes: 128 << 20,
            buffered_bytes_max: 256 << 20,
            lease_ttl_ms: 10_000,
            discovery_interval_ms: 1_000,
            dead_letters_per_minute: 100,
            dead_letters_percent: 1,
            keep_snapshots: 1_000,
        }
    }
}

/// A commit costs several files; more than ten a second are never worth it.
const COMMIT_INTERVAL_MS_MIN: u64 = 20;

/// A column of a batch holds 2 GiB of text at most: the places of its values have 31 bits. Reading ends a few records beyond the limit.
const COMMIT_BYTES_MAX: usize = 1 << 30;

impl IngestOptions {
    /// Refuses settings that cannot work.
    pub fn check(&self) -> Result<()> {
        let refuse = |setting: &str, problem: &str| {
            Err(IngestError::Setting {
                setting: setting.into(),
                problem: problem.into(),
            })
        };
        if self.commit_interval_ms < COMMIT_INTERVAL_MS_MIN {
            return refuse("commit_interval_ms", "it is below 20");
        }
        if self.commit_bytes == 0 || self.buffered_bytes_max < self.commit_bytes {
            return refuse("buffered_bytes_max", "it is below commit_bytes, or that is 0");
        }
        if self.commit_bytes > COMMIT_BYTES_MAX {
            return refuse(
                "commit_bytes",
                "it is above 1 GiB, and a column of a batch holds 2 GiB at most",
            );
        }
        if self.lease_ttl_ms < 3 * self.discovery_interval_ms {
            return refuse(
                "lease_ttl_ms",
                "it is below three times discovery_interval_ms, so leases would run out",
            );
        }
        if self.keep_snapshots == 0 {
            return refuse("keep_snapshots", "a table keeps at least one");
        }
        for source in &self.sources {
            match source {
                SourceConfig::Kafka(kafka) if kafka.topics.is_empty() => return refuse("topics", "no topic is named"),
                _ => {}
            }
        }
        named::check(&self.sources)?;
        self.decode.check()
    }

    pub(crate) fn commit_interval(&self) -> Duration {
        Duration::from_millis(self.commit_interval_ms)
    }

    pub(crate) fn discovery_interval(&self) -> Duration {
        Duration::from_millis(self.discovery_interval_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a batch whose columns could overflow is refused at the start. Method: the largest one, and a byte more.
    #[test]
    fn batches_have_a_limit() {
        let of = |commit_bytes| IngestOptions {
            commit_bytes,
            buffered_bytes_max: commit_bytes,
            ..IngestOptions::default()
        };
        assert!(of(COMMIT_BYTES_MAX).check().is_ok());
        assert!(of(COMMIT_BYTES_MAX + 1).check().is_err());
    }
}
