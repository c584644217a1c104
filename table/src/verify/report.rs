//! What a verification came to.

use std::fmt;

use super::PROBLEMS_MAX;

/// What was looked at and what is wrong.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// Snapshots whose files were looked at.
    pub snapshots: u64,
    /// Files, each counted once.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Data files and delete files that carry no digest: they were opened or decoded instead.
    pub without_digest: u64,
    /// What is wrong, in the order of the files; the first ten thousand.
    pub problems: Vec<Problem>,
    /// Problems in all.
    pub problem_count: u64,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problem_count == 0
    }

    pub(super) fn add(&mut self, location: &str, column: Option<String>, damage: Damage) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem {
                location: location.to_owned(),
                column,
                damage,
            });
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.without_digest += other.without_digest;
        self.problem_count += other.problem_count;
        let room = PROBLEMS_MAX.saturating_sub(self.problems.len());
        self.problems.extend(other.problems.into_iter().take(room));
    }
}

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub location: String,
    /// The column in it, dotted, if it can be told.
    pub column: Option<String>,
    /// What is wrong.
    pub damage: Damage,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "{}, column {column}: {}", self.location, self.damage),
            None => write!(f, "{}: {}", self.location, self.damage),
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It has another size than the metadata tells.
    Size {
        /// What the metadata tells.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// It holds another number of rows than the metadata tells.
    Rows {
        /// What the metadata tells.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// A manifest holds another number of entries than its list tells.
    Entries {
        /// What the list tells.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// Its bytes are not those that were written.
    Digest,
    /// It can't be read.
    Unreadable(String),
    /// A manifest lists it twice.
    Twice(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not there"),
            Self::Size { expected, found } => write!(f, "has {found} bytes, not {expected}"),
            Self::Rows { expected, found } => write!(f, "has {found} rows, not {expected}"),
            Self::Entries { expected, found } => write!(f, "has {found} entries, not {expected}"),
            Self::Digest => f.write_str("its bytes are not those that were written"),
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
            Self::Twice(manifest) => write!(f, "is listed twice by {manifest}"),
        }
    }
}
