//! The state in memory, with the snapshot file as its only durable form.
//!
//! Nothing is written on apply: after a crash openraft applies the log again, from the last snapshot to the commit
//! mark. A snapshot is an O(1) clone, encoded and synced away from Raft's tasks.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, RaftSnapshotBuilder, StorageIOError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Applied;
use super::pressure::Pressure;
use super::purge_gate::PurgeGate;
use super::snapshot_failures::SnapshotFailures;
use super::snapshot_file::SnapshotHome;
use super::types::{Entry, LogId, Membership, Snapshot, SnapshotMeta, StorageError, TypeConfig};
use crate::command::Outcome;
use crate::state::State;

/// The state with what openraft has to know about it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) applied: Option<LogId>,
    pub(super) membership: Membership,
    pub(super) state: State,
}

impl Machine {
    fn index(&self) -> u64 {
        self.applied.map_or(0, |id| id.index)
    }

    pub(super) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: self.applied.map(|id| id.to_string()).unwrap_or_default(),
        }
    }

    /// The state knows which numbers of nodes are taken.
    pub(super) fn note_members(&mut self) {
        let ids: Vec<u64> = self.membership.nodes().map(|(id, _)| *id).collect();
        self.state.saw_members(ids.into_iter());
    }

    pub(super) fn apply(&mut self, entry: Entry, pressure: &Pressure) -> Vec<Outcome> {
        self.applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Normal(batch) => {
                pressure.applied(batch.0.len());
                batch
                    .0
                    .into_iter()
                    .map(|command| self.state.apply(entry.log_id.index, command))
                    .collect()
            }
            EntryPayload::Membership(membership) => {
                self.membership = Membership::new(Some(entry.log_id), membership);
                self.note_members();
                Vec::new()
            }
        }
    }
}

/// What readers see: replaced as a whole after each apply, so that nobody sees half an entry.
#[derive(Debug)]
pub(super) struct Published {
    machine: RwLock<Arc<Machine>>,
    index: watch::Sender<u64>,
}

impl Published {
    fn new(machine: Arc<Machine>) -> Self {
        Self {
            index: watch::Sender::new(machine.index()),
            machine: RwLock::new(machine),
        }
    }

    pub(super) fn machine(&self) -> Arc<Machine> {
        Arc::clone(&self.machine.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, machine: Arc<Machine>) {
        let index = machine.index();
        *self.machine.write().unwrap_or_else(PoisonError::into_inner) = machine;
        self.index.send_replace(index);
    }

    pub(super) fn applied(&self) -> Applied {
        let machine = self.machine();
        Applied {
            index: machine.index(),
            state: machine.state.clone(),
        }
    }

    pub(super) fn index(&self) -> watch::Receiver<u64> {
        self.index.subscribe()
    }
}

/// openraft's state machine.
#[derive(Debug, Clone)]
pub(super) struct StateStore {
    published: Arc<Published>,
    home: Arc<dyn SnapshotHome>,
    pressure: Arc<Pressure>,
    gate: Arc<PurgeGate>,
    failures: Arc<SnapshotFailures>,
}

impl StateStore {
    /// Begins with the snapshot that is kept.
    pub(super) fn new(home: impl SnapshotHome + 'static, pressure: Arc<Pressure>, gate: Arc<PurgeGate>) -> Self {
        let mut machine = home.saved().unwrap_or_default();
        gate.kept(machine.index());
        if machine.membership.log_id().is_some() {
            // A snapshot from before the state knew the numbers.
            Arc::make_mut(&mut machine).note_members();
        }
        Self {
            published: Arc::new(Published::new(machine)),
            home: Arc::new(home),
            pressure,
            gate,
            failures: Arc::default(),
        }
    }

    pub(super) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    pub(super) fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    pub(super) fn failures(&self) -> Arc<SnapshotFailures> {
        Arc::clone(&self.failures)
    }

    /// Shows readers a machine that went on from the one they saw.
    pub(super) fn publish(&self, machine: Machine) {
        self.published.publish(Arc::new(machine));
    }

    async fn save(&self, machine: Arc<Machine>) -> io::Result<Arc<Machine>> {
        let saved = self.home.save(machine).await?;
        self.gate.kept(saved.index());
        self.failures.written();
        Ok(saved)
    }

    /// What stands in the file after a try. openraft ends the node over a snapshot that fails, so what is there is answered
    /// then: it cuts no more of the log than that holds.
    async fn save_or_keep(&self, machine: Arc<Machine>) -> Arc<Machine> {
        let index = machine.index();
        if self.failures.may_try(index) {
            match self.save(machine).await {
                Ok(saved) => return saved,
                Err(error) => {
                    tracing::warn!(%error, index, "no snapshot of the catalog could be written: the log is kept instead");
                    self.failures.failed(index, error);
                }
            }
        }
        self.home.saved().unwrap_or_default()
    }
}

fn snapshot_of(machine: &Machine) -> Snapshot {
    Snapshot {
        meta: machine.meta(),
        snapshot: Box::new(machine.state.clone()),
    }
}

impl RaftStateMachine<TypeConfig> for StateStore {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        let machine = self.published.machine();
        Ok((machine.applied, machine.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Outcome>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        // Work on a clone: readers are never blocked by an apply, and a panic in it publishes nothing.
        let mut machine = Machine::clone(&self.published.machine());
        let outcomes = entries
            .into_iter()
            .map(|entry| machine.apply(entry, &self.pressure))
            .collect();
        self.published.publish(Arc::new(machine));
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.pressure.relieve();
        // Taken here, between two applies; encoded later, elsewhere.
        Builder {
            machine: self.published.machine(),
            store: self.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<State>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Box<State>) -> Result<(), StorageError> {
        let mut machine = Machine {
            applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
            state: *snapshot,
        };
        machine.note_members();
        let machine = Arc::new(machine);
        let saved = self.save(Arc::clone(&machine)).await;
        saved.map_err(|e| StorageIOError::<u64>::write_snapshot(None, AnyError::new(&e)))?;
        self.published.publish(machine);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        Ok(self.home.saved().map(|machine| snapshot_of(&machine)))
    }
}

/// A snapshot under way.
#[derive(Debug)]
pub(super) struct Builder {
    machine: Arc<Machine>,
    store: StateStore,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let saved = self.store.save_or_keep(Arc::clone(&self.machine)).await;
        Ok(snapshot_of(&saved))
    }
}
