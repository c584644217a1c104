//! What can go wrong with a project, its models and their runs.

use std::path::PathBuf;

use thiserror::Error;
use tidewater_core::{Coded, ErrorKind, Retry, TableName};

/// Where in a project something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Its line, from 1; none if the whole file is meant.
    pub line: Option<u64>,
}

impl Place {
    /// A whole file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            line: None,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.path.display()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

/// A failure of a part below this crate, with what it says about itself.
#[derive(Debug)]
pub struct Below {
    kind: ErrorKind,
    retry: Retry,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Below {
    /// Of an error that knows its kind.
    pub fn coded(source: impl Coded + Send + Sync + 'static) -> Self {
        Self {
            kind: source.kind(),
            retry: source.retry(),
            source: Box::new(source),
        }
    }

    /// Of an error that does not.
    pub fn plain(kind: ErrorKind, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            kind,
            retry: Retry::Never,
            source: Box::new(source),
        }
    }
}

impl std::fmt::Display for Below {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for Below {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// Errors of this crate.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// A file or folder of the project cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The model file has no header, or one that does not end.
    #[error("{place}: {reason}")]
    Header {
        /// Where.
        place: Place,
        /// What is missing.
        reason: String,
    },
    /// A key nobody knows.
    #[error("{place}: unknown key {key}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The known key it most resembles.
        nearest: Option<String>,
        /// All keys known there.
        known: Vec<String>,
    },
    /// A value of the wrong shape, or keys that do not go together.
    #[error("{place}: {reason}")]
    Value {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// Known from the reference, not built yet.
    #[error("{place}: {what} is not supported")]
    Unsupported {
        /// Where.
        place: Place,
        /// What was asked for.
        what: String,
        /// What there is instead.
        instead: String,
    },
    /// The SQL of a model cannot be parsed or planned.
    #[error("{place}: {reason}")]
    Sql {
        /// Where.
        place: Place,
        /// What the parser or planner says.
        reason: String,
    },
    /// `${name}` is not among the project's variables.
    #[error("{place}: variable {name} is not defined")]
    Variable {
        /// Where.
        place: Place,
        /// The variable.
        name: String,
        /// The defined one it most resembles.
        nearest: Option<String>,
    },
    /// Models read one another in a circle.
    #[error("models form a cycle: {}", path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> "))]
    Cycle {
        /// The circle, first model repeated at the end.
        path: Vec<TableName>,
    },
    /// A model reads a table that is no model, no source and not in the catalog.
    #[error("{place}: model {model} reads {table}, which does not exist")]
    UnknownTable {
        /// Where.
        place: Box<Place>,
        /// The reader.
        model: TableName,
        /// What it reads.
        table: String,
        /// The known table it most resembles.
        nearest: Option<String>,
    },
    /// Two files declare the same model.
    #[error("model {name} is declared twice: {first} and {second}")]
    Duplicate {
        /// The name.
        name: TableName,
        /// One file.
        first: Box<Place>,
        /// The other.
        second: Box<Place>,
    },
    /// The deleted keys of a model would go into the table of another model, or to its deleted keys.
    #[error("{place}: deleted keys of model {model} would go into {table}, which is of model {other}")]
    TombstonesShared {
        /// Where the model is.
        place: Box<Place>,
        /// The model.
        model: Box<TableName>,
        /// Where they would go.
        table: Box<TableName>,
        /// The other one.
        other: Box<TableName>,
    },
    /// The SQL of a `cdc` model is more than a selection from its source.
    #[error("{place}: a cdc model selects from its source and nothing else: {reason}")]
    CdcQuery {
        /// Where.
        place: Place,
        /// What is too much or missing.
        reason: String,
    },
    /// A change left out what decides whether its row stays.
    #[error("model {model}: whether a row stays rests on {}, which a change left out", fields.join(", "))]
    Undecided {
        /// The model.
        model: TableName,
        /// Fields that the model's conditions rest on and that were left out.
        fields: Vec<String>,
    },
    /// A key column that cannot be one.
    #[error("model {model}: key column {column} {reason}")]
    Key {
        /// The model.
        model: TableName,
        /// The column.
        column: String,
        /// Why not.
        reason: String,
    },
    /// The selection names a model that does not exist.
    #[error("no model is named {name}")]
    NoSuchModel {
        /// The name.
        name: String,
        /// The model it most resembles.
        nearest: Option<String>,
    },
    /// The columns of the query no longer fit the table.
    #[error("model {model}: the table cannot take the query's columns: {reason}")]
    SchemaChange {
        /// The model.
        model: TableName,
        /// Which column, and why.
        reason: String,
    },
    /// A table of the model that somebody else put there first, where grants bind.
    #[error("model {model}: table {table} was not made by it and is not marked for it")]
    TableForeign {
        /// The model.
        model: TableName,
        /// The table.
        table: Box<TableName>,
        /// The property that marks it, as SQL has it.
        mark: String,
    },
    /// Others kept changing the model's table.
    #[error("model {model}: no commit in {attempts} attempts, others change the table")]
    Contended {
        /// The model.
        model: TableName,
        /// Attempts made.
        attempts: u32,
    },
    /// The commit may have happened.
    #[error("model {model}: outcome of the commit of job {job} is unknown")]
    OutcomeUnknown {
        /// The model.
        model: TableName,
        /// The job.
        job: String,
    },
    /// Somebody ended the run.
    #[error("model {model}: its run was cancelled")]
    Cancelled {
        /// The model.
        model: TableName,
    },
    /// The process stops before a run ends.
    #[error("this process stops before the run ends")]
    LeftToOthers,
    /// The stored progress of a model cannot be understood.
    #[error("model {model}: its refresh state cannot be read")]
    State {
        /// The model.
        model: TableName,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A query of a run failed.
    #[error("model {model}: {step} failed")]
    Query {
        /// The model.
        model: TableName,
        /// What was being done.
        step: &'static str,
        /// Why.
        #[source]
        source: Below,
    },
    /// The catalog refused or did not answer.
    #[error("catalog: {step} failed")]
    Catalog {
        /// What was being done.
        step: &'static str,
        /// Why.
        #[source]
        source: Below,
    },
    /// Files or metadata of a table could not be planned, read or written.
    #[error("table {table}: {step} failed")]
    Table {
        /// The table.
        table: TableName,
        /// What was being done.
        step: &'static str,
        /// Why.
        #[source]
        source: Below,
    },
}

impl Coded for PipelineError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::Read { .. }
            | Self::Header { .. }
            | Self::UnknownKey { .. }
            | Self::Value { .. }
            | Self::Sql { .. }
            | Self::Variable { .. }
            | Self::Cycle { .. }
            | Self::UnknownTable { .. }
            | Self::Duplicate { .. }
            | Self::TombstonesShared { .. }
            | Self::CdcQuery { .. }
            | Self::Key { .. }
            | Self::SchemaChange { .. } => ErrorKind::Invalid,
            Self::Unsupported { .. } | Self::Undecided { .. } => ErrorKind::Unsupported,
            Self::NoSuchModel { .. } => ErrorKind::NotFound,
            Self::Contended { .. } | Self::TableForeign { .. } => ErrorKind::Conflict,
            Self::OutcomeUnknown { .. } => ErrorKind::Timeout,
            Self::Cancelled { .. } => ErrorKind::Cancelled,
            Self::LeftToOthers => ErrorKind::Unavailable,
            Self::State { .. } => ErrorKind::Corrupt,
            Self::Query { source, .. } | Self::Catalog { source, .. } | Self::Table { source, .. } => source.kind,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "PIP-0001",
            Self::Header { .. } => "PIP-0002",
            Self::UnknownKey { .. } => "PIP-0003",
            Self::Value { .. } => "PIP-0004",
            Self::Unsupported { .. } => "PIP-0005",
            Self::Sql { .. } => "PIP-0006",
            Self::Variable { .. } => "PIP-0007",
            Self::Cycle { .. } => "PIP-0008",
            Self::UnknownTable { .. } => "PIP-0009",
            Self::Duplicate { .. } => "PIP-0010",
            Self::CdcQuery { .. } => "PIP-0011",
            Self::Key { .. } => "PIP-0012",
            Self::NoSuchModel { .. } => "PIP-0013",
            Self::SchemaChange { .. } => "PIP-0014",
            Self::Contended { .. } => "PIP-0015",
            Self::OutcomeUnknown { .. } => "PIP-0016",
            Self::State { .. } => "PIP-0017",
            Self::Query { .. } => "PIP-0018",
            Self::Catalog { .. } => "PIP-0019",
            Self::Table { .. } => "PIP-0020",
            Self::Cancelled { .. } => "PIP-0023",
            Self::LeftToOthers => "PIP-0024",
            Self::TableForeign { .. } => "PIP-0025",
            Self::Undecided { .. } => "PIP-0026",
            Self::TombstonesShared { .. } => "PIP-0027",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Query { source, .. } | Self::Catalog { source, .. } | Self::Table { source, .. } => source.retry,
            Self::Contended { .. } => Retry::AfterRefresh,
            Self::OutcomeUnknown { .. } | Self::LeftToOthers => Retry::Unknown,
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        let did_you_mean = |nearest: &Option<String>| nearest.as_ref().map(|near| format!("did you mean {near}?"));
        match self {
            Self::Read { .. } => Some("a project is a folder with lakehouse.yml, models/ and sources/".into()),
            Self::Header { .. } => Some("begin the file with /*--- and its YAML keys, and end them with ---*/".into()),
            Self::UnknownKey { nearest, known, .. } => {
                did_you_mean(nearest).or_else(|| Some(format!("known here: {}", known.join(", "))))
            }
            Self::Unsupported { instead, .. } => Some(instead.clone()),
            Self::Variable { nearest, .. } => {
                did_you_mean(nearest).or_else(|| Some("define it under vars in lakehouse.yml".into()))
            }
            Self::UnknownTable { nearest, .. } => {
                did_you_mean(nearest).or_else(|| Some("declare it in sources/*.yml or write a model for it".into()))
            }
            Self::TombstonesShared { .. } => Some("give one of the two models another name".into()),
            Self::NoSuchModel { nearest, .. } => {
                did_you_mean(nearest).or_else(|| Some("tidewater pipeline status tells their names".into()))
            }
            Self::Undecided { .. } => Some(
                "keep all rows here and select them in a model that reads this one, or let the source send whole rows"
                    .into(),
            ),
            Self::SchemaChange { .. } => Some("cast the column to the table's type, or give it a new name".into()),
            Self::TableForeign { table, mark, .. } => Some(format!(
                "who has ADMIN on the warehouse renames or drops it, or takes back what others may do with it and marks it: \
                 ALTER TABLE {table} SET TBLPROPERTIES ({mark})"
            )),
            Self::Cancelled { .. } => Some(
                "nothing of it was committed; the model runs again when it is due, or by tidewater job retry".into(),
            ),
            Self::LeftToOthers => {
                Some("the process that schedules next finishes it: tidewater job ls tells how far it is".into())
            }
            Self::OutcomeUnknown { .. } => Some("the next run looks for the job before it does anything".into()),
            _ => None,
        }
    }
}

/// Results of this crate.
pub type Result<T, E = PipelineError> = std::result::Result<T, E>;

/// Edit distance up to which a known name is offered instead of an unknown one.
const NEAREST_DISTANCE_MAX: usize = 3;

/// The known name that most resembles `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= NEAREST_DISTANCE_MAX && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}
