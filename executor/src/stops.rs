//! What ends the plans of tasks, found by their jobs: at once, and from any thread.
//!
//! Ballista ends a task by a mark that the task finds when it gets its turn. An executor has as many threads for tasks as it has places,
//! and a plan that computes lets go of its thread after 128 batches only: with one place, its own task waits for it that long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ballista_core::JobId;
use tokio_util::sync::CancellationToken;

/// The tasks whose plans may be at work. Clones are one list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stops(Arc<Mutex<Begun>>);

#[derive(Debug, Default)]
struct Begun {
    next: u64,
    by_number: BTreeMap<u64, (JobId, CancellationToken)>,
}

impl Stops {
    /// For one more task of a job.
    pub(crate) fn begin(&self, job: &JobId) -> Stop {
        let token = CancellationToken::new();
        let mut begun = self.lock();
        let number = begun.next;
        begun.next += 1;
        begun.by_number.insert(number, (job.clone(), token.clone()));
        drop(begun);
        Stop {
            stops: self.clone(),
            number,
            token,
        }
    }

    /// Ends the plans of all tasks of a job that have begun.
    pub(crate) fn end(&self, job: &JobId) {
        let tokens: Vec<CancellationToken> = self
            .lock()
            .by_number
            .values()
            .filter(|(of, _)| of == job)
            .map(|(_, token)| token.clone())
            .collect();
        tokens.iter().for_each(CancellationToken::cancel);
    }

    fn lock(&self) -> MutexGuard<'_, Begun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What ends the plan of one task.
#[derive(Debug)]
pub(crate) struct Stop {
    stops: Stops,
    number: u64,
    token: CancellationToken,
}

impl Stop {
    /// Cancelled when the plan is to end.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.stops.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the end of a job ends all its tasks and no other's, and nothing is kept of a task that is over. Method: two tasks of one job,
    // one of another and one that is over.
    #[test]
    fn all_tasks_of_a_job_end() {
        let stops = Stops::default();
        let begin = |job: &str| stops.begin(&job.into());
        let (first, second, other, over) = (begin("job"), begin("job"), begin("other"), begin("job"));
        let of_over = over.token().clone();
        drop(over);
        assert_eq!(stops.lock().by_number.len(), 3);
        stops.end(&"job".into());
        let ended = [&first, &second, &other].map(|stop| stop.token().is_cancelled());
        assert_eq!(ended, [true, true, false]);
        assert!(!of_over.is_cancelled());
        drop((first, second, other));
        assert!(stops.lock().by_number.is_empty());
    }
}
