//! Tables that share a location: whatever is theirs is no orphan.

use std::collections::BTreeSet;

use super::{Named, Place, Spelling, content, key};
use crate::catalog::{Catalog, LoadedTable};
use crate::error::Result;
use crate::file_store::{FileInfo, FileStore};
use crate::reachable::metadata_files_of;
use tidewater_core::TableName;

/// Tables loaded in one call.
const LOADS_MAX: usize = 64;

/// What lies in a table's location and is another's.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// Places that lie deeper: all in them is left.
    inner: Vec<Place>,
    /// Files of tables whose place is this one or around it.
    files: Named,
}

impl Neighbours {
    /// Every table of the catalog is looked at; and where a metadata file of somebody lies deeper, a table is taken to be, for it
    /// may be a view, or dropped and yet to be brought back.
    pub(super) async fn of(
        catalog: &dyn Catalog,
        store: &FileStore,
        table: &LoadedTable,
        place: &Place,
        listed: &[FileInfo],
        spelling: &Spelling,
    ) -> Result<Self> {
        let mut found = Self {
            inner: Vec::new(),
            files: Named::spelled(spelling),
        };
        let own_metadata = format!("{}/metadata", place.key);
        let mut deeper = BTreeSet::new();
        for file in listed.iter().filter(|file| file.location.ends_with(".metadata.json")) {
            let key = key(&file.location)?;
            let Some((folder, _)) = key.rsplit_once('/') else {
                continue;
            };
            if folder != own_metadata {
                let above = folder.strip_suffix("/metadata").unwrap_or(folder);
                // What lies right in the location is nobody's table.
                if above != place.key {
                    deeper.insert(above.to_owned());
                }
            }
        }
        found.inner = deeper.into_iter().map(|key| Place { key }).collect();
        for namespace in catalog.list_namespaces().await? {
            let names = catalog.list_tables(&namespace).await?;
            for some in names.chunks(LOADS_MAX) {
                found.add(catalog, store, table, place, some).await?;
            }
        }
        Ok(found)
    }

    pub(super) fn own(&self, key: &str) -> bool {
        self.inner.iter().any(|inner| inner.holds(key)) || self.files.keys.contains(key)
    }

    async fn add(
        &mut self,
        catalog: &dyn Catalog,
        store: &FileStore,
        table: &LoadedTable,
        place: &Place,
        names: &[TableName],
    ) -> Result<()> {
        let others = catalog.load_tables(names).await?.into_iter().flatten();
        for other in others.filter(|other| other.metadata.uuid() != table.metadata.uuid()) {
            // Of a store that is not served here, so not of this place.
            let Ok(theirs) = Place::of(&self.files.spelling.here(other.metadata.location())) else {
                continue;
            };
            if theirs.key == place.key || theirs.holds(&place.key) {
                self.files.add(&other.metadata_location, place)?;
                for file in metadata_files_of(&other.metadata) {
                    self.files.add(&file, place)?;
                }
                content(store, &other.metadata, place, &mut self.files).await?;
            } else if place.holds(&theirs.key) {
                self.inner.push(theirs);
            }
        }
        Ok(())
    }
}
