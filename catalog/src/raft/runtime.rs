//! The tokio runtime that Raft has for itself.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{EnterGuard, Handle, Runtime};

use super::error::ConsensusError;
use tidewater_core::NodeId;

/// Raft needs little, but one thread busy with a sync or an apply must not delay the heartbeats.
const THREADS: usize = 2;

/// Owns the runtime; dropping it ends every task on it at its next await.
#[derive(Debug)]
pub(super) struct OwnRuntime {
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

impl OwnRuntime {
    pub(super) fn start(node: NodeId) -> Result<Self, ConsensusError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name(format!("raft-{node}"))
            .enable_all()
            .build()
            .map_err(|e| ConsensusError::Options {
                reason: format!("no runtime for Raft: {e}"),
            })?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
        })
    }

    /// The one that is running already; it is not ended with the node.
    #[cfg(test)]
    pub(super) fn current() -> Self {
        Self {
            handle: Handle::current(),
            runtime: Mutex::new(None),
        }
    }

    /// What is spawned while the guard lives is spawned there.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Runs a future there and waits for it here.
    pub(super) async fn run<F>(&self, future: F) -> Result<F::Output, ConsensusError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future).await.map_err(|_| ConsensusError::Stopped)
    }

    /// Ends everything, without waiting: a runtime may not be waited for inside another.
    pub(super) fn stop(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        self.stop();
    }
}
