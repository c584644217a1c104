//! The log is cut only behind what a kept snapshot holds.
//!
//! openraft 0.9 asks for the cut as soon as it has asked for a received snapshot to be installed, and does not wait for the
//! installation. A node that ended in between would come back with neither the entries nor the snapshot. So a cut that is
//! ahead of the snapshot waits here until the snapshot is on the disk.

use std::sync::{Arc, Mutex, PoisonError};

use super::log_store::Writer;
use super::types::LogId;

/// Shared by the log, which is cut, and the state, which is kept.
#[derive(Debug, Default)]
pub(super) struct PurgeGate {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Up to here a snapshot is on the disk.
    kept: u64,
    waiting: Option<(LogId, Arc<dyn Writer>)>,
}

impl PurgeGate {
    /// Whether the log may be cut up to `upto` now. If not, `writer` is told to as soon as it may.
    pub(super) fn passes(&self, upto: LogId, writer: &Arc<dyn Writer>) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if upto.index <= inner.kept {
            return true;
        }
        inner.waiting = Some((upto, Arc::clone(writer)));
        false
    }

    /// A snapshot up to `index` is on the disk.
    pub(super) fn kept(&self, index: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.kept = inner.kept.max(index);
        if let Some((upto, writer)) = inner.waiting.take_if(|(upto, _)| upto.index <= index) {
            // Before anything that is appended behind the snapshot: that is sent only when it is installed.
            writer.purge(upto);
        }
    }
}
