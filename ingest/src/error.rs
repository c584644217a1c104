//! Errors of ingest.

use thiserror::Error;

use tidewater_core::{Coded, ErrorKind, Retry};
use tidewater_table::marks::{DEAD_LETTERS_KEY, TOPIC_KEY};
use tidewater_table::{CatalogFault, TableError};

/// The result of an ingest operation.
pub type Result<T> = std::result::Result<T, IngestError>;

/// Why ingest cannot go on, or cannot begin.
#[derive(Debug, Error)]
pub enum IngestError {
    /// A setting that means nothing.
    #[error("bad ingest setting {setting}: {problem}")]
    Setting {
        /// Which.
        setting: String,
        /// What is wrong with it.
        problem: String,
    },
    /// What two sources name: offsets are kept by topic and partition alone.
    #[error("{what} is named by both ingest.sources.{first} and ingest.sources.{second}")]
    SourcesShare {
        /// The topic or the folder.
        what: String,
        /// The place of one source in the list, from 0.
        first: usize,
        /// The place of the other.
        second: usize,
    },
    /// A column hint that means nothing.
    #[error("column hint {hint:?} for {column:?} of topic {topic:?} is not understood")]
    Hint {
        /// The topic.
        topic: String,
        /// The column.
        column: String,
        /// The hint.
        hint: String,
    },
    /// A segment file or its directory cannot be read.
    #[error("cannot read segment {path}")]
    Segment {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Kafka does not do what it was asked for.
    #[error("kafka failed to {action}")]
    Kafka {
        /// What was attempted.
        action: &'static str,
        /// Why.
        #[source]
        source: rdkafka::error::KafkaError,
    },
    /// A topic whose table belongs to another topic.
    #[error("topic {topic:?} maps to table {table}, which holds topic {owner:?}")]
    TableTaken {
        /// The topic.
        topic: String,
        /// The table.
        table: String,
        /// The topic that was there first.
        owner: String,
    },
    /// A table that somebody else put there first, where grants bind.
    #[error("table {table} was not made by ingest and is not marked for {}", rows_of(.topic.as_deref()))]
    TableForeign {
        /// The table.
        table: String,
        /// Whose rows were to go there; none for dead letters.
        topic: Option<String>,
    },
    /// A topic that gives no table name.
    #[error("topic {topic:?} gives no table name")]
    TableName {
        /// The topic.
        topic: String,
        /// Why.
        #[source]
        source: tidewater_core::NameError,
    },
    /// The table format refuses.
    #[error("cannot write table {table}")]
    Table {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: Box<TableError>,
    },
    /// The catalog refuses.
    #[error("catalog refused to {action}")]
    Catalog {
        /// What was attempted.
        action: &'static str,
        /// Why.
        #[source]
        source: CatalogFault,
    },
    /// Rows cannot be made into a batch.
    #[error("cannot build a batch of topic {topic:?}")]
    Batch {
        /// The topic.
        topic: String,
        /// Why.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// A lease is over, or a range does not follow the last one: somebody else reads, or read, the same partition.
    #[error("batch was not committed: {reason}")]
    Fenced {
        /// What the log said.
        reason: String,
    },
    /// A task that was to do blocking work did not end well.
    #[error("{what} ended abnormally")]
    Task {
        /// What it was to do.
        what: &'static str,
    },
    /// Told to stop.
    #[error("ingest was stopped")]
    Stopped,
}

impl IngestError {
    /// Whether one table is at fault, and will be until somebody looks: other topics go on without it.
    pub(crate) fn is_of_table(&self) -> bool {
        match self {
            Self::TableTaken { .. } | Self::TableForeign { .. } | Self::TableName { .. } | Self::Batch { .. } => true,
            Self::Table { source, .. } => match source.as_ref() {
                TableError::Catalog(fault) => is_refusal(fault),
                // It was dropped a moment ago; the next batch makes it anew.
                TableError::TableNotFound { .. } => false,
                // Whoever may not write one table may write none.
                other => other.retry() == Retry::Never && other.kind() != ErrorKind::Denied,
            },
            Self::Catalog { source, .. } => is_refusal(source),
            _ => false,
        }
    }
}

fn rows_of(topic: Option<&str>) -> String {
    topic.map_or_else(|| "dead letters".to_owned(), |topic| format!("rows of topic {topic:?}"))
}

/// Any other answer that is no success speaks of the catalog, or of this process, not of a table.
fn is_refusal(fault: &CatalogFault) -> bool {
    matches!(fault, CatalogFault::Invalid { .. })
}

impl Coded for IngestError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Setting { .. } | Self::SourcesShare { .. } | Self::Hint { .. } | Self::TableName { .. } => {
                ErrorKind::Invalid
            }
            Self::Segment { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
            Self::Kafka { .. } => ErrorKind::Unavailable,
            Self::TableTaken { .. } | Self::TableForeign { .. } => ErrorKind::Conflict,
            Self::Table { source, .. } => source.kind(),
            Self::Catalog { source, .. } => source.kind(),
            Self::Fenced { .. } => ErrorKind::Fenced,
            Self::Stopped => ErrorKind::Cancelled,
            Self::Batch { .. } | Self::Task { .. } => ErrorKind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "ING-0001",
            Self::Hint { .. } => "ING-0002",
            Self::Segment { .. } => "ING-0003",
            Self::Kafka { .. } => "ING-0004",
            Self::TableTaken { .. } => "ING-0005",
            Self::TableName { .. } => "ING-0006",
            Self::Table { .. } => "ING-0007",
            Self::Catalog { .. } => "ING-0008",
            Self::Batch { .. } => "ING-0009",
            Self::Fenced { .. } => "ING-0010",
            Self::Task { .. } => "ING-0011",
            Self::Stopped => "ING-0012",
            Self::TableForeign { .. } => "ING-0013",
            Self::SourcesShare { .. } => "ING-0014",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Table { source, .. } => source.retry(),
            Self::Catalog { source, .. } => source.retry(),
            Self::Segment { .. } | Self::Kafka { .. } => Retry::Safe,
            Self::Fenced { .. } => Retry::AfterRefresh,
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Hint { .. } => {
                Some("use date, timestamp_micros, decimal(10,2), string, json, list(…) and the like".into())
            }
            Self::SourcesShare { .. } => Some(
                "name it in one source only; topics of two Kafka clusters need names of their own, as offsets are kept by topic".into(),
            ),
            Self::TableTaken { .. } => Some("map the topic to another table with ingest.mapping".into()),
            Self::TableForeign { table, topic } => {
                let (mark, of) = match topic {
                    Some(topic) => (TOPIC_KEY, topic.replace('\'', "''")),
                    None => (DEAD_LETTERS_KEY, "true".to_owned()),
                };
                Some(format!(
                    "who has ADMIN on the warehouse renames or drops it, or takes back what others may do with it and marks it: \
                     ALTER TABLE {table} SET TBLPROPERTIES ('{mark}' = '{of}')"
                ))
            }
            Self::Kafka { .. } => Some("check ingest.sources: is the broker up, and its address right?".into()),
            _ => None,
        }
    }
}

/// An error with its causes, for a line of a log.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
