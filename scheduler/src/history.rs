//! What became of plans: attempts, stages, and what happened on the way, for as long as there is room for it.

mod stages;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use tidewater_core::{JobId, SharedClock};
use tidewater_engine::{Caller, Progress};

pub use stages::StageReport;
pub(crate) use stages::stages;

/// Plans that are remembered; the oldest is forgotten.
const PLANS_MAX: usize = 500;

/// Events of one plan; later ones are counted and not kept.
const EVENTS_MAX: usize = 200;

/// Something that happened to a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanEvent {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What.
    pub text: String,
}

/// One run of a plan on the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptReport {
    /// From 1.
    pub number: u32,
    /// What Ballista calls it.
    pub ballista_job: String,
    /// Its stages as they stand, or stood at its end.
    pub stages: Vec<StageReport>,
}

/// A plan and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// The plan.
    pub id: JobId,
    /// The job that it is a part of.
    pub job: Option<JobId>,
    /// The user whose statement it is.
    pub user: Option<String>,
    /// Where it runs: `local` or `cluster`.
    pub place: String,
    /// Why there.
    pub reason: String,
    /// How long it waited for its turn, in milliseconds.
    pub waited_ms: u64,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// The code of the error it ended with.
    pub error: Option<String>,
    /// Its runs on the cluster.
    pub attempts: Vec<AttemptReport>,
    /// What happened.
    pub events: Vec<PlanEvent>,
    /// Events that were too many to keep.
    pub events_dropped: usize,
}

/// The plans of this process, the newest last.
#[derive(Debug, Clone)]
pub struct History {
    plans: Arc<Mutex<VecDeque<Shared>>>,
    clock: SharedClock,
}

type Shared = Arc<Mutex<PlanReport>>;

impl History {
    /// Of nothing yet.
    pub fn new(clock: SharedClock) -> Self {
        Self {
            plans: Arc::default(),
            clock,
        }
    }

    /// Takes note of a plan that begins.
    pub fn begin(&self, id: JobId, caller: &Caller, place: &str, reason: &str, waited_ms: u64) -> Recording {
        let report = PlanReport {
            id,
            job: caller.job,
            user: caller.user.clone(),
            place: place.to_owned(),
            reason: reason.to_owned(),
            waited_ms,
            began_ms: self.clock.now_ms(),
            ended_ms: None,
            error: None,
            attempts: Vec::new(),
            events: Vec::new(),
            events_dropped: 0,
        };
        let report = Arc::new(Mutex::new(report));
        let mut plans = lock(&self.plans);
        if plans.len() >= PLANS_MAX {
            plans.pop_front();
        }
        plans.push_back(report.clone());
        Recording {
            report,
            clock: self.clock.clone(),
            progress: None,
        }
    }

    /// The plans of a job, or the one of this id, in the order in which they began.
    pub fn of(&self, job: JobId) -> Vec<PlanReport> {
        let plans = lock(&self.plans);
        let reports = plans.iter().map(|plan| lock(plan).clone());
        reports.filter(|plan| plan.job == Some(job) || plan.id == job).collect()
    }

    /// The stages of the newest run of the plan of this id, for people.
    pub(crate) fn stages(&self, id: JobId) -> Vec<String> {
        let plans = lock(&self.plans);
        let reports = plans.iter().rev().map(|plan| lock(plan));
        let newest = reports.filter(|plan| plan.id == id).find_map(|plan| {
            let attempt = plan.attempts.last()?;
            Some(attempt.stages.iter().map(ToString::to_string).collect())
        });
        newest.unwrap_or_default()
    }
}

/// Takes note of what becomes of one plan.
#[derive(Debug, Clone)]
pub struct Recording {
    report: Shared,
    clock: SharedClock,
    progress: Option<Arc<Progress>>,
}

impl Recording {
    /// The same, which tells somebody too how far the plan is.
    pub(crate) fn telling(self, progress: Option<Arc<Progress>>) -> Self {
        Self { progress, ..self }
    }

    /// Something happened.
    pub fn event(&self, text: impl Into<String>) {
        let at_ms = self.clock.now_ms();
        let mut report = lock(&self.report);
        match report.events.len() < EVENTS_MAX {
            true => report.events.push(PlanEvent {
                at_ms,
                text: text.into(),
            }),
            false => report.events_dropped += 1,
        }
    }

    /// It runs on the cluster, this time under this name.
    pub fn attempt(&self, number: u32, ballista_job: &str) {
        lock(&self.report).attempts.push(AttemptReport {
            number,
            ballista_job: ballista_job.to_owned(),
            stages: Vec::new(),
        });
        self.event(format!("attempt {number} begins as {ballista_job}"));
    }

    /// How the newest attempt stands.
    pub fn stages(&self, stages: Vec<StageReport>) {
        if stages.is_empty() {
            return;
        }
        if let Some(progress) = &self.progress {
            let (done, known) = stages::partitions(&stages);
            progress.tell(done, known);
        }
        if let Some(attempt) = lock(&self.report).attempts.last_mut() {
            attempt.stages = stages;
        }
    }

    /// It has ended; with a code if it failed.
    pub fn end(&self, error: Option<&str>) {
        let now_ms = self.clock.now_ms();
        let text = match error {
            None => "ended".to_owned(),
            Some(code) => format!("failed with {code}"),
        };
        self.event(text);
        let mut report = lock(&self.report);
        report.ended_ms = Some(now_ms);
        report.error = error.map(str::to_owned);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewater_core::ManualClock;
    use uuid::Uuid;

    use super::*;

    // Goal: plans of a job are found by its id, and neither plans nor events grow without end. Method: one more than fit of each.
    #[test]
    fn the_newest_are_kept() {
        let clock = Arc::new(ManualClock::new(17));
        let history = History::new(clock);
        let id = |number: usize| JobId(Uuid::from_u128(number as u128));
        let job = Caller::job(id(7_000));
        let mut last = None;
        for number in 0..=PLANS_MAX {
            last = Some(history.begin(id(number), &job, "cluster", "it is a job", 3));
        }
        let recording = last.expect("the last plan");
        assert!(history.of(id(0)).is_empty(), "forgotten");
        assert_eq!(history.of(id(7_000)).len(), PLANS_MAX);
        recording.attempt(1, "abc");
        for _ in 0..EVENTS_MAX {
            recording.event("again");
        }
        recording.end(Some("SCH-0003"));
        let found = history.of(id(PLANS_MAX)).remove(0);
        assert_eq!((found.events.len(), found.events_dropped), (EVENTS_MAX, 2));
        assert_eq!((found.error.as_deref(), found.ended_ms), (Some("SCH-0003"), Some(17)));
    }
}
