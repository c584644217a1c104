//! Commits a [`Change`]: plans it on the table's head, sends it, and on a lost race plans it again.

mod columns;
mod manifests;
mod names;
mod plan;
mod rebase;
mod summary;
mod unknown;
mod validate;

use std::time::Duration;

use iceberg::TableRequirement;
use iceberg::spec::{Snapshot, SnapshotRef, TableMetadata};
use tidewater_core::TableName;

pub use self::columns::misfit;
pub use self::manifests::{RewriteManifests, RewrittenManifests, rewrite_manifests};
pub(crate) use self::names::expired_snapshots;
pub use self::plan::{PlannedAppend, PlannedCommit, plan_append, plan_commit};
pub use self::rebase::{LostAppend, Rebase, rebase_append};
use self::unknown::Attempts;
use crate::catalog::{Catalog, CommitOutcome, LoadedTable};
use crate::change::{Change, JOB_ID_KEY, Target};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;

/// Longest time between two attempts: the catalog commits in a few milliseconds, so longer waits only waste time.
const BACKOFF_MAX_MS: u64 = 200;

/// Entries a tail manifest grows to. Measured on tables of 10,000 files: 50 to 100 make the cheapest commits and scans.
const TAIL_ENTRIES: u32 = 100;

/// How new data entries meet the manifests that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// A new manifest for each commit; nothing is read but the list.
    Keep,
    /// The newest data manifest takes the new entries in until it holds this many, or 64 KiB: entries of wide tables are
    /// large, and each commit writes the tail anew.
    Roll(u32),
}

/// How a change is committed.
#[derive(Debug, Clone)]
pub struct CommitOptions {
    /// How manifests grow.
    pub tail: Tail,
    /// Keep this many snapshots of the main branch, the new one included; `None` keeps all. Files are not removed: that is
    /// [`crate::remove_unreachable`]. A job is known as committed only while its snapshot is kept.
    pub keep_snapshots: Option<u32>,
    /// Plans before giving up.
    pub attempts_max: u32,
    /// Time before giving up.
    pub deadline: Duration,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self {
            tail: Tail::Roll(TAIL_ENTRIES),
            keep_snapshots: None,
            attempts_max: 100,
            deadline: Duration::from_secs(60),
        }
    }
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
    committed
        .into_iter()
        .next()
        .ok_or_else(|| TableError::damaged("a commit without tables"))
}

/// Commits changes of several tables, all or none. Each table may be named once.
///
/// A lost race is planned again from the new heads. If the answer is lost, the tables are looked at for every snapshot tried
/// before anything is sent again; [`TableError::UnknownOutcome`] if even that cannot tell, whatever is met afterwards.
pub async fn commit_changes(
    catalog: &dyn Catalog,
    store: &FileStore,
    changes: &[(TableName, Change)],
    options: &CommitOptions,
) -> Result<Vec<Committed>> {
    let Some((first, _)) = changes.first() else {
        return Ok(Vec::new());
    };
    let mut attempts = Attempts::default();
    match try_all(catalog, store, first, changes, options, &mut attempts).await {
        Err(error @ TableError::UnknownOutcome { .. }) => Err(error),
        // Whoever hears of anything else takes the files of the change away.
        Err(error) if !attempts.is_empty() => Err(TableError::UnknownOutcome {
            table: first.clone(),
            reason: format!("an attempt had no answer, and then: {error}"),
        }),
        told => told,
    }
}

/// `attempts` are those whose outcome is not known in the end.
async fn try_all(
    catalog: &dyn Catalog,
    store: &FileStore,
    first: &TableName,
    changes: &[(TableName, Change)],
    options: &CommitOptions,
    attempts: &mut Attempts,
) -> Result<Vec<Committed>> {
    let deadline = store.clock().monotonic() + options.deadline;
    let mut count = 0;
    while count < options.attempts_max && store.clock().monotonic() < deadline {
        let tables = load(catalog, changes).await?;
        if let Some(done) = attempts.landed(store, &tables, count).await? {
            return Ok(done);
        }
        if let Some(done) = committed_before(&tables, changes) {
            return Ok(done);
        }
        count += 1;
        let plans = plan_all(store, &tables, changes, options).await?;
        let commits = plans.iter().map(|plan| plan.commit.clone()).collect();
        match catalog.commit(commits).await {
            Ok(CommitOutcome::Committed(after)) => {
                attempts.excluded(store).await;
                return matched(after, &plans, count);
            }
            Ok(CommitOutcome::Conflict { message }) => {
                tracing::debug!(table = %first, attempt = count, message, "commit lost its race");
                sweep(store, &written(&plans)).await;
            }
            // Its files stay: the snapshot may be in the table, now or when a slow request arrives.
            Ok(CommitOutcome::Unknown { message }) => {
                tracing::debug!(table = %first, attempt = count, message, "commit's outcome is unknown");
                attempts.note(&tables, changes, plans);
            }
            Err(fault) => {
                sweep(store, &written(&plans)).await;
                return Err(fault.into());
            }
        }
        store.clock().sleep(backoff(store, count)).await;
    }
    if attempts.is_empty() {
        return Err(TableError::Contention {
            table: first.clone(),
            attempts: count,
        });
    }
    let tables = load(catalog, changes).await?;
    match attempts.landed(store, &tables, count).await? {
        Some(done) => Ok(done),
        None => Err(TableError::UnknownOutcome {
            table: first.clone(),
            reason: format!("no answer to {count} attempts, and a late one may still be applied"),
        }),
    }
}

async fn load(catalog: &dyn Catalog, changes: &[(TableName, Change)]) -> Result<Vec<LoadedTable>> {
    let mut tables = Vec::with_capacity(changes.len());
    for (name, _) in changes {
        let missing = || TableError::TableNotFound { table: name.clone() };
        tables.push(catalog.load_table(name).await?.ok_or_else(missing)?);
    }
    Ok(tables)
}

/// The snapshots of these very jobs, if all of them are there and none was rolled back: a job that runs twice commits once (INV-JOB-1).
fn committed_before(tables: &[LoadedTable], changes: &[(TableName, Change)]) -> Option<Vec<Committed>> {
    let find = |(table, (_, change)): (&LoadedTable, &(TableName, Change))| {
        let job = change.properties.get(JOB_ID_KEY)?;
        let of_job = |made: &&SnapshotRef| made.summary().additional_properties.get(JOB_ID_KEY) == Some(job);
        let mut made = table.metadata.snapshots().filter(of_job);
        let stands = made.find(|made| !is_undone(&table.metadata, &change.target, made))?;
        Some(Committed {
            table: table.clone(),
            snapshot_id: stands.snapshot_id(),
            attempts: 0,
        })
    };
    tables.iter().zip(changes).map(find).collect()
}

/// Whether a snapshot that was made for a target has been rolled back: the history of its head is known to where it should be, and it is not
/// there. What nobody can tell any more, as snapshots expired or the branch is gone, counts as done.
fn is_undone(table: &TableMetadata, target: &Target, made: &Snapshot) -> bool {
    if matches!(target, Target::Staged(_)) {
        return false;
    }
    let head = target.head(table);
    if head.is_none() && matches!(target, Target::Branch(_)) {
        return false;
    }
    let mut at = head;
    loop {
        let Some(id) = at else { return true };
        if id == made.snapshot_id() {
            return false;
        }
        if at == made.parent_snapshot_id() {
            return true;
        }
        match table.snapshot_by_id(id) {
            Some(snapshot) => at = snapshot.parent_snapshot_id(),
            None => return false,
        }
    }
}

async fn plan_all(
    store: &FileStore,
    tables: &[LoadedTable],
    changes: &[(TableName, Change)],
    options: &CommitOptions,
) -> Result<Vec<PlannedCommit>> {
    let mut plans: Vec<PlannedCommit> = Vec::with_capacity(tables.len());
    for (table, (_, change)) in tables.iter().zip(changes) {
        match plan_commit(store, table, change, options).await {
            Ok(mut plan) => {
                if let Some(current_schema_id) = change.conditions.exact_schema {
                    let requirement = TableRequirement::CurrentSchemaIdMatch { current_schema_id };
                    plan.commit.requirements.push(requirement);
                }
                plans.push(plan);
            }
            Err(error) => {
                sweep(store, &written(&plans)).await;
                return Err(error);
            }
        }
    }
    Ok(plans)
}

fn matched(after: Vec<LoadedTable>, plans: &[PlannedCommit], attempts: u32) -> Result<Vec<Committed>> {
    let find = |plan: &PlannedCommit| {
        let table = after.iter().find(|table| table.name == plan.commit.name);
        let table = table.ok_or_else(|| TableError::damaged(format!("commit answered no {}", plan.commit.name)))?;
        Ok(Committed {
            table: table.clone(),
            snapshot_id: plan.snapshot_id,
            attempts,
        })
    };
    plans.iter().map(find).collect()
}

/// Metadata files of all tables. Owned: futures that borrow through a closure are not `Send` for every lifetime.
fn written(plans: &[PlannedCommit]) -> Vec<String> {
    plans.iter().flat_map(|plan| plan.written.iter().cloned()).collect()
}

/// Removes the metadata files of a lost attempt. What cannot be removed now is rubbish that maintenance finds later.
pub(crate) async fn sweep(store: &FileStore, written: impl IntoIterator<Item = &String>) {
    for location in written {
        if let Err(error) = store.delete(location).await {
            tracing::debug!(location, %error, "metadata file of a lost commit stays behind");
        }
    }
}

/// Grows with the attempts and differs between writers, so that equals do not meet again and again.
pub(crate) fn backoff(store: &FileStore, attempt: u32) -> Duration {
    let ceiling_ms = (5u64 << attempt.min(6)).min(BACKOFF_MAX_MS);
    Duration::from_millis(store.rng().below(ceiling_ms))
}

#[cfg(test)]
mod tests;
