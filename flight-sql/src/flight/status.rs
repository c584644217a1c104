//! Errors to gRPC status: the one place where the kinds are mapped.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use tidewater_core::{Coded, ErrorKind};
use tidewater_security::SecurityError;

use crate::error::QueryError;

/// Something of that name is there already, for which gRPC has a code of its own: a table or namespace, and a column, branch or tag of
/// one.
const NAMES_TAKEN: [&str; 2] = ["TBL-0031", "TBL-0022"];

/// When to come again, for clients that find no place now: as long as HTTP's `retry-after`.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The status a client sees: code, message and hint. Internal and corrupt states are masked; the id in the text is in the log.
pub fn to_status(error: QueryError) -> Status {
    status_of(&error)
}

/// The same for an error that is told more than once.
pub(super) fn status_of(error: &QueryError) -> Status {
    let code = match error {
        // Clients log in again on "unauthenticated": only for who they are, not for what they or the store may not do.
        QueryError::Security(SecurityError::PermissionDenied { .. } | SecurityError::NothingGranted) => {
            Code::PermissionDenied
        }
        QueryError::Security(_) if error.kind() == ErrorKind::Denied => Code::Unauthenticated,
        _ if error.is_not_admitted() => Code::Unavailable,
        _ if NAMES_TAKEN.contains(&error.code()) => Code::AlreadyExists,
        _ => grpc_code(error.kind()),
    };
    if let Some(text) = masked(error) {
        return Status::new(code, format!("{} {text}", error.code()));
    }
    let mut text = format!("{} {}", error.code(), error.chain());
    if let Some(hint) = error.hint() {
        text.push_str("; hint: ");
        text.push_str(&hint);
    }
    if error.is_not_admitted() {
        // Only here: what is beside the message doubles it, and clients take headers of some kilobytes.
        return Status::with_error_details(code, text, ErrorDetails::with_retry_info(Some(AGAIN_AFTER)));
    }
    Status::new(code, text)
}

/// What is said instead of an internal error; it is logged.
pub(crate) fn masked(error: &QueryError) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::Internal | ErrorKind::Corrupt) {
        return None;
    }
    let error_id = Uuid::from_u128(u128::from(blake3_of(error)));
    tracing::error!(code = error.code(), %error_id, error = error.chain(), "query failed");
    Some(format!("internal error {error_id}: see the server's log"))
}

/// A short print of the error, equal for equal errors: enough to find the log line.
fn blake3_of(error: &QueryError) -> u64 {
    let hash = blake3::hash(error.chain().as_bytes());
    hash.as_bytes()
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn grpc_code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Corrupt => Code::DataLoss,
        ErrorKind::Fenced => Code::FailedPrecondition,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::error::ArrowError;
    use datafusion::error::DataFusionError;

    use tidewater_engine::EngineError;
    use tidewater_security::SecurityError;
    use tidewater_table::TableError;

    use super::*;
    use crate::error::not_admitted;

    fn engine(error: DataFusionError) -> QueryError {
        EngineError::from(error).into()
    }

    // Goal: each kind has its gRPC code, with code and hint in the text. Method: one error of each kind that clients tell apart.
    #[test]
    fn kinds_have_their_codes() {
        let allowed = Duration::from_secs(1);
        for (error, code, text) in [
            (
                engine(DataFusionError::Plan("no column x".into())),
                Code::InvalidArgument,
                "no column x",
            ),
            (
                engine(DataFusionError::ResourcesExhausted("pool".into())),
                Code::ResourceExhausted,
                "hint: ",
            ),
            (
                EngineError::Deadline { allowed }.into(),
                Code::DeadlineExceeded,
                "ENG-0009",
            ),
            (SecurityError::BadCredentials.into(), Code::Unauthenticated, "SEC-0001"),
            (
                SecurityError::NothingGranted.into(),
                Code::PermissionDenied,
                "when_made",
            ),
            (
                QueryError::Statement {
                    statement: "COPY".into(),
                },
                Code::Unimplemented,
                "SQL-0001 COPY",
            ),
            (
                QueryError::ReadOnly {
                    user: "ana".into(),
                    statement: "INSERT".into(),
                },
                Code::PermissionDenied,
                "SQL-0007 ana",
            ),
            (
                EngineError::from(TableError::NameTaken {
                    what: "branch",
                    name: "audit".into(),
                })
                .into(),
                Code::AlreadyExists,
                "TBL-0022",
            ),
            (QueryError::Busy { running: 1 }, Code::Unavailable, "SQL-0004"),
            (QueryError::Cancelled, Code::Cancelled, "SQL-0006"),
        ] {
            let status = to_status(error);
            assert_eq!(status.code(), code, "{status}");
            assert!(status.message().contains(text), "{status}");
        }
    }

    // Goal: what finds no place is told to come again, and when (google.rpc.RetryInfo). Method: an error of each of the scheduler's codes for it.
    #[test]
    fn without_a_place_one_comes_again() {
        for error in not_admitted() {
            let text = error.code();
            let status = to_status(error);
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            assert!(status.message().starts_with(text), "{status}");
            let again = status.get_details_retry_info().and_then(|info| info.retry_delay);
            assert_eq!(again, Some(AGAIN_AFTER), "{status}");
        }
        let never = to_status(QueryError::Cancelled);
        assert!(never.get_details_retry_info().is_none(), "{never}");
    }

    // Goal: nothing of the inside reaches a client. Method: errors of the inside that carry a secret.
    #[test]
    fn internal_errors_are_masked() {
        let inside = [
            engine(DataFusionError::Internal("secret".into())),
            EngineError::PlanDamaged {
                reason: "secret".into(),
            }
            .into(),
            QueryError::encoding(ArrowError::CastError("secret".into())),
        ];
        for error in inside {
            let status = to_status(error);
            assert!(matches!(status.code(), Code::Internal | Code::DataLoss), "{status}");
            assert!(
                !status.message().contains("secret") && status.message().contains("internal error"),
                "{status}"
            );
        }
    }
}
