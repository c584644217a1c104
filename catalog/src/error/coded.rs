//! Kind, code, retry and advice of each failure.

use super::CatalogError;
use crate::command::IngestRefusal;
use tidewater_core::{Coded, ErrorKind, Retry};

impl Coded for CatalogError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Consensus(error) => error.kind(),
            Self::Security(error) => error.kind(),
            Self::Shared(shared) => shared.kind(),
            Self::Damaged { .. } | Self::MissingFile { .. } | Self::NotPurged { .. } => ErrorKind::Corrupt,
            Self::DropJob { .. } => ErrorKind::Fenced,
            Self::StateUnknown { .. } | Self::DeadlineExceeded { .. } | Self::SlowBody { .. } => ErrorKind::Timeout,
            Self::Ingest(IngestRefusal::Fenced { .. }) => ErrorKind::Fenced,
            _ => match self.status_and_type().0 {
                400 | 413 | 422 => ErrorKind::Invalid,
                401 | 403 | 419 => ErrorKind::Denied,
                404 => ErrorKind::NotFound,
                406 => ErrorKind::Unsupported,
                409 => ErrorKind::Conflict,
                429 => ErrorKind::Exhausted,
                503 => ErrorKind::Unavailable,
                _ => ErrorKind::Internal,
            },
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchNamespace { .. } => "CAT-0001",
            Self::NoSuchTable { .. } => "CAT-0002",
            Self::NamespaceExists => "CAT-0003",
            Self::TableExists { .. } => "CAT-0004",
            Self::NamespaceNotEmpty => "CAT-0005",
            Self::CommitFailed { .. } | Self::ViewCommitFailed { .. } => "CAT-0006",
            Self::StateUnknown { .. } => "CAT-0007",
            Self::BadRequest { .. } => "CAT-0008",
            Self::BadName { .. } => "CAT-0009",
            Self::BadLocation { .. } => "CAT-0010",
            Self::Unprocessable { .. } => "CAT-0011",
            Self::Unsupported { .. } => "CAT-0012",
            Self::TooLarge { .. } => "CAT-0013",
            Self::Full { .. } => "CAT-0014",
            Self::Store { .. } => "CAT-0015",
            Self::Damaged { .. } | Self::MissingFile { .. } => "CAT-0016",
            Self::NoSuchEndpoint { .. } => "CAT-0017",
            Self::NoSuchWarehouse { .. } => "CAT-0018",
            Self::NoSuchJob { .. } => "CAT-0019",
            Self::JobVersion { .. } => "CAT-0020",
            Self::Ingest(_) => "CAT-0021",
            Self::Remembered { .. } => "CAT-0022",
            Self::Unauthenticated { .. } => "CAT-0023",
            Self::Internal { .. } => "CAT-0024",
            Self::NoSuchView { .. } => "CAT-0025",
            Self::ViewExists { .. } => "CAT-0026",
            Self::NameTaken { .. } | Self::RenameTaken { .. } => "CAT-0027",
            Self::TokenExpired => "CAT-0028",
            Self::RoleExists { .. } => "CAT-0032",
            Self::NoSuchRole { .. } => "CAT-0033",
            Self::RoleCircle { .. } => "CAT-0034",
            Self::DeadlineExceeded { .. } => "CAT-0029",
            Self::InvalidView { .. } => "CAT-0030",
            Self::SlowBody { .. } => "CAT-0031",
            Self::NoSuchPlan { .. } => "CAT-0040",
            Self::OutOfScope { .. } => "CAT-0041",
            Self::NoSts { .. } => "CAT-0042",
            Self::NoCredential { .. } => "CAT-0043",
            Self::NotDropped { .. } => "CAT-0050",
            Self::PurgeBegun { .. } => "CAT-0051",
            Self::DropJob { .. } => "CAT-0052",
            Self::NotPurged { .. } => "CAT-0053",
            Self::AppendOverlap { .. } => "CAT-0060",
            Self::BadDataFile { .. } => "CAT-0061",
            Self::UuidTaken { .. } => "CAT-1023",
            Self::Shared(shared) => shared.code(),
            Self::Consensus(error) => error.code(),
            Self::Security(error) => error.code(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Consensus(error) => error.retry(),
            Self::Shared(shared) => shared.retry(),
            Self::StateUnknown { .. } | Self::DeadlineExceeded { .. } => Retry::Unknown,
            Self::CommitFailed { .. } | Self::ViewCommitFailed { .. } | Self::JobVersion { .. } => Retry::AfterRefresh,
            Self::Store { .. } | Self::Full { .. } | Self::NoSts { .. } | Self::SlowBody { .. } => Retry::Safe,
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Consensus(error) => return error.hint(),
            Self::Shared(shared) => return shared.hint(),
            Self::AppendOverlap { last, .. } => format!("go on at {}", last.to),
            Self::Security(error) => return error.hint(),
            Self::CommitFailed { .. } => "load the table anew, plan the change again, commit".into(),
            Self::ViewCommitFailed { .. } => "load the view anew and replace it again".into(),
            Self::NameTaken { .. } | Self::RenameTaken { .. } => {
                "a name stands for a table or a view: choose another, or drop what bears it".into()
            }
            Self::UuidTaken { .. } => {
                "drop it there first, without a purge, which leaves its files; or register under that name, with `overwrite`; one that was dropped comes back by tidewater table undrop".into()
            }
            Self::TokenExpired => "log in again".into(),
            Self::StateUnknown { .. } | Self::DeadlineExceeded { .. } => {
                "send it again under the same idempotency key, or load the table and look".into()
            }
            Self::BadLocation { .. } => "leave the location out and the catalog chooses one".into(),
            Self::NoCredential { .. } => {
                "move the table to a shorter location, or let clients sign their requests".into()
            }
            Self::NoSts { .. } => "look at the catalog's STS endpoint, role and keys".into(),
            Self::NamespaceNotEmpty => {
                "drop its tables, views and namespaces first, or all of it: tidewater namespace drop NAME --cascade"
                    .into()
            }
            Self::NotDropped { .. } => "tidewater table ls --dropped".into(),
            _ => return None,
        })
    }
}
