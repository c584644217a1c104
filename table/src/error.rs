//! What can go wrong in the table format, with the stable code of each.

use std::time::Duration;

use iceberg::spec::DataFileFormat;
use thiserror::Error;

use crate::catalog::CatalogFault;
use tidewater_core::{Coded, ErrorKind, Retry, TableName};

/// The result of this crate's calls.
pub type Result<T, E = TableError> = std::result::Result<T, E>;

/// Every failure of this crate.
#[derive(Debug, Error)]
pub enum TableError {
    /// A location that is not absolute, leaves its root, or has a scheme we do not serve.
    #[error("location {location:?} is refused: {reason}")]
    Location {
        /// The location as given.
        location: String,
        /// Why it is refused.
        reason: String,
    },
    /// A file that should be there is not.
    #[error("file {location} does not exist")]
    FileNotFound {
        /// Where it should be.
        location: String,
    },
    /// A file that must be new exists already.
    #[error("file {location} exists already")]
    FileExists {
        /// Where it is.
        location: String,
    },
    /// The object store refused or did not answer.
    #[error("{operation} {location} failed")]
    Store {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        location: String,
        /// The store's own error.
        #[source]
        source: object_store::Error,
    },
    /// The local file system refused.
    #[error("{operation} {location} failed")]
    Disk {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        location: String,
        /// The system's own error.
        #[source]
        source: std::io::Error,
    },
    /// A store call took longer than its deadline.
    #[error("{operation} {location} took longer than {deadline:?}")]
    StoreTimeout {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        location: String,
        /// The limit that passed.
        deadline: Duration,
    },
    /// Iceberg metadata that cannot be read or made.
    #[error("{operation} failed")]
    Metadata {
        /// What was attempted, and on what.
        operation: String,
        /// The format library's error.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// Iceberg metadata that contradicts itself or lacks something it must have.
    #[error("table metadata is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// A file, or a part of it, that changed since it was written.
    #[error("{what} has other bytes than were written")]
    BytesChanged {
        /// The file, and which part of it.
        what: String,
    },
    /// Rows that could not be encoded as Parquet.
    #[error("{operation} failed")]
    Encode {
        /// What was attempted, and on what.
        operation: String,
        /// The Parquet or Arrow error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Rows that do not fit the table.
    #[error("rows do not fit the table: {reason}")]
    Rows {
        /// The column and what is wrong with it.
        reason: String,
    },
    /// A schema change that Iceberg does not allow.
    #[error("schema cannot change that way: {}", changes.join("; "))]
    SchemaChange {
        /// One sentence a column.
        changes: Vec<String>,
    },
    /// A type that has no counterpart.
    #[error("column {column:?} has type {data_type}, which has no counterpart")]
    UnsupportedType {
        /// Dotted name of the column.
        column: String,
        /// The type.
        data_type: String,
    },
    /// Understood, and not implemented.
    #[error("{what} is not supported")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// A data file in a format that is not read here. It is not damaged.
    #[error("reading data file {path} in the format {format} is not supported")]
    FileFormat {
        /// Its location.
        path: String,
        /// The format, as the table names it.
        format: DataFileFormat,
    },
    /// A data file that may lack a column whose default was not read with the table: it would be null there.
    #[error("reading {path} is not supported: it may lack column {column}, whose default cannot be read")]
    DefaultLost {
        /// Dotted name of the column.
        column: String,
        /// The file.
        path: String,
    },
    /// Others changed what this commit rests on: its rows must be computed anew.
    #[error("commit to {table} conflicts: {reason}")]
    Conflict {
        /// The table.
        table: TableName,
        /// Which rule was broken, by which snapshot.
        reason: String,
    },
    /// Other writers were always faster.
    #[error("commit to {table} lost {attempts} races")]
    Contention {
        /// The table.
        table: TableName,
        /// How often it was planned.
        attempts: u32,
    },
    /// The commit may or may not have been applied, and the history no longer tells.
    #[error("outcome of the commit to {table} is unknown: {reason}")]
    UnknownOutcome {
        /// The table.
        table: TableName,
        /// Why it cannot be decided.
        reason: String,
    },
    /// No such table.
    #[error("table {table} does not exist")]
    TableNotFound {
        /// The table.
        table: TableName,
    },
    /// A snapshot that is not (or no longer) in the table.
    #[error("snapshot {snapshot_id} is not in the table")]
    SnapshotNotFound {
        /// The snapshot.
        snapshot_id: i64,
    },
    /// The history between two snapshots is not complete.
    #[error("no changes can be told from {from:?} to {to}: {reason}")]
    HistoryBroken {
        /// Where the reader stood.
        from: Option<i64>,
        /// Where it wanted to go.
        to: i64,
        /// What is missing.
        reason: String,
    },
    /// Changes that many delete files have made of many data files: telling them at once would take too much memory.
    #[error("telling the changes up to snapshot {snapshot_id} takes more than {max} pairs of data files and deletes")]
    TooManyDeletes {
        /// Of the snapshots that were asked for, the one at which there were too many.
        snapshot_id: i64,
        /// Pairs of a data file and a delete file that are told at once.
        max: usize,
    },
    /// A change of a table's form that is not possible.
    #[error("{what} is refused: {reason}")]
    Alteration {
        /// What was asked for.
        what: String,
        /// What stands against it.
        reason: String,
        /// What to do instead.
        advice: String,
    },
    /// No such column.
    #[error("there is no column {column}")]
    ColumnNotFound {
        /// Its name, or the names that lead to it, with dots.
        column: String,
    },
    /// A name that something has already.
    #[error("{what} {name} exists already")]
    NameTaken {
        /// A column, a partition field, a branch or a tag.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// No such branch or tag.
    #[error("there is no branch or tag {name}")]
    RefNotFound {
        /// The name.
        name: String,
    },
    /// A change of a branch, a tag or a head that is not possible.
    #[error("{what} is refused: {reason}")]
    Reference {
        /// What was asked for.
        what: String,
        /// What stands against it.
        reason: String,
        /// What to do instead.
        advice: String,
    },
    /// A file that is not the table's own is among those that it names.
    #[error("a file that table {table} names lies in the location of another table or view")]
    ForeignFile {
        /// The table that names it.
        table: TableName,
    },
    /// The catalog's answer.
    #[error(transparent)]
    Catalog(#[from] CatalogFault),
}

impl TableError {
    pub(crate) fn metadata(operation: impl Into<String>) -> impl FnOnce(iceberg::Error) -> Self {
        let operation = operation.into();
        move |source| Self::Metadata {
            operation,
            source: Box::new(source),
        }
    }

    pub(crate) fn encode<E>(operation: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let operation = operation.into();
        move |source| Self::Encode {
            operation,
            source: Box::new(source),
        }
    }

    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged { reason: reason.into() }
    }
}

impl Coded for TableError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Location { .. }
            | Self::Rows { .. }
            | Self::SchemaChange { .. }
            | Self::Alteration { .. }
            | Self::TooManyDeletes { .. }
            | Self::Reference { .. } => ErrorKind::Invalid,
            Self::FileNotFound { .. }
            | Self::TableNotFound { .. }
            | Self::SnapshotNotFound { .. }
            | Self::ColumnNotFound { .. }
            | Self::RefNotFound { .. }
            | Self::HistoryBroken { .. } => ErrorKind::NotFound,
            Self::FileExists { .. } | Self::Conflict { .. } | Self::NameTaken { .. } => ErrorKind::Conflict,
            Self::ForeignFile { .. } => ErrorKind::Denied,
            Self::Store { source, .. } => store_kind(source),
            Self::Disk { source, .. } => disk_kind(source),
            Self::StoreTimeout { .. } | Self::UnknownOutcome { .. } => ErrorKind::Timeout,
            Self::Metadata { .. } | Self::Damaged { .. } | Self::BytesChanged { .. } => ErrorKind::Corrupt,
            Self::Encode { .. } => ErrorKind::Internal,
            Self::UnsupportedType { .. }
            | Self::Unsupported { .. }
            | Self::FileFormat { .. }
            | Self::DefaultLost { .. } => ErrorKind::Unsupported,
            Self::Contention { .. } => ErrorKind::Exhausted,
            Self::Catalog(fault) => fault.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Location { .. } => "TBL-0001",
            Self::FileNotFound { .. } => "TBL-0002",
            Self::FileExists { .. } => "TBL-0003",
            Self::Store { .. } => "TBL-0004",
            Self::Disk { .. } => "TBL-0005",
            Self::StoreTimeout { .. } => "TBL-0006",
            Self::Metadata { .. } => "TBL-0007",
            Self::Damaged { .. } => "TBL-0008",
            Self::Encode { .. } => "TBL-0009",
            Self::Rows { .. } => "TBL-0010",
            Self::SchemaChange { .. } => "TBL-0011",
            Self::UnsupportedType { .. } => "TBL-0012",
            Self::Unsupported { .. } => "TBL-0013",
            Self::Conflict { .. } => "TBL-0014",
            Self::Contention { .. } => "TBL-0015",
            Self::UnknownOutcome { .. } => "TBL-0016",
            Self::TableNotFound { .. } => "TBL-0017",
            Self::SnapshotNotFound { .. } => "TBL-0018",
            Self::HistoryBroken { .. } => "TBL-0019",
            Self::Alteration { .. } => "TBL-0020",
            Self::ColumnNotFound { .. } => "TBL-0021",
            Self::NameTaken { .. } => "TBL-0022",
            Self::RefNotFound { .. } => "TBL-0023",
            Self::Reference { .. } => "TBL-0024",
            Self::BytesChanged { .. } => "TBL-0025",
            Self::TooManyDeletes { .. } => "TBL-0026",
            Self::FileFormat { .. } => "TBL-0027",
            Self::DefaultLost { .. } => "TBL-0028",
            Self::ForeignFile { .. } => "TBL-0039",
            Self::Catalog(fault) => fault.code(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            // The files are new under fresh names with each call: nothing of a failed call is visible.
            Self::StoreTimeout { .. } => Retry::Safe,
            Self::Catalog(fault) => fault.retry(),
            Self::UnknownOutcome { .. } => Retry::Unknown,
            Self::FileExists { .. } | Self::NameTaken { .. } => Retry::Never,
            _ => match self.kind() {
                ErrorKind::Unavailable | ErrorKind::Exhausted => Retry::Safe,
                ErrorKind::Conflict => Retry::AfterRefresh,
                _ => Retry::Never,
            },
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Location { .. } => "use an absolute location: file:///path, s3://bucket/key",
            Self::Disk { source, .. } if disk_kind(source) == ErrorKind::Exhausted => "free space on the disk",
            Self::BytesChanged { .. } => {
                "`tidewater table verify` names all files that changed; bring them back from a copy, or roll the table back"
            }
            Self::SchemaChange { .. } => "add a new column, or rebuild the table",
            Self::HistoryBroken { .. } => "read the table in full once, then go on from its current snapshot",
            Self::TooManyDeletes { .. } => {
                "ask for the changes of fewer snapshots at once, or rewrite data files so that their deletes go with them"
            }
            Self::FileFormat { .. } => {
                "set write.format.default to parquet and let the engine that wrote the file write the table's data files anew"
            }
            Self::DefaultLost { .. } => {
                "let the engine that added the column write the table's data files anew, so that each of them has it"
            }
            Self::Catalog(fault @ (CatalogFault::Unavailable { .. } | CatalogFault::OtherBearer { .. })) => {
                return fault.hint();
            }
            Self::Catalog(CatalogFault::NotEmpty { .. }) => {
                "drop what it holds first; DROP SCHEMA … CASCADE drops its tables and views with it"
            }
            Self::Conflict { .. } => "compute the change anew from the current snapshot",
            Self::Alteration { advice, .. } | Self::Reference { advice, .. } => advice,
            Self::ColumnNotFound { .. } => "look at the table's columns; names are case sensitive",
            Self::NameTaken { .. } => "choose another name, or drop the other one first",
            Self::RefNotFound { .. } => "look at the table's branches and tags",
            Self::Contention { .. } => "try again later, or let fewer writers commit to this table",
            _ => return None,
        };
        Some(text.into())
    }
}

fn store_kind(error: &object_store::Error) -> ErrorKind {
    match error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => ErrorKind::Conflict,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => ErrorKind::Denied,
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => ErrorKind::Unsupported,
        object_store::Error::InvalidPath { .. } | object_store::Error::UnknownConfigurationKey { .. } => {
            ErrorKind::Invalid
        }
        _ => ErrorKind::Unavailable,
    }
}

fn disk_kind(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
        std::io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
        std::io::ErrorKind::InvalidData => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    }
}
