//! HTTP status and Iceberg error type of each failure.

use super::CatalogError;
use crate::command::IngestRefusal;
use tidewater_core::{Coded, ErrorKind, Retry};

impl CatalogError {
    /// HTTP status and Iceberg error type.
    pub fn status_and_type(&self) -> (u16, &str) {
        match self {
            Self::NoSuchNamespace { .. } => (404, "NoSuchNamespaceException"),
            Self::NoSuchTable { .. } => (404, "NoSuchTableException"),
            Self::NoSuchView { .. } => (404, "NoSuchViewException"),
            Self::MissingFile { .. } => (404, "NotFoundException"),
            Self::NoSuchEndpoint { .. } => (404, "NoSuchEndpointException"),
            Self::NoSuchWarehouse { .. } => (404, "NoSuchWarehouseException"),
            Self::NoSuchJob { .. } => (404, "NoSuchJobException"),
            Self::NotDropped { .. } => (404, "NoSuchTableException"),
            Self::PurgeBegun { .. } => (409, "PurgeBegunException"),
            Self::DropJob { .. } => (409, "DropJobException"),
            Self::NoSuchPlan { what: "plan" } => (404, "NoSuchPlanIdException"),
            Self::NoSuchPlan { .. } => (404, "NoSuchPlanTaskException"),
            Self::OutOfScope { .. } => (403, "ForbiddenException"),
            Self::NamespaceExists
            | Self::TableExists { .. }
            | Self::UuidTaken { .. }
            | Self::ViewExists { .. }
            | Self::NameTaken { .. }
            | Self::RenameTaken { .. } => (409, "AlreadyExistsException"),
            Self::NamespaceNotEmpty => (409, "NamespaceNotEmptyException"),
            Self::CommitFailed { .. } | Self::ViewCommitFailed { .. } => (409, "CommitFailedException"),
            Self::JobVersion { .. } => (409, "JobVersionException"),
            Self::Shared(shared) => shared.status_and_type(),
            Self::AppendOverlap { .. } => (409, "AppendOverlapException"),
            Self::BadDataFile { .. } => (400, "BadDataFileException"),
            Self::Ingest(IngestRefusal::Fenced { .. }) => (409, "IngestFencedException"),
            Self::Ingest(IngestRefusal::Gap { .. }) => (409, "IngestGapException"),
            Self::BadRequest { .. } | Self::BadName { .. } | Self::BadLocation { .. } => (400, "BadRequestException"),
            Self::InvalidView { .. } => (400, "IllegalArgumentException"),
            Self::Unauthenticated { .. } => (401, "NotAuthorizedException"),
            Self::TokenExpired => (419, "AuthenticationTimeoutException"),
            Self::Unsupported { .. } | Self::NoCredential { .. } => (406, "UnsupportedOperationException"),
            Self::TooLarge { .. } => (413, "RequestTooLargeException"),
            Self::Unprocessable { .. } => (422, "UnprocessableEntityException"),
            Self::Full { .. } => (429, "TooManyRequestsException"),
            Self::Store { .. } | Self::NoSts { .. } => (503, "ServiceUnavailableException"),
            Self::StateUnknown { .. } => (500, "CommitStateUnknownException"),
            Self::DeadlineExceeded { .. } => (504, "CommitStateUnknownException"),
            Self::SlowBody { .. } => (408, "RequestTimeoutException"),
            Self::RoleExists { .. } => (409, "AlreadyExistsException"),
            Self::NoSuchRole { .. } => (404, "NoSuchRoleException"),
            Self::RoleCircle { .. } => (422, "UnprocessableEntityException"),
            Self::Security(error) => match error.kind() {
                ErrorKind::Denied => (403, "ForbiddenException"),
                ErrorKind::Exhausted => (429, "TooManyRequestsException"),
                ErrorKind::Invalid => (400, "BadRequestException"),
                ErrorKind::Conflict => (409, "AlreadyExistsException"),
                ErrorKind::NotFound => (404, "NoSuchUserException"),
                _ => (500, "InternalServerError"),
            },
            Self::Damaged { .. } | Self::NotPurged { .. } | Self::Internal { .. } => (500, "InternalServerError"),
            Self::Remembered { status, kind, .. } => (*status, kind),
            Self::Consensus(error) => match error.retry() {
                Retry::Safe => (503, "ServiceUnavailableException"),
                Retry::Unknown => (500, "CommitStateUnknownException"),
                _ if error.kind() == ErrorKind::Invalid => (413, "RequestTooLargeException"),
                _ if error.kind() == ErrorKind::Conflict => (409, "ClusterConflictException"),
                _ => (500, "InternalServerError"),
            },
        }
    }

    /// Whether the same request would be refused again for the same reason, so that its idempotency key keeps the answer.
    pub(crate) fn is_final(&self) -> bool {
        let (status, _) = self.status_and_type();
        (400..500).contains(&status)
            && !matches!(status, 401 | 408 | 419 | 429)
            && !matches!(self, Self::Remembered { .. })
    }
}
