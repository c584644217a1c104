//! Supervised tasks: named, counted, told to stop together, and waited for.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
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
}

impl Tasks {
    /// An empty set; `name` tells in logs whose tasks these are.
    pub fn new(name: &str) -> Self {
        Self {
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
            name: name.into(),
        }
    }

    /// A set that is told to stop with this one, and can be stopped before it.
    pub fn child(&self, name: &str) -> Self {
        Self {
            tracker: self.tracker.clone(),
            token: self.token.child_token(),
            name: format!("{}.{name}", self.name).into(),
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
        let name = name.to_owned();
        self.tracker.spawn(
            async move {
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

    // Goal: a panic does not go unseen. Method: a task that panics must cancel the token.
    #[tokio::test]
    async fn a_panic_stops_the_role() {
        let tasks = Tasks::new("test");
        tasks.spawn("broken", async { panic!("on purpose") });
        tasks.token().cancelled().await;
    }
}
