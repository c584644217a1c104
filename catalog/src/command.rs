//! What the log carries: commands, and what applying one answers.
//!
//! Everything a command needs stands in it (times, ids, file names), so that every node that applies it arrives at the same state. Nothing here is an Iceberg type:
//! an upgrade of the `iceberg` crate never changes the log.

mod append;
mod drop;
mod ingest;
mod job;
mod outcome;
mod policy;
mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use append::{AppendChange, ProducerRange};
pub use drop::{DropOp, DropTerms, PurgeProgress, PurgeStage};
pub use ingest::{IngestChange, LeaseGrant, LeaseRequest, OffsetRange, PartitionId};
pub use job::{JobPhase, JobPut};
pub use outcome::{DropJobProblem, IngestRefusal, Outcome, Refusal};
pub use policy::{GrantOn, PolicyOp, PolicyRefusal};
pub use table::{Expect, Ident, Pointer, Relation, TableChange, TableRef};

/// One entry of the log: commands that are applied one after the other, each on its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch(pub Vec<Command>);

/// One change of the catalog, applied as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Idempotency key; 0 = none. A key that was seen before answers what it answered then.
    pub key: u128,
    /// What the request asked for, hashed; a key that comes back with another print is refused. 0 = not checked.
    pub print: u64,
    /// When it was proposed, by the proposer's clock. The state's own time never goes back.
    pub at_ms: i64,
    /// What to do.
    pub op: Op,
}

impl Command {
    /// A command without an idempotency key.
    pub fn new(at_ms: i64, op: Op) -> Self {
        Self {
            key: 0,
            print: 0,
            at_ms,
            op,
        }
    }

    /// A command that is applied once however often it is proposed.
    pub fn once(key: Uuid, print: u64, at_ms: i64, op: Op) -> Self {
        Self {
            key: key.as_u128(),
            print,
            at_ms,
            op,
        }
    }
}

/// The kinds of change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Makes a namespace; its parents must exist.
    CreateNamespace {
        /// Levels, outermost first.
        namespace: Vec<String>,
        /// Properties to begin with.
        properties: BTreeMap<String, String>,
    },
    /// Changes properties of a namespace.
    UpdateNamespace {
        /// Levels, outermost first.
        namespace: Vec<String>,
        /// Keys to remove; missing ones are reported, not refused.
        removals: Vec<String>,
        /// Keys to set.
        updates: BTreeMap<String, String>,
    },
    /// Drops a namespace that holds neither tables, views nor namespaces.
    DropNamespace {
        /// Levels, outermost first.
        namespace: Vec<String>,
    },
    /// Makes or moves the pointers of tables, all of them or none.
    Commit {
        /// At most one change a table.
        changes: Vec<TableChange>,
    },
    /// Gives a table another name, in the same or another namespace.
    RenameTable {
        /// The present name.
        from: Ident,
        /// The new name; must be free.
        to: Ident,
    },
    /// Forgets a table at once. Its files are not touched here.
    DropTable {
        /// Its name.
        table: Ident,
        /// Only when the name still stands for this table.
        id: Option<Uuid>,
    },
    /// Makes a view or moves its pointer.
    CommitView {
        /// The change; its `table` is the view's name, and its pointer has no snapshot.
        change: TableChange,
    },
    /// Gives a view another name, in the same or another namespace.
    RenameView {
        /// The present name.
        from: Ident,
        /// The new name; must be free.
        to: Ident,
    },
    /// Forgets a view. Its files are not touched here.
    DropView {
        /// Its name.
        view: Ident,
    },
    /// Advances offsets and moves the pointers that cover them, all or nothing.
    Ingest(IngestChange),
    /// Takes, keeps or gives up partition leases.
    Lease(LeaseRequest),
    /// Writes a job row.
    PutJob(JobPut),
    /// Gives out a number for a node that is to join, which no node had before.
    AllocateNode,
    /// Remembers that a request with an idempotency key was refused for good, so that a repetition is refused alike.
    Remember {
        /// HTTP status of the refusal.
        status: u16,
        /// Its error type.
        kind: String,
        /// Its message.
        message: String,
    },
    /// Drops that can be taken back, and jobs that finish the others.
    Drop(DropOp),
    /// Moves a table's pointer to a snapshot of what producers appended, and remembers their ranges.
    Append(AppendChange),
    /// Changes who may do what.
    Policy(PolicyOp),
}
