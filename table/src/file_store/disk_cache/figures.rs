//! What the cache counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a cache on the local disk stands. Counts begin with the process and are of blocks, unless they are of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskCacheFigures {
    /// Read without asking the store.
    pub hits: u64,
    /// Bytes of these.
    pub hit_bytes: u64,
    /// Asked of the store.
    pub misses: u64,
    /// Bytes of these.
    pub miss_bytes: u64,
    /// Waited for because somebody else had asked the store already.
    pub joined: u64,
    /// Found changed on the disk, and read from the store instead.
    pub damaged: u64,
    /// Removed to make room.
    pub evicted: u64,
    /// Not kept, because the disk did not keep up or had no room for them.
    pub unkept: u64,
    /// Times that the disk failed, or had lost a block.
    pub errors: u64,
    /// What is kept now, bytes as they are counted against the bound.
    pub held_bytes: u64,
    /// Blocks that are kept now.
    pub held_blocks: u64,
    /// Whether it is out of use for a while because the disk failed.
    pub is_off: bool,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) hit_bytes: Counter,
    pub(super) misses: Counter,
    pub(super) miss_bytes: Counter,
    pub(super) joined: Counter,
    pub(super) damaged: Counter,
    pub(super) evicted: Counter,
    pub(super) unkept: Counter,
    pub(super) errors: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// The count before.
    pub(super) fn add(&self, more: u64) -> u64 {
        self.0.fetch_add(more, Ordering::Relaxed)
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Without what is known elsewhere: what is held, and whether it is off.
    pub(super) fn figures(&self) -> DiskCacheFigures {
        DiskCacheFigures {
            hits: self.hits.value(),
            hit_bytes: self.hit_bytes.value(),
            misses: self.misses.value(),
            miss_bytes: self.miss_bytes.value(),
            joined: self.joined.value(),
            damaged: self.damaged.value(),
            evicted: self.evicted.value(),
            unkept: self.unkept.value(),
            errors: self.errors.value(),
            ..DiskCacheFigures::default()
        }
    }
}
