//! Who may run now: so many plans at a time, shared out among classes by weight and within a class first come first served; with
//! limits on the queue, on the wait and on each user.

mod hall;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Result, SchedulerError};
use tidewater_core::SharedClock;
use tidewater_engine::Class;

use hall::Hall;

/// What plans stand in one line for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Queries somebody waits for.
    Interactive,
    /// Jobs.
    Batch,
    /// The upkeep of tables, which can wait.
    Maintenance,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Batch, Self::Maintenance];

    /// As it stands in messages and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
            Self::Maintenance => "maintenance",
        }
    }
}

impl From<Class> for Lane {
    fn from(class: Class) -> Self {
        match class {
            Class::Interactive => Self::Interactive,
            Class::Batch => Self::Batch,
        }
    }
}

/// Limits of one class of plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassLimits {
    /// Plans that run at the same time.
    pub running_max: usize,
    /// Plans that wait for one of them to end.
    pub queued_max: usize,
    /// How long a plan waits.
    pub wait_max: Duration,
    /// Its share while several classes wait: a class of weight 4 has four places where one of weight 1 has one.
    pub weight: usize,
    /// Plans of one user that run at the same time.
    pub user_running_max: usize,
    /// Plans of one user that wait.
    pub user_queued_max: usize,
}

/// Limits of every class, and of all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Plans that run at the same time, whatever their class.
    pub running_max: usize,
    /// Queries somebody waits for.
    pub interactive: ClassLimits,
    /// Jobs.
    pub batch: ClassLimits,
    /// The upkeep of tables.
    pub maintenance: ClassLimits,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            running_max: 20,
            // Dashboards send a dozen queries at once and give up after half a minute.
            interactive: ClassLimits {
                running_max: 16,
                queued_max: 256,
                wait_max: Duration::from_secs(30),
                weight: 8,
                // One who sends a storm leaves as many places for the others.
                user_running_max: 8,
                user_queued_max: 128,
            },
            // Jobs share the cluster badly: its scheduler knows no order among them.
            batch: ClassLimits {
                running_max: 4,
                queued_max: 1024,
                wait_max: Duration::from_secs(600),
                weight: 4,
                user_running_max: 4,
                user_queued_max: 1024,
            },
            // One table at a time is looked after; a second place is for what an operator asks for meanwhile.
            maintenance: ClassLimits {
                running_max: 2,
                queued_max: 64,
                wait_max: Duration::from_secs(3600),
                weight: 1,
                user_running_max: 2,
                user_queued_max: 64,
            },
        }
    }
}

impl AdmissionLimits {
    /// Those of a class.
    pub fn of(&self, lane: Lane) -> &ClassLimits {
        match lane {
            Lane::Interactive => &self.interactive,
            Lane::Batch => &self.batch,
            Lane::Maintenance => &self.maintenance,
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(SchedulerError::Options { reason });
        if self.running_max == 0 {
            return refuse("no running plans at all".to_owned());
        }
        for lane in Lane::ALL {
            let (limits, class) = (self.of(lane), lane.name());
            if limits.running_max == 0 || limits.user_running_max == 0 {
                return refuse(format!("no running plans of class {class}"));
            }
            if limits.weight == 0 {
                return refuse(format!("class {class} with a weight of 0"));
            }
        }
        Ok(())
    }
}

/// Lets plans in. Clones share one hall.
#[derive(Clone)]
pub struct Admission {
    limits: AdmissionLimits,
    hall: Arc<Mutex<Hall>>,
    clock: SharedClock,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A place among the running plans, given back when dropped.
pub struct Permit {
    hall: Arc<Mutex<Hall>>,
    lane: Lane,
    user: Option<String>,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.hall).leave(self.lane, self.user.as_deref());
    }
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
            limits,
            hall: Arc::new(Mutex::new(Hall::new(limits))),
            clock,
        }
    }

    /// Waits for a place. Refused, without harm, when too many wait or the wait is too long.
    pub async fn admit(&self, lane: impl Into<Lane>, user: Option<&str>) -> Result<Permit> {
        let lane = lane.into();
        let place = || Permit {
            hall: Arc::clone(&self.hall),
            lane,
            user: user.map(str::to_owned),
        };
        let entered = lock(&self.hall).enter(lane, user)?;
        let Some((number, called)) = entered else {
            return Ok(place());
        };
        let waiting = Waiting {
            hall: &self.hall,
            lane,
            user,
            number,
            called: false,
        };
        let limits = self.limits.of(lane);
        tokio::select! {
            // Whoever is called has the place already.
            biased;
            _ = called => {
                let mut waiting = waiting;
                waiting.called = true;
                Ok(place())
            }
            () = self.clock.sleep(limits.wait_max) => Err(SchedulerError::QueueDeadline {
                class: lane.name(),
                waited: limits.wait_max,
            }),
        }
    }

    /// How full a class is.
    pub fn load(&self, lane: impl Into<Lane>) -> Load {
        lock(&self.hall).load(lane.into())
    }
}

/// Stands in line; leaves it, or gives back the place it was called to, when the wait is dropped.
struct Waiting<'a> {
    hall: &'a Mutex<Hall>,
    lane: Lane,
    user: Option<&'a str>,
    number: u64,
    called: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.called {
            return;
        }
        let mut hall = lock(self.hall);
        // Not in the line any more: called in the very moment in which nobody waited any longer.
        if !hall.give_up(self.lane, self.number) {
            hall.leave(self.lane, self.user);
        }
    }
}

fn lock(hall: &Mutex<Hall>) -> MutexGuard<'_, Hall> {
    hall.lock().unwrap_or_else(PoisonError::into_inner)
}
