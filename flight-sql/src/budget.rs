//! How much of messages may be in the middle of being read: a message is whole in memory before it is looked at, and who sends half of
//! many would fill it. Each connection has a part of its own, so that who sends short messages is not refused because others send long
//! ones; beyond it all connections share one budget, of which none has more than its share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::QueryError;

/// How many bytes may be taken.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// By each connection, whatever others have.
    pub own: usize,
    /// By one connection, beyond its own.
    pub share: usize,
    /// By all of them together, beyond what is their own.
    pub all: usize,
}

/// What all connections have of it beyond their own. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    taken: Arc<AtomicUsize>,
    limits: Limits,
}

/// What one connection has of one budget, what is its own included. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Share(Arc<Mutex<usize>>);

impl Share {
    /// What the connection has taken, its own part included.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// One of which nothing is taken.
    pub fn new(limits: Limits) -> Self {
        Self {
            taken: Arc::default(),
            limits,
        }
    }

    /// What the connection with this share takes of it: nothing yet.
    pub fn begin(&self, share: Share) -> Taken {
        Taken {
            bytes: 0,
            budget: self.clone(),
            share,
        }
    }

    /// What all connections have taken beyond their own.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize, share: &Share) -> Result<(), QueryError> {
        let Limits {
            own,
            share: share_max,
            all,
        } = self.limits;
        let mut had = share.lock();
        let has = had.saturating_add(bytes);
        let beyond = has.saturating_sub(own);
        if beyond > share_max {
            return Err(QueryError::Reading {
                bytes_max: share_max,
                whose: "one connection",
            });
        }
        let more = beyond.saturating_sub(had.saturating_sub(own));
        let enough = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= all);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough);
        taken.map_err(|_| QueryError::Reading {
            bytes_max: all,
            whose: "all connections",
        })?;
        *had = has;
        Ok(())
    }

    fn give_back(&self, bytes: usize, share: &Share) {
        let own = self.limits.own;
        let mut had = share.lock();
        let has = had.saturating_sub(bytes);
        let less = had.saturating_sub(own).saturating_sub(has.saturating_sub(own));
        self.taken.fetch_sub(less, Ordering::Relaxed);
        *had = has;
    }
}

/// What is taken of a budget for a connection. It is given back when this is dropped.
#[derive(Debug)]
pub struct Taken {
    bytes: usize,
    budget: Budget,
    share: Share,
}

impl Taken {
    /// Takes so many more, or none where there are not as many.
    pub fn add(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.budget.take(bytes, &self.share)?;
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Gives back what is taken beyond so many.
    pub fn keep(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.budget.give_back(less, &self.share);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.keep(0);
    }
}
