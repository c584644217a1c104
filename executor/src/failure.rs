//! Errors of a task on their way to the scheduler.
//!
//! Ballista sends text. What it decides by type (a shuffle file that cannot be fetched, input and output that may be tried
//! again, a cancelled task) stays as it is; everything else takes its code along in the text.

use std::fmt;
use std::io;

use ballista_core::error::BallistaError;
use datafusion::error::DataFusionError;
use tidewater_core::RemoteError;
use tidewater_engine::EngineError;

/// An error whose debug form is what Ballista sends.
struct Travelling(RemoteError);

impl fmt::Debug for Travelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_text())
    }
}

impl fmt::Display for Travelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Travelling {}

/// The same error, in a form that keeps its code when Ballista makes text of it.
pub(crate) fn keep_code(error: DataFusionError) -> DataFusionError {
    if ballista_decides_by_type(&error) {
        return error;
    }
    let remote = RemoteError::of(&EngineError::from(error));
    DataFusionError::External(Box::new(Travelling(remote)))
}

fn ballista_decides_by_type(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::IoError(_) => true,
        DataFusionError::External(inner) => inner.is::<BallistaError>() || inner.is::<io::Error>(),
        DataFusionError::ArrowError(inner, _) => {
            matches!(inner.as_ref(), datafusion::arrow::error::ArrowError::ExternalError(inner) if inner.is::<BallistaError>())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf::{FailedTask, failed_task::FailedReason};
    use tidewater_core::ErrorKind;

    use super::*;

    fn sent(error: DataFusionError) -> FailedTask {
        FailedTask::from(BallistaError::from(keep_code(error)))
    }

    // Goal: the code of an error reaches the scheduler. Method: what Ballista would send of two errors.
    #[test]
    fn codes_travel() {
        let memory = DataFusionError::Shared(DataFusionError::ResourcesExhausted("pool".into()).into());
        let found = RemoteError::find(&sent(memory).error).expect("an error in the text");
        assert_eq!((found.code.as_str(), found.kind), ("ENG-0005", ErrorKind::Exhausted));
        assert!(found.message.contains("pool"), "{}", found.message);
        let plan = DataFusionError::Plan("no such column".into());
        let found = RemoteError::find(&sent(plan).error).expect("an error in the text");
        assert_eq!(found.kind, ErrorKind::Invalid);
    }

    // Goal: Ballista still knows what it decides by. Method: a failed fetch and a failed read, wrapped as it does.
    #[test]
    fn types_that_ballista_knows_stay() {
        let fetch = BallistaError::FetchFailed("executor-1".into(), 1, 2, "gone".into()).into_datafusion();
        let reason = sent(fetch.context("while reading")).failed_reason;
        assert!(matches!(reason, Some(FailedReason::FetchPartitionError(_))), "{reason:?}");
        let read = DataFusionError::IoError(io::Error::other("disk"));
        let reason = sent(read).failed_reason;
        assert!(matches!(reason, Some(FailedReason::IoError(_))), "{reason:?}");
    }
}
