//! Why one record cannot become a row. Such a record goes to the dead letters with the code and the reason.

use thiserror::Error;

use tidewater_core::{Coded, ErrorKind};

/// Largest key or value. Kafka's own default is 1 MiB; a row with large documents stays below this.
pub const RECORD_BYTES_MAX: usize = 10 << 20;

/// Deepest nesting of JSON. Debezium's own envelope needs 4 levels, the schema of a struct in a struct in a struct 8 more. The
/// parser recurses, and takes some 24 KiB of the stack a level when it is built without optimisation.
pub const NESTING_LEVELS_MAX: usize = 48;

/// Most columns of a row, as most engines have it.
pub const COLUMNS_MAX: usize = 1000;

/// Why a record is not a row.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordFault {
    /// Larger than [`RECORD_BYTES_MAX`].
    #[error("{part} of {bytes} bytes is larger than {RECORD_BYTES_MAX}")]
    TooLarge {
        /// Key or value.
        part: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// Nested deeper than [`NESTING_LEVELS_MAX`].
    #[error("{part} is nested deeper than {NESTING_LEVELS_MAX} levels")]
    TooDeep {
        /// Key or value.
        part: &'static str,
    },
    /// Not JSON, or not UTF-8.
    #[error("{part} is not JSON: {detail}")]
    NotJson {
        /// Key or value.
        part: &'static str,
        /// What the parser says.
        detail: String,
    },
    /// JSON, and no change event of any known shape.
    #[error("value is no change event: {detail}")]
    UnknownShape {
        /// What is missing or too much.
        detail: String,
    },
    /// An operation nobody knows.
    #[error("unknown operation {op:?}")]
    UnknownOperation {
        /// As it stands in the record.
        op: String,
    },
    /// A value that its column cannot hold.
    #[error("column {column:?} expects {expected} and holds {found}")]
    WrongType {
        /// The column.
        column: String,
        /// What its type asks for.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A value of the right JSON type that cannot be read.
    #[error("column {column:?} cannot be read as {expected}")]
    Unreadable {
        /// The column.
        column: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Neither key nor row: nothing tells what the record is about.
    #[error("record has neither a key nor a row")]
    MissingKey,
    /// A key that is neither JSON nor text.
    #[error("key is neither JSON nor text")]
    InvalidKey,
    /// A column name that a table cannot have.
    #[error("column name {column:?} {problem}")]
    ColumnName {
        /// The name.
        column: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The schema in the record is not one.
    #[error("schema of the {part} cannot be used: {detail}")]
    Schema {
        /// Key or value.
        part: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A field stands twice in one object.
    #[error("field {column:?} stands twice")]
    Repeated {
        /// The field.
        column: String,
    },
    /// A line of a segment file that is no record.
    #[error("line is no record: {detail}")]
    Line {
        /// What is wrong with it.
        detail: String,
    },
}

impl Coded for RecordFault {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "ING-0101",
            Self::TooDeep { .. } => "ING-0102",
            Self::NotJson { .. } => "ING-0103",
            Self::UnknownShape { .. } => "ING-0104",
            Self::UnknownOperation { .. } => "ING-0105",
            Self::WrongType { .. } => "ING-0106",
            Self::Unreadable { .. } => "ING-0107",
            Self::MissingKey => "ING-0108",
            Self::InvalidKey => "ING-0109",
            Self::ColumnName { .. } => "ING-0110",
            Self::Schema { .. } => "ING-0111",
            Self::Repeated { .. } => "ING-0112",
            Self::Line { .. } => "ING-0113",
        }
    }
}
