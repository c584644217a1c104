//! Snapshots that could not be written.
//!
//! A snapshot only shortens the log: without it nothing is lost, and the next start reads more. So a node whose disk has no
//! room for one goes on with the one before. What writing takes of a disk that is full the log lacks meanwhile; so what
//! failed is not tried again with every entry.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Entries that are applied before what failed is tried again by itself.
const RETRY_ENTRIES: u64 = 1_000;

/// How snapshots of one node fared; shared by those who write them and those who ask for them.
#[derive(Debug, Default)]
pub(super) struct SnapshotFailures {
    /// Since the node began.
    count: AtomicU64,
    asked: AtomicBool,
    last: Mutex<Option<Failure>>,
}

#[derive(Debug)]
struct Failure {
    /// The last entry in it.
    index: u64,
    error: Arc<io::Error>,
}

impl SnapshotFailures {
    /// Lets the next one be tried, whatever failed before.
    pub(super) fn ask(&self) {
        self.asked.store(true, Relaxed);
    }

    /// Whether one up to `index` is worth the try.
    pub(super) fn may_try(&self, index: u64) -> bool {
        let asked = self.asked.swap(false, Relaxed);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        asked
            || last
                .as_ref()
                .is_none_or(|last| index >= last.index.saturating_add(RETRY_ENTRIES))
    }

    /// One up to `index` failed.
    pub(super) fn failed(&self, index: u64, error: io::Error) {
        let error = Arc::new(error);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Failure { index, error });
        self.count.fetch_add(1, Relaxed);
    }

    /// One was written.
    pub(super) fn written(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How many failed since the node began.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Why the last one failed; none if it did not.
    pub(super) fn last(&self) -> Option<Arc<io::Error>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|last| Arc::clone(&last.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: what failed is tried again when it was asked for, after many entries, and once something was written. Method: each.
    #[test]
    fn what_failed_is_not_tried_with_every_entry() {
        let failures = SnapshotFailures::default();
        assert!(failures.may_try(1) && failures.last().is_none());
        failures.failed(10, io::ErrorKind::StorageFull.into());
        assert!(!failures.may_try(10) && !failures.may_try(9 + RETRY_ENTRIES));
        assert!(failures.may_try(10 + RETRY_ENTRIES));
        failures.ask();
        assert!(failures.may_try(11));
        assert!(!failures.may_try(11), "it was asked once");
        assert_eq!(
            failures.last().map(|error| error.kind()),
            Some(io::ErrorKind::StorageFull)
        );
        failures.written();
        assert!(failures.may_try(11) && failures.last().is_none());
        assert_eq!(failures.count(), 1);
    }
}
