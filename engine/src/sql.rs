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
mod rows;
mod shape;
#[cfg(test)]
mod tests;
mod together;
mod types;

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{Expr, Query};

use crate::error::Result;
use crate::planning::reading;
pub(crate) use create::{default_literal, transform};
pub(crate) use grammar::literal;
pub use names::Name;
pub(crate) use names::{BRANCH, in_dialect, quoted};
pub use rows::{Action, Clause, ConflictUpdate, Insert, Merge, OnConflict, Overwrite, RowTarget, Source, When};
pub use shape::{
    AlterTable, Column, CreateTable, CreateView, Existing, PartitionField, PartitionRef, Position, RefKind, SortField,
};
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
        /// Whether it is written as `COMMENT ON`, by which it is called.
        is_comment: bool,
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
            Self::SetProperties { is_comment: true, .. } | Self::CommentColumn { .. } => "COMMENT",
            Self::Rename { what, .. } | Self::SetProperties { what, .. } => match what {
                Object::Table => "ALTER TABLE",
                Object::View => "ALTER VIEW",
                Object::Schema => "ALTER SCHEMA",
            },
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
