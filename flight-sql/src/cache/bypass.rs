//! What became of a statement in the cache.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// Why a statement is answered beside the cache.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Bypass {
    /// `serving.cache.enabled` is false, or its size is 0.
    #[error("the cache is switched off")]
    Off,
    /// The session said so.
    #[error("the session switched it off")]
    SessionOff,
    /// EXPLAIN.
    #[error("it is an explanation")]
    Explanation,
    /// It asks a function that answers otherwise each time.
    #[error("{function}() answers otherwise each time")]
    Volatile {
        /// Its name.
        function: String,
    },
    /// It asks for the time, and not for the day or a like part of it.
    #[error("it asks for the time")]
    Time,
    /// It asks a function that tells of its session.
    #[error("{function}() tells of the session")]
    Session {
        /// Its name.
        function: String,
    },
    /// It reads what is no state of a table: what this process knows of itself, a table's metadata, a list of files.
    #[error("{name} has no snapshot")]
    Table {
        /// As the statement calls it.
        name: String,
    },
    /// A parameter has no value.
    #[error("it has a parameter without a value")]
    Parameter,
    /// It is longer or deeper than what is looked at.
    #[error("it is too long")]
    Huge,
    /// Something whose meaning this cache does not know.
    #[error("it has {what}, which is not looked into")]
    Unknown {
        /// What it is.
        what: String,
    },
    /// Its rows are more than one entry may have.
    #[error("its rows are too many to be kept")]
    Large,
    /// Whoever ran it failed twice while this asking waited.
    #[error("others failed with it")]
    Failing,
}

/// How a statement was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheUse {
    /// With rows that were kept.
    Hit,
    /// With rows that were kept and are older than their tables, which bear it.
    Older {
        /// How long ago they were surely those of the tables as they were then.
        age: Duration,
    },
    /// It ran, and its rows are kept if they are few enough.
    Miss,
    /// With the rows of the same statement of somebody else, which was at work.
    Coalesced,
    /// It ran, and nothing was looked for or kept.
    Bypass(Bypass),
}

impl CacheUse {
    /// How old the rows are at most, where they may be old.
    pub fn age(&self) -> Option<Duration> {
        match self {
            Self::Older { age } => Some(*age),
            _ => None,
        }
    }

    /// The same in whole seconds, as HTTP has them, and never less than it is.
    pub fn age_s(&self) -> Option<u64> {
        let age = self.age()?;
        Some(age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0)))
    }

    /// One word, for headers.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hit | Self::Older { .. } => "HIT",
            Self::Miss => "MISS",
            Self::Coalesced => "COALESCED",
            Self::Bypass(_) => "BYPASS",
        }
    }
}

impl fmt::Display for CacheUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bypass(reason) => write!(f, "BYPASS ({reason})"),
            Self::Older { age } => write!(f, "HIT (at most {} ms old)", age.as_millis()),
            other => f.write_str(other.word()),
        }
    }
}
