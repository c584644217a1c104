//! What main keeps of its history, where who commits has no say in it.

use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadata};
use tidewater_security::SecurityError;

use super::{Retention, TableWork};
use crate::error::{CatalogError, Result};
use tidewater_table::refs_of;

/// The head of main as a commit sets it: with what main keeps by now, where the committer may not say so. Whoever tells nothing of it changes
/// nothing, and whoever tells what is so repeats it, as some clients do.
///
/// # Errors
/// [`SecurityError::PermissionDenied`] for other values, and for a tag.
pub(super) fn retained(
    work: &TableWork,
    current: &TableMetadata,
    told: SnapshotReference,
) -> Result<SnapshotReference> {
    let Retention::Kept { from } = &work.retention else {
        return Ok(told);
    };
    let refs = refs_of(current).map_err(|error| CatalogError::from_table(current.location(), error))?;
    let nothing = SnapshotRetention::branch(None, None, None);
    let now = match refs.get(MAIN_BRANCH) {
        Some(main) => main.retention.clone(),
        None => nothing.clone(),
    };
    match told.retention == nothing || told.retention == now {
        true => Ok(SnapshotReference::new(told.snapshot_id, now)),
        false => Err(CatalogError::Security(SecurityError::PermissionDenied {
            user: from.clone(),
            privilege: "ALTER".to_owned(),
            what: format!("{}, as what its main branch keeps takes", work.table),
        })),
    }
}
