//! What ends the plans of tasks, found by their jobs: at once, and from any thread.
//!
//! Ballista ends a task by a mark that the task finds when it gets its turn. An executor has as many threads for tasks as it has places,
//! and a plan that computes lets go of its thread after 128 batches only: with one place, its own task waits for it that long.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Jobs that are over here as the disk was full, until their files are gone.
    full: BTreeMap<JobId, Full>,
}

/// What shuffle files took when a job was ended for it, and what they may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
}

impl Stops {
    /// For one more task of a job.
    pub(crate) fn begin(&self, job: &JobId) -> Stop {
        let token = CancellationToken::new();
        let mut begun = self.lock();
        let number = begun.next;
        begun.next += 1;
        begun.by_number.insert(number, (job.clone(), token.clone()));
        if begun.full.contains_key(job) {
            token.cancel();
        }
        drop(begun);
        Stop {
            stops: self.clone(),
            number,
            job: job.clone(),
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

    /// Ends the plans of all tasks that have begun.
    pub(crate) fn end_all(&self) {
        let tokens: Vec<CancellationToken> = self.lock().by_number.values().map(|(_, token)| token.clone()).collect();
        tokens.iter().for_each(CancellationToken::cancel);
    }

    /// Whether no task has begun that is not over.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().by_number.is_empty()
    }

    /// If the files of all jobs take more than `bytes_max`, ends the job with the most of them among those that have tasks: these end as
    /// those do that begin later, and [`Stop::full`] tells why. Files of jobs that were ended do not count any more, as they will be gone
    /// soon.
    pub(crate) fn weigh(&self, files: &BTreeMap<JobId, u64>, bytes_max: u64) -> Option<(JobId, Full)> {
        let mut begun = self.lock();
        let Begun { by_number, full, .. } = &mut *begun;
        let running: BTreeSet<JobId> = by_number.values().map(|(job, _)| job.clone()).collect();
        full.retain(|job, _| files.contains_key(job) || running.contains(job));
        let counted: Vec<(&JobId, u64)> = files
            .iter()
            .filter(|(job, _)| !full.contains_key(*job))
            .map(|(job, bytes)| (job, *bytes))
            .collect();
        let bytes = counted.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        if bytes <= bytes_max {
            return None;
        }
        let writing = counted.into_iter().filter(|(job, _)| running.contains(*job));
        let (job, _) = writing.max_by_key(|(_, bytes)| *bytes)?;
        let job = job.clone();
        let found = Full { bytes, bytes_max };
        full.insert(job.clone(), found);
        drop(begun);
        self.end(&job);
        Some((job, found))
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
    job: JobId,
    token: CancellationToken,
}

impl Stop {
    /// Cancelled when the plan is to end.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Set if its job was ended because the disk was full.
    pub(crate) fn full(&self) -> Option<Full> {
        self.stops.lock().full.get(&self.job).copied()
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

    // Goal: the end of a job ends all its tasks and no other's, the end of all ends every one, and nothing is kept of a task that is over.
    // Method: two tasks of one job, one of another and one that is over.
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
        stops.end_all();
        assert!(other.token().is_cancelled());
        assert!(!of_over.is_cancelled());
        drop((first, second, other));
        assert!(stops.is_empty());
    }

    // Goal: beyond the limit the job with the most files ends among those that run, with all tasks that come later, and no other as long
    // as its files are on their way out. Method: files of three jobs, one of which has no tasks, as they come and go.
    #[test]
    fn the_largest_job_ends_when_the_disk_is_full() {
        let stops = Stops::default();
        let begin = |job: &str| stops.begin(&job.into());
        let files = |files: &[(&str, u64)]| -> BTreeMap<JobId, u64> {
            files.iter().map(|(job, bytes)| ((*job).into(), *bytes)).collect()
        };
        let ended = |found: Option<(JobId, Full)>| found.map(|(job, full)| (job.into_inner(), full.bytes));
        let (large, small) = (begin("large"), begin("small"));
        let before = files(&[("over", 90), ("large", 6), ("small", 4)]);
        assert_eq!(stops.weigh(&before, 100), None);
        assert!(!large.token().is_cancelled());
        let found = ended(stops.weigh(&before, 99));
        assert_eq!(found, Some(("large".to_owned(), 100)));
        assert!(large.token().is_cancelled() && begin("large").token().is_cancelled());
        assert_eq!(
            large.full(),
            Some(Full {
                bytes: 100,
                bytes_max: 99
            })
        );
        assert!(!small.token().is_cancelled() && small.full().is_none());
        assert_eq!(stops.weigh(&before, 99), None, "what is on its way out counts");

        let grown = files(&[("over", 90), ("large", 6), ("small", 10)]);
        assert_eq!(ended(stops.weigh(&grown, 99)), Some(("small".to_owned(), 100)));
        drop((large, small));
        assert_eq!(stops.weigh(&files(&[("over", 90)]), 1), None, "nobody writes");
        assert!(!begin("large").token().is_cancelled(), "its files are gone");
    }
}
