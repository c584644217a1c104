//! Whether this node is the only voter, for reads that then need to ask nobody.
//!
//! While it is, nobody else can be elected, so that everything that was acknowledged was acknowledged here, and is applied
//! here. Somebody else can become a voter only by a change that this node itself puts into the log, and before it does so
//! it says so here: a read that comes later sees it, however long a thread was held up in between. What openraft's metrics
//! say comes too late for that.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

const UNKNOWN: u8 = 0;
const ALONE: u8 = 1;
const ENDED: u8 = 2;

/// What is known about it; shared by clones of the proposer.
#[derive(Debug, Default)]
pub(super) struct Alone(AtomicU8);

impl Alone {
    /// A barrier was passed under a configuration with this node as its only voter.
    pub(super) fn found(&self) {
        // Once a change was begun there is no way back, for what was seen may be older than it.
        let _unchanged = self.0.compare_exchange(UNKNOWN, ALONE, SeqCst, SeqCst);
    }

    /// A change of the members begins.
    pub(super) fn end(&self) {
        self.0.store(ENDED, SeqCst);
    }

    /// Whether reads need to ask nobody.
    pub(super) fn holds(&self) -> bool {
        self.0.load(SeqCst) == ALONE
    }
}
