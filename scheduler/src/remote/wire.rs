//! What is said of plans between processes.

use std::error::Error as _;

use arrow_flight::FlightData;
use ballista_core::serde::protobuf::KeyValuePair;
use prost::Message;

use crate::error::SchedulerError;
use tidewater_core::RemoteError;
use tidewater_engine::EngineError;

/// The action that asks what a cluster has.
pub(super) const CLUSTER: &str = "tidewater.cluster";

/// What a cluster has.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Cluster {
    /// Executors that take tasks.
    #[prost(uint32, tag = "1")]
    pub(super) executors: u32,
    /// Partitions that plans for it have.
    #[prost(uint32, tag = "2")]
    pub(super) partitions: u32,
    /// Of which build the process is that has it: the only one whose plans it runs.
    #[prost(string, tag = "3")]
    pub(super) build: String,
}

/// A plan that is to be run.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RunPlan {
    /// Of which build the process is that made it: another one may mean something else by it.
    #[prost(string, tag = "1")]
    pub(super) build: String,
    /// Its id.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) job: Vec<u8>,
    /// The job that it is a part of.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) part_of: Option<Vec<u8>>,
    /// Whose statement it is.
    #[prost(string, optional, tag = "4")]
    pub(super) user: Option<String>,
    /// It keeps tables in shape.
    #[prost(bool, tag = "5")]
    pub(super) maintenance: bool,
    /// It is a job: nobody waits for its rows at a screen.
    #[prost(bool, tag = "6")]
    pub(super) batch: bool,
    /// Time that is left to it.
    #[prost(uint64, tag = "7")]
    pub(super) deadline_ms: u64,
    /// How long it has waited for its turn.
    #[prost(uint64, tag = "8")]
    pub(super) waited_ms: u64,
    /// Why it runs there.
    #[prost(string, tag = "9")]
    pub(super) reason: String,
    /// Settings of its session.
    #[prost(message, repeated, tag = "10")]
    pub(super) settings: Vec<KeyValuePair>,
    /// The plan.
    #[prost(bytes = "vec", tag = "11")]
    pub(super) plan: Vec<u8>,
}

/// What is said beside the rows.
#[derive(Clone, PartialEq, Message)]
struct Note {
    #[prost(oneof = "Said", tags = "1, 2, 3")]
    said: Option<Said>,
}

/// The first thing that is said of a plan, or the last.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Said {
    /// It has run: rows follow.
    #[prost(message, tag = "1")]
    Begun(Begun),
    /// It has failed: nothing follows.
    #[prost(message, tag = "2")]
    Failed(Failed),
    /// All of its rows were sent: nothing follows.
    #[prost(message, tag = "3")]
    Finished(Finished),
}

/// How a plan has run.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Begun {
    /// In which attempt.
    #[prost(uint32, tag = "1")]
    pub(super) attempt: u32,
    /// Why there.
    #[prost(string, tag = "2")]
    pub(super) reason: String,
    /// Its stages, for people.
    #[prost(string, repeated, tag = "3")]
    pub(super) stages: Vec<String>,
}

/// The end of a plan's rows.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Finished {
    /// How many there were.
    #[prost(uint64, tag = "1")]
    pub(super) rows: u64,
}

/// An error as it travels.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Failed {
    /// The error, as text in which it is found.
    #[prost(string, tag = "1")]
    error: String,
    /// The executor's, where it is one.
    #[prost(string, optional, tag = "2")]
    cause: Option<String>,
}

impl Said {
    /// As a message without data.
    pub(super) fn into_data(self) -> FlightData {
        let note = Note { said: Some(self) };
        FlightData {
            app_metadata: note.encode_to_vec().into(),
            ..FlightData::default()
        }
    }

    /// What a message says; none if it has data.
    pub(super) fn of(data: &FlightData) -> Option<Self> {
        if !data.data_header.is_empty() {
            return None;
        }
        Note::decode(data.app_metadata.as_ref()).ok()?.said
    }
}

impl Failed {
    /// An error of this process.
    pub(super) fn of(error: &EngineError) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<RemoteError>());
        Self {
            error: RemoteError::of(error).to_text(),
            cause: cause.map(RemoteError::to_text),
        }
    }

    /// The same for whoever asked; none if it cannot be read.
    pub(super) fn into_error(self) -> Option<SchedulerError> {
        if let Some(source) = self.cause.as_deref().and_then(RemoteError::find) {
            return Some(SchedulerError::Failed { source });
        }
        let told = RemoteError::find(&self.error)?;
        Some(SchedulerError::Elsewhere {
            code: code_of(&told),
            told: Box::new(told),
        })
    }
}

/// Codes of what can become of a plan.
const CODES: [&str; 14] = [
    "SCH-0003", "SCH-0004", "SCH-0005", "SCH-0006", "SCH-0007", "SCH-0008", "SCH-0009", "SCH-0010", "SCH-0011",
    "SCH-0012", "SCH-0016", "SCH-0018", "SCH-0021", "SCH-0022",
];

/// The code of an error; of one that a plan should not have, that of what failed there.
fn code_of(told: &RemoteError) -> &'static str {
    let known = CODES.into_iter().find(|code| *code == told.code);
    known.unwrap_or("SCH-0005")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidewater_core::{Coded, ErrorKind, Retry};

    use super::*;

    // Goal: errors keep their code, kind, retry, hint and cause on the way. Method: one of an executor, one of the scheduler's own, and one
    // that no plan should have.
    #[test]
    fn errors_stay_what_they_are() {
        let travelled = |error: EngineError| {
            let data = Said::Failed(Failed::of(&error)).into_data();
            match Said::of(&data) {
                Some(Said::Failed(failed)) => failed.into_error().expect("it is read"),
                other => panic!("{other:?}"),
            }
        };
        let of_executor = RemoteError {
            code: "ENG-0003".to_owned(),
            kind: ErrorKind::Invalid,
            retry: Retry::Never,
            message: "Divide by zero".to_owned(),
            hint: None,
        };
        let failed = SchedulerError::Failed {
            source: of_executor.clone(),
        };
        match travelled(failed.into()) {
            SchedulerError::Failed { source } => assert_eq!(source, of_executor),
            other => panic!("{other:?}"),
        }
        let waited = Duration::from_secs(7);
        let nobody = || SchedulerError::NoExecutor { waited };
        let told = travelled(nobody().into());
        assert_eq!(
            (told.code(), told.kind(), told.retry(), told.hint()),
            (nobody().code(), nobody().kind(), nobody().retry(), nobody().hint())
        );
        assert_eq!(told.to_string(), nobody().to_string());
        let damaged = EngineError::PlanDamaged {
            reason: "short".to_owned(),
        };
        let (kind, told) = (damaged.kind(), travelled(damaged));
        assert_eq!((told.code(), told.kind()), ("SCH-0005", kind));
    }

    // Goal: what has data is not taken for something that is said. Method: a message with a header, and one that cannot be read.
    #[test]
    fn data_says_nothing() {
        let mut data = Said::Begun(Begun::default()).into_data();
        assert_eq!(Said::of(&data), Some(Said::Begun(Begun::default())));
        data.data_header = vec![1_u8].into();
        assert_eq!(Said::of(&data), None);
        let empty = FlightData::default();
        assert_eq!(Said::of(&empty), None);
    }
}
