//! Drops that can be taken back, and the jobs that finish the others.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::table::Ident;
use crate::raft::Fence;

/// How a table is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropTerms {
    /// How long the drop can be taken back, from the state's time on; 0 = not at all.
    pub keep_ms: u64,
    /// Whether the table's files go after that.
    pub purge: bool,
}

/// The changes that drops are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropOp {
    /// Drops a table: its name is free at once, its pointer stays among the dropped ones.
    Table {
        /// Its name.
        table: Ident,
        /// Only when the name still stands for this table.
        id: Option<Uuid>,
        /// The job to be when its files go.
        job: Uuid,
        /// How.
        terms: DropTerms,
    },
    /// Brings a dropped table back and cancels its purge, also if its uuid is another table's by now: what earlier versions asked for.
    Undrop {
        /// The name it had.
        table: Ident,
        /// Which one of those that had it; none = the one dropped last.
        id: Option<Uuid>,
        /// The name it gets; must be free.
        to: Ident,
    },
    /// The same for a table whose uuid no other table has.
    BringBack {
        /// The name it had.
        table: Ident,
        /// Which one of those that had it; none = the one dropped last.
        id: Option<Uuid>,
        /// The name it gets; must be free.
        to: Ident,
    },
    /// Begins to drop a namespace with all that it holds.
    Namespace {
        /// Levels, outermost first.
        namespace: Vec<String>,
        /// The job to be. When one is at this namespace already, the answer names that one.
        job: Uuid,
        /// How its tables are dropped.
        terms: DropTerms,
    },
    /// Takes a job over. Whoever had it before can no longer report on it.
    Claim {
        /// The job.
        job: Uuid,
        /// The reign that works on it from now on.
        fence: Fence,
    },
    /// Drops the next things of the namespace of a job, and at last the namespace.
    Step {
        /// The job.
        job: Uuid,
        /// The reign that claimed it.
        fence: Fence,
        /// How many things at most.
        limit: u32,
    },
    /// Tells how far a purge is.
    Progress {
        /// The job.
        job: Uuid,
        /// The reign that claimed it.
        fence: Fence,
        /// How far.
        progress: PurgeProgress,
    },
    /// Tells how a purge ended; or, without an end, why it does not go on at the moment.
    Report {
        /// The job.
        job: Uuid,
        /// The reign that claimed it.
        fence: Fence,
        /// Whether it ended. It ended well when there is no problem.
        ended: bool,
        /// What stood in the way.
        problem: Option<String>,
    },
}

/// What a purge is at. A stage begins when everything of those before it is gone, so that what names a file goes after the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PurgeStage {
    /// Data files and delete files.
    #[default]
    Content,
    /// Manifests.
    Manifests,
    /// Manifest lists, statistics and metadata files, the newest of them last.
    Metadata,
}

/// How far a purge is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeProgress {
    /// What it is at.
    pub stage: PurgeStage,
    /// Manifests of this stage that are done.
    pub manifests_done: u64,
    /// How many there are; 0 = not known yet.
    pub manifests_count: u64,
    /// Entries of the manifest after those that are done.
    pub entries_done: u64,
    /// Files that were deleted, or were gone.
    pub deleted: u64,
    /// Files that were left, as they may be others' or lie outside of the table's location.
    pub left: u64,
}
