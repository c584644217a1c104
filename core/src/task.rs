//! Supervised tasks: named, counted, told to stop together, and waited for.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The tasks of a role or a process. Clones share one set.
#[derive(Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
    name: Arc<str>,
    running: Running,
}

/// How many tasks of each name run.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<BTreeMap<String, usize>>>);

/// Counts one task for as long as it lives.
struct Counted {
    running: Running,
    name: String,
}

impl Running {
    fn count(&self, name: String) -> Counted {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name.clone()).or_default() += 1;
        Counted {
            running: self.clone(),
            name,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}

impl Tasks {
    /// An empty set; `name` tells in logs whose tasks these are.
    pub fn new(name: &str) -> Self {
        Self {
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
            name: name.into(),
            running: Running::default(),
        }
    }

    /// A set that is told to stop with this one, and can be stopped before it.
    pub fn child(&self, name: &str) -> Self {
        Self {
            tracker: self.tracker.clone(),
            token: self.token.child_token(),
            name: format!("{}.{name}", self.name).into(),
            running: self.running.clone(),
        }
    }

    /// Starts a task. It must end soon after [`Tasks::token`] is cancelled. A panic is logged and ends the set.
    #[expect(clippy::disallowed_methods, reason = "this is where tasks are started")]
    pub fn spawn<F>(&self, name: &str, future: F) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let span = tracing::info_span!("task", role = %self.name, task = name);
        let token = self.token.clone();
        let counted = self.running.count(format!("{}: {name}", self.name));
        let name = name.to_owned();
        self.tracker.spawn(
            async move {
                let _counted = counted;
                let task = tokio::spawn(future.in_current_span());
                if let Err(error) = task.await {
                    tracing::error!(task = name, %error, "task ended abnormally, stopping its role");
                    token.cancel();
                }
            }
            .instrument(span),
        )
    }

    /// Cancelled when the set is to stop.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The tasks that run, with those of children: of which set, which, and how many of each.
    pub fn running(&self) -> Vec<String> {
        let counts = self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = counts.iter().map(|(name, count)| match count {
            1 => name.clone(),
            count => format!("{name} ({count})"),
        });
        told.collect()
    }

    /// Tells every task to stop and waits. False when some were still running at the deadline.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("name", &self.name)
            .field("running", &self.tracker.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: shutdown reaches every task. Method: tasks that only end on the token; all must be gone at once.
    #[tokio::test]
    async fn shutdown_reaches_children() {
        let tasks = Tasks::new("test");
        for set in [tasks.clone(), tasks.child("inner")] {
            let token = set.token();
            set.spawn("wait", async move { token.cancelled().await });
        }
        assert!(tasks.shutdown(Duration::from_secs(5)).await);
    }

    // Goal: who does not end is known by name. Method: a set with a task that ends on the token and two that do not, until they may.
    #[tokio::test]
    async fn who_does_not_end_is_named() {
        let tasks = Tasks::new("test");
        let (token, end) = (tasks.token(), CancellationToken::new());
        tasks.spawn("good", async move { token.cancelled().await });
        for _ in 0..2 {
            let end = end.clone();
            tasks.child("inner").spawn("deaf", async move { end.cancelled().await });
        }
        assert_eq!(tasks.running(), ["test.inner: deaf (2)", "test: good"]);
        assert!(!tasks.shutdown(Duration::from_millis(50)).await);
        assert_eq!(tasks.running(), ["test.inner: deaf (2)"]);
        end.cancel();
        assert!(tasks.shutdown(Duration::from_secs(5)).await);
        assert!(tasks.running().is_empty());
    }

    // Goal: a panic does not go unseen. Method: a task that panics must cancel the token.
    #[tokio::test]
    async fn a_panic_stops_the_role() {
        let tasks = Tasks::new("test");
        tasks.spawn("broken", async { panic!("on purpose") });
        tasks.token().cancelled().await;
    }
}
