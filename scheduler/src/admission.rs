//! Who may run now: so many plans at a time, shared out among classes by weight and within a class first come first served; with
//! limits on the queue, on the wait and on each user. A plan whose rows nobody takes lends its place to who waits.

mod hall;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::{Result, SchedulerError};
use tidewater_core::SharedClock;
use tidewater_engine::Class;

use hall::{Entry, Hall, Number};

/// How long a reader may take nothing until the place of its plan is lent: longer than a reader needs for what it was given, much
/// shorter than somebody at a screen looks at a page of rows.
const PATIENCE: Duration = Duration::from_secs(1);

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
    admission: Admission,
    lane: Lane,
    user: Option<String>,
    number: Number,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl Permit {
    /// From now on nobody takes the plan's rows: its place may be lent. Jobs keep theirs, whose readers are our own.
    pub(crate) fn rest(&self) {
        if self.lane == Lane::Interactive {
            let now = self.admission.clock.monotonic();
            lock(&self.admission.hall).rest(self.number, now);
        }
    }

    /// Somebody wants rows again: waits for a place, as the first in line, if this one was lent.
    pub(crate) async fn resume(&mut self) {
        let entry = lock(&self.admission.hall).come_back(self.number, self.lane, self.user.as_deref());
        self.number = match entry {
            None => return,
            Some(Entry::Place(number)) => number,
            // Without an end of its own: the statement has one.
            Some(Entry::Line(number, called)) => {
                let waiting = Waiting::new(&self.admission.hall, self.lane, number, called);
                let place = waiting.place().await;
                lock(&self.admission.hall).came_back();
                place
            }
        };
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.admission.hall).leave(self.number);
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
        let place = |number| Permit {
            admission: self.clone(),
            lane,
            user: user.map(str::to_owned),
            number,
        };
        let entered = lock(&self.hall).enter(lane, user)?;
        let waiting = match entered {
            Entry::Place(number) => return Ok(place(number)),
            Entry::Line(number, called) => Waiting::new(&self.hall, lane, number, called),
        };
        let mut waiting = pin!(waiting.place());
        let wait_max = self.limits.of(lane).wait_max;
        let begun = self.clock.monotonic();
        loop {
            let now = self.clock.monotonic();
            lock(&self.hall).lend(lane, now.saturating_sub(PATIENCE));
            let left = wait_max.saturating_sub(now.saturating_sub(begun));
            tokio::select! {
                // Whoever is called has the place already.
                biased;
                number = &mut waiting => return Ok(place(number)),
                () = self.clock.sleep(left.min(PATIENCE)) => {}
            }
            if left.is_zero() {
                return Err(SchedulerError::QueueDeadline {
                    class: lane.name(),
                    waited: wait_max,
                });
            }
        }
    }

    /// Whether there is a place now, or one in line. Takes none: another one may have it by then.
    pub fn room(&self, lane: impl Into<Lane>, user: Option<&str>) -> Result<()> {
        lock(&self.hall).room(lane.into(), user).map(drop)
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
    number: Number,
    called: Option<oneshot::Receiver<Number>>,
}

impl<'a> Waiting<'a> {
    fn new(hall: &'a Mutex<Hall>, lane: Lane, number: Number, called: oneshot::Receiver<Number>) -> Self {
        Self {
            hall,
            lane,
            number,
            called: Some(called),
        }
    }

    /// Ends with the number of its place.
    async fn place(mut self) -> Number {
        let place = match &mut self.called {
            Some(called) => called.await.ok(),
            None => None,
        };
        match place {
            Some(place) => {
                self.called = None;
                place
            }
            // The hall never lets a waiter go without calling it.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(mut called) = self.called.take() else {
            return;
        };
        let mut hall = lock(self.hall);
        // Not in the line any more: called in the very moment in which nobody waited any longer.
        if !hall.give_up(self.lane, self.number)
            && let Ok(place) = called.try_recv()
        {
            hall.leave(place);
        }
    }
}

fn lock(hall: &Mutex<Hall>) -> MutexGuard<'_, Hall> {
    hall.lock().unwrap_or_else(PoisonError::into_inner)
}
