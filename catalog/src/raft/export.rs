//! The state as it leaves a node for a backup, and comes back.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::error::ConsensusError;
use super::record::write_sealed;
use super::recovery::LogPosition;
use super::snapshot_file;
use super::snapshot_stream::Pieces;
use super::state_store::Machine;
use crate::state::State;

/// Pieces encoded ahead of a reader.
const PIECES_AHEAD: usize = 4;

/// A consistent state, taken between two log entries. Nothing waits for it: the node goes on while it is written.
#[derive(Clone)]
pub struct Export {
    machine: Arc<Machine>,
}

impl Export {
    pub(super) fn new(machine: Arc<Machine>) -> Self {
        Self { machine }
    }

    /// The last log entry in it.
    pub fn index(&self) -> u64 {
        self.machine.applied.map_or(0, |id| id.index)
    }

    /// The state as bytes, in pieces, encoded on a thread of its own as fast as they are taken. Whoever reads less than
    /// all of it finds out: the last bytes are a checksum.
    pub fn pieces(self) -> mpsc::Receiver<Vec<u8>> {
        let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut out = Pieces {
                pieces,
                piece: Vec::new(),
            };
            let written = write_sealed(self.machine.as_ref(), &mut out).and_then(|()| io::Write::flush(&mut out));
            if let Err(error) = written {
                tracing::warn!(%error, "an export of the catalog's state ended early");
            }
        });
        receiver
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("index", &self.index()).finish()
    }
}

/// A table or a view as a backup names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedTable {
    /// Levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name.
    pub name: String,
    /// Its uuid.
    pub uuid: Uuid,
    /// Raised by every commit.
    pub version: u64,
    /// The head of branch `main`.
    pub snapshot_id: Option<i64>,
    /// Its metadata file.
    pub metadata_location: String,
}

/// A state read back from the file of an export.
#[derive(Clone)]
pub struct ImportedState {
    pub(super) machine: Machine,
}

impl ImportedState {
    /// Reads and checks the whole file.
    ///
    /// # Errors
    /// If it cannot be read, or is not what was written.
    pub fn read(path: &Path) -> Result<Self, ConsensusError> {
        let file = File::open(path).map_err(|e| ConsensusError::storage("open", path, e))?;
        let machine = snapshot_file::read(file).map_err(|e| ConsensusError::Backup {
            path: path.to_owned(),
            problem: e.to_string(),
        })?;
        Ok(Self { machine })
    }

    /// The last log entry in it.
    pub fn position(&self) -> LogPosition {
        LogPosition::from(self.machine.applied)
    }

    /// What it holds.
    pub fn state(&self) -> &State {
        &self.machine.state
    }

    /// Its tables and views in the order of their names.
    pub fn tables(&self) -> Vec<ExportedTable> {
        let state = &self.machine.state;
        let mut tables: Vec<ExportedTable> = state
            .namespaces()
            .flat_map(|namespace| {
                state
                    .tables_in(&namespace.levels, None)
                    .chain(state.views_in(&namespace.levels, None))
            })
            .map(|row| ExportedTable {
                namespace: row.name.namespace.clone(),
                name: row.name.name.clone(),
                uuid: row.pointer.uuid,
                version: row.version,
                snapshot_id: row.pointer.snapshot_id,
                metadata_location: row.pointer.metadata_location.clone(),
            })
            .collect();
        tables.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        tables
    }
}

impl fmt::Debug for ImportedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportedState")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
