//! SQL over the change log: one row a change, then the newest of each key.

use std::collections::BTreeSet;

use crate::sql::{literal, quoted};

use super::shape::{Column, Shape};

/// Marks a change that removes its row.
pub(super) const DELETED: &str = "__deleted";
/// Marks the side of a join that comes from the change log.
pub(super) const PRESENT: &str = "__present";
const RANK: &str = "__rank";

/// Where a run finds its inputs in the session.
pub(super) const CHANGES: &str = "tidewater_run.changes";
pub(super) const STORED: &str = "tidewater_run.stored";
pub(super) const TOMBSTONES: &str = "tidewater_run.tombstones";

/// One sequence column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Its hidden name in the table.
    pub(super) name: String,
    /// Its expression over the change log: a long, -1 where there is none.
    pub(super) sql: String,
}

impl Sequence {
    /// `source.lsn` is stored as `_lsn`.
    pub(super) fn of(path: &str) -> Self {
        let last = path.rsplit('.').next().unwrap_or(path).trim_matches('"');
        let name = if last.starts_with('_') {
            last.to_owned()
        } else {
            format!("_{last}")
        };
        Self {
            name,
            sql: format!("coalesce(arrow_cast({path}, 'Int64'), -1)"),
        }
    }
}

/// What one run's SQL is made of.
#[derive(Debug, Clone)]
pub(super) struct Events<'a> {
    pub(super) shape: &'a Shape,
    pub(super) key: &'a [String],
    pub(super) sequence: &'a [Sequence],
    /// Whether the change log tells the partition of a change.
    pub(super) with_partition: bool,
    /// Columns that a change may have left out, now or ever.
    pub(super) carried: &'a BTreeSet<String>,
    /// The sequence of the newest truncate: changes that are not newer are removed by it.
    pub(super) truncated: Option<&'a [i64]>,
    /// Whether there are tombstones to heed.
    pub(super) with_tombstones: bool,
    /// Whether the change log lists left-out fields.
    pub(super) with_unavailable: bool,
}

impl Events<'_> {
    /// Columns of the model that are not key.
    pub(super) fn values(&self) -> impl Iterator<Item = &Column> {
        self.shape
            .columns
            .iter()
            .filter(|column| !self.key.contains(&column.name))
    }

    /// What a change stores of itself: the model's columns, the sequence, and the partition where it is told.
    fn stored_items(&self) -> Vec<String> {
        let mut items: Vec<String> = self
            .shape
            .columns
            .iter()
            .map(|column| format!("{} AS {}", column.sql, quoted(&column.name)))
            .collect();
        items.extend(
            self.sequence
                .iter()
                .map(|sequence| format!("{} AS {}", sequence.sql, quoted(&sequence.name))),
        );
        if self.with_partition {
            items.push("_kafka_partition AS \"_kafka_partition\"".into());
        }
        items
    }

    /// One row a change: the model's columns, the sequence, and whether it removes the row.
    fn changes(&self) -> String {
        let shape = self.shape;
        let mut items = self.stored_items();
        let deleted = deleted(shape);
        for (at, column) in self.carried_columns() {
            let missing: Vec<String> = column
                .fields
                .iter()
                .map(|field| format!("array_has(_unavailable, {})", literal(field)))
                .collect();
            let set = match (self.with_unavailable, missing.is_empty()) {
                (true, false) => format!("coalesce(NOT ({}), true)", missing.join(" OR ")),
                _ => "true".into(),
            };
            items.push(format!("({deleted} OR {set}) AS {}", quoted(&set_name(at))));
        }
        items.push(format!("{deleted} AS {}", quoted(DELETED)));
        format!(
            "SELECT {} FROM {CHANGES} AS {} WHERE {}",
            items.join(", "),
            shape.relation,
            counts_as_change(shape)
        )
    }

    /// The columns of the table, for their types.
    pub(super) fn table_columns(&self) -> String {
        let mut items = self.stored_items();
        for (_, column) in self.carried_columns() {
            let names = self
                .sequence
                .iter()
                .map(|sequence| sequence_of(&sequence.name, &column.name));
            items.extend(names.map(|name| format!("CAST(NULL AS BIGINT) AS {}", quoted(&name))));
        }
        format!("SELECT {} FROM {CHANGES} AS {}", items.join(", "), self.shape.relation)
    }

    /// Changes that still count: with a key, after the last truncate and after the key's last known delete.
    fn counting(&self) -> String {
        let mut conditions: Vec<String> = self
            .key
            .iter()
            .map(|key| format!("\"e\".{} IS NOT NULL", quoted(key)))
            .collect();
        conditions.extend(self.after_truncate(|s| format!("\"e\".{}", quoted(&s.name))));
        if self.with_tombstones {
            let same: Vec<String> = self
                .key
                .iter()
                .map(|key| format!("\"t\".{0} = \"e\".{0}", quoted(key)))
                .collect();
            let not_newer = newer(self.sequence, "\"t\"", "\"e\"", true);
            conditions.push(format!(
                "NOT EXISTS (SELECT 1 FROM {TOMBSTONES} AS \"t\" WHERE {} AND {not_newer})",
                same.join(" AND ")
            ));
        }
        format!(
            "SELECT \"e\".* FROM ({}) AS \"e\" WHERE {}",
            self.changes(),
            conditions.join(" AND ")
        )
    }

    /// One row a key: its newest change and, for columns that may be left out, the newest value there is.
    pub(super) fn newest(&self) -> String {
        let key: Vec<String> = self.key.iter().map(|key| quoted(key)).collect();
        let key = key.join(", ");
        let mut items = vec![format!(
            "row_number() OVER (PARTITION BY {key} ORDER BY {}) AS \"{RANK}\"",
            ordered(self.sequence, " DESC")
        )];
        let newest_first = ordered(self.sequence, " DESC");
        for (at, column) in self.carried_columns() {
            let mut parts = vec![format!(
                "'v', CASE WHEN NOT {} THEN {} END",
                quoted(DELETED),
                quoted(&column.name)
            )];
            parts.extend(
                self.sequence
                    .iter()
                    .map(|s| format!("{}, {}", literal(&s.name), quoted(&s.name))),
            );
            items.push(format!(
                // Not `last_value(…) IGNORE NULLS`: a plan that goes to executors loses that flag on its way.
                "first_value(CASE WHEN {0} THEN named_struct({1}) END) OVER (PARTITION BY {key} ORDER BY {0} DESC, \
                 {newest_first} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS {2}",
                quoted(&set_name(at)),
                parts.join(", "),
                quoted(&value_name(at))
            ));
        }
        format!(
            "SELECT *, true AS \"{PRESENT}\" FROM (SELECT *, {} FROM ({}) AS \"c\") AS \"r\" WHERE \"{RANK}\" = 1",
            items.join(", "),
            self.counting()
        )
    }

    /// Key and sequence of the newest delete of each key.
    pub(super) fn deletes(&self) -> String {
        self.newest_of(&format!(
            "SELECT * FROM ({}) AS \"c\" WHERE {}",
            self.counting(),
            quoted(DELETED)
        ))
    }

    /// Key and sequence of the newest row of each key.
    pub(super) fn newest_of(&self, rows: &str) -> String {
        let key: Vec<String> = self.key.iter().map(|key| quoted(key)).collect();
        let columns: Vec<String> = self
            .key
            .iter()
            .chain(self.sequence.iter().map(|s| &s.name))
            .map(|name| quoted(name))
            .collect();
        let columns = columns.join(", ");
        format!(
            "SELECT {columns} FROM (SELECT {columns}, row_number() OVER (PARTITION BY {} ORDER BY {}) AS \"{RANK}\" \
             FROM ({rows}) AS \"d\") AS \"r\" WHERE \"{RANK}\" = 1",
            key.join(", "),
            ordered(self.sequence, " DESC"),
        )
    }

    /// Every key that any change names.
    pub(super) fn keys(&self, limit: usize) -> String {
        let key: Vec<String> = self.key.iter().map(|key| quoted(key)).collect();
        format!(
            "SELECT DISTINCT {} FROM ({}) AS \"k\" LIMIT {limit}",
            key.join(", "),
            self.counting()
        )
    }

    /// Whether something of this sequence came after the newest truncate, if there was one.
    pub(super) fn after_truncate(&self, sequence: impl Fn(&Sequence) -> String) -> Option<String> {
        let truncated = self.truncated?.iter().map(ToString::to_string);
        let pairs: Vec<_> = self.sequence.iter().map(sequence).zip(truncated).collect();
        Some(greater(&pairs, false))
    }

    /// Columns that may be left out, with the number their helper columns go by.
    pub(super) fn carried_columns(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.values()
            .enumerate()
            .filter(|(_, column)| self.carried.contains(&column.name))
    }
}

/// What the new changes are, in one row: how many, how many remove a row, how many tell no key, how many are truncates, and
/// how many left fields out.
pub(super) fn look(shape: &Shape, key: &[String], with_unavailable: bool) -> String {
    let key = shape.columns.iter().filter(|column| key.contains(&column.name));
    let keyless: Vec<String> = key.map(|column| format!("({}) IS NULL", column.sql)).collect();
    let count = |condition: &str| format!("coalesce(sum(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)");
    let change = counts_as_change(shape);
    let left_out = if with_unavailable {
        count("cardinality(_unavailable) > 0")
    } else {
        "0".into()
    };
    format!(
        "SELECT {} AS changes, {} AS deletes, {} AS keyless, {} AS truncates, {left_out} AS left_out FROM {CHANGES} AS {}",
        count(&change),
        count(&format!("{change} AND {}", deleted(shape))),
        count(&format!("{change} AND ({})", keyless.join(" OR "))),
        count("op = 't'"),
        shape.relation,
    )
}

/// The sequence of the newest truncate.
pub(super) fn newest_truncate(shape: &Shape, sequence: &[Sequence]) -> String {
    let columns: Vec<String> = sequence
        .iter()
        .map(|s| format!("{} AS {}", s.sql, quoted(&s.name)))
        .collect();
    format!(
        "SELECT {} FROM {CHANGES} AS {} WHERE op = 't' ORDER BY {} LIMIT 1",
        columns.join(", "),
        shape.relation,
        ordered(sequence, " DESC")
    )
}

/// Truncates and messages are no changes of a row; others may be left out by the model.
fn counts_as_change(shape: &Shape) -> String {
    let change = "(op IS NULL OR op NOT IN ('t', 'm'))";
    match &shape.event_filter {
        Some(filter) => format!("({change} AND {filter})"),
        None => change.into(),
    }
}

/// Whether a change removes its row: it says so, or the row after it is not one the model keeps.
fn deleted(shape: &Shape) -> String {
    let deleted = format!("coalesce(({}), false)", shape.delete_when);
    match &shape.row_filter {
        Some(filter) => format!("({deleted} OR NOT coalesce(({filter}), false))"),
        None => deleted,
    }
}

/// Helper column: whether the change sets column number `at`.
fn set_name(at: usize) -> String {
    format!("__set_{at}")
}

/// Helper column: newest value of column number `at` with its sequence.
pub(super) fn value_name(at: usize) -> String {
    format!("__value_{at}")
}

/// Hidden column: the sequence the value of `column` is from.
pub(super) fn sequence_of(sequence: &str, column: &str) -> String {
    format!("{sequence}_of_{column}")
}

fn ordered(sequence: &[Sequence], direction: &str) -> String {
    let columns: Vec<String> = sequence
        .iter()
        .map(|s| format!("{}{direction}", quoted(&s.name)))
        .collect();
    columns.join(", ")
}

/// Whether the sequence of relation `left` is greater than that of `right`, or also if equal.
pub(super) fn newer(sequence: &[Sequence], left: &str, right: &str, or_equal: bool) -> String {
    let pairs: Vec<(String, String)> = sequence
        .iter()
        .map(|s| {
            (
                format!("{left}.{}", quoted(&s.name)),
                format!("{right}.{}", quoted(&s.name)),
            )
        })
        .collect();
    greater(&pairs, or_equal)
}

/// Lexicographic comparison of pairs of expressions.
pub(super) fn greater(pairs: &[(String, String)], or_equal: bool) -> String {
    match pairs.split_first() {
        None => or_equal.to_string(),
        Some(((left, right), [])) => format!("{left} {} {right}", if or_equal { ">=" } else { ">" }),
        Some(((left, right), rest)) => {
            format!(
                "({left} > {right} OR ({left} = {right} AND {}))",
                greater(rest, or_equal)
            )
        }
    }
}
