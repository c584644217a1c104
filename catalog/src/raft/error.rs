//! What can go wrong between a proposal and its answer, and when a node opens its files.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::leadership::Leader;
use tidewater_core::{Coded, ErrorKind, NodeId, Retry};

/// Errors of the Raft layer. Cloned, because many callers share one log entry.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConsensusError {
    /// This node does not lead; nothing was proposed.
    #[error("node {node} does not lead the catalog")]
    NotLeader {
        /// The node that was asked.
        node: NodeId,
        /// Who does, as far as it is known here.
        leader: Option<Leader>,
    },
    /// Proposed, and no answer: it may or may not be applied.
    #[error("the outcome of a catalog write is unknown: {reason}")]
    OutcomeUnknown {
        /// What interrupted it.
        reason: String,
    },
    /// A majority could not confirm who leads; nothing happened.
    #[error("no majority of catalog nodes confirmed the read: {reason}")]
    NoQuorum {
        /// What was missing.
        reason: String,
    },
    /// Too many calls wait already; nothing was proposed.
    #[error("the catalog's queue of {what} was full for {waited:?}")]
    Overloaded {
        /// Writes or reads.
        what: &'static str,
        /// How long the call waited for a place.
        waited: Duration,
    },
    /// The command would not fit into one log entry.
    #[error("a catalog command of {bytes} bytes is over the limit of {limit_bytes}")]
    CommandTooLarge {
        /// Encoded size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The Raft of this node has ended.
    #[error("the catalog's consensus on this node has stopped")]
    Stopped,
    /// Another process works on these files.
    #[error("the data directory {} is in use by process {owner}", dir.display())]
    DirInUse {
        /// The directory.
        dir: PathBuf,
        /// Its process id, or `unknown`.
        owner: String,
    },
    /// A node that has been running has no log, or another one.
    #[error("the Raft log {} is {problem}", path.display())]
    LogLost {
        /// The log's file.
        path: PathBuf,
        /// Missing, empty, foreign.
        problem: String,
    },
    /// Stored bytes are not what was written.
    #[error("stored Raft data in {} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// The files belong to another node id.
    #[error("{} holds the files of node {found}, not of node {wanted}", dir.display())]
    ForeignNode {
        /// The directory.
        dir: PathBuf,
        /// Whose files they are.
        found: String,
        /// The configured id.
        wanted: NodeId,
    },
    /// The file system refused.
    #[error("could not {action} {}", path.display())]
    Storage {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: Arc<io::Error>,
    },
    /// A change of members was refused.
    #[error("could not change the members of the catalog: {reason}")]
    Membership {
        /// Why.
        reason: String,
    },
    /// Settings that contradict one another.
    #[error("invalid Raft settings: {reason}")]
    Options {
        /// Which.
        reason: String,
    },
    /// Peers would be reachable from other machines without a shared secret.
    #[error("refused to listen for catalog peers on {address} without a shared secret")]
    OpenListener {
        /// The address.
        address: SocketAddr,
    },
    /// This node was removed from the group; its number never comes back.
    #[error("node {node} was removed from the catalog's group")]
    Removed {
        /// The node.
        node: NodeId,
    },
    /// Leadership was not handed over.
    #[error("could not hand the catalog's leadership to node {target}: {reason}")]
    Transfer {
        /// Who should have led.
        target: NodeId,
        /// What was in the way.
        reason: String,
    },
    /// A node was to be added under a number that was taken before.
    #[error("node id {node} was taken before in this group")]
    NodeIdUsed {
        /// The number.
        node: NodeId,
    },
    /// A backup that is not what was written.
    #[error("the backup {} cannot be used: {problem}", path.display())]
    Backup {
        /// The file or directory.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// A new group was to be made where files of a node lie.
    #[error("the directory {} is not empty", dir.display())]
    DirNotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// A snapshot that was asked for could not be written. The node goes on.
    #[error("could not write a snapshot of the catalog on node {node}: {problem}")]
    Snapshot {
        /// The node.
        node: NodeId,
        /// The system's words.
        problem: String,
    },
    /// The node was begun alone, without an address for others.
    #[error("the catalog was begun alone: node {node} has no address by which another node could reach its log")]
    Alone {
        /// The node.
        node: NodeId,
    },
    /// The group knows this node as a voter, and its files are new: it has forgotten votes it gave.
    #[error("node {node} is a voter of a running catalog and its files are new")]
    Forgotten {
        /// The node.
        node: NodeId,
    },
}

impl ConsensusError {
    pub(crate) fn storage(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Storage {
            action,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    pub(super) fn damaged(path: &Path, problem: impl ToString) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}

impl Coded for ConsensusError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotLeader { .. } | Self::NoQuorum { .. } | Self::Stopped => ErrorKind::Unavailable,
            Self::OutcomeUnknown { .. } => ErrorKind::Timeout,
            Self::Overloaded { .. } => ErrorKind::Exhausted,
            Self::CommandTooLarge { .. } | Self::ForeignNode { .. } | Self::Options { .. } => ErrorKind::Invalid,
            Self::DirInUse { .. }
            | Self::Membership { .. }
            | Self::Transfer { .. }
            | Self::NodeIdUsed { .. }
            | Self::Snapshot { .. }
            | Self::Alone { .. }
            | Self::DirNotEmpty { .. } => ErrorKind::Conflict,
            Self::LogLost { .. } | Self::Damaged { .. } | Self::Backup { .. } => ErrorKind::Corrupt,
            Self::Storage { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
                _ => ErrorKind::Internal,
            },
            Self::OpenListener { .. } => ErrorKind::Denied,
            Self::Forgotten { .. } | Self::Removed { .. } => ErrorKind::Fenced,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotLeader { .. } => "CAT-1001",
            Self::OutcomeUnknown { .. } => "CAT-1002",
            Self::NoQuorum { .. } => "CAT-1003",
            Self::Overloaded { .. } => "CAT-1004",
            Self::CommandTooLarge { .. } => "CAT-1005",
            Self::Stopped => "CAT-1006",
            Self::DirInUse { .. } => "CAT-1007",
            Self::LogLost { .. } => "CAT-1008",
            Self::Damaged { .. } => "CAT-1009",
            Self::ForeignNode { .. } => "CAT-1010",
            Self::Storage { .. } => "CAT-1011",
            Self::Membership { .. } => "CAT-1012",
            Self::Options { .. } => "CAT-1013",
            Self::OpenListener { .. } => "CAT-1014",
            Self::Forgotten { .. } => "CAT-1015",
            Self::Removed { .. } => "CAT-1016",
            Self::Transfer { .. } => "CAT-1017",
            Self::NodeIdUsed { .. } => "CAT-1018",
            Self::Backup { .. } => "CAT-1019",
            Self::DirNotEmpty { .. } => "CAT-1020",
            Self::Snapshot { .. } => "CAT-1021",
            Self::Alone { .. } => "CAT-1022",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NotLeader { .. } | Self::NoQuorum { .. } | Self::Overloaded { .. } | Self::Stopped => Retry::Safe,
            Self::OutcomeUnknown { .. } => Retry::Unknown,
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotLeader {
                leader: Some(leader), ..
            } => {
                format!("send it to node {} at {}", leader.id, leader.address.api)
            }
            Self::NotLeader { leader: None, .. } => "an election is under way; send it again in a second".into(),
            Self::OutcomeUnknown { .. } => "send it again under the same idempotency key".into(),
            Self::NoQuorum { .. } => "check that a majority of the catalog nodes runs and is reachable".into(),
            Self::DirInUse { .. } => "stop that process, or choose another data directory".into(),
            Self::LogLost { .. } | Self::Damaged { .. } | Self::Forgotten { .. } => {
                "with other voters running: empty this node's directory and add it under a new id; \
                 alone: restore a backup"
                    .into()
            }
            Self::ForeignNode { found, .. } => format!("configure node id {found}, or another data directory"),
            Self::Storage { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free disk space and start again; nothing that was acknowledged is lost".into()
            }
            Self::Storage { .. } => "check the disk and the permissions of the data directory".into(),
            Self::OpenListener { .. } => "set a shared secret for the catalog peers, or listen on 127.0.0.1".into(),
            Self::Removed { .. } => {
                "to take part again: empty its directory and join under a new id (tidewater cluster join)".into()
            }
            Self::Transfer { .. } => "look at tidewater cluster status: the target has to vote and to keep up".into(),
            Self::NodeIdUsed { .. } => "let the group give out a number: tidewater cluster join".into(),
            Self::Backup { .. } => "use another backup; this one was cut or changed since it was made".into(),
            Self::DirNotEmpty { .. } => "name an empty directory; nothing is overwritten".into(),
            Self::Snapshot { .. } => "free space on that node's disk and ask again; nothing is lost".into(),
            Self::Alone { .. } => {
                "begin a group with tidewater cluster init in an empty directory; to turn this catalog into \
                 one: tidewater cluster backup, stop it, tidewater cluster restore into an empty directory, with \
                 the old one's catalog.warehouse named there and from then on"
                    .into()
            }
            _ => return None,
        })
    }
}
