//! Errors to gRPC status: the one place where the kinds are mapped.

use tonic::{Code, Status};
use uuid::Uuid;

use tidewater_core::{Coded, ErrorKind};

use crate::error::QueryError;

/// The status a client sees: code, message and hint. Internal and corrupt states are masked; the id in the text is in the log.
pub fn to_status(error: QueryError) -> Status {
    let code = match &error {
        // Clients log in again on "unauthenticated": only for who they are, not for what they or the store may not do.
        QueryError::Security(_) if error.kind() == ErrorKind::Denied => Code::Unauthenticated,
        _ => grpc_code(error.kind()),
    };
    if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Corrupt) {
        let error_id = Uuid::from_u128(u128::from(blake3_of(&error)));
        tracing::error!(code = error.code(), %error_id, error = error.chain(), "query failed");
        return Status::new(code, format!("{} internal error {error_id}: see the server's log", error.code()));
    }
    let mut text = format!("{} {}", error.code(), error.chain());
    if let Some(hint) = error.hint() {
        text.push_str("; hint: ");
        text.push_str(&hint);
    }
    Status::new(code, text)
}

/// A short print of the error, equal for equal errors: enough to find the log line.
fn blake3_of(error: &QueryError) -> u64 {
    let hash = blake3::hash(error.chain().as_bytes());
    hash.as_bytes().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
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
