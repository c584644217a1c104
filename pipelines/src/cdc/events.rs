//! SQL over the change log: one row a change, then the newest of each key.

use std::collections::BTreeSet;

use crate::sql::{literal, quoted};

use super::merge::hidden;
use super::shape::{Column, Shape};

/// Marks a change that removes its row.
pub(super) const DELETED: &str = "__deleted";
/// Marks a change after which the source has the row no longer, nor any value of it.
const WIPED: &str = "__wiped";
/// Marks a change of which it cannot be told whether it removes its row.
pub(super) const UNDECIDED: &str = "__undecided";
/// Marks the side of a join that comes from the change log.
pub(super) const PRESENT: &str = "__present";
const RANK: &str = "__rank";

/// Where a run finds its inputs in the session.
pub(super) const CHANGES: &str = "tidewater_run.changes";
pub(super) const LOG: &str = "tidewater_run.log";
pub(super) const STORED: &str = "tidewater_run.stored";
pub(super) const KNOWN: &str = "tidewater_run.known";
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
    /// Whether the older changes of rows that come back are read too.
    pub(super) reread: bool,
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

    /// One row a change of `log`: the model's columns, the sequence, what it sets, and whether it removes the row.
    fn changes(&self, log: &str) -> String {
        let shape = self.shape;
        let mut items = self.stored_items();
        let wiped = wiped(shape);
        for (at, column) in self.carried_columns() {
            let set = match self.left_out(&column.fields) {
                Some(left_out) => format!("NOT {left_out}"),
                None => "true".into(),
            };
            items.push(format!("({wiped} OR {set}) AS {}", quoted(&set_name(at))));
        }
        items.push(format!("{wiped} AS {}", quoted(WIPED)));
        items.push(format!("{} AS {}", deleted(shape), quoted(DELETED)));
        items.push(format!("{} AS {}", self.undecided(), quoted(UNDECIDED)));
        format!(
            "SELECT {} FROM {log} AS {} WHERE {}",
            items.join(", "),
            shape.relation,
            counts_as_change(shape)
        )
    }

    /// Columns of [`Self::changes`], but for the marks that a tombstone changes.
    pub(super) fn change_columns(&self) -> impl Iterator<Item = String> {
        let columns = self.shape.columns.iter().map(|column| column.name.clone());
        let sets = self.carried_columns().map(|(at, _)| set_name(at));
        columns.chain(hidden(self)).chain(sets).chain([WIPED.to_owned()])
    }

    /// Whether a change left out one of these fields; none if it cannot have.
    pub(super) fn left_out(&self, fields: &BTreeSet<String>) -> Option<String> {
        if !self.with_unavailable || fields.is_empty() {
            return None;
        }
        let named: Vec<String> = fields
            .iter()
            .map(|field| format!("array_has(_unavailable, {})", literal(field)))
            .collect();
        Some(format!("coalesce(({}), false)", named.join(" OR ")))
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

    /// Changes of `log` with a key and after the last truncate, as far as `more` holds too.
    pub(super) fn counted(&self, log: &str, more: Option<String>) -> String {
        let mut conditions: Vec<String> = self
            .key
            .iter()
            .map(|key| format!("\"e\".{} IS NOT NULL", quoted(key)))
            .collect();
        conditions.extend(self.after_truncate(|s| format!("\"e\".{}", quoted(&s.name))));
        conditions.extend(more);
        format!(
            "SELECT \"e\".* FROM ({}) AS \"e\" WHERE {}",
            self.changes(log),
            conditions.join(" AND ")
        )
    }

    /// Changes that still count: also after the key's last known delete, unless rows may be hidden.
    fn counting(&self) -> String {
        if self.shape.hides() {
            return self.shown();
        }
        // The delete that a tombstone tells of counts again: where the table was rolled back, its row is there again.
        let passed = format!(
            "({} OR (NOT \"e\".{} AND {}))",
            newer(self.sequence, "\"t\"", "\"e\"", false),
            quoted(DELETED),
            newer(self.sequence, "\"t\"", "\"e\"", true)
        );
        self.counted(CHANGES, self.unless_buried(&passed))
    }

    /// No tombstone of the same key fulfils the condition.
    fn unless_buried(&self, condition: &str) -> Option<String> {
        self.with_tombstones.then(|| {
            format!(
                "NOT EXISTS (SELECT 1 FROM {TOMBSTONES} AS \"t\" WHERE {} AND {condition})",
                self.same_key("\"t\"", "\"e\"")
            )
        })
    }

    /// Whether rows of two relations have the same key.
    pub(super) fn same_key(&self, left: &str, right: &str) -> String {
        let same: Vec<String> = self
            .key
            .iter()
            .map(|key| format!("{left}.{0} = {right}.{0}", quoted(key)))
            .collect();
        same.join(" AND ")
    }

    /// One row a key: its newest change and, for columns that may be left out, the newest value there is.
    pub(super) fn newest(&self) -> String {
        self.newest_in(&self.counting())
    }

    /// The same of these changes.
    pub(super) fn newest_in(&self, changes: &str) -> String {
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
                quoted(WIPED),
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
            "SELECT *, true AS \"{PRESENT}\" FROM (SELECT *, {} FROM ({changes}) AS \"c\") AS \"r\" WHERE \"{RANK}\" = 1",
            items.join(", "),
        )
    }

    /// Key and sequence of the newest delete of each key, unless a tombstone tells of it or of a newer one.
    pub(super) fn deletes(&self) -> String {
        let known = newer(self.sequence, "\"t\"", "\"e\"", true);
        self.newest_of(&format!(
            "SELECT * FROM ({}) AS \"c\" WHERE {}",
            self.counted(CHANGES, self.unless_buried(&known)),
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
        count(&counts_as_truncate(shape)),
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
        "SELECT {} FROM {CHANGES} AS {} WHERE {} ORDER BY {} LIMIT 1",
        columns.join(", "),
        shape.relation,
        counts_as_truncate(shape),
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

/// A truncate counts unless the model leaves it out: a condition that cannot tell does not.
fn counts_as_truncate(shape: &Shape) -> String {
    match &shape.truncate_filter {
        Some(filter) => format!("(op = 't' AND coalesce(({filter}), true))"),
        None => "op = 't'".into(),
    }
}

/// Whether a change removes its row: it says so, or the row after it is not one the model keeps.
fn deleted(shape: &Shape) -> String {
    let deleted = format!("coalesce(({}), false)", shape.delete_when.sql);
    let kept: Vec<&str> = shape
        .row_filter
        .iter()
        .map(|condition| condition.sql.as_str())
        .collect();
    match kept.is_empty() {
        true => deleted,
        false => format!("({deleted} OR NOT coalesce(({}), false))", kept.join(" AND ")),
    }
}

/// Whether a change removes its row because the source has it no longer.
pub(super) fn wiped(shape: &Shape) -> String {
    format!(
        "(coalesce(({}), false) AND coalesce(({}), false))",
        shape.gone, shape.delete_when.sql
    )
}

/// Helper column: whether the change sets column number `at`.
pub(super) fn set_name(at: usize) -> String {
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
