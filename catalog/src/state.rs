//! The catalog's whole state: what every node arrives at by applying the same log.
//!
//! Pointers only. Metadata, statistics and plans stay in files. The maps are persistent ones: a clone is O(1), so a snapshot or a read never holds up the log, and a
//! command that is refused half-way leaves nothing behind.

mod changes;
mod drop_jobs;
mod drops;
mod idempotency;
mod ingest;
mod jobs;
mod namespaces;
mod nodes;
mod policy;
mod producers;
mod shared;
mod tables;
mod users;
mod views;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use self::changes::Changes;
use self::drops::Drops;
use self::idempotency::Idempotency;
use self::ingest::Ingest;
use self::jobs::Jobs;
use self::nodes::Nodes;
use self::policy::Kept;
use self::producers::Producers;
use self::tables::Tables;
use crate::command::{Command, Op, Outcome, Refusal};

pub use changes::{CHANGES_MAX, Change, ChangeKind, ChangePage};
pub use drop_jobs::{DROP_JOBS_ENDED_MAX, DropJob, DropWork};
pub use drops::{DROPPED_MAX, DroppedTable};
pub use idempotency::{IDEMPOTENCY_LIFETIME_MS, IDEMPOTENCY_MAX};
pub use ingest::{Lease, PartitionRow};
pub use jobs::{JOBS_ENDED_MAX, JOBS_OPEN_MAX, JobRow};
pub use namespaces::NamespaceRow;
pub use policy::{GRANTEE_BYTES_MAX, GRANTS_MAX, MEMBERSHIPS_MAX, ROLES_MAX, TOKENS_MAX};
pub use producers::{
    AppendedRange, Meeting, PRODUCER_LIFETIME_MS, PRODUCERS_MAX, PRODUCERS_PER_TABLE_MAX, ProducerRow,
    RANGES_PER_PRODUCER_MAX,
};
pub use shared::Shared;
pub use tables::TableRow;
pub use users::USERS_MAX;

/// Everything the catalog agrees on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last log index that was applied.
    index: u64,
    /// The latest time any command bore: the state's own clock, which never goes back.
    now_ms: i64,
    /// By joined levels (see [`namespaces::key`]).
    namespaces: OrdMap<String, Shared<NamespaceRow>>,
    tables: Tables,
    /// Views are kept as tables are; a name is never in both.
    #[serde(default)]
    views: Tables,
    ingest: Ingest,
    jobs: Jobs,
    idempotency: Idempotency,
    changes: Changes,
    #[serde(default)]
    nodes: Nodes,
    /// Dropped tables and the jobs that finish drops.
    #[serde(default)]
    drops: Drops,
    /// Who appended what through `append-files`.
    #[serde(default)]
    producers: Producers,
    /// Who may do what.
    #[serde(default)]
    policy: Kept,
}

impl State {
    /// Applies one command of log entry `index`. Deterministic; all of it or nothing.
    pub fn apply(&mut self, index: u64, command: Command) -> Outcome {
        self.index = index;
        self.now_ms = self.now_ms.max(command.at_ms);
        self.idempotency.expire(self.now_ms);
        self.drops.expire(self.now_ms);
        self.producers.expire(self.now_ms);
        if let Some(outcome) = self.idempotency.replay(command.key, command.print) {
            return outcome;
        }
        let done = match refuses_first(&command.op) {
            true => self.run(command.op),
            false => {
                // The clone costs little and makes every operation atomic: it replaces the state only when the operation went through.
                let mut next = self.clone();
                next.run(command.op).inspect(|_| *self = next)
            }
        };
        match done {
            Ok(outcome) => {
                self.idempotency.keep(command.key, command.print, self.now_ms, &outcome);
                outcome
            }
            Err(refusal @ Refusal::Remembered { .. }) => {
                let outcome = Outcome::Refused(refusal);
                self.idempotency.keep(command.key, command.print, self.now_ms, &outcome);
                outcome
            }
            // Not kept: the proposer may load the state anew and try the same key again.
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn run(&mut self, op: Op) -> Result<Outcome, Refusal> {
        match op {
            Op::CreateNamespace { namespace, properties } => self.create_namespace(namespace, properties),
            Op::UpdateNamespace {
                namespace,
                removals,
                updates,
            } => self.update_namespace(namespace, removals, updates),
            Op::DropNamespace { namespace } => self.drop_namespace(namespace),
            Op::Commit { changes } => self.commit(changes),
            Op::RenameTable { from, to } => self.rename_table(from, to),
            Op::DropTable { table, id } => self.drop_table(table, id),
            Op::CommitView { change } => self.commit_view(change),
            Op::RenameView { from, to } => self.rename_view(from, to),
            Op::DropView { view } => self.drop_view(view),
            Op::Ingest(change) => self.ingest(change),
            Op::Lease(request) => self.lease(request),
            Op::PutJob(put) => self.put_job(put),
            Op::AllocateNode => self.allocate_node(),
            Op::Drop(op) => self.drop_op(op),
            Op::Append(append) => self.append(append),
            Op::Policy(op) => self.policy_op(op),
            Op::Remember { status, kind, message } => Err(Refusal::Remembered { status, kind, message }),
        }
    }

    /// The last log index that was applied.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The state's own time: the latest any command bore.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }
}

/// Whether the operation looks at everything before it touches anything. It needs no copy to fall back to, whose every change
/// would copy the parts of the maps that it goes through.
fn refuses_first(op: &Op) -> bool {
    match op {
        Op::CreateNamespace { .. }
        | Op::UpdateNamespace { .. }
        | Op::DropNamespace { .. }
        | Op::RenameTable { .. }
        | Op::DropTable { .. }
        | Op::CommitView { .. }
        | Op::RenameView { .. }
        | Op::DropView { .. }
        | Op::Policy(_)
        | Op::Remember { .. } => true,
        Op::Commit { changes } => changes.len() <= 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
