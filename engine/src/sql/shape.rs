//! What statements say of the shape of tables and views.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::Query;
use tidewater_table::iceberg::spec::{Literal, NullOrder, SortDirection, Transform, Type};

use super::Name;

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
