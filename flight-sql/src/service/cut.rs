//! Limits that end a statement while nobody is there to be told: its history has them, and who reads on hears of them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tidewater_engine::EngineError;

use crate::error::QueryError;

/// Which limit it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The time that it was given is over.
    Late(Duration),
    /// Nobody polled it for so long.
    Unseen(Duration),
    /// Its rows were to be held and are more bytes than this.
    TooLarge(usize),
}

/// Set once, by the limit that ended a statement.
pub(crate) type Cause = Arc<OnceLock<Cut>>;

impl Cut {
    pub(crate) fn error(self) -> QueryError {
        match self {
            Self::Late(allowed) => EngineError::Deadline { allowed }.into(),
            Self::Unseen(unseen_max) => QueryError::Unseen { unseen_max },
            Self::TooLarge(bytes_max) => QueryError::TooLarge { bytes_max },
        }
    }
}
