//! What can go wrong with an executor, with the stable code of each.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ballista_core::error::BallistaError;
use thiserror::Error;

use tidewater_core::{Coded, ErrorKind, RemoteError, Retry};
use tidewater_engine::cluster::INPUT_LOST;

/// The result of this crate's calls.
pub type Result<T, E = ExecutorError> = std::result::Result<T, E>;

/// Every failure of this crate.
#[derive(Debug, Error)]
pub enum ExecutorError {
    /// Options that no executor can run with.
    #[error("executor options are refused: {reason}")]
    Options {
        /// What is wrong with them.
        reason: String,
    },
    /// The working directory cannot be made or emptied.
    #[error("cannot prepare working directory {path}")]
    WorkDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another executor holds the working directory.
    #[error("working directory {path} belongs to another executor that is running")]
    WorkDirTaken {
        /// The directory.
        path: PathBuf,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No scheduler took the executor in time.
    #[error("no scheduler took the executor within {waited:?}")]
    NotRegistered {
        /// How long it was tried.
        waited: Duration,
    },
    /// The scheduler does not want this executor, and says why.
    #[error("the scheduler refused the executor")]
    Refused {
        /// What the scheduler says.
        #[source]
        source: RemoteError,
    },
    /// Nobody schedules, or nobody knows who.
    #[error("it is not known which process schedules")]
    Unknown,
    /// Scheduler and executor do not take each other for nodes of one cluster.
    #[error("the scheduler at {at} and this executor do not take each other for nodes of one cluster")]
    NotNodes {
        /// Host and port of the scheduler.
        at: String,
        /// How it ended.
        #[source]
        source: Box<BallistaError>,
    },
    /// Rows of another stage did not arrive: whoever had them may be gone.
    #[error("rows of another stage cannot be read: {reason}")]
    InputLost {
        /// What became of them.
        reason: String,
    },
    /// Shuffle files take more of the disk than they may.
    #[error("shuffle files take {bytes} bytes of an executor's disk, of at most {bytes_max}")]
    ShuffleFull {
        /// What they took.
        bytes: u64,
        /// What they may take.
        bytes_max: u64,
    },
    /// Ballista refused something.
    #[error("{operation} failed")]
    Ballista {
        /// What was attempted.
        operation: &'static str,
        /// Ballista's own error.
        #[source]
        source: Box<BallistaError>,
    },
}

impl Coded for ExecutorError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Options { .. } => ErrorKind::Invalid,
            Self::WorkDir { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
            Self::WorkDirTaken { .. } | Self::Bind { .. } | Self::Refused { .. } => ErrorKind::Conflict,
            Self::NotNodes { .. } => ErrorKind::Denied,
            Self::ShuffleFull { .. } => ErrorKind::Exhausted,
            Self::NotRegistered { .. } | Self::Ballista { .. } | Self::Unknown | Self::InputLost { .. } => {
                ErrorKind::Unavailable
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Options { .. } => "EXE-0001",
            Self::WorkDir { .. } => "EXE-0002",
            Self::WorkDirTaken { .. } => "EXE-0003",
            Self::Bind { .. } => "EXE-0004",
            Self::NotRegistered { .. } => "EXE-0005",
            Self::Ballista { .. } => "EXE-0006",
            Self::Refused { .. } => "EXE-0007",
            Self::Unknown => "EXE-0008",
            Self::NotNodes { .. } => "EXE-0009",
            Self::InputLost { .. } => INPUT_LOST,
            Self::ShuffleFull { .. } => "EXE-0011",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NotRegistered { .. } | Self::Ballista { .. } | Self::Unknown | Self::InputLost { .. } => Retry::Safe,
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Options { .. } => "correct the section [executor] of the configuration".to_owned(),
            Self::WorkDir { path, .. } => format!("give the process the right to write {}", path.display()),
            Self::WorkDirTaken { .. } => "give every executor a working directory of its own".to_owned(),
            Self::Bind { address, .. } => format!("choose a port other than {} or 0 for any", address.port()),
            Self::NotRegistered { .. } => {
                "check that the scheduler runs and that it reaches this host under the external host name".to_owned()
            }
            Self::Unknown => {
                "start a process with the scheduler role, and see whether the catalog has a leader".to_owned()
            }
            Self::NotNodes { .. } => {
                "set [node_tls] on both, with certificates of one CA (tidewater cluster node-cert)".to_owned()
            }
            Self::InputLost { .. } => "see in the executors' logs whether one of them ended, and why".to_owned(),
            Self::ShuffleFull { .. } => {
                "read fewer rows or columns, run fewer jobs at once, use more executors, or give them more disk (executor.shuffle_bytes_max)"
                    .to_owned()
            }
            Self::Refused { source } => return source.hint.clone(),
            Self::Ballista { .. } => return None,
        })
    }
}
