//! On whose behalf plans run, for those who queue, account for and remember them.
//!
//! It goes with the task and not with each plan: between whoever knows (a run of a model, a client's statement) and whoever asks
//! (the router) lie layers that have no business with it.

use std::future::Future;

use tidewater_core::JobId;

/// Whom a plan is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The job that the plan is a part of.
    pub job: Option<JobId>,
    /// The user whose statement it is.
    pub user: Option<String>,
    /// It keeps tables in shape, which gives way to everything else.
    pub maintenance: bool,
}

tokio::task_local! {
    static CALLER: Caller;
}

impl Caller {
    /// A job.
    pub fn job(job: JobId) -> Self {
        Self {
            job: Some(job),
            ..Self::default()
        }
    }

    /// A user.
    pub fn user(name: impl Into<String>) -> Self {
        Self {
            user: Some(name.into()),
            ..Self::default()
        }
    }

    /// The upkeep of tables.
    pub fn maintenance() -> Self {
        Self {
            maintenance: true,
            ..Self::default()
        }
    }

    /// Whoever the current task works for; nobody in particular where that was not said.
    pub fn current() -> Self {
        CALLER.try_with(Self::clone).unwrap_or_default()
    }

    /// Does `work` on behalf of this caller. What `work` spawns is not covered.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CALLER.scope(self, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: work knows whom it is for, and nothing outside of it does. Method: ask within, within another, and after.
    #[tokio::test]
    async fn a_scope_has_an_end() {
        let inner = Caller::user("ana").scope(async {
            let upkeep = Caller::maintenance().scope(async { Caller::current() }).await;
            (Caller::current(), upkeep)
        });
        assert_eq!(inner.await, (Caller::user("ana"), Caller::maintenance()));
        assert_eq!(Caller::current(), Caller::default());
    }
}
