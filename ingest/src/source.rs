//! Where records come from: partitions, each with records in the order of their offsets.

pub mod file;
pub mod kafka;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use regex::Regex;

use crate::error::Result;
use crate::record::{Partition, Record};

/// A partition that a source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The partition.
    pub partition: Partition,
    /// The oldest offset that can still be read.
    pub low: i64,
    /// One past the newest.
    pub high: i64,
    /// When it was asked for, by the clock's monotonic time: what happened later is not in it.
    pub asked_at: Duration,
}

/// Which topics a source reads where it has them.
#[derive(Debug, Clone)]
pub enum Reach {
    /// All of them.
    All,
    /// Those that one of these matches.
    Matching(Vec<Regex>),
}

impl Reach {
    /// Whether a topic of this name would be read.
    pub fn includes(&self, topic: &str) -> bool {
        match self {
            Self::All => true,
            Self::Matching(patterns) => patterns.iter().any(|pattern| pattern.is_match(topic)),
        }
    }
}

/// How much one [`Source::poll`] brings at most.
#[derive(Debug, Clone, Copy)]
pub struct PollBounds {
    /// Stop once this much was read. One record may be larger.
    pub bytes: usize,
    /// Stop at this many records.
    pub records: usize,
    /// Wait this long for the first record.
    pub wait: Duration,
}

/// What one [`Source::poll`] brought.
#[derive(Debug, Default)]
pub struct Poll {
    /// Records of assigned partitions.
    pub records: Vec<Record>,
    /// Where reading goes on: at least one past the last record, more where the log has entries that are no records.
    pub positions: Vec<(Partition, i64)>,
    /// The partitions, or what they hold, are not as they were: look again before the next poll.
    pub changed: bool,
    /// A partition is assigned and no longer read: assign all of them anew.
    pub stalled: bool,
}

impl Poll {
    /// Whether the log had about as much as was asked for, so that more of it waits.
    pub fn is_full(&self, bounds: &PollBounds) -> bool {
        let bytes: usize = self.records.iter().map(Record::size_bytes).sum();
        self.records.len() >= bounds.records || bytes >= bounds.bytes / 2
    }
}

/// A log of changes.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// All partitions there are, as far as is known. Never waits for what is asked once some are known: leases are renewed after it.
    async fn partitions(&mut self) -> Result<Vec<Discovered>>;

    /// Which topics it reads where it has them.
    fn reach(&self) -> Reach;

    /// The names of all topics that it reads, also of those whose partitions are not known now; none before it knows them all. As of the last
    /// [`Source::partitions`].
    fn topics(&self) -> Option<BTreeSet<String>>;

    /// Makes [`Source::partitions`] ask anew, at once, whatever it knows.
    fn ask_anew(&mut self);

    /// Reads these partitions from these offsets on, and no others.
    async fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<()>;

    /// The next records.
    async fn poll(&mut self, bounds: PollBounds) -> Result<Poll>;
}
