//! What statements say of the rows of tables.

use datafusion::sql::sqlparser::ast::{Expr, Query};
use tidewater_core::TableName;

use super::Name;

/// Where the rows of a statement go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowTarget {
    /// The table.
    pub table: TableName,
    /// What was named of it, which must be one of its branches; `None` for the table as it is.
    pub branch: Option<String>,
    /// The id under which what is written waits to be published, where the table stages writes. The session's.
    pub staged: Option<String>,
}

/// Rows to be added.
#[derive(Debug, Clone)]
pub struct Insert {
    /// The table.
    pub table: Name,
    /// What the name means, once it is looked up ([`crate::Engine::settle`]).
    pub target: Option<RowTarget>,
    /// What it is called where rows are there already.
    pub alias: Option<String>,
    /// The columns that the query's columns stand for, in order; all of the table's if there are none.
    pub columns: Vec<String>,
    /// The rows.
    pub query: Box<Query>,
    /// What goes before they come.
    pub overwrite: Overwrite,
    /// What happens to rows whose key is there already.
    pub on_conflict: Option<OnConflict>,
}

/// `ON CONFLICT`.
#[derive(Debug, Clone)]
pub struct OnConflict {
    /// The key; the table's identifier columns if there are none.
    pub key: Vec<String>,
    /// What becomes of the row that is there; `None` to leave it as it is.
    pub update: Option<ConflictUpdate>,
}

/// `DO UPDATE`.
#[derive(Debug, Clone)]
pub struct ConflictUpdate {
    /// New values.
    pub values: Vec<(String, Expr)>,
    /// For which rows; for all if there is none.
    pub condition: Option<Expr>,
}

/// What `INSERT` does to the rows that are there.
#[derive(Debug, Clone)]
pub enum Overwrite {
    /// `INSERT INTO`: nothing.
    Nothing,
    /// `INSERT OVERWRITE`: those of every partition that gets a row go; all of them in a table without partitions.
    Touched,
    /// `INSERT OVERWRITE … PARTITION (a = 1)`: those with these values go, and the new ones have them.
    Partition(Vec<(String, Expr)>),
}

/// Rows to be changed, deleted or added, in one snapshot.
#[derive(Debug, Clone)]
pub struct Merge {
    /// The statement's first words.
    pub verb: &'static str,
    /// The table.
    pub table: Name,
    /// What the name means, once it is looked up ([`crate::Engine::settle`]).
    pub target: Option<RowTarget>,
    /// What expressions call the table.
    pub alias: Option<String>,
    /// Where the changes come from; `None` if the table's own rows are all that is looked at.
    pub source: Option<Source>,
    /// Columns of the source of which no two rows may have the same values.
    pub source_key: Vec<String>,
    /// Which row of the source belongs to which row of the table; without a source, which rows it is about.
    pub on: Option<Expr>,
    /// The first clause whose condition holds is what happens to a row.
    pub clauses: Vec<Clause>,
}

/// Where changes come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// As it stands in `FROM`, without its alias if it has one.
    pub from: String,
    /// What expressions call it; `None` where `from` says that itself.
    pub alias: Option<String>,
}

/// What happens to a row.
#[derive(Debug, Clone)]
pub struct Clause {
    /// Which rows it is for.
    pub when: When,
    /// What must hold beside.
    pub condition: Option<Expr>,
    /// What happens.
    pub action: Action,
}

/// Which rows a clause is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Rows of the table with a row of the source.
    Matched,
    /// Rows of the source without a row of the table.
    NotMatched,
    /// Rows of the table without a row of the source.
    NotMatchedBySource,
}

/// What happens to a row.
#[derive(Debug, Clone)]
pub enum Action {
    /// It goes.
    Delete,
    /// These columns get new values.
    Update(Vec<(String, Expr)>),
    /// All columns get those of the source that have their names.
    UpdateAll,
    /// It is added with these values.
    Insert(Vec<(String, Expr)>),
    /// It is added as the source has it: columns by name.
    InsertAll,
    /// Nothing.
    Nothing,
}
