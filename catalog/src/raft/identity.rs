//! Who a node is, when its group gave it its number: a file beside its log, so that nothing has to be configured by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::data_dir::replace_file;
use super::error::ConsensusError;
use super::options::{PeerAddress, RaftOptions};
use crate::owner_only;
use tidewater_core::NodeId;

/// Its name in the directory of a node's Raft.
const FILE: &str = "membership.json";

/// A node's number and address, and whom it knew when it got them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupIdentity {
    /// The node's number.
    pub node: NodeId,
    /// Where it listens.
    pub address: PeerAddress,
    /// The members it joins; none when it begins a group of its own.
    #[serde(default)]
    pub members: BTreeMap<NodeId, PeerAddress>,
}

impl GroupIdentity {
    /// Reads it, if there is one.
    ///
    /// # Errors
    /// If it cannot be read or understood.
    pub fn read(dir: &Path) -> Result<Option<Self>, ConsensusError> {
        let path = file(dir);
        match fs::read(&path) {
            Ok(bytes) => {
                let read = serde_json::from_slice(&bytes);
                read.map(Some).map_err(|e| ConsensusError::damaged(&path, e))
            }
            // Where a file stands in place of the folder nothing can have begun: that is told by what makes the folder.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(ConsensusError::storage("read", &path, e)),
        }
    }

    /// Writes it for a node that is to begin here.
    ///
    /// # Errors
    /// If a node began here before, or it cannot be written.
    pub fn write_new(&self, dir: &Path) -> Result<(), ConsensusError> {
        owner_only::make_dir(dir).map_err(|e| ConsensusError::storage("create", dir, e))?;
        for name in ["node-id", "log.redb", "snapshot", "removed", FILE] {
            let path = dir.join(name);
            if path
                .try_exists()
                .map_err(|e| ConsensusError::storage("look for", &path, e))?
            {
                return Err(ConsensusError::DirNotEmpty { dir: dir.to_owned() });
            }
        }
        self.write(dir)
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), ConsensusError> {
        let path = file(dir);
        let text = serde_json::to_vec_pretty(self).map_err(|e| ConsensusError::damaged(&path, e))?;
        replace_file(&path, |file| file.write_all(&text)).map_err(|e| ConsensusError::storage("write", &path, e))
    }

    /// How to start the node.
    pub fn options(&self, dir: &Path) -> RaftOptions {
        let mut peers = self.members.clone();
        peers.insert(self.node, self.address.clone());
        RaftOptions::group(self.node, dir, peers)
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}
