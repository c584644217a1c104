//! The change feed: the last applied changes, with the log index as cursor.

use imbl::Vector;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tables::TableRow;
use super::{Shared, State};
use crate::command::{Ident, JobPhase};

/// How many changes are kept. A consumer further behind is told so and loads the state anew; at 100 changes a second this is nearly three minutes.
pub const CHANGES_MAX: usize = 16_384;

/// One applied change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The log entry. Several changes of one entry share it.
    pub index: u64,
    /// When, in the state's time.
    pub at_ms: i64,
    /// What.
    pub kind: ChangeKind,
}

/// The kinds of change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeKind {
    /// A namespace was made.
    NamespaceCreated {
        /// Its levels.
        namespace: Vec<String>,
    },
    /// Properties of a namespace changed.
    NamespaceUpdated {
        /// Its levels.
        namespace: Vec<String>,
    },
    /// A namespace was dropped.
    NamespaceDropped {
        /// Its levels.
        namespace: Vec<String>,
    },
    /// A table was made.
    TableCreated(TableRow),
    /// A table's pointer moved.
    TableUpdated(TableRow),
    /// A table has another name.
    TableRenamed {
        /// The old name.
        from: Ident,
        /// The table under its new name.
        table: TableRow,
    },
    /// A table was dropped; this is how it stood.
    TableDropped(TableRow),
    /// A view was made.
    ViewCreated(TableRow),
    /// A view's pointer moved.
    ViewUpdated(TableRow),
    /// A view has another name.
    ViewRenamed {
        /// The old name.
        from: Ident,
        /// The view under its new name.
        view: TableRow,
    },
    /// A view was dropped; this is how it stood.
    ViewDropped(TableRow),
    /// A job row was written.
    Job {
        /// The job.
        id: Uuid,
        /// How far it is.
        phase: JobPhase,
    },
}

/// Changes after a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePage {
    /// The changes; all of one entry or none of it.
    pub changes: Vec<Change>,
    /// The cursor for the next call.
    pub cursor: u64,
    /// Changes after the given cursor are no longer kept: load the state anew.
    pub lost: bool,
}

/// The kept changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Changes {
    kept: Vector<Shared<Change>>,
    /// The entry of the newest change that is no longer kept.
    forgotten: u64,
    /// The entry of the newest change.
    newest: u64,
}

impl Changes {
    /// Forgets everything up to `index`.
    pub(super) fn begin_anew(&mut self, index: u64) {
        *self = Self {
            kept: Vector::new(),
            forgotten: index,
            newest: index,
        };
    }
}

impl State {
    pub(super) fn record(&mut self, kind: ChangeKind) {
        let change = Change {
            index: self.index,
            at_ms: self.now_ms,
            kind,
        };
        self.changes.newest = self.index;
        self.changes.kept.push_back(Shared::new(change));
        while self.changes.kept.len() > CHANGES_MAX {
            if let Some(oldest) = self.changes.kept.pop_front() {
                self.changes.forgotten = oldest.index;
            }
        }
    }

    /// The log entry of the newest change.
    pub fn newest_change(&self) -> u64 {
        self.changes.newest
    }

    /// The changes of entries after `after`, about `limit` of them: an entry is never cut.
    pub fn changes_after(&self, after: u64, limit: usize) -> ChangePage {
        let kept = &self.changes.kept;
        let from = kept.binary_search_by(|change| {
            if change.index <= after {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Greater
            }
        });
        let from = from.unwrap_or_else(|at| at);
        let mut changes: Vec<Change> = Vec::new();
        for change in kept.iter().skip(from) {
            if changes.len() >= limit && changes.last().is_some_and(|last| last.index != change.index) {
                break;
            }
            changes.push((**change).clone());
        }
        ChangePage {
            cursor: changes
                .last()
                .map_or_else(|| after.max(self.changes.newest), |last| last.index),
            lost: after < self.changes.forgotten,
            changes,
        }
    }
}
