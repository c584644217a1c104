//! Models whose filter or `delete_when` hides rows that the source has.
//!
//! A hidden row is stored nowhere, and may come back by a change that leaves out what did not change. So its tombstone keeps it from
//! being shown by late changes and takes no value away from it, and where a row comes back without all of its values, older changes of
//! its key are read from the whole log. What the log does not have any more is null.

use crate::sql::quoted;

use super::events::{CHANGES, DELETED, Events, KNOWN, LOG, TOMBSTONES, UNDECIDED, newer, set_name, wiped};

/// The counts of [`Events::doubts`].
pub(super) const UNDECIDED_COUNT: &str = "undecided_keys";
pub(super) const RETURNING_COUNT: &str = "returning_keys";
/// Marks a change whose key has a tombstone.
const BURIED: &str = "__buried";

impl Events<'_> {
    /// Whether the change left out what decides if its row stays, and nothing else decides it.
    pub(super) fn undecided(&self) -> String {
        let delete_when = &self.shape.delete_when;
        let mut open = Vec::new();
        let mut parts = vec![format!("NOT {}", wiped(self.shape))];
        let removes = format!("coalesce(({}), false)", delete_when.sql);
        parts.push(match self.left_out(&delete_when.fields) {
            Some(left_out) => {
                let part = format!("({left_out} OR NOT {removes})");
                open.push(left_out);
                part
            }
            None => format!("NOT {removes}"),
        });
        for condition in &self.shape.row_filter {
            let keeps = format!("coalesce({}, false)", condition.sql);
            parts.push(match self.left_out(&condition.fields) {
                Some(left_out) => {
                    let part = format!("({left_out} OR {keeps})");
                    open.push(left_out);
                    part
                }
                None => keeps,
            });
        }
        match open.is_empty() {
            true => "false".into(),
            false => format!("({} AND ({}))", parts.join(" AND "), open.join(" OR ")),
        }
    }

    /// All changes that count, with the older ones of rows that come back if those are read. One that is not newer than the key's
    /// tombstone shows no row, but what it sets may be the newest there is.
    pub(super) fn shown(&self) -> String {
        let new = self.counted(CHANGES, None);
        match self.reread {
            true => self.after_tombstones(&format!("{new} UNION ALL {}", self.older())),
            false => self.after_tombstones(&new),
        }
    }

    fn after_tombstones(&self, changes: &str) -> String {
        if !self.with_tombstones {
            return changes.to_owned();
        }
        let columns: Vec<String> = self
            .change_columns()
            .map(|name| format!("\"c\".{0} AS {0}", quoted(&name)))
            .collect();
        let late = format!("coalesce({}, false)", newer(self.sequence, "\"t\"", "\"c\"", true));
        format!(
            "SELECT {columns}, (\"c\".{deleted} OR {late}) AS {deleted}, (\"c\".{undecided} AND NOT {late}) AS {undecided}, \
             NOT ({none}) AS \"{BURIED}\" FROM ({changes}) AS \"c\" LEFT JOIN ({newest}) AS \"t\" ON {same}",
            columns = columns.join(", "),
            deleted = quoted(DELETED),
            undecided = quoted(UNDECIDED),
            none = self.is_absent("t"),
            newest = self.newest_of(&format!("SELECT * FROM {TOMBSTONES}")),
            same = self.same_key("\"t\"", "\"c\""),
        )
    }

    /// Of the whole log, the changes of rows that come back.
    fn older(&self) -> String {
        let key: Vec<String> = self
            .key
            .iter()
            .map(|key| format!("\"n\".{0} AS {0}", quoted(key)))
            .collect();
        format!(
            "SELECT \"l\".* FROM ({}) AS \"l\" WHERE EXISTS (SELECT 1 FROM (SELECT {} FROM {} WHERE {}) AS \"b\" WHERE {})",
            self.counted(LOG, None),
            key.join(", "),
            self.beside_known(),
            self.returns(),
            self.same_key("\"b\"", "\"l\"")
        )
    }

    /// The newest of the new changes of each key as `n`, beside the stored row as `o`.
    fn beside_known(&self) -> String {
        let columns: Vec<String> = self
            .key
            .iter()
            .chain(self.sequence.iter().map(|s| &s.name))
            .map(|name| quoted(name))
            .collect();
        let left = self.after_truncate(|s| quoted(&s.name));
        format!(
            "({}) AS \"n\" LEFT JOIN (SELECT {} FROM {KNOWN} WHERE {}) AS \"o\" ON {}",
            self.newest_in(&self.after_tombstones(&self.counted(CHANGES, None))),
            columns.join(", "),
            left.unwrap_or_else(|| "true".into()),
            self.same_key("\"o\"", "\"n\"")
        )
    }

    /// The outer side of a join has no row of the key.
    fn is_absent(&self, relation: &str) -> String {
        let first_key = self.key.first().map(|key| quoted(key)).unwrap_or_default();
        format!("{}.{first_key} IS NULL", quoted(relation))
    }

    /// The newest change shows a row that is not stored, and leaves something out. What has no tombstone either is new, or was
    /// truncated: nothing older of it counts.
    fn returns(&self) -> String {
        let unset: Vec<String> = self
            .carried_columns()
            .map(|(at, _)| format!("NOT \"n\".{}", quoted(&set_name(at))))
            .collect();
        match unset.is_empty() || !self.with_tombstones {
            true => "false".into(),
            false => format!(
                "(NOT \"n\".{} AND \"n\".\"{BURIED}\" AND {} AND ({}))",
                quoted(DELETED),
                self.is_absent("o"),
                unset.join(" OR ")
            ),
        }
    }

    /// In one row, how many keys' newest changes leave it undecided whether the row stays, and how many rows come back without all
    /// of their values. Without stored rows the changes are all there is, and none comes back.
    pub(super) fn doubts(&self, stored: bool) -> String {
        let count = |condition: &str| format!("coalesce(sum(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)");
        let undecided = format!("\"n\".{}", quoted(UNDECIDED));
        if !stored {
            let newest = self.newest_in(&self.counted(CHANGES, None));
            return format!(
                "SELECT {} AS {UNDECIDED_COUNT}, 0 AS {RETURNING_COUNT} FROM ({newest}) AS \"n\"",
                count(&undecided)
            );
        }
        let unknown = format!(
            "{undecided} AND ({} OR {})",
            self.is_absent("o"),
            newer(self.sequence, "\"n\"", "\"o\"", false)
        );
        format!(
            "SELECT {} AS {UNDECIDED_COUNT}, {} AS {RETURNING_COUNT} FROM {}",
            count(&unknown),
            count(&self.returns()),
            self.beside_known()
        )
    }
}
