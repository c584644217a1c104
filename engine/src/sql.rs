//! The statements that change something, as the parser leaves them. Queries are DataFusion's.
//!
//! The grammar is Spark's and Trino's where Iceberg needs words that the SQL standard does not have (`PARTITIONED BY`,
//! `TBLPROPERTIES`, `CALL`), PostgreSQL's elsewhere.

mod about;
mod alter;
mod change_rows;
mod create;
mod grammar;
mod merge;
mod names;
#[cfg(test)]
mod tests;
mod together;
mod types;

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{Expr, Query};
use tidewater_core::TableName;
use tidewater_table::iceberg::spec::{Literal, NullOrder, SortDirection, Transform, Type};

use crate::error::Result;
use crate::planning::reading;
pub(crate) use create::default_literal;
pub(crate) use grammar::literal;
pub use names::Name;
pub(crate) use names::{BRANCH, in_dialect, quoted};
pub use together::together;

/// One statement.
#[derive(Debug, Clone)]
pub enum Sql {
    /// It reads, or is nothing that can be carried out: the planner tells.
    Query,
    /// It changes something, or calls a procedure.
    Command(Box<Command>),
}

/// A statement that changes something.
#[derive(Debug, Clone)]
pub enum Command {
    /// `CREATE [OR REPLACE] TABLE`.
    CreateTable(Box<CreateTable>),
    /// `CREATE [OR REPLACE] VIEW`.
    CreateView(Box<CreateView>),
    /// `ALTER VIEW … AS`.
    AlterView {
        /// Its name.
        name: Name,
        /// What it answers with from now on.
        query: Box<Query>,
    },
    /// `CREATE SCHEMA`.
    CreateSchema {
        /// Its name.
        name: Name,
        /// One that is there already is no error.
        if_not_exists: bool,
        /// Its properties, the comment among them.
        properties: BTreeMap<String, String>,
    },
    /// `DROP TABLE`, `DROP VIEW`, `DROP SCHEMA`.
    Drop {
        /// What is dropped.
        what: Object,
        /// Its name.
        name: Name,
        /// One that is not there is no error.
        if_exists: bool,
        /// `PURGE` of a table: its files go at once. `CASCADE` of a schema: what is in it goes too.
        all: bool,
    },
    /// `ALTER TABLE`.
    AlterTable {
        /// Its name.
        name: Name,
        /// One that is not there is no error.
        if_exists: bool,
        /// What becomes of it, in this order and in one commit.
        changes: Vec<AlterTable>,
    },
    /// `ALTER TABLE … RENAME TO`, `ALTER VIEW … RENAME TO`.
    Rename {
        /// A table or a view.
        what: Object,
        /// Its name.
        from: Name,
        /// Its new name; in the same schema if none is given.
        to: Name,
    },
    /// Properties of a table, view or schema, its comment among them; `None` removes one.
    SetProperties {
        /// What has them.
        what: Object,
        /// Its name.
        name: Name,
        /// The new values.
        properties: BTreeMap<String, Option<String>>,
    },
    /// `COMMENT ON COLUMN`.
    CommentColumn {
        /// The table.
        table: Name,
        /// The column's path.
        column: Vec<String>,
        /// The comment; `None` removes it.
        text: Option<String>,
    },
    /// `TRUNCATE TABLE`.
    Truncate {
        /// Its name.
        name: Name,
        /// What the name means, once it is looked up.
        target: Option<RowTarget>,
    },
    /// `INSERT`.
    Insert(Box<Insert>),
    /// `UPDATE`, `DELETE` and `MERGE`.
    Merge(Box<Merge>),
    /// `CALL system.…`.
    Call(Call),
}

impl Command {
    /// What clients are told that was done, and what a log says of it: the first words of the statement.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CreateTable(_) => "CREATE TABLE",
            Self::CreateView(_) => "CREATE VIEW",
            Self::AlterView { .. } => "ALTER VIEW",
            Self::CreateSchema { .. } => "CREATE SCHEMA",
            Self::Drop { what, .. } => match what {
                Object::Table => "DROP TABLE",
                Object::View => "DROP VIEW",
                Object::Schema => "DROP SCHEMA",
            },
            Self::AlterTable { .. } => "ALTER TABLE",
            Self::Rename { what, .. } | Self::SetProperties { what, .. } => match what {
                Object::Table => "ALTER TABLE",
                Object::View => "ALTER VIEW",
                Object::Schema => "ALTER SCHEMA",
            },
            Self::CommentColumn { .. } => "COMMENT",
            Self::Truncate { .. } => "TRUNCATE TABLE",
            Self::Insert(_) => "INSERT",
            Self::Merge(merge) => merge.verb,
            Self::Call(_) => "CALL",
        }
    }

    /// The name of what the rows of the statement go to, and its meaning; `None` for what is about no rows of a table.
    pub(crate) fn row_target(&mut self) -> Option<(&Name, &mut Option<RowTarget>)> {
        match self {
            Self::Insert(insert) => Some((&insert.table, &mut insert.target)),
            Self::Merge(merge) => Some((&merge.table, &mut merge.target)),
            Self::Truncate { name, target } => Some((&*name, target)),
            _ => None,
        }
    }
}

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A table.
    Table,
    /// A view.
    View,
    /// A schema: Iceberg's namespace.
    Schema,
}

/// A column of a new table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type. Ids of nested fields are to be given anew.
    pub of: Type,
    /// Whether it may be null.
    pub nullable: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// What it is in rows that do not say (format 3).
    pub default: Option<Literal>,
}

/// A partition field: `day(ts)`, `bucket(16, id)`, `region`.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionField {
    /// The column's path, joined by dots.
    pub column: String,
    /// What is made of it.
    pub transform: Transform,
    /// The field's name; Iceberg's usual one if not given.
    pub name: Option<String>,
}

/// A sort field.
#[derive(Debug, Clone, PartialEq)]
pub struct SortField {
    /// The column's path, joined by dots.
    pub column: String,
    /// What is made of it.
    pub transform: Transform,
    /// Up or down.
    pub direction: SortDirection,
    /// Where nulls go.
    pub nulls: NullOrder,
}

/// What happens to what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is an error.
    Refuse,
    /// `IF NOT EXISTS`: nothing is done.
    Keep,
    /// `OR REPLACE`.
    Replace,
}

/// A new table.
#[derive(Debug, Clone)]
pub struct CreateTable {
    /// Its name.
    pub name: Name,
    /// What happens to a table of that name.
    pub existing: Existing,
    /// Its columns; those of the query if there are none.
    pub columns: Vec<Column>,
    /// Names of the identifier columns.
    pub key: Vec<String>,
    /// How it is partitioned.
    pub partitioning: Vec<PartitionField>,
    /// How it is sorted.
    pub order: Vec<SortField>,
    /// Where it lies; chosen by the catalog if not given.
    pub location: Option<String>,
    /// Its properties, the comment among them.
    pub properties: BTreeMap<String, String>,
    /// Its first rows.
    pub query: Option<Box<Query>>,
}

/// A new view.
#[derive(Debug, Clone)]
pub struct CreateView {
    /// Its name.
    pub name: Name,
    /// What happens to a view of that name.
    pub existing: Existing,
    /// Names and comments of its columns; those of the query if there are none.
    pub columns: Vec<(String, Option<String>)>,
    /// Its properties, the comment among them.
    pub properties: BTreeMap<String, String>,
    /// The query.
    pub query: Box<Query>,
}

/// One change of a table's shape.
#[derive(Debug, Clone, PartialEq)]
pub enum AlterTable {
    /// `ADD COLUMN`.
    AddColumn {
        /// The path of the struct it joins; empty for the table itself.
        parent: Vec<String>,
        /// The column.
        column: Column,
        /// Where it stands; last if not given.
        position: Option<Position>,
        /// One that is there already is no error.
        if_not_exists: bool,
    },
    /// `DROP COLUMN`.
    DropColumn {
        /// The column's path.
        column: Vec<String>,
        /// One that is not there is no error.
        if_exists: bool,
    },
    /// `RENAME COLUMN`.
    RenameColumn {
        /// The column's path.
        column: Vec<String>,
        /// Its new name.
        to: String,
    },
    /// `ALTER COLUMN … TYPE`.
    Widen {
        /// The column's path.
        column: Vec<String>,
        /// The wider type.
        to: Type,
    },
    /// `ALTER COLUMN … SET NOT NULL` or `DROP NOT NULL`.
    Nullable {
        /// The column's path.
        column: Vec<String>,
        /// Whether it may be null.
        nullable: bool,
    },
    /// `ALTER COLUMN … SET DEFAULT` or `DROP DEFAULT`: of rows that are written from now on.
    SetDefault {
        /// The column's path.
        column: Vec<String>,
        /// The literal, as it is written, without quotes; `None` for no default.
        value: Option<String>,
    },
    /// `ALTER COLUMN … COMMENT`.
    CommentColumn {
        /// The column's path.
        column: Vec<String>,
        /// The comment; `None` removes it.
        text: Option<String>,
    },
    /// `ALTER COLUMN … FIRST` or `AFTER`.
    Move {
        /// The column's path.
        column: Vec<String>,
        /// Where it goes.
        position: Position,
    },
    /// `SET IDENTIFIER FIELDS`.
    SetKey {
        /// Names of the identifier columns.
        columns: Vec<String>,
    },
    /// `DROP IDENTIFIER FIELDS`.
    DropKey {
        /// Names of those that are no longer identifier columns.
        columns: Vec<String>,
    },
    /// `ADD PARTITION FIELD`.
    AddPartition(PartitionField),
    /// `DROP PARTITION FIELD`, by its name or by what it is made of.
    DropPartition(PartitionRef),
    /// `REPLACE PARTITION FIELD … WITH`.
    ReplacePartition(PartitionRef, PartitionField),
    /// `WRITE ORDERED BY`; empty for `WRITE UNORDERED`.
    Order(Vec<SortField>),
    /// `SET TBLPROPERTIES` and `UNSET TBLPROPERTIES`.
    Properties(BTreeMap<String, Option<String>>),
    /// `CREATE [OR REPLACE] BRANCH` and `TAG`.
    CreateRef {
        /// A branch or a tag.
        kind: RefKind,
        /// Its name.
        name: String,
        /// What happens to one of that name.
        existing: Existing,
        /// The snapshot it begins at; the newest if not given.
        snapshot: Option<i64>,
        /// How long it is kept.
        max_age_ms: Option<i64>,
        /// How many of a branch's snapshots are kept at least.
        snapshots_min: Option<i32>,
        /// How long a branch's snapshots are kept.
        snapshot_age_ms: Option<i64>,
    },
    /// `DROP BRANCH` and `DROP TAG`.
    DropRef {
        /// A branch or a tag.
        kind: RefKind,
        /// Its name.
        name: String,
        /// One that is not there is no error.
        if_exists: bool,
    },
}

/// Which partition field.
#[derive(Debug, Clone, PartialEq)]
pub enum PartitionRef {
    /// By its name, or by the column of an identity transform.
    Name(String),
    /// By what it is made of.
    Made(PartitionField),
}

/// A named snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// It moves with commits.
    Branch,
    /// It stays.
    Tag,
}

/// Where a column stands among its siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Before all others.
    First,
    /// After this one.
    After(String),
}

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

/// A procedure with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Its name, without `system`.
    pub procedure: String,
    /// Arguments without a name, in order.
    pub positional: Vec<Expr>,
    /// Arguments by name.
    pub named: BTreeMap<String, Expr>,
}

/// A name as it is written.
///
/// # Errors
/// [`crate::EngineError::Query`] for what is none.
pub fn name(text: &str) -> Result<Name> {
    grammar::name(text)
}

/// Parses one statement.
///
/// # Errors
/// [`crate::EngineError::Query`] with the line and column where the text stops making sense.
pub fn parse(sql: &str) -> Result<Sql> {
    reading(sql.len(), || grammar::parse(sql))
}
