//! What can go wrong while a world is simulated or written.

use std::io;
use std::path::PathBuf;

use tidewater_core::{Coded, ErrorKind};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthError {
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// An option has a value that makes no sense.
    #[error("option {option} cannot be {value}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A log folder holds something else than what this world would write.
    #[error("the log in {} does not go on from here: {reason}", path.display())]
    Foreign {
        /// The folder or file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The broker refused or did not answer.
    #[error("kafka: cannot {action}")]
    Kafka {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log is full and nobody reads it.
    #[error("the log in {} holds {bytes} bytes and nobody has read the oldest within {waited_ms} ms", path.display())]
    Full {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        bytes: u64,
        /// How long the writer waited.
        waited_ms: u64,
    },
}

impl SynthError {
    /// Wraps an input or output error; for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl Coded for SynthError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
                _ => ErrorKind::Unavailable,
            },
            Self::Option { .. } => ErrorKind::Invalid,
            Self::Foreign { .. } => ErrorKind::Conflict,
            Self::Kafka { .. } => ErrorKind::Unavailable,
            Self::Full { .. } => ErrorKind::Exhausted,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "SYN-0001",
            Self::Option { .. } => "SYN-0002",
            Self::Foreign { .. } => "SYN-0003",
            Self::Kafka { .. } => "SYN-0004",
            Self::Full { .. } => "SYN-0005",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Option { reason, .. } => Some((*reason).to_owned()),
            Self::Foreign { .. } => Some("choose an empty folder, or the options the log was begun with".to_owned()),
            Self::Kafka { .. } => {
                Some("check that the broker of --kafka answers and allows topics to be created".to_owned())
            }
            Self::Full { .. } => Some("start the ingest that reads this folder, or allow a larger log".to_owned()),
        }
    }
}
