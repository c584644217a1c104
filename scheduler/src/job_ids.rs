//! Names of the runs of plans on the cluster.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use async_trait::async_trait;
use ballista_scheduler::scheduler_server::JobIdGenerator;
use tidewater_core::SharedClock;

/// The milliseconds at which each was asked for, or one more than the last, and where the scheduler is: folders on executors are called
/// by them, and a scheduler that takes over may not use those of the one before, whatever its clock says. Ballista's own come of the
/// time alone, with a thread that wakes every millisecond for as long as the process lives.
pub(crate) struct JobIds {
    place: u64,
    clock: SharedClock,
    last: AtomicI64,
}

impl JobIds {
    /// `host` and `port`: those by which this scheduler is told from others.
    pub(crate) fn new(host: &str, port: u16, clock: SharedClock) -> Self {
        let mut place = DefaultHasher::new();
        (host, port).hash(&mut place);
        Self {
            place: place.finish(),
            clock,
            last: AtomicI64::new(0),
        }
    }

    fn next(&self) -> String {
        let now = self.clock.now_ms();
        let after = |last: i64| now.max(last + 1);
        let last = self.last.fetch_update(Relaxed, Relaxed, |last| Some(after(last)));
        let (Ok(last) | Err(last)) = last;
        format!("{:012x}-{:016x}", after(last), self.place)
    }
}

impl fmt::Debug for JobIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobIds").finish_non_exhaustive()
    }
}

#[async_trait]
impl JobIdGenerator for JobIds {
    async fn next_id(&self) -> String {
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use tidewater_core::ManualClock;

    // Goal: no two runs have one name, in order of their beginning. Method: many threads on a clock that stands, then on one that
    // went on, a scheduler that begins later, and one of another place at the same moments.
    #[test]
    fn names_are_used_once() {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let begun = |host: &str| JobIds::new(host, 50050, Arc::clone(&clock) as SharedClock);
        let (ids, elsewhere) = (begun("lake-1"), begun("lake-2"));
        let mut names = BTreeSet::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..100).map(|_| ids.next()).collect::<Vec<_>>()))
                .collect();
            for thread in threads {
                names.extend(thread.join().expect("a thread"));
            }
        });
        assert_eq!(names.len(), 400);
        assert!((0..400).all(|_| !names.contains(&elsewhere.next())));
        clock.advance(Duration::from_secs(1));
        let later = [ids.next(), begun("lake-1").next()];
        assert!(later.iter().all(|name| Some(name) > names.last()), "{later:?}");
    }
}
