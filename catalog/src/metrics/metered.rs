//! A log whose writes are timed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::CatalogMetrics;
use crate::command::{Command, Outcome};
use crate::raft::{Applied, Consensus, ConsensusError, Export, Leader, Leadership, MemberChange, Status};
use tidewater_core::{NodeId, SharedClock};

/// The log of another, with a note of how long each write takes.
#[derive(Debug)]
pub(crate) struct Metered {
    inner: Arc<dyn Consensus>,
    metrics: CatalogMetrics,
    clock: SharedClock,
}

impl Metered {
    pub(crate) fn over(inner: Arc<dyn Consensus>, metrics: CatalogMetrics, clock: SharedClock) -> Arc<dyn Consensus> {
        Arc::new(Self { inner, metrics, clock })
    }
}

#[async_trait]
impl Consensus for Metered {
    async fn write(&self, command: Command) -> Result<Outcome, ConsensusError> {
        let began = self.clock.monotonic();
        let written = self.inner.write(command).await;
        let took = self.clock.monotonic().saturating_sub(began);
        self.metrics.written(written.is_ok(), took);
        written
    }

    async fn barrier(&self) -> Result<(), ConsensusError> {
        self.inner.barrier().await
    }

    async fn barrier_within(&self, staleness: Duration) -> Result<(), ConsensusError> {
        self.inner.barrier_within(staleness).await
    }

    fn state(&self) -> Applied {
        self.inner.state()
    }

    async fn wait_applied(&self, index: u64, deadline: Duration) -> u64 {
        self.inner.wait_applied(index, deadline).await
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership()
    }

    async fn change_members(&self, change: MemberChange) -> Result<(), ConsensusError> {
        self.inner.change_members(change).await
    }

    async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<Leader, ConsensusError> {
        self.inner.transfer_leadership(to).await
    }

    async fn take_snapshot(&self) -> Result<u64, ConsensusError> {
        self.inner.take_snapshot().await
    }

    fn export(&self) -> Result<Export, ConsensusError> {
        self.inner.export()
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}
