//! When a snapshot is due for other reasons than the number of entries, which openraft counts itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

/// Replay at start reads the log behind the last snapshot; this much is read in about a second.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// What was logged since the last snapshot.
#[derive(Debug)]
pub(super) struct Pressure {
    commands: AtomicU64,
    bytes: AtomicU64,
    commands_max: u64,
    due: Notify,
}

impl Pressure {
    pub(super) fn new(commands_max: u64) -> Self {
        Self {
            commands: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            commands_max,
            due: Notify::new(),
        }
    }

    /// Counts commands that were applied.
    pub(super) fn applied(&self, commands: usize) {
        let sum = self.commands.fetch_add(commands as u64, Relaxed) + commands as u64;
        if sum >= self.commands_max || self.bytes.load(Relaxed) >= LOG_BYTES_MAX {
            self.due.notify_one();
        }
    }

    /// Counts bytes that went into the log.
    pub(super) fn logged(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A snapshot has begun: count anew.
    pub(super) fn relieve(&self) {
        self.commands.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }

    /// Ends when a snapshot is due.
    pub(super) async fn due(&self) {
        self.due.notified().await;
    }
}
