//! What was answered, in the order of the commits, and the replay that tells what every snapshot must hold.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::lake::Done;
use crate::Committed;

/// Rows with how often each is there.
pub(super) type Rows = BTreeMap<(i64, i64), u64>;

/// What a commit did to the rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Effect {
    pub(super) gone: Vec<(i64, i64)>,
    pub(super) came: Vec<(i64, i64)>,
}

impl Effect {
    pub(super) fn added(came: Vec<(i64, i64)>) -> Self {
        Self::changed(Vec::new(), came)
    }

    pub(super) fn changed(gone: Vec<(i64, i64)>, came: Vec<(i64, i64)>) -> Self {
        Self { gone, came }
    }
}

/// Commits, each behind the one that it followed, and what readers saw.
#[derive(Debug, Default)]
pub(super) struct History {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the snapshot before them.
    commits: BTreeMap<Option<i64>, Commit>,
    reads: Vec<(i64, Rows)>,
}

#[derive(Debug)]
struct Commit {
    snapshot_id: i64,
    sequence: i64,
    effect: Effect,
}

impl History {
    /// Notes a commit that was answered.
    pub(super) fn note(&self, done: &Done) {
        if let Some(committed) = &done.committed {
            self.commit(committed, done.effect.clone());
        }
    }

    /// Notes a commit with what it did to the rows.
    pub(super) fn commit(&self, committed: &Committed, effect: Effect) {
        let snapshot = committed.table.metadata.snapshot_by_id(committed.snapshot_id);
        let snapshot = snapshot.expect("the answer holds its snapshot");
        let parent = snapshot.parent_snapshot_id();
        let commit = Commit {
            snapshot_id: committed.snapshot_id,
            sequence: snapshot.sequence_number(),
            effect,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.commits.insert(parent, commit);
        assert!(before.is_none(), "two commits behind {parent:?}");
    }

    /// Notes what a reader found in a snapshot.
    pub(super) fn read(&self, snapshot_id: i64, rows: Rows) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.reads.push((snapshot_id, rows));
    }

    pub(super) fn reads(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).reads.len()
    }

    /// Does all commits again, one after the other; the rows after the last. Each must find the rows that it took away, and each
    /// reader must have seen what its snapshot holds.
    pub(super) fn replay(&self) -> Result<Rows, String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Rows::new();
        let (mut seen, mut number, mut parent) = (0, 0, None);
        while let Some(commit) = state.commits.get(&parent) {
            let Commit {
                snapshot_id,
                sequence,
                effect,
            } = commit;
            number += 1;
            parent = Some(*snapshot_id);
            // Format 1 has none.
            if *sequence != 0 && *sequence != number {
                return Err(format!("commit {number} has the sequence number {sequence}"));
            }
            for row in &effect.gone {
                match rows.get_mut(row) {
                    Some(1) => drop(rows.remove(row)),
                    Some(count) => *count -= 1,
                    None => return Err(format!("commit {number} took {row:?}, which was not there")),
                }
            }
            for row in &effect.came {
                *rows.entry(*row).or_default() += 1;
            }
            for (_, read) in state.reads.iter().filter(|(read, _)| read == snapshot_id) {
                if *read != rows {
                    return Err(format!("a reader of commit {number} saw {read:?}, not {rows:?}"));
                }
                seen += 1;
            }
        }
        if usize::try_from(number).ok() != Some(state.commits.len()) {
            return Err(format!("no writer was told of commit {}", number + 1));
        }
        match seen == state.reads.len() {
            true => Ok(rows),
            false => Err(format!("{} reads were of no commit", state.reads.len() - seen)),
        }
    }
}
