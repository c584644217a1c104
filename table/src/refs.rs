//! Branches and tags, and where the head of a table stands. Only names move: no snapshot is made here but by [`cherry_pick`].

mod cherry;
mod fits;
mod head;
mod read;

use std::collections::BTreeSet;

use iceberg::spec::{FormatVersion, MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

pub(crate) use self::cherry::{PUBLISHED_WAP_ID, SOURCE, WAP_ID};
pub use self::cherry::{Picked, cherry_pick, is_wap_enabled, lost_source, staged_as};
pub use self::fits::{before_replacement, is_before_replacement};
pub use self::head::{
    HeadMoved, fast_forward, plan_rollback, rollback_to_snapshot, rollback_to_timestamp, set_current_snapshot,
};
pub use self::read::refs_of;
use crate::catalog::{Catalog, CommitOutcome, LoadedTable, TableCommit};
use crate::commit::backoff;
use crate::create::OnExisting;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use tidewater_core::TableName;

/// Such changes are rare: whoever loses this many races has met a defect.
const ATTEMPTS_MAX: u32 = 10;

/// One change of a branch or a tag.
#[derive(Debug, Clone)]
pub enum RefChange {
    /// Names a snapshot (`None`: the current one).
    Create {
        /// The name.
        name: String,
        /// The snapshot.
        snapshot_id: Option<i64>,
        /// A branch or a tag, and how long it and its snapshots are kept.
        retention: SnapshotRetention,
        /// What to do when the name is taken. A branch does not become a tag, nor a tag a branch.
        on_existing: OnExisting,
    },
    /// Lets a branch or tag that is there name another snapshot, or keep it for another time.
    Replace {
        /// The name.
        name: String,
        /// The snapshot; `None`: the one it names.
        snapshot_id: Option<i64>,
        /// As it is to be; what it does not say is no longer said.
        retention: SnapshotRetention,
    },
    /// Forgets a name. The snapshots stay until they expire.
    Drop {
        /// The name.
        name: String,
        /// A branch, else a tag: dropping one by the other's statement is refused.
        is_branch: bool,
        /// No error if there is none.
        if_exists: bool,
    },
}

/// What a name is to become.
type Wish = (String, Option<SnapshotReference>);

/// The snapshot that a branch or tag names.
pub fn snapshot_of(table: &TableMetadata, name: &str) -> Result<i64> {
    match table.snapshot_for_ref(name) {
        Some(snapshot) => Ok(snapshot.snapshot_id()),
        None => Err(TableError::RefNotFound { name: name.into() }),
    }
}

/// Snapshots that branches and tags other than main name.
pub(crate) fn named_snapshots(table: &TableMetadata) -> Result<BTreeSet<i64>> {
    let refs = refs_of(table)?;
    let others = refs.iter().filter(|(name, _)| *name != MAIN_BRANCH);
    Ok(others.map(|(_, named)| named.snapshot_id).collect())
}

/// Changes branches and tags, all or none. Answers the table's newest state.
pub async fn change_refs(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    changes: &[RefChange],
) -> Result<LoadedTable> {
    let plan = |table: &TableMetadata| {
        let mut wishes: Vec<Wish> = Vec::new();
        for change in changes {
            wishes.extend(planned(table, change)?);
        }
        Ok(wishes)
    };
    move_refs(catalog, store, name, &plan).await
}

fn planned(table: &TableMetadata, change: &RefChange) -> Result<Option<Wish>> {
    let refs = refs_of(table)?;
    match change {
        RefChange::Create {
            name,
            snapshot_id,
            retention,
            on_existing,
        } => {
            let reference = SnapshotReference::new(known(table, *snapshot_id, name)?, retention.clone());
            let Some(there) = refs.get(name) else {
                return Ok(Some((name.clone(), Some(reference))));
            };
            match on_existing {
                OnExisting::Fail => Err(TableError::NameTaken {
                    what: if there.is_branch() { "branch" } else { "tag" },
                    name: name.clone(),
                }),
                OnExisting::Skip => Ok(None),
                OnExisting::Replace => {
                    require_kind(name, there, reference.is_branch())?;
                    Ok(Some((name.clone(), Some(reference))))
                }
            }
        }
        RefChange::Replace {
            name,
            snapshot_id,
            retention,
        } => {
            let there = refs
                .get(name)
                .ok_or_else(|| TableError::RefNotFound { name: name.clone() })?;
            let at = known(table, Some(snapshot_id.unwrap_or(there.snapshot_id)), name)?;
            let reference = SnapshotReference::new(at, retention.clone());
            require_kind(name, there, reference.is_branch())?;
            Ok(Some((name.clone(), Some(reference))))
        }
        RefChange::Drop { name, .. } if name == MAIN_BRANCH => Err(refused(
            "dropping branch main",
            "it is what the table is",
            "drop the table, or delete its rows",
        )),
        RefChange::Drop {
            name,
            is_branch,
            if_exists,
        } => match refs.get(name) {
            Some(there) => {
                require_kind(name, there, *is_branch)?;
                Ok(Some((name.clone(), None)))
            }
            None if *if_exists => Ok(None),
            None => Err(TableError::RefNotFound { name: name.clone() }),
        },
    }
}

fn require_kind(name: &str, there: &SnapshotReference, is_branch: bool) -> Result<()> {
    let kind = |is_branch| if is_branch { "branch" } else { "tag" };
    match there.is_branch() == is_branch {
        true => Ok(()),
        false => Err(refused(
            format!("changing {name}"),
            format!("it is a {}, not a {}", kind(there.is_branch()), kind(is_branch)),
            "drop it and make it anew, or name another one",
        )),
    }
}

fn known(table: &TableMetadata, snapshot_id: Option<i64>, name: &str) -> Result<i64> {
    let wanted = snapshot_id.or_else(|| table.current_snapshot_id());
    let Some(snapshot_id) = wanted else {
        return Err(refused(
            format!("making {name}"),
            "the table has no snapshot yet",
            "write rows first",
        ));
    };
    match table.snapshot_by_id(snapshot_id) {
        Some(_) => Ok(snapshot_id),
        None => Err(TableError::SnapshotNotFound { snapshot_id }),
    }
}

/// Lets names mean what `plan` says of the newest state; nothing is sent if they do already.
async fn move_refs(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    plan: &(dyn Fn(&TableMetadata) -> Result<Vec<Wish>> + Sync),
) -> Result<LoadedTable> {
    let mut unknown: Option<Vec<Wish>> = None;
    for attempt in 0..ATTEMPTS_MAX {
        let missing = || TableError::TableNotFound { table: name.clone() };
        let table = catalog.load_table(name).await?.ok_or_else(missing)?;
        // An attempt without an answer may be in the table: then the same change would be refused now.
        if let Some(wishes) = &unknown
            && fulfilled(&table.metadata, wishes)?
        {
            return Ok(table);
        }
        let wishes = plan(&table.metadata)?;
        if fulfilled(&table.metadata, &wishes)? {
            return Ok(table);
        }
        if wishes.iter().any(|(name, _)| name != MAIN_BRANCH) {
            require_names(&table.metadata)?;
        }
        for wish in &wishes {
            if let Some(snapshot_id) = fits::moves_branch(&table.metadata, wish) {
                fits::require_fit(store, &table.metadata, snapshot_id).await?;
            }
        }
        match catalog.commit(vec![commit(name, &table.metadata, &wishes)]).await? {
            CommitOutcome::Committed(tables) => {
                let table = tables.into_iter().next();
                return table.ok_or_else(|| TableError::damaged("a commit answered no table"));
            }
            CommitOutcome::Conflict { message } => {
                tracing::debug!(table = %name, attempt, message, "a change of branches lost its race");
            }
            CommitOutcome::Unknown { message } => {
                tracing::debug!(table = %name, attempt, message, "a change of branches: unknown outcome");
                unknown = Some(wishes);
            }
        }
        store.clock().sleep(backoff(store, attempt)).await;
    }
    Err(match unknown {
        Some(_) => TableError::UnknownOutcome {
            table: name.clone(),
            reason: format!("no answer to {ATTEMPTS_MAX} attempts, and a late one may still be applied"),
        },
        None => TableError::Contention {
            table: name.clone(),
            attempts: ATTEMPTS_MAX,
        },
    })
}

fn fulfilled(table: &TableMetadata, wishes: &[Wish]) -> Result<bool> {
    let refs = refs_of(table)?;
    Ok(wishes.iter().all(|(name, wanted)| refs.get(name) == wanted.as_ref()))
}

/// The format library forgets the names of version 1 when it writes a table.
pub(crate) fn require_names(table: &TableMetadata) -> Result<()> {
    match table.format_version() {
        FormatVersion::V1 => Err(refused(
            "a branch or tag",
            "tables of format version 1 have none here",
            "upgrade the table first: set format-version to 2",
        )),
        _ => Ok(()),
    }
}

fn commit(name: &TableName, table: &TableMetadata, wishes: &[Wish]) -> TableCommit {
    let mut requirements = vec![TableRequirement::UuidMatch { uuid: table.uuid() }];
    // Whether a snapshot fits was told of these columns.
    if wishes.iter().any(|wish| fits::moves_branch(table, wish).is_some()) {
        requirements.push(TableRequirement::CurrentSchemaIdMatch {
            current_schema_id: table.current_schema_id(),
        });
    }
    let mut updates = Vec::new();
    for (ref_name, wanted) in wishes {
        requirements.push(TableRequirement::RefSnapshotIdMatch {
            r#ref: ref_name.clone(),
            snapshot_id: table.snapshot_for_ref(ref_name).map(|s| s.snapshot_id()),
        });
        let ref_name = ref_name.clone();
        updates.push(match wanted.clone() {
            Some(reference) => TableUpdate::SetSnapshotRef { ref_name, reference },
            None => TableUpdate::RemoveSnapshotRef { ref_name },
        });
    }
    TableCommit {
        name: name.clone(),
        requirements,
        updates,
    }
}

pub(crate) fn refused(what: impl Into<String>, reason: impl Into<String>, advice: impl Into<String>) -> TableError {
    TableError::Reference {
        what: what.into(),
        reason: reason.into(),
        advice: advice.into(),
    }
}

#[cfg(test)]
mod tests;
