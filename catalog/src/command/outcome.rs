//! What applying a command answers.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ingest::{LeaseGrant, PartitionId};
use super::policy::PolicyRefusal;
use super::table::{Ident, Relation, TableRef};

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done and there is nothing to tell.
    Done,
    /// Properties of a namespace were changed.
    NamespaceUpdated {
        /// Keys that were set.
        updated: Vec<String>,
        /// Keys that were removed.
        removed: Vec<String>,
        /// Keys that should have been removed and were not there.
        missing: Vec<String>,
    },
    /// Pointers were made or moved, in the order of the changes.
    Committed(Vec<TableRef>),
    /// A table or view was dropped; this is where it stood.
    Dropped(TableRef),
    /// An ingest commit that was there already: every range had been committed before. Nothing changed.
    AlreadyIngested,
    /// How each partition asked for stands.
    Leases(Vec<LeaseGrant>),
    /// The job row has this version now.
    Job {
        /// The row's version.
        version: u64,
    },
    /// A namespace is being dropped by this job.
    DropJob {
        /// The job.
        id: Uuid,
    },
    /// A number for a node.
    Node {
        /// The number.
        id: u64,
    },
    /// Nothing changed.
    Refused(Refusal),
}

/// Why nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The namespace exists.
    NamespaceExists,
    /// The namespace, or a parent of it, does not exist.
    NoSuchNamespace {
        /// Its levels.
        namespace: Vec<String>,
    },
    /// The namespace holds tables, views or namespaces.
    NamespaceNotEmpty,
    /// A table's name is another table's.
    TableExists(Ident),
    /// No table has this name.
    NoSuchTable(Ident),
    /// A view's name is another view's.
    ViewExists(Ident),
    /// No view has this name.
    NoSuchView(Ident),
    /// A table's name is a view's, or the other way round.
    NameTaken {
        /// The name.
        name: Ident,
        /// What bears it.
        by: Relation,
    },
    /// Somebody else moved the pointer, or the name stands for another table now. Load, check and propose again.
    Stale(Ident),
    /// The location is, holds or lies in that of another table.
    LocationTaken {
        /// The location asked for.
        location: String,
        /// The table or view in the way.
        by: Ident,
    },
    /// The uuid is that of a table with another name.
    UuidTaken {
        /// The uuid.
        uuid: Uuid,
        /// The other table.
        by: Ident,
    },
    /// One command names a table or a partition twice.
    Repeated,
    /// Offsets or leases do not fit.
    Ingest(IngestRefusal),
    /// The job row has another version.
    JobVersion {
        /// The version it has; 0 = no row.
        version: u64,
    },
    /// A limit of the state is reached.
    Full {
        /// Which.
        limit: String,
    },
    /// No dropped table had this name, or none with this id.
    NotDropped(Ident),
    /// A table's files are being deleted: it cannot come back.
    PurgeBegun(Ident),
    /// The job is none, has ended, is not due, or another's.
    DropJob {
        /// The job.
        job: Uuid,
        /// Which of these.
        problem: DropJobProblem,
    },
    /// The idempotency key was used for another request.
    KeyReused,
    /// What [`super::Op::Remember`] recorded.
    Remembered {
        /// HTTP status.
        status: u16,
        /// Error type.
        kind: String,
        /// Message.
        message: String,
    },
    /// A producer appended some of this already, in another range.
    AppendOverlap {
        /// The producer.
        producer: String,
        /// First position of the last range it appended.
        from: u64,
        /// One past the last position of that.
        to: u64,
    },
    /// Who may do what was not changed.
    Policy(PolicyRefusal),
}

/// Why an ingest commit was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IngestRefusal {
    /// The lease is another's, or was another's in between.
    Fenced {
        /// The partition.
        partition: PartitionId,
        /// Its epoch now; 0 = never leased.
        epoch: u64,
    },
    /// The range does not begin where the last one ended.
    Gap {
        /// The partition.
        partition: PartitionId,
        /// Where it has to begin.
        expected: i64,
    },
}

/// Why a report on a drop job was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropJobProblem {
    /// There is none with this id, or it is not of this kind.
    Unknown,
    /// It has ended.
    Ended,
    /// Its drop can still be taken back.
    NotDue,
    /// A later reign has claimed it.
    Fenced,
}
