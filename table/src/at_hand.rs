//! What one reader found at hand and what it had to read: told by its own reads, whatever others do at the same time.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether something was at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// It was in memory.
    Kept,
    /// It was read from its store.
    Read,
}

/// Counts for one reader. A list of manifests, a manifest and a footer count once, as they were met first: a statement is planned more
/// than once, and asks for what it has just read. Blocks of the cache on the local disk count each time, as the cache's own figures do.
#[derive(Debug, Default)]
pub struct AtHand {
    lists: Firsts,
    manifests: Firsts,
    footers: Firsts,
    listings: AtomicU64,
    blocks_kept: AtomicU64,
    blocks_read: AtomicU64,
    blocks_joined: AtomicU64,
}

/// How many of something were at hand, and how many were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// At hand.
    pub kept: u64,
    /// Read.
    pub read: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kept, {} read", self.kept, self.read)
    }
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AtHandFigures {
    /// Lists of manifests: kept in memory, or read and decoded.
    pub lists: Found,
    /// Manifests, likewise.
    pub manifests: Found,
    /// Footers of data files with their page indexes, likewise.
    pub footers: Found,
    /// Times that the files of a snapshot were gone through for those of a scan.
    pub listings: u64,
    /// Blocks: read from the local disk, or asked of the store.
    pub blocks: Found,
    /// Requests of others that were waited for, each for some neighbouring blocks.
    pub blocks_joined: u64,
}

impl AtHand {
    /// What was counted until now.
    pub fn figures(&self) -> AtHandFigures {
        AtHandFigures {
            lists: self.lists.found(),
            manifests: self.manifests.found(),
            footers: self.footers.found(),
            listings: self.listings.load(Ordering::Relaxed),
            blocks: Found {
                kept: self.blocks_kept.load(Ordering::Relaxed),
                read: self.blocks_read.load(Ordering::Relaxed),
            },
            blocks_joined: self.blocks_joined.load(Ordering::Relaxed),
        }
    }

    /// The footer of this file.
    pub fn footer(&self, file: &str, met: Met) {
        self.footers.meet(file, met);
    }

    pub(crate) fn list(&self, location: &str, met: Met) {
        self.lists.meet(location, met);
    }

    pub(crate) fn manifest(&self, location: &str, met: Met) {
        self.manifests.meet(location, met);
    }

    pub(crate) fn listed(&self) {
        self.listings.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn blocks(&self, count: u64, met: Met) {
        let counter = match met {
            Met::Kept => &self.blocks_kept,
            Met::Read => &self.blocks_read,
        };
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn joined(&self, requests: u64) {
        self.blocks_joined.fetch_add(requests, Ordering::Relaxed);
    }
}

/// Things that count when they are met first.
#[derive(Debug, Default)]
struct Firsts(Mutex<(HashSet<String>, Found)>);

impl Firsts {
    fn meet(&self, name: &str, met: Met) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, found) = &mut *guard;
        if known.contains(name) {
            return;
        }
        known.insert(name.to_owned());
        match met {
            Met::Kept => found.kept += 1,
            Met::Read => found.read += 1,
        }
    }

    fn found(&self) -> Found {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}
