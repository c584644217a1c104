//! The rows that a statement is about, where they might be others each time that they are asked for: one query asks for them with all
//! that becomes of them, what it answers is written down, and the statement's other queries read that.

use super::super::{ROWS_CATALOG, ROWS_SCHEMA};
use super::{RowSql, TARGET, has_query, quoted};
use crate::provider::{FILE, POSITION};

/// What was written down.
pub(in crate::statement) const ONCE: &str = "once";

/// Its columns beside those of the table; nobody writes such names.
const ONCE_FILE: &str = "\u{1}file";
const ONCE_POSITION: &str = "\u{1}pos";
const ONCE_FATE: &str = "\u{1}fate";
/// How many rows of the source have the row's key.
const ONCE_TIMES: &str = "\u{1}times";

impl RowSql<'_> {
    /// The same for a statement whose rows are written down.
    pub(in crate::statement) fn reading_once(&self) -> Self {
        Self {
            is_written_down: true,
            ..self.clone()
        }
    }

    /// Whether it writes rows, and does not only delete them.
    pub(in crate::statement) fn writes_rows(&self) -> bool {
        self.merge.clauses.iter().any(Self::writes)
    }

    /// Whether a condition of a clause asks a query. It stands in several places of [`Self::once`], and is answered in each.
    pub(in crate::statement) fn asks_in_clauses(&self) -> bool {
        let mut conditions = self.merge.clauses.iter().filter_map(|clause| clause.condition.as_ref());
        conditions.any(has_query)
    }

    /// The rows of table and source that meet, without a look at the conditions of clauses.
    pub(in crate::statement) fn met(&self) -> String {
        format!("SELECT count(*) {}", self.joined(TARGET, true))
    }

    /// File, position and fate of each row that has a fate, and what it becomes.
    pub(in crate::statement) fn once(&self) -> String {
        let table = quoted(&self.table);
        let (mut counted, mut times) = (String::new(), String::new());
        if let (Some(key), Some(source)) = (self.source_key(), &self.source) {
            let name = quoted(ONCE_TIMES);
            counted = format!(", count(*) OVER (PARTITION BY {key}) AS {name}");
            times = format!(", {}.{name} AS {name}", quoted(source));
        }
        let columns = match self.writes_rows() {
            true => format!(", {}", self.columns(true, false)),
            false => String::new(),
        };
        let fate = quoted(ONCE_FATE);
        format!(
            "SELECT * FROM (SELECT {table}.{} AS {}, {table}.{} AS {}, {} AS {fate}{times}{columns} {}) WHERE {fate} IS NOT NULL",
            quoted(FILE),
            quoted(ONCE_FILE),
            quoted(POSITION),
            quoted(ONCE_POSITION),
            self.fate(true),
            self.joined_with(TARGET, true, &counted),
        )
    }

    /// What [`RowSql::duplicates`] asks for, of the rows that have a fate.
    pub(super) fn repeated_keys() -> String {
        let times = quoted(ONCE_TIMES);
        format!("SELECT {times} FROM {ROWS_CATALOG}.{ROWS_SCHEMA}.{ONCE} WHERE {times} > 1 LIMIT 1")
    }

    pub(super) fn fates_once() -> String {
        format!(
            "SELECT {} AS \"file\", {} AS \"pos\", {} AS \"fate\" FROM {ROWS_CATALOG}.{ROWS_SCHEMA}.{ONCE}",
            quoted(ONCE_FILE),
            quoted(ONCE_POSITION),
            quoted(ONCE_FATE),
        )
    }

    pub(super) fn written_once(&self, keep: bool) -> String {
        let changed = self.writers().map(|writers| {
            let columns = self.schema.fields().iter().map(|field| quoted(field.name()));
            let columns: Vec<String> = columns.collect();
            format!(
                "SELECT {} FROM {ROWS_CATALOG}.{ROWS_SCHEMA}.{ONCE} WHERE {} IN ({writers})",
                columns.join(", "),
                quoted(ONCE_FATE),
            )
        });
        match (changed, keep) {
            (Some(changed), true) => format!("{changed} UNION ALL {}", self.kept()),
            (Some(changed), false) => changed,
            // What is only deleted leaves rows to be written in the files that are written anew, and nowhere else.
            (None, _) => self.kept(),
        }
    }
}
