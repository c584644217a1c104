//! Commits a [`Change`]: plans it on the table's head, sends it, and on a lost race plans it again.

use std::time::Duration;

use tidewater_core::TableName;

use crate::catalog::{Catalog, LoadedTable, TableCommit};
use crate::change::Change;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;

/// How new data entries meet the manifests that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// A new manifest for each commit; nothing is read but the list.
    Keep,
    /// The newest data manifest takes the new entries in until it holds this many.
    Roll(u32),
}

/// How a change is committed.
#[derive(Debug, Clone)]
pub struct CommitOptions {
    /// How manifests grow.
    pub tail: Tail,
    /// Keep this many snapshots of the main branch, the new one included; `None` keeps all. Files are not removed.
    pub keep_snapshots: Option<u32>,
    /// Plans before giving up.
    pub attempts_max: u32,
    /// Time before giving up.
    pub deadline: Duration,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self {
            tail: Tail::Roll(100),
            keep_snapshots: None,
            attempts_max: 100,
            deadline: Duration::from_secs(60),
        }
    }
}

/// One attempt: its metadata files are written, nothing is visible before the catalog accepts it.
#[derive(Debug, Clone)]
pub struct PlannedCommit {
    /// For [`Catalog::commit`], alone or with other tables'.
    pub commit: TableCommit,
    /// The snapshot it makes.
    pub snapshot_id: i64,
    /// Metadata files written; to be deleted if the commit is known to be lost.
    pub written: Vec<String>,
}

/// A commit that is in the table.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The table after it (or later).
    pub table: LoadedTable,
    /// The snapshot.
    pub snapshot_id: i64,
    /// How often it was planned; 0 if the job was found committed already.
    pub attempts: u32,
}

/// Writes the metadata files of one attempt on this state of the table. Refuses with [`TableError::Conflict`].
pub async fn plan_commit(
    _store: &FileStore,
    _table: &LoadedTable,
    _change: &Change,
    _options: &CommitOptions,
) -> Result<PlannedCommit> {
    Err(TableError::Unsupported { what: "plan_commit".into() })
}

/// Commits one change of one table.
pub async fn commit_change(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    change: &Change,
    options: &CommitOptions,
) -> Result<Committed> {
    let one = [(name.clone(), change.clone())];
    let committed = commit_changes(catalog, store, &one, options).await?;
    committed.into_iter().next().ok_or_else(|| TableError::damaged("a commit without tables"))
}

/// Commits changes of several tables, all or none. Each table may be named once.
pub async fn commit_changes(
    _catalog: &dyn Catalog,
    _store: &FileStore,
    _changes: &[(TableName, Change)],
    _options: &CommitOptions,
) -> Result<Vec<Committed>> {
    Err(TableError::Unsupported { what: "commit_changes".into() })
}

/// Most time between two attempts: the catalog commits in a few milliseconds, so longer waits only waste time.
const BACKOFF_MAX_MS: u64 = 200;

/// Grows with the attempts and differs between writers, so that equals do not meet again and again.
pub(crate) fn backoff(store: &FileStore, attempt: u32) -> Duration {
    let ceiling_ms = (5u64 << attempt.min(6)).min(BACKOFF_MAX_MS);
    Duration::from_millis(store.rng().below(ceiling_ms))
}
