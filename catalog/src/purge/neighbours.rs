//! What lies in the location of a purged table and is another's.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::TableMetadata;
use uuid::Uuid;

use crate::error::{CatalogError, Result};
use crate::metadata::{parse, read_compared};
use crate::service::Service;
use crate::state::{DroppedTable, State, TableRow};
use tidewater_table::TableError;
use tidewater_table::reachable::{content_of, manifests_of, metadata_files_of};

/// Files of others in the table's location that are kept in memory, some 200 MB. Beyond it the purge waits.
const FILES_MAX: usize = 1_000_000;

/// The tables and views whose location is, holds or lies in that of the purged table, and their files there.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    /// Locations that lie deeper: all in them is left, with a slash at the end.
    inner: Vec<String>,
    /// By id: the metadata file that was read, and the files.
    files: BTreeMap<Uuid, (String, BTreeSet<String>)>,
}

impl Neighbours {
    /// Whether a file, in the normal form of its path, may be a neighbour's.
    pub(super) fn own(&self, path: &str) -> bool {
        self.inner.iter().any(|inner| path.starts_with(inner))
            || self.files.values().any(|(_, files)| files.contains(path))
    }

    /// Looks who is there now. Metadata files never change, so only those not seen yet are read.
    ///
    /// # Errors
    /// If the files of one of them cannot be told: then nothing may be deleted for now.
    pub(super) async fn refresh(
        &mut self,
        service: &Service,
        state: &State,
        dropped: &DroppedTable,
        location: &str,
    ) -> Result<()> {
        let mut before = std::mem::take(&mut self.files);
        self.inner.clear();
        for row in state.neighbours_of(dropped) {
            let place = row.pointer.location.trim_end_matches('/');
            if place.strip_prefix(location).is_some_and(|rest| rest.starts_with('/')) {
                self.inner.push(format!("{place}/"));
                continue;
            }
            let file = &row.pointer.metadata_location;
            let known = before.remove(&row.id).filter(|(seen, _)| seen == file);
            let known = match known {
                Some(known) => known,
                None => (file.clone(), files_of(service, state, row, location).await?),
            };
            self.files.insert(row.id, known);
            if self.files.values().map(|(_, files)| files.len()).sum::<usize>() > FILES_MAX {
                return Err(unclear(row, format!("they are more than {FILES_MAX}")));
            }
        }
        Ok(())
    }
}

/// The files of a neighbour in `location`.
async fn files_of(service: &Service, state: &State, row: &TableRow, location: &str) -> Result<BTreeSet<String>> {
    let current = &row.pointer.metadata_location;
    let mut found = BTreeSet::new();
    let mut add = |path: &str| found.extend(service.warehouse.file_below(location, path));
    add(current);
    if state.view(&row.name).is_some_and(|view| view.id == row.id) {
        // Views have metadata files only, which no table names.
        return Ok(found);
    }
    let Some(bytes) = read_compared(&*service.store, current).await? else {
        return Err(unclear(row, format!("{current} is gone")));
    };
    let metadata: TableMetadata = parse(&bytes).map_err(|error| unclear(row, format!("{current}: {error}")))?;
    metadata_files_of(&metadata).iter().for_each(|path| add(path));
    let mut read = BTreeSet::new();
    for snapshot in metadata.snapshots() {
        service.warehouse.checked(snapshot.manifest_list())?;
        let files = service
            .store
            .files()
            .ok_or_else(|| unclear(row, "this store cannot read manifests".into()))?;
        let failed = |error: TableError| unclear(row, error.to_string());
        for manifest in manifests_of(files, &metadata, snapshot).await.map_err(failed)? {
            if !read.insert(manifest.manifest_path.clone()) {
                continue;
            }
            add(&manifest.manifest_path);
            service.warehouse.checked(&manifest.manifest_path)?;
            let content = content_of(files, &manifest).await.map_err(failed)?;
            content.iter().for_each(|path| add(path));
            if read.len() > FILES_MAX {
                return Err(unclear(row, format!("they are more than {FILES_MAX}")));
            }
        }
    }
    Ok(found)
}

fn unclear(row: &TableRow, reason: String) -> CatalogError {
    CatalogError::Damaged {
        location: row.pointer.location.clone(),
        reason: format!(
            "which of the files there are those of {} cannot be told: {reason}",
            row.name
        ),
    }
}
