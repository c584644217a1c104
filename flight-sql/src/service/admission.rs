//! Who may run now: so many queries at a time, so many that wait, each for a limited time.

use std::sync::Arc;

use futures::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use tidewater_core::SharedClock;

use super::QueryOptions;
use crate::error::QueryError;

/// The door of the service.
#[derive(Debug)]
pub(super) struct Admission {
    running: Arc<Semaphore>,
    /// One for each query that runs or waits.
    places: Arc<Semaphore>,
    options: QueryOptions,
    clock: SharedClock,
}

/// The right to run, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _running: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(options: QueryOptions, clock: SharedClock) -> Self {
        Self {
            running: Arc::new(Semaphore::new(options.queries_max)),
            places: Arc::new(Semaphore::new(options.queries_max.saturating_add(options.queued_max))),
            options,
            clock,
        }
    }

    /// Waits for a turn, first come first served.
    pub(super) async fn turn(&self) -> Result<Turn, QueryError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| self.busy(0))?;
        let wait = self.options.queue_timeout;
        let running = Box::pin(Arc::clone(&self.running).acquire_owned());
        match select(running, self.clock.sleep(wait)).await {
            Either::Left((Ok(running), _)) => Ok(Turn {
                _running: running,
                _place: place,
            }),
            _ => Err(self.busy(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))),
        }
    }

    #[cfg(test)]
    pub(super) fn free_places(&self) -> usize {
        self.places.available_permits()
    }

    fn busy(&self, waited_ms: u64) -> QueryError {
        QueryError::Busy {
            running: self.options.queries_max,
            waited_ms,
        }
    }
}
