//! What one node of a group that lost its majority still holds, and a new group made out of it.
//!
//! This can lose writes: entries that a majority acknowledged without this node. And it can keep writes that nobody
//! acknowledged: entries at the end of this log that never reached a majority. Both are said before anything is done.
//! The node's old files are kept aside.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::data_dir::DataDir;
use super::error::ConsensusError;
use super::founding::{Founded, Founder, found};
use super::log_store;
use super::pressure::Pressure;
use super::snapshot_file::SnapshotFile;
use super::state_store::Machine;
use super::types::LogId;
use crate::owner_only;
use tidewater_core::{NodeId, Rng};

/// A place in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogPosition {
    /// The term of the leader that wrote the entry.
    pub term: u64,
    /// That leader.
    pub node: u64,
    /// The entry.
    pub index: u64,
}

impl From<Option<LogId>> for LogPosition {
    fn from(id: Option<LogId>) -> Self {
        id.map_or_else(Self::default, |id| Self {
            term: id.leader_id.term,
            node: id.leader_id.node_id,
            index: id.index,
        })
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (term {}, leader {})", self.index, self.term, self.node)
    }
}

/// A stopped node of a lost group, looked at. Its directory is held until this is dropped.
pub struct Survivor {
    dir: Arc<DataDir>,
    machine: Machine,
    /// The node.
    pub node: NodeId,
    /// The last entry in its log. Of several survivors, take the one where this is greatest: it has the most.
    pub last: LogPosition,
    /// The last entry that it knows to have been acknowledged by a majority. What comes after it in the log may have
    /// been acknowledged or not, and is kept.
    pub committed: LogPosition,
    /// The voters of the lost group, as far as this node knows.
    pub voters: Vec<NodeId>,
    /// Tables in its state.
    pub tables_count: usize,
}

impl Survivor {
    /// Reads the files of a stopped node. Changes nothing.
    ///
    /// # Errors
    /// If the node runs, or its files are damaged or not there.
    pub fn look(dir: PathBuf) -> Result<Self, ConsensusError> {
        let path = dir.clone();
        // redb panics on some damaged pages.
        let looked = std::panic::catch_unwind(move || Self::read(dir));
        looked.unwrap_or_else(|_| Err(ConsensusError::damaged(&path.join("log.redb"), "it cannot be read")))
    }

    fn read(path: PathBuf) -> Result<Self, ConsensusError> {
        let dir = Arc::new(DataDir::open(&path)?);
        let log = dir.log_path();
        let damaged = |e| ConsensusError::damaged(&log, e);
        let node = dir.known_node()?;
        let db = dir.open_existing(&log)?;
        let mut machine = SnapshotFile::open(Arc::clone(&dir))?
            .saved()
            .map(|machine| Machine::clone(&machine))
            .unwrap_or_default();
        let (entries, committed, purged) = log_store::read_all(&db).map_err(damaged)?;
        let kept = machine.applied.map_or(0, |id| id.index);
        if purged.is_some_and(|purged| purged.index > kept) {
            return Err(ConsensusError::damaged(
                &dir.snapshot_path(),
                "it is older than the log's beginning",
            ));
        }
        let pressure = Pressure::new(u64::MAX);
        for entry in entries {
            let expected = machine.applied.map_or(0, |id| id.index + 1);
            if machine.applied.is_some() && entry.log_id.index < expected {
                continue;
            }
            if entry.log_id.index != expected {
                return Err(ConsensusError::damaged(&log, format!("entry {expected} is missing")));
            }
            machine.apply(entry, &pressure);
        }
        let last = LogPosition::from(machine.applied);
        Ok(Self {
            node,
            last,
            committed: LogPosition::from(committed).max(LogPosition::from(purged)),
            voters: machine.membership.voter_ids().map(NodeId).collect(),
            tables_count: machine.state.tables_count(),
            dir,
            machine,
        })
    }

    /// What an operator has to know before going on.
    pub fn warning(&self) -> String {
        let uncertain = self.last.index.saturating_sub(self.committed.index);
        let others: Vec<String> = self
            .voters
            .iter()
            .filter(|id| **id != self.node)
            .map(NodeId::to_string)
            .collect();
        format!(
            "Node {} holds the log up to entry {} and knows that everything up to entry {} was acknowledged.\n\
             The {uncertain} entries between them may have been acknowledged or not; they are kept.\n\
             Entries after {} that voters {} acknowledged among themselves are LOST: table commits, offsets and leases.\n\
             Data files of lost commits stay in the store, unreferenced.\n\
             The old nodes must never run again: they could form the old group without this one.",
            self.node,
            self.last,
            self.committed,
            self.last.index,
            if others.is_empty() {
                "(none)".to_owned()
            } else {
                others.join(", ")
            },
        )
    }

    /// Makes a new group with one voter out of what the node holds, in the node's own directory; its old files are moved
    /// aside into a folder there. Only with the operator's consent to [`Survivor::warning`].
    ///
    /// # Errors
    /// If the files cannot be moved or written. What was moved stays where it is then, whole.
    pub fn recover(self, founder: &Founder, rng: &dyn Rng) -> Result<Founded, ConsensusError> {
        let aside = self.dir.path().join(format!("before-recovery-{}", rng.uuid()));
        owner_only::make_dir(&aside).map_err(|e| ConsensusError::storage("create", &aside, e))?;
        // The snapshot and the mark of the identity go last: without the log the node refuses to start meanwhile.
        for name in [
            "log.redb",
            "admitted",
            "removed",
            "membership.json",
            "snapshot",
            "node-id",
        ] {
            let (from, to) = (self.dir.path().join(name), aside.join(name));
            match fs::rename(&from, &to) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ConsensusError::storage("move aside", &from, e));
                }
                _ => {}
            }
        }
        found(&self.dir, self.machine, founder, rng)
    }
}

impl fmt::Debug for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survivor")
            .field("node", &self.node)
            .field("last", &self.last)
            .field("committed", &self.committed)
            .finish_non_exhaustive()
    }
}
