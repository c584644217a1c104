//! Commits that only append and lost their race: put on the new head, so that the client need not plan again.
//!
//! Nothing else about them is loosened: all other requirements must hold, and what the commit does beside its one snapshot may only be
//! to set properties.

use iceberg::spec::{Snapshot, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

use super::{Files, TableWork};
use crate::error::{CatalogError, Result};
use crate::service::Service;
use tidewater_table::{LostAppend, Rebase, TableError, rebase_append};

/// The table property that switches it off with `false`.
const REBASE_APPENDS: &str = "tidewater.commit.rebase-appends";

/// A commit that fits the new head.
#[derive(Debug)]
pub(super) struct Rebased {
    pub(super) work: TableWork,
    /// Written for it.
    pub(super) written: Vec<String>,
    /// The client's own manifest list, which nothing points to once this one counts.
    pub(super) superseded: Option<String>,
}

impl Service {
    /// The commit on the table's new head; none when it has to be refused.
    pub(super) async fn rebased(
        &self,
        files: &Files<'_>,
        metadata: &TableMetadata,
        work: &TableWork,
    ) -> Result<Option<Rebased>> {
        let is_off = |value: &String| value.eq_ignore_ascii_case("false");
        if !self.rebase_appends || !work.may_rebase || metadata.properties().get(REBASE_APPENDS).is_some_and(is_off) {
            return Ok(None);
        }
        let (Some(lost), Some(store)) = (lost_append(metadata, work), self.store.files()) else {
            return Ok(None);
        };
        let may_read = |path: &str| !path.is_empty() && files.check(path).is_ok();
        let rebase = match rebase_append(store, metadata, lost, &may_read).await {
            Ok(rebase) => rebase,
            // The client's own files, or those of a head that goes on being read: the refusal tells him to look.
            Err(TableError::FileNotFound { location }) => Rebase::Refused {
                reason: format!("{location} is not there"),
            },
            Err(error) => return Err(CatalogError::from_table(metadata.location(), error)),
        };
        match rebase {
            Rebase::Refused { reason } => {
                tracing::debug!(table = %work.table, reason, "a lost append is refused and not rebased");
                Ok(None)
            }
            Rebase::Done { snapshot, written } => {
                let list = lost.snapshot.manifest_list();
                let is_own = self.warehouse.file_below(metadata.location(), list).is_some();
                Ok(Some(Rebased {
                    superseded: is_own.then(|| list.to_owned()),
                    work: on_new_head(work, lost.branch, &snapshot),
                    written,
                }))
            }
        }
    }
}

/// The append of a commit that fails for the head of its branch alone.
fn lost_append<'w>(metadata: &TableMetadata, work: &'w TableWork) -> Option<LostAppend<'w>> {
    let mut failed = super::requirements::failed(metadata, &work.requirements);
    let (branch, base) = match failed.next()? {
        TableRequirement::RefSnapshotIdMatch { r#ref, snapshot_id } => (r#ref.as_str(), *snapshot_id),
        _ => return None,
    };
    if failed.next().is_some() {
        return None;
    }
    let (mut snapshot, mut is_head) = (None, false);
    for update in &work.updates {
        match update {
            TableUpdate::AddSnapshot { snapshot: added } if snapshot.is_none() => snapshot = Some(added),
            TableUpdate::SetSnapshotRef { ref_name, reference } if !is_head && ref_name == branch => {
                is_head = reference.is_branch() && snapshot.map(Snapshot::snapshot_id) == Some(reference.snapshot_id);
                if !is_head {
                    return None;
                }
            }
            TableUpdate::SetProperties { .. } | TableUpdate::RemoveProperties { .. } => {}
            TableUpdate::AssignUuid { uuid } if *uuid == metadata.uuid() => {}
            _ => return None,
        }
    }
    let snapshot = snapshot.filter(|_| is_head)?;
    Some(LostAppend { snapshot, branch, base })
}

fn on_new_head(work: &TableWork, branch: &str, snapshot: &Snapshot) -> TableWork {
    let mut work = work.clone();
    // Whoever is faster now is seen by the table's version in the log.
    work.requirements
        .retain(|one| !matches!(one, TableRequirement::RefSnapshotIdMatch { r#ref, .. } if r#ref == branch));
    for update in &mut work.updates {
        if let TableUpdate::AddSnapshot { snapshot: lost } = update {
            *lost = snapshot.clone();
        }
    }
    work
}
