//! Who may run now: a few plans at a time of each class, first come first served, with a limit on the queue and the wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Result, SchedulerError};
use tidewater_core::SharedClock;
use tidewater_engine::Class;

/// Limits of one class of plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassLimits {
    /// Plans that run at the same time.
    pub running_max: usize,
    /// Plans that wait for one of them to end.
    pub queued_max: usize,
    /// How long a plan waits.
    pub wait_max: Duration,
}

/// Limits of every class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Queries somebody waits for.
    pub interactive: ClassLimits,
    /// Jobs.
    pub batch: ClassLimits,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            // Dashboards send a dozen queries at once and give up after half a minute.
            interactive: ClassLimits {
                running_max: 16,
                queued_max: 256,
                wait_max: Duration::from_secs(30),
            },
            // Jobs share the cluster badly: its scheduler knows no order among them.
            batch: ClassLimits {
                running_max: 4,
                queued_max: 1024,
                wait_max: Duration::from_secs(600),
            },
        }
    }
}

impl AdmissionLimits {
    pub(crate) fn validate(&self) -> Result<()> {
        for (class, limits) in [("interactive", self.interactive), ("batch", self.batch)] {
            if limits.running_max == 0 || limits.running_max > Semaphore::MAX_PERMITS {
                let reason = format!("{} running plans of class {class}", limits.running_max);
                return Err(SchedulerError::Options { reason });
            }
        }
        Ok(())
    }
}

/// Lets plans in.
#[derive(Debug, Clone)]
pub struct Admission {
    interactive: Gate,
    batch: Gate,
    clock: SharedClock,
}

/// A place among the running plans, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _place: OwnedSemaphorePermit,
}

/// How full a class is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Plans that run.
    pub running: usize,
    /// Plans that wait.
    pub queued: usize,
}

impl Admission {
    /// With nobody in.
    pub fn new(limits: AdmissionLimits, clock: SharedClock) -> Self {
        Self {
            interactive: Gate::new("interactive", limits.interactive),
            batch: Gate::new("batch", limits.batch),
            clock,
        }
    }

    /// Waits for a place. Refused, without harm, when too many wait or the wait is too long.
    pub async fn admit(&self, class: Class) -> Result<Permit> {
        let gate = self.gate(class);
        let free = gate.places.clone().try_acquire_owned();
        if let Ok(place) = free {
            return Ok(Permit { _place: place });
        }
        let _queued = gate.queue()?;
        tokio::select! {
            place = gate.places.clone().acquire_owned() => match place {
                Ok(place) => Ok(Permit { _place: place }),
                // The semaphore is never closed.
                Err(_) => Err(SchedulerError::Cancelled),
            },
            () = self.clock.sleep(gate.limits.wait_max) => Err(SchedulerError::QueueDeadline {
                class: gate.class,
                waited: gate.limits.wait_max,
            }),
        }
    }

    /// How full a class is.
    pub fn load(&self, class: Class) -> Load {
        let gate = self.gate(class);
        Load {
            running: gate.limits.running_max.saturating_sub(gate.places.available_permits()),
            queued: gate.queued.load(Ordering::Relaxed),
        }
    }

    fn gate(&self, class: Class) -> &Gate {
        match class {
            Class::Interactive => &self.interactive,
            Class::Batch => &self.batch,
        }
    }
}

#[derive(Debug, Clone)]
struct Gate {
    class: &'static str,
    limits: ClassLimits,
    /// Fair: first come, first served.
    places: Arc<Semaphore>,
    queued: Arc<AtomicUsize>,
}

impl Gate {
    fn new(class: &'static str, limits: ClassLimits) -> Self {
        Self {
            class,
            limits,
            places: Arc::new(Semaphore::new(limits.running_max.min(Semaphore::MAX_PERMITS))),
            queued: Arc::default(),
        }
    }

    fn queue(&self) -> Result<Queued> {
        let before = self.queued.fetch_add(1, Ordering::Relaxed);
        let queued = Queued(self.queued.clone());
        if before >= self.limits.queued_max {
            return Err(SchedulerError::QueueFull {
                class: self.class,
                queued: before,
            });
        }
        Ok(queued)
    }
}

/// Counts one who waits, also when the wait is dropped.
struct Queued(Arc<AtomicUsize>);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::{Coded, ManualClock, Retry};

    use super::*;

    fn admission(clock: &Arc<ManualClock>) -> Admission {
        let limits = ClassLimits {
            running_max: 1,
            queued_max: 1,
            wait_max: Duration::from_secs(5),
        };
        let limits = AdmissionLimits {
            interactive: limits,
            batch: limits,
        };
        Admission::new(limits, clock.clone())
    }

    // Goal: one runs, one waits, the next is refused with an error that says "again"; classes do not disturb each other.
    // Method: three requests of one class by hand.
    #[tokio::test]
    async fn runs_waits_refuses() {
        let clock = Arc::new(ManualClock::new(0));
        let admission = admission(&clock);
        let first = admission.admit(Class::Interactive).await.expect("free");
        let mut second = Box::pin(admission.admit(Class::Interactive));
        assert!(futures::poll!(&mut second).is_pending());
        let third = admission.admit(Class::Interactive).await.expect_err("full");
        assert!(matches!(third, SchedulerError::QueueFull { queued: 1, .. }), "{third}");
        assert_eq!(third.retry(), Retry::Safe);
        admission.admit(Class::Batch).await.expect("another class");
        assert_eq!(admission.load(Class::Interactive), Load { running: 1, queued: 1 });
        drop(first);
        second.await.expect("its turn");
        assert_eq!(admission.load(Class::Interactive), Load { running: 0, queued: 0 });
    }

    // Goal: nobody waits for ever, and who gave up does not count. Method: move the clock past the limit.
    #[tokio::test]
    async fn the_wait_has_an_end() {
        let clock = Arc::new(ManualClock::new(0));
        let admission = admission(&clock);
        let _first = admission.admit(Class::Batch).await.expect("free");
        let mut second = Box::pin(admission.admit(Class::Batch));
        assert!(futures::poll!(&mut second).is_pending());
        clock.advance(Duration::from_secs(6));
        let refused = second.await.expect_err("too late");
        assert_eq!((refused.code(), refused.retry()), ("SCH-0010", Retry::Safe));
        assert_eq!(admission.load(Class::Batch), Load { running: 1, queued: 0 });
    }
}
