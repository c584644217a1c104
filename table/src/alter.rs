//! Changes of a table's form: columns, partitions, order, properties and format version. No file is rewritten.

mod columns;
mod draft;
mod partitions;

use std::collections::HashMap;
use std::fmt;

use iceberg::spec::{FormatVersion, Literal, NullOrder, PrimitiveType, SortDirection, Transform, Type};

pub use self::columns::check_default;
use self::draft::Draft;
pub use self::partitions::{check_partition_fields, usual_name};
use crate::catalog::{Catalog, CommitOutcome, LoadedTable};
use crate::commit::backoff;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use tidewater_core::TableName;

/// Such changes are rare: whoever loses this many races has met a defect.
const ATTEMPTS_MAX: u32 = 10;

/// A column by its name, or by the names that lead to it: fields of structs, `element` of a list, `key` and `value` of a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnPath(Vec<String>);

impl ColumnPath {
    /// Of these names, outermost first.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// The names, outermost first.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    fn split(&self) -> Option<(&String, &[String])> {
        self.0.split_last()
    }
}

impl From<&str> for ColumnPath {
    /// Dots separate the names.
    fn from(text: &str) -> Self {
        Self::new(text.split('.'))
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Where among its siblings a column stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Before all others.
    First,
    /// Right before this sibling.
    Before(String),
    /// Right after this sibling.
    After(String),
}

/// A column to be added.
#[derive(Debug, Clone)]
pub struct NewColumn {
    /// Where it goes: the last name is its own.
    pub path: ColumnPath,
    /// Its type; ids within are given anew.
    pub of: Type,
    /// Only with a default, and from format version 3 on: the rows that are there have no value.
    pub required: bool,
    /// Its comment.
    pub doc: Option<String>,
    /// What the rows that are there have, and later ones that say nothing. From format version 3 on.
    pub default: Option<Literal>,
    /// Behind all others if not given.
    pub position: Option<Position>,
}

impl NewColumn {
    /// An optional column behind all others.
    pub fn new(path: impl Into<ColumnPath>, of: Type) -> Self {
        Self {
            path: path.into(),
            of,
            required: false,
            doc: None,
            default: None,
            position: None,
        }
    }
}

/// A field to partition by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionBy {
    /// The column.
    pub path: ColumnPath,
    /// What is made of its values.
    pub transform: Transform,
    /// As other engines name it, if not given: `ts_day`, `id_bucket_16`.
    pub name: Option<String>,
}

/// A partition field that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionField {
    /// By its own name.
    Named(String),
    /// By what it is made of.
    Of(ColumnPath, Transform),
}

/// A column to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortBy {
    /// The column.
    pub path: ColumnPath,
    /// What is made of its values first.
    pub transform: Transform,
    /// Up or down.
    pub direction: SortDirection,
    /// Where nulls go.
    pub nulls: NullOrder,
}

/// One change of a table's form.
#[derive(Debug, Clone)]
pub enum Alteration {
    /// Adds a column.
    AddColumn(NewColumn),
    /// Drops a column. Its values stay in the files, but a later column of the same name does not get them.
    DropColumn(ColumnPath),
    /// Gives a column another name, in its place.
    RenameColumn(ColumnPath, String),
    /// Lets a column hold more: int to long, float to double, a decimal of more digits.
    WidenColumn(ColumnPath, PrimitiveType),
    /// Allows nulls, or forbids them if no row can have one.
    SetRequired(ColumnPath, bool),
    /// Sets or removes a column's comment.
    SetComment(ColumnPath, Option<String>),
    /// Sets or removes what later rows have that say nothing. From format version 3 on.
    SetDefault(ColumnPath, Option<Literal>),
    /// Moves a column among its siblings.
    MoveColumn(ColumnPath, Position),
    /// These columns together name a row; none: nothing does.
    SetIdentifierFields(Vec<ColumnPath>),
    /// Later files are partitioned by this as well.
    AddPartitionField(PartitionBy),
    /// Later files are no longer partitioned by this.
    DropPartitionField(PartitionField),
    /// One takes the place of another.
    ReplacePartitionField(PartitionField, PartitionBy),
    /// The order of rows in later files; empty: none.
    SetSortOrder(Vec<SortBy>),
    /// Sets properties; `format-version` upgrades.
    SetProperties(HashMap<String, String>),
    /// Removes properties; what is not there is no error.
    UnsetProperties(Vec<String>),
    /// To a later format version. There is no way back.
    UpgradeFormat(FormatVersion),
    /// Always refused: the files that are there would be lost to others.
    SetLocation(String),
}

/// Alters a table, all or nothing; planned again if others commit in between. Answers the table's newest state.
///
/// # Errors
/// [`TableError::Alteration`] and its like say what is not possible and what to do instead.
pub async fn alter_table(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    alterations: &[Alteration],
) -> Result<LoadedTable> {
    let mut unknown: Option<Draft> = None;
    for attempt in 0..ATTEMPTS_MAX {
        let table = catalog
            .load_table(name)
            .await?
            .ok_or_else(|| TableError::TableNotFound { table: name.clone() })?;
        // An attempt without an answer may be in the table: then the same change would be refused now.
        if unknown.as_ref().is_some_and(|draft| draft.is_in(&table.metadata)) {
            return Ok(table);
        }
        let mut draft = Draft::of(&table.metadata);
        for alteration in alterations {
            draft.apply(alteration)?;
        }
        draft.check(store).await?;
        let Some(commit) = draft.commit(name)? else {
            return Ok(table);
        };
        match catalog.commit(vec![commit]).await? {
            CommitOutcome::Committed(tables) => {
                return tables
                    .into_iter()
                    .next()
                    .ok_or_else(|| TableError::damaged("a commit answered no table"));
            }
            CommitOutcome::Conflict { message } => {
                tracing::debug!(table = %name, attempt, message, "an alteration lost its race");
            }
            CommitOutcome::Unknown { message } => {
                tracing::debug!(table = %name, attempt, message, "an alteration's outcome is unknown");
                unknown = Some(draft);
            }
        }
        store.clock().sleep(backoff(store, attempt)).await;
    }
    Err(match unknown {
        Some(_) => TableError::UnknownOutcome {
            table: name.clone(),
            reason: format!("no answer to {ATTEMPTS_MAX} attempts, and a late one may still be applied"),
        },
        None => TableError::Contention {
            table: name.clone(),
            attempts: ATTEMPTS_MAX,
        },
    })
}

fn refused(what: impl Into<String>, reason: impl Into<String>, advice: impl Into<String>) -> TableError {
    TableError::Alteration {
        what: what.into(),
        reason: reason.into(),
        advice: advice.into(),
    }
}

fn no_column(path: &ColumnPath) -> TableError {
    TableError::ColumnNotFound {
        column: path.to_string(),
    }
}

#[cfg(test)]
mod tests;
