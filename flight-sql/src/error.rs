//! The errors of this crate.

use std::error::Error;
use std::io;
use std::time::Duration;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use thiserror::Error as ThisError;
use uuid::Uuid;

use tidewater_core::{Coded, ErrorKind, Retry};
use tidewater_engine::EngineError;
use tidewater_security::SecurityError;

/// Why a statement was not answered.
#[derive(Debug, ThisError)]
pub enum QueryError {
    /// A statement that is neither a query nor one that changes a table, a view or a schema.
    #[error("{statement} is not supported here")]
    Statement {
        /// The kind of statement.
        statement: String,
    },
    /// A statement that changes something, of somebody who may only read.
    #[error("{user} may not {statement}: their role only reads")]
    ReadOnly {
        /// Who sent it.
        user: String,
        /// The kind of statement.
        statement: String,
    },
    /// Not a handle or ticket of this installation.
    #[error("the handle or ticket is not one of this server")]
    BadHandle,
    /// A handle or ticket that somebody else was given. Nothing is told of what it stands for, nor whose it is.
    #[error("the handle or ticket was given to another user")]
    ForeignHandle,
    /// A handle or ticket of theirs whose time is over.
    #[error("the handle or ticket has ended")]
    ExpiredHandle,
    /// Parameters are missing or do not fit.
    #[error("cannot bind parameters: {reason}")]
    Parameters {
        /// What does not fit.
        reason: String,
    },
    /// As many statements are at work as may.
    #[error("{running} statements are at work, and no more may be")]
    Busy {
        /// Statements at once.
        running: usize,
    },
    /// Its owner asked for it.
    #[error("the statement was cancelled")]
    Cancelled,
    /// There is no such statement of theirs whose result is held.
    #[error("no statement {id} of yours is held here")]
    NotHeld {
        /// Its name.
        id: Uuid,
    },
    /// As many statements are held as may be.
    #[error("{held} statements are held, and no more may be")]
    TooManyHeld {
        /// How many.
        held: usize,
    },
    /// A result that is too large to be held.
    #[error("the result has more than {} MiB, which is the most that is held", bytes_max >> 20)]
    TooLarge {
        /// The most.
        bytes_max: usize,
    },
    /// Rows were asked for before there are any.
    #[error("statement {id} still runs")]
    StillRuns {
        /// Its name.
        id: Uuid,
    },
    /// Its client does not ask for it any more.
    #[error("nobody polled the statement for {unseen_max:?}, and it was ended")]
    Unseen {
        /// The longest time between two polls.
        unseen_max: Duration,
    },
    /// Its client began to send rows, and sends nothing more.
    #[error("the client sent nothing of its rows for {silent_max:?}, and is not waited for any longer")]
    Silent {
        /// How long it is waited for.
        silent_max: Duration,
    },
    /// As much is in the middle of being read as may be.
    #[error("{} MiB of messages of {whose} are being read, and no more may be", bytes_max >> 20)]
    Reading {
        /// The most.
        bytes_max: usize,
        /// Of whom.
        whose: &'static str,
    },
    /// Nothing may be done that is not kept, and it cannot be kept.
    #[error("cannot keep who asked for this, and nothing may be done without that (audit.required)")]
    NotKept {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A result could not be put on the wire.
    #[error("cannot encode the result")]
    Encode {
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// Who is this?
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The statement is wrong, or failed while it ran.
    #[error(transparent)]
    Engine(EngineError),
}

impl From<EngineError> for QueryError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Denied(refused) => Self::Security(*refused),
            other => Self::Engine(other),
        }
    }
}

/// Codes of the scheduler for what found no place among the plans that run, nor among those that wait, or waited too long for one.
const NO_PLACE: [&str; 3] = ["SCH-0009", "SCH-0010", "SCH-0018"];

impl QueryError {
    /// Admission refused it: nothing of it ran, and the same statement may be sent again in a moment. Clients are told so in the words
    /// of their protocol: UNAVAILABLE, 53300, 429.
    pub(crate) fn is_not_admitted(&self) -> bool {
        matches!(self, Self::Busy { .. }) || NO_PLACE.contains(&self.code())
    }

    pub(crate) fn encoding(source: ArrowError) -> Self {
        Self::Encode { source }
    }

    /// The message with those of its sources, each once.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(source) = next {
            let message = said(source);
            if !text.contains(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            next = source.source();
        }
        text
    }
}

/// What a source says. Of a statement that cannot be read it is the parser's words alone: the query engine shows its error as a value, and
/// the source of that tells the same again.
fn said(source: &(dyn Error + 'static)) -> String {
    let text = source.to_string();
    let engine = source
        .downcast_ref::<DataFusionError>()
        .or_else(|| source.downcast_ref::<Box<DataFusionError>>().map(Box::as_ref));
    match engine.and_then(unread) {
        Some((shown, words)) => text.replace(&shown, &words),
        None => text,
    }
}

/// How an error of the parser is shown within one of the query engine, and what it says itself.
fn unread(error: &DataFusionError) -> Option<(String, String)> {
    match error {
        DataFusionError::SQL(error, _) => Some((format!("SQL error: {error:?}"), error.to_string())),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => unread(inner),
        DataFusionError::Shared(inner) => unread(inner),
        _ => None,
    }
}

impl Coded for QueryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Statement { .. } => ErrorKind::Unsupported,
            Self::ReadOnly { .. } | Self::ForeignHandle => ErrorKind::Denied,
            Self::BadHandle | Self::Parameters { .. } => ErrorKind::Invalid,
            Self::Busy { .. } | Self::TooManyHeld { .. } | Self::TooLarge { .. } | Self::Reading { .. } => {
                ErrorKind::Exhausted
            }
            Self::NotHeld { .. } | Self::ExpiredHandle => ErrorKind::NotFound,
            Self::StillRuns { .. } | Self::NotKept { .. } => ErrorKind::Unavailable,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Unseen { .. } | Self::Silent { .. } => ErrorKind::Timeout,
            Self::Encode { .. } => ErrorKind::Internal,
            Self::Security(error) => error.kind(),
            Self::Engine(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Statement { .. } => "SQL-0001",
            Self::ReadOnly { .. } => "SQL-0007",
            Self::BadHandle => "SQL-0002",
            Self::Parameters { .. } => "SQL-0003",
            Self::Busy { .. } => "SQL-0004",
            Self::Encode { .. } => "SQL-0005",
            Self::Cancelled => "SQL-0006",
            Self::NotHeld { .. } => "SQL-0022",
            Self::TooManyHeld { .. } => "SQL-0023",
            Self::TooLarge { .. } => "SQL-0024",
            Self::StillRuns { .. } => "SQL-0035",
            Self::Reading { .. } => "SQL-0036",
            Self::Unseen { .. } => "SQL-0037",
            Self::ForeignHandle => "SQL-0038",
            Self::ExpiredHandle => "SQL-0039",
            Self::NotKept { .. } => "SQL-0045",
            Self::Silent { .. } => "SQL-0046",
            Self::Security(error) => error.code(),
            Self::Engine(error) => error.code(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Busy { .. }
            | Self::TooManyHeld { .. }
            | Self::StillRuns { .. }
            | Self::NotKept { .. }
            | Self::Reading { .. }
            | Self::Unseen { .. }
            | Self::Silent { .. } => Retry::Safe,
            Self::Security(error) => error.retry(),
            Self::Engine(error) => error.retry(),
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Statement { .. } => Some("switch off what sends it in the client's connection settings".into()),
            Self::ReadOnly { .. } => {
                let configured = "set role = \"writer\" beside their name in security.users";
                let others = "a user of the catalog writes what they were granted (tidewater role grant)";
                let issuers = "one of an issuer as its writers say";
                Some(format!("{configured}; {others}, {issuers}"))
            }
            Self::BadHandle => Some("prepare the statement again".into()),
            Self::ForeignHandle => Some("run or prepare the statement as the user who asks for it".into()),
            Self::ExpiredHandle => Some("run the statement again, or prepare it again if it was prepared".into()),
            Self::NotHeld { .. } => Some("results are kept for ten minutes, in the process that was asked".into()),
            Self::TooManyHeld { .. } => Some("fetch results and let go of them, or ask for rows as they come".into()),
            Self::TooLarge { .. } => Some("ask for rows as they come, without \"async\" and without polls".into()),
            Self::StillRuns { .. } => Some("poll until there is a flight info without a descriptor".into()),
            Self::Unseen { .. } => Some("poll more often: a poll waits for a second by itself".into()),
            Self::Silent { .. } => {
                let end = "end the rows where there are no more, or let less time pass between two messages";
                let limit = "statement_timeout of the session and flight_sql.query_timeout_ms say how much may pass";
                Some(format!("{end}; {limit}"))
            }
            Self::Reading { .. } => Some("try again when other messages were read".into()),
            Self::NotKept { .. } => Some("an operator has to look at the disk below data_dir/audit".into()),
            Self::Busy { .. } => Some("try again when other queries have ended".into()),
            Self::Security(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            _ => None,
        }
    }
}

/// What the scheduler says of a plan that found no place, for the tests of the fronts: an error under each of its codes.
#[cfg(test)]
pub(crate) fn not_admitted() -> impl Iterator<Item = QueryError> {
    #[derive(Debug, thiserror::Error)]
    #[error("no place")]
    struct NoPlace(&'static str);
    impl Coded for NoPlace {
        fn kind(&self) -> ErrorKind {
            ErrorKind::Timeout
        }
        fn code(&self) -> &'static str {
            self.0
        }
        fn retry(&self) -> Retry {
            Retry::Safe
        }
    }
    let engine = |code| EngineError::Runner(tidewater_engine::RunnerError::new(NoPlace(code))).into();
    NO_PLACE.into_iter().map(engine)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::ParserError;

    use super::*;

    // Goal: what is wrong with a statement that cannot be read is told once, with its place. Method: an error of the parser as the query
    // engine gives it, alone and within another.
    #[test]
    fn a_statement_that_cannot_be_read_is_told_once() {
        let words = "Expected: an expression, found: \"x\" at Line: 1, Column: 8";
        let parser = || DataFusionError::SQL(Box::new(ParserError::ParserError(words.to_owned())), None);
        let told = |error: DataFusionError| QueryError::from(EngineError::from(error)).chain();
        assert_eq!(told(parser()), format!("query failed: sql parser error: {words}"));
        let within = told(parser().context("while it is planned"));
        assert_eq!(within.matches("Expected").count(), 1, "{within}");
        assert!(!within.contains("ParserError"), "{within}");
    }
}
