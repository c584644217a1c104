//! The errors of this crate.

use std::error::Error;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use thiserror::Error as ThisError;

use tidewater_core::{Coded, ErrorKind};
use tidewater_engine::EngineError;
use tidewater_security::SecurityError;

/// Why a statement was not answered.
#[derive(Debug, ThisError)]
pub enum QueryError {
    /// The text is not SQL, or names what does not exist.
    #[error("cannot plan the statement")]
    Plan {
        /// Why.
        #[source]
        source: Box<DataFusionError>,
    },
    /// A statement that changes something.
    #[error("{statement} is not supported here: this endpoint is read only")]
    ReadOnly {
        /// The kind of statement.
        statement: String,
    },
    /// It was planned and failed while it ran.
    #[error("the query failed")]
    Run {
        /// Why.
        #[source]
        source: Box<DataFusionError>,
    },
    /// Not a handle or ticket of this installation.
    #[error("the handle or ticket is not one of this server")]
    BadHandle,
    /// Parameters are missing or do not fit.
    #[error("cannot bind parameters: {reason}")]
    Parameters {
        /// What does not fit.
        reason: String,
    },
    /// As many queries run and wait as may.
    #[error("{running} queries are running and none ended within {waited_ms} ms")]
    Busy {
        /// Queries at once.
        running: usize,
        /// Time waited.
        waited_ms: u64,
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
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl QueryError {
    pub(crate) fn plan(source: DataFusionError) -> Self {
        Self::Plan { source: Box::new(source) }
    }

    pub(crate) fn run(source: DataFusionError) -> Self {
        Self::Run { source: Box::new(source) }
    }

    pub(crate) fn encoding(source: ArrowError) -> Self {
        Self::Encode { source }
    }

    /// The message with those of its sources, each once.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(source) = next {
            let message = source.to_string();
            if !text.contains(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            next = source.source();
        }
        text
    }
}

/// What a DataFusion error says about whose fault it is.
fn kind_of(error: &DataFusionError) -> ErrorKind {
    match error.find_root() {
        DataFusionError::NotImplemented(_) => ErrorKind::Unsupported,
        DataFusionError::ResourcesExhausted(_) => ErrorKind::Exhausted,
        DataFusionError::SQL(..) | DataFusionError::Plan(_) | DataFusionError::SchemaError(..) => ErrorKind::Invalid,
        DataFusionError::ArrowError(error, _) => match **error {
            ArrowError::CastError(_)
            | ArrowError::ParseError(_)
            | ArrowError::DivideByZero
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::InvalidArgumentError(_)
            | ArrowError::ComputeError(_) => ErrorKind::Invalid,
            _ => ErrorKind::Internal,
        },
        DataFusionError::Execution(_) => ErrorKind::Invalid,
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

impl Coded for QueryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Plan { source } => match kind_of(source) {
                ErrorKind::Internal => ErrorKind::Invalid,
                kind => kind,
            },
            Self::Run { source } => kind_of(source),
            Self::ReadOnly { .. } => ErrorKind::Unsupported,
            Self::BadHandle | Self::Parameters { .. } => ErrorKind::Invalid,
            Self::Busy { .. } => ErrorKind::Exhausted,
            Self::Encode { .. } => ErrorKind::Internal,
            Self::Security(error) => error.kind(),
            Self::Engine(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Plan { .. } => "SQL-0001",
            Self::ReadOnly { .. } => "SQL-0002",
            Self::Run { .. } => "SQL-0003",
            Self::BadHandle => "SQL-0004",
            Self::Parameters { .. } => "SQL-0005",
            Self::Busy { .. } => "SQL-0006",
            Self::Encode { .. } => "SQL-0007",
            Self::Security(error) => error.code(),
            Self::Engine(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::ReadOnly { .. } => Some("write through a model (tidewater pipeline), or with Spark or PyIceberg".into()),
            Self::BadHandle => Some("prepare the statement again".into()),
            Self::Busy { .. } => Some("try again, or raise flight_sql.queries_max".into()),
            Self::Security(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            _ => None,
        }
    }
}
