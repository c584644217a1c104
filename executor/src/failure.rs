//! Errors of a task on their way to the scheduler.
//!
//! Ballista sends text. What it decides by type (a shuffle file that cannot be fetched, input and output that may be tried
//! again, a cancelled task) stays as it is; everything else takes its code along in the text.

use std::fmt;
use std::io;

use ballista_core::error::BallistaError;
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use crate::error::ExecutorError;
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
    if let Some(error) = input_or_output(&error) {
        // Trying again would fill the disk again, on every executor in turn.
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let full = DataFusionError::ResourcesExhausted(format!("disk is full: {error}"));
            return travelling(RemoteError::of(&EngineError::from(full)));
        }
        // Of a type that may be tried again; what it says is for whoever is told when that was in vain.
        let kind = error.kind();
        let same = DataFusionError::IoError(io::Error::new(kind, error.to_string()));
        let told = Travelling(RemoteError::of(&EngineError::from(same)));
        return DataFusionError::IoError(io::Error::new(kind, told));
    }
    if ballista_decides_by_type(&error) {
        return error;
    }
    travelling(match (lost_input(&error), panic(&error), ballista_root(&error)) {
        (Some(reason), _, _) => RemoteError::of(&ExecutorError::InputLost { reason }),
        (None, Some(said), _) => RemoteError::of(&EngineError::from(DataFusionError::Internal(said))),
        (None, None, Some(root)) => of_ballista(root),
        (None, None, None) => RemoteError::of(&EngineError::from(error)),
    })
}

/// An error of our own, in that form.
pub(crate) fn coded(error: &ExecutorError) -> DataFusionError {
    travelling(RemoteError::of(error))
}

fn travelling(error: RemoteError) -> DataFusionError {
    DataFusionError::External(Box::new(Travelling(error)))
}

/// What a panic said, if it is one: those who write a task's rows catch it and make a failed statement of it.
fn panic(error: &DataFusionError) -> Option<String> {
    let text = match (error.find_root(), ballista_root(error)) {
        (_, Some(BallistaError::DataFusionError(inner))) => return panic(inner),
        (DataFusionError::Execution(text) | DataFusionError::Internal(text), None) => text,
        _ => return None,
    };
    let (what, _) = text.split_once(": ")?;
    what.ends_with("panicked").then(|| text.clone())
}

/// What became of rows of another stage, if it is that. An executor that dies after it answered and before the first rows came
/// leaves Ballista's client with an error of the stream's form, where every other moment gives it a failed fetch.
fn lost_input(error: &DataFusionError) -> Option<String> {
    let of_arrow = |error: &ArrowError| match error {
        ArrowError::IpcError(text) => Some(text.clone()),
        _ => None,
    };
    match (error.find_root(), ballista_root(error)) {
        (_, Some(BallistaError::ArrowError(inner))) => of_arrow(inner),
        (_, Some(BallistaError::DataFusionError(inner))) => lost_input(inner),
        (
            _,
            Some(
                other @ (BallistaError::GrpcError(_)
                | BallistaError::GrpcConnectionError(_)
                | BallistaError::GrpcActionError(_)
                | BallistaError::TonicError(_)),
            ),
        ) => Some(other.to_string()),
        (DataFusionError::ArrowError(inner, _), None) => of_arrow(inner),
        _ => None,
    }
}

fn input_or_output(error: &DataFusionError) -> Option<&io::Error> {
    match (error.find_root(), ballista_root(error)) {
        (_, Some(BallistaError::IoError(error))) | (DataFusionError::IoError(error), None) => Some(error),
        (_, Some(BallistaError::DataFusionError(inner))) => input_or_output(inner),
        _ => None,
    }
}

fn ballista_decides_by_type(error: &DataFusionError) -> bool {
    match (error.find_root(), ballista_root(error)) {
        (_, Some(BallistaError::FetchFailed(..) | BallistaError::Cancelled)) => true,
        (_, Some(BallistaError::DataFusionError(inner))) => ballista_decides_by_type(inner),
        _ => false,
    }
}

/// The error of Ballista's own, if there is one at the bottom. Its shuffle writers make one of everything.
fn ballista_root(error: &DataFusionError) -> Option<&BallistaError> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref(),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(inner) => inner.downcast_ref(),
            _ => None,
        },
        _ => None,
    }
}

fn of_ballista(error: &BallistaError) -> RemoteError {
    let stand_in = match error {
        BallistaError::DataFusionError(inner) => return of_shared(inner),
        BallistaError::ArrowError(inner) => match inner.as_ref() {
            // Of spilled rows for which there is no room, among others.
            ArrowError::IoError(text, error) => {
                let error = io::Error::new(error.kind(), error.to_string());
                DataFusionError::ArrowError(Box::new(ArrowError::IoError(text.clone(), error)), None)
            }
            other => DataFusionError::Execution(other.to_string()),
        },
        other => DataFusionError::Internal(other.to_string()),
    };
    RemoteError::of(&EngineError::from(stand_in))
}

/// Several tasks may hold an error together, so it can be looked at and not taken apart.
fn of_shared(error: &DataFusionError) -> RemoteError {
    let stand_in = match error.find_root() {
        DataFusionError::External(inner) => {
            if let Some(ours) = inner.downcast_ref::<EngineError>() {
                return RemoteError::of(ours);
            }
            match inner.downcast_ref::<BallistaError>() {
                Some(inner) => return of_ballista(inner),
                None => DataFusionError::Internal(inner.to_string()),
            }
        }
        DataFusionError::ResourcesExhausted(text) => DataFusionError::ResourcesExhausted(text.clone()),
        DataFusionError::NotImplemented(text) => DataFusionError::NotImplemented(text.clone()),
        DataFusionError::Internal(text) => DataFusionError::Internal(text.clone()),
        other => DataFusionError::Execution(other.to_string()),
    };
    RemoteError::of(&EngineError::from(stand_in))
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf::{FailedTask, failed_task::FailedReason};
    use tidewater_core::ErrorKind;

    use super::*;

    fn sent(error: DataFusionError) -> FailedTask {
        FailedTask::from(BallistaError::from(keep_code(error)))
    }

    // Goal: a full disk fails the job with a code that says so, instead of being tried on every executor. Method: what a spill, and
    // a shuffle writer, would make of it.
    #[test]
    fn a_full_disk_is_not_tried_again() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for error in [
            DataFusionError::IoError(full()),
            BallistaError::IoError(full()).into_datafusion(),
        ] {
            let sent = sent(error);
            assert!(
                !matches!(sent.failed_reason, Some(FailedReason::IoError(_))),
                "{sent:?}"
            );
            let found = RemoteError::find(&sent.error).expect("an error in the text");
            assert_eq!((found.code.as_str(), found.kind), ("ENG-0005", ErrorKind::Exhausted));
        }
        // As the disk manager has it, by way of those who write spilled rows and those who write a task's.
        let text = "limit of 1 KB. Please try increasing the config: `datafusion.runtime.max_temp_directory_size`";
        let limit = ArrowError::IoError(text.to_owned(), io::Error::other(text));
        let sent = sent(BallistaError::from(limit).into_datafusion());
        let found = RemoteError::find(&sent.error).expect("an error in the text");
        assert_eq!((found.code.as_str(), found.kind), ("ENG-0005", ErrorKind::Exhausted));
    }

    // Goal: the code of an error reaches the scheduler. Method: what Ballista would send of two errors.
    #[test]
    fn codes_travel() {
        let memory = DataFusionError::Shared(DataFusionError::ResourcesExhausted("pool".into()).into());
        let found = RemoteError::find(&sent(memory).error).expect("an error in the text");
        assert_eq!((found.code.as_str(), found.kind), ("ENG-0005", ErrorKind::Exhausted));
        assert!(found.message.contains("pool"), "{}", found.message);
        // As a shuffle writer hands it on.
        let division = BallistaError::from(ArrowError::DivideByZero).into_datafusion();
        let division = DataFusionError::Shared(division.into());
        let found = RemoteError::find(&sent(division).error).expect("an error in the text");
        assert_eq!((found.code.as_str(), found.kind), ("ENG-0003", ErrorKind::Invalid));
        let plan = DataFusionError::Plan("no such column".into());
        let found = RemoteError::find(&sent(plan).error).expect("an error in the text");
        assert_eq!(found.kind, ErrorKind::Invalid);
    }

    // Goal: rows that did not arrive are told from a statement that cannot be answered. Method: what Ballista's client makes of a
    // connection that ends before the first rows, as the reader, a writer and a task that shares its error hand it on.
    #[test]
    fn lost_input_is_told() {
        let broken = || ArrowError::IpcError("Arrow error: Ipc error: code: 'Unknown error'".into());
        for error in [
            DataFusionError::ArrowError(Box::new(broken()), None),
            BallistaError::from(DataFusionError::from(broken())).into_datafusion(),
            DataFusionError::Shared(BallistaError::from(broken()).into_datafusion().into()),
            BallistaError::from(BallistaError::GrpcActionError("reset".into()).into_datafusion()).into_datafusion(),
        ] {
            let sent = sent(error);
            let found = RemoteError::find(&sent.error).expect("an error in the text");
            assert_eq!((found.code.as_str(), found.kind), ("EXE-0010", ErrorKind::Unavailable));
        }
    }

    // Goal: a panic is a defect, not a mistake in the statement. Method: as the writers of a task's rows tell of one; and a statement's own
    // error.
    #[test]
    fn panics_are_told() {
        let of = |text: &str| DataFusionError::Execution(text.to_owned());
        for error in [
            of("write task panicked: task 7 panicked with message \"gone\""),
            BallistaError::from(of("shuffle-write drain task panicked: gone")).into_datafusion(),
            DataFusionError::Shared(of("shuffle writer drain panicked: gone").into()),
        ] {
            let found = RemoteError::find(&sent(error).error).expect("an error in the text");
            assert_eq!((found.code.as_str(), found.kind), ("ENG-0008", ErrorKind::Internal));
        }
        let own = sent(of("cannot be cast: somebody panicked"));
        let found = RemoteError::find(&own.error).expect("an error in the text");
        assert_eq!(found.code, "ENG-0003");
    }

    // Goal: Ballista still knows what it decides by; when a read has failed too often, its code is told. Method: a failed fetch and a failed
    // read, wrapped as it does.
    #[test]
    fn types_that_ballista_knows_stay() {
        let fetch = BallistaError::FetchFailed("executor-1".into(), 1, 2, "gone".into()).into_datafusion();
        let reason = sent(fetch.context("while reading")).failed_reason;
        assert!(
            matches!(reason, Some(FailedReason::FetchPartitionError(_))),
            "{reason:?}"
        );
        let read = || io::Error::other("disk");
        for error in [
            DataFusionError::IoError(read()),
            BallistaError::IoError(read()).into_datafusion(),
            DataFusionError::Shared(DataFusionError::IoError(read()).into()),
        ] {
            let sent = sent(error);
            assert!(matches!(sent.failed_reason, Some(FailedReason::IoError(_))), "{sent:?}");
            let found = RemoteError::find(&sent.error).expect("an error in the text");
            assert_eq!((found.code.as_str(), found.kind), ("ENG-0007", ErrorKind::Unavailable));
            assert!(found.message.contains("disk"), "{found}");
        }
    }
}
