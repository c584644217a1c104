//! Change logs to bronze tables, exactly once.
//!
//! It reads Debezium's records from Kafka or from segment files, makes typed rows of them, and commits the rows of all tables
//! together with the offsets they came from in one entry of the catalog's log. It does not interpret changes (that is the work
//! of pipelines), and it keeps no state of its own: offsets and leases are the catalog's.
//!
//! Main types: [`Ingest`] with [`IngestOptions`], [`IngestStatus`]; [`Source`]; [`OffsetLog`], the seam to the catalog;
//! [`TopicBuffer`], the decoder.
//!
//! Invariants: every record between two committed offsets is in bronze or in the dead letters, once, unless it is one that
//! Debezium wrote about itself (INV-ING-1); offsets and the rows they cover are committed in one entry (INV-ING-2); a loss is
//! told and halts its partition; a bad record leaves no trace in the rows around it.

pub mod decode;
pub mod error;
pub mod halt;
pub mod layout;
pub mod mapping;
pub mod metrics;
pub mod offset_log;
pub mod options;
pub mod record;
pub mod source;
pub mod status;

mod batch;
mod commit;
mod ingest;
mod topics;
mod worker;

#[cfg(test)]
mod testing;

pub use commit::{BATCH_ID_KEY, MAX_KAFKA_TS_KEY, OFFSETS_KEY, RANGES_KEY, TOPIC_KEY};
pub use decode::{DecodeOptions, KeepRaw, Pushed, RecordFault, TopicBuffer};
pub use error::{IngestError, Result};
pub use halt::Halt;
pub use ingest::Ingest;
pub use mapping::Mapping;
pub use metrics::Metrics;
pub use offset_log::OffsetLog;
pub use options::{IngestOptions, KafkaOptions, MappingRule, SourceConfig};
pub use record::{Partition, Record};
pub use source::{Discovered, Poll, PollBounds, Reach, Source};
pub use status::{IngestStatus, PartitionStatus, TableStatus};
