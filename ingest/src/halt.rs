//! Why a partition is not read on. Others go on; somebody must look.

use thiserror::Error;

/// Why a partition stands still.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Halt {
    /// Records were removed before they were read.
    #[error("records {next} to {low} were removed before they were read")]
    Lost {
        /// Where reading was to go on.
        next: i64,
        /// The oldest record there is.
        low: i64,
    },
    /// The log ends before the place where reading was to go on.
    #[error("the log ends at {high}, before the next offset {next}: it was truncated or made anew")]
    Truncated {
        /// Where reading was to go on.
        next: i64,
        /// Where the log ends.
        high: i64,
    },
    /// Too many bad records.
    #[error("{letters} of {records} records of a minute were bad; the first of them at {offset} is not read")]
    DeadLetters {
        /// Bad records of the minute.
        letters: u32,
        /// All records of the minute.
        records: u32,
        /// Where reading stopped.
        offset: i64,
    },
    /// Another source has the topic too.
    #[error(
        "both ingest.sources.{own} and ingest.sources.{other} have this topic, and neither is read, as offsets are kept by topic: leave it \
         out of one of them, or give it another name there, then restart ingest"
    )]
    Shared {
        /// The place of the partition's own source in the list, from 0.
        own: usize,
        /// The place of the other.
        other: usize,
    },
    /// The topic's table cannot take its rows.
    #[error("{reason}")]
    Table {
        /// The code of the cause.
        code: &'static str,
        /// The cause.
        reason: String,
    },
}

impl Halt {
    /// The stable code; its page tells what to do.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Lost { .. } => "ING-0201",
            Self::Truncated { .. } => "ING-0202",
            Self::DeadLetters { .. } => "ING-0203",
            Self::Shared { .. } => "ING-0014",
            Self::Table { code, .. } => code,
        }
    }
}
