//! What the log, the table format and the `iceberg` crate refuse, as failures of the catalog.

use iceberg::ErrorKind as IcebergErrorKind;

use super::CatalogError;
use crate::command::{Ident, PolicyRefusal, Refusal};
use tidewater_security::SecurityError;
use tidewater_table::TableError;

impl CatalogError {
    /// What the table format found, while reading or writing metadata files of a table at `location`.
    pub(crate) fn from_table(location: &str, error: TableError) -> Self {
        let location = location.to_owned();
        match error {
            TableError::FileNotFound { location } => Self::MissingFile { location },
            TableError::Unsupported { what } => Self::Unsupported { what },
            TableError::Store { .. }
            | TableError::Disk { .. }
            | TableError::FileExists { .. }
            | TableError::StoreTimeout { .. } => Self::Store {
                action: "read or write metadata files of",
                location,
                source: Box::new(error),
            },
            error => Self::Damaged {
                location,
                reason: error.to_string(),
            },
        }
    }

    /// What a builder or a check of the `iceberg` crate found, while changing `table`.
    pub(crate) fn from_iceberg(table: &Ident, error: &iceberg::Error) -> Self {
        match error.kind() {
            IcebergErrorKind::CatalogCommitConflicts => Self::CommitFailed {
                table: table.clone(),
                reason: error.message().to_owned(),
            },
            IcebergErrorKind::TableNotFound => Self::NoSuchTable { table: table.clone() },
            IcebergErrorKind::FeatureUnsupported => Self::Unsupported {
                what: error.message().to_owned(),
            },
            _ => {
                // Its name for types that it does not know means nothing to clients.
                let message = error
                    .message()
                    .replace(tidewater_table::disguise::STAND_IN_PRINTED, "a type of format 3");
                Self::bad_request(format!("commit to {table} is not valid: {message}"))
            }
        }
    }
}

impl From<Refusal> for CatalogError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NamespaceExists => Self::NamespaceExists,
            Refusal::NoSuchNamespace { namespace } => Self::NoSuchNamespace {
                namespace: namespace.join("."),
            },
            Refusal::NamespaceNotEmpty => Self::NamespaceNotEmpty,
            Refusal::TableExists(table) => Self::TableExists { table },
            Refusal::NoSuchTable(table) => Self::NoSuchTable { table },
            Refusal::ViewExists(view) => Self::ViewExists { view },
            Refusal::NoSuchView(view) => Self::NoSuchView { view },
            Refusal::NameTaken { name, by } => Self::NameTaken { name, by },
            Refusal::Stale(table) => Self::CommitFailed {
                table,
                reason: "others committed in between".into(),
            },
            Refusal::LocationTaken { location, by } => {
                // Whoever asked need not know that it is there.
                tracing::info!(%location, holder = %by, "a location is refused: another has it");
                Self::BadLocation {
                    location,
                    reason: "it is, holds or lies in the location of another table or view".into(),
                }
            }
            Refusal::UuidTaken { uuid, by } => {
                tracing::info!(%uuid, holder = %by, "a table is refused: another one has its uuid");
                Self::UuidTaken { uuid, by: None }
            }
            Refusal::Repeated => Self::bad_request("one request names a table or a partition twice"),
            Refusal::Ingest(refusal) => Self::Ingest(refusal),
            Refusal::JobVersion { version } => Self::JobVersion { version },
            Refusal::NotDropped(table) => Self::NotDropped { table },
            Refusal::PurgeBegun(table) => Self::PurgeBegun { table },
            Refusal::DropJob { job, problem } => Self::DropJob { job, problem },
            Refusal::Full { limit } => Self::Full { limit },
            Refusal::Policy(PolicyRefusal::RoleExists { role }) => Self::RoleExists { role },
            Refusal::Policy(PolicyRefusal::NoSuchRole { role }) => Self::NoSuchRole { role },
            Refusal::Policy(PolicyRefusal::Circle { role, member }) => Self::RoleCircle { role, member },
            Refusal::Policy(PolicyRefusal::Gone { object }) => Self::Unprocessable {
                reason: format!("the table or view {object} was dropped meanwhile"),
            },
            Refusal::Policy(PolicyRefusal::UserExists { user }) => SecurityError::UserExists { user }.into(),
            Refusal::Policy(PolicyRefusal::NoSuchUser { user }) => SecurityError::NoSuchUser { user }.into(),
            Refusal::KeyReused => Self::Unprocessable {
                reason: "the idempotency key was used for another request".into(),
            },
            Refusal::Remembered { status, kind, message } => Self::Remembered { status, kind, message },
            // Who appends looks at the state first, so that this is somebody else's append of the same moment.
            Refusal::AppendOverlap { producer, .. } => {
                Self::bad_request(format!("producer {producer:?} appended some of the range already"))
            }
        }
    }
}
