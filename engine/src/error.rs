//! What can go wrong in the engine.

mod coded;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use datafusion::common::DataFusionError;
use thiserror::Error;
use tidewater_core::{Coded, NameError, TableName};
use tidewater_security::SecurityError;
use tidewater_table::TableError;

/// The result of this crate's calls.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// Every failure of this crate.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The table format or the catalog failed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No such table.
    #[error("table {table} does not exist")]
    TableNotFound {
        /// The table.
        table: TableName,
    },
    /// The state of a table at an earlier moment is not there any more.
    #[error("the state that table {table} had when the transaction began to read is not kept any more")]
    StateGone {
        /// The table.
        table: TableName,
    },
    /// A name that cannot be one.
    #[error("{name:?} is not a name")]
    Name {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// A statement or a plan failed; what it means is told by the source.
    #[error("query failed")]
    Query {
        /// The query engine's own error.
        #[source]
        source: Box<DataFusionError>,
    },
    /// The time given to a query is over.
    #[error("query took longer than {allowed:?}")]
    Deadline {
        /// The time it was given.
        allowed: Duration,
    },
    /// Rows whose columns do not fit the table they are written to.
    #[error("rows do not fit table {table}: {reason}")]
    Columns {
        /// The table.
        table: TableName,
        /// The column and what is wrong with it.
        reason: String,
    },
    /// A plan that travelled between processes cannot be read.
    #[error("plan from another process is damaged: {reason}")]
    PlanDamaged {
        /// What is wrong.
        reason: String,
    },
    /// A write did not answer with data files.
    #[error("write did not answer with data files: {reason}")]
    WriteAnswer {
        /// What came instead.
        reason: String,
    },
    /// Files that were written anew do not hold as many rows as those they stand for, or a statement wrote or marked other numbers of rows
    /// than it had counted. Nothing was committed.
    #[error("writing {table} anew would make {after} rows of {before}")]
    RowsLost {
        /// The table.
        table: TableName,
        /// Rows in the files as they are, or as they were counted.
        before: u64,
        /// Rows in the new files, or that were marked.
        after: u64,
    },
    /// A rule without which a plan might give wrong rows failed. The plan was not run.
    #[error("planning failed in rule {rule}: {reason}")]
    RuleFailed {
        /// The rule.
        rule: String,
        /// What it says.
        reason: String,
    },
    /// Options that the engine cannot run with.
    #[error("engine options are refused: {reason}")]
    Options {
        /// What is wrong.
        reason: String,
    },
    /// A runner outside this crate failed; what it means is told by its own error.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// A statement that is understood and cannot be done.
    #[error("statement is refused: {reason}")]
    Statement {
        /// What is wrong with it.
        reason: String,
    },
    /// A table whose rows are somebody else's, who would not notice what a statement does to them.
    #[error("{table} is written by {writer}")]
    Managed {
        /// The table.
        table: TableName,
        /// Who writes it.
        writer: &'static str,
    },
    /// Which of several rows of a source a row of the table is to become is not said.
    #[error("rows of {table} match more than one row of the source")]
    ManyMatches {
        /// The table.
        table: TableName,
    },
    /// A condition that asks a query in several places, of which each might have another answer.
    #[error("a condition of a change of {table} asks a query whose rows hang on the order in which rows come")]
    Unsettled {
        /// The table.
        table: TableName,
    },
    /// A branch or tag that a table does not have.
    #[error("table {table} has no branch or tag {version:?}")]
    VersionNotFound {
        /// The table.
        table: TableName,
        /// The name.
        version: String,
        /// The name among those it has that comes next to it.
        nearest: Option<String>,
    },
    /// A tag, a snapshot or a table of metadata that rows are to be written to.
    #[error("{version:?} of table {table} is no branch and cannot be written to")]
    NotABranch {
        /// The table.
        table: TableName,
        /// What was named of it.
        version: String,
    },
    /// A table that is to make way for another one, in a session whose writes wait to be published.
    #[error("replacing table {table} cannot wait to be published")]
    CannotWait {
        /// The table.
        table: TableName,
    },
    /// What a procedure, or the `PARTITION` of an `INSERT OVERWRITE`, is not told: an argument or an option that it does not have, or a
    /// value that it does not heed.
    #[error("{procedure} does not take {what}")]
    NotTaken {
        /// The procedure.
        procedure: String,
        /// The argument or option.
        what: String,
        /// What it takes, or what to do instead.
        advice: String,
    },
    /// A moment before a table's history begins.
    #[error("table {table} has no snapshot at {at}")]
    BeforeHistory {
        /// The table.
        table: TableName,
        /// The moment.
        at: String,
        /// When the oldest snapshot that is known came to be.
        oldest: Option<String>,
    },
    /// A statement that is larger than any should be. Nothing of it was done.
    #[error("statement has more than {max} {what}")]
    TooComplex {
        /// What it has too many of.
        what: &'static str,
        /// How many it may have.
        max: usize,
    },
    /// A value that would be larger than any may be.
    #[error("{function} would make {bytes} bytes at once, more than {max}")]
    ValueTooLarge {
        /// What makes it.
        function: String,
        /// The bytes of all rows of one batch.
        bytes: u64,
        /// How many they may have.
        max: u64,
    },
    /// A regular expression that is larger than any should be.
    #[error("regular expression has more than {max} {what}")]
    PatternTooLarge {
        /// What it has too many of.
        what: &'static str,
        /// How many it may have.
        max: usize,
    },
    /// Rows of metadata that would take more memory than a statement may take for them.
    #[error("{what} has more than {max} rows")]
    TooManyRows {
        /// What has them.
        what: String,
        /// How many it may have.
        max: usize,
    },
    /// What would tell of rows, or change rows, that a policy keeps from whoever asks.
    #[error("{what} is not done with {table}, of which a policy shows you a part")]
    UnderPolicy {
        /// The table.
        table: TableName,
        /// What was asked for.
        what: String,
    },
    /// A plan that reads what whoever asks may not.
    #[error(transparent)]
    Denied(Box<SecurityError>),
    /// A statement that is understood and not served.
    #[error("{what} is not supported")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
}

impl EngineError {
    pub(crate) fn statement(reason: impl Into<String>) -> Self {
        Self::Statement { reason: reason.into() }
    }
}

/// The error of a runner outside this crate, with its own code.
#[derive(Debug)]
pub struct RunnerError(Box<dyn Coded + Send + Sync>);

impl RunnerError {
    /// Of any coded error.
    pub fn new(error: impl Coded + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for RunnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for RunnerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(external) => match external.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(external) => Self::Query {
                    source: Box::new(DataFusionError::External(external)),
                },
            },
            error => Self::Query {
                source: Box::new(error),
            },
        }
    }
}

impl From<EngineError> for DataFusionError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Query { source } => *source,
            error => Self::External(Box::new(error)),
        }
    }
}
