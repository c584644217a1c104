//! Other tables: whatever is theirs is no orphan, wherever they lie. One that was moved has its files in a place that is no longer its
//! own, and files are added to a table where they lie.

use std::collections::BTreeSet;

use iceberg::spec::TableMetadata;
use serde_json::Value;

use super::{Named, Place, Spelling, content, key};
use crate::catalog::{Catalog, LoadedTable};
use crate::disguise;
use crate::error::{Result, TableError};
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
    /// What other tables name.
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
        // Looked at before and after the others: what is dropped or comes back meanwhile is in one of the two.
        let mut dropped: BTreeSet<String> = catalog.dropped().await?.into_iter().collect();
        for namespace in catalog.list_namespaces().await? {
            let names = catalog.list_tables(&namespace).await?;
            for some in names.chunks(LOADS_MAX) {
                found.add(catalog, store, table, place, some).await?;
            }
        }
        dropped.extend(catalog.dropped().await?);
        for metadata_location in &dropped {
            found.add_dropped(store, metadata_location, place).await?;
        }
        Ok(found)
    }

    /// Whether a file is another's, or may be.
    pub(super) fn own(&self, key: &str, location: &str) -> bool {
        self.inner.iter().any(|inner| inner.holds(key)) || self.files.own(key, location).unwrap_or(true)
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
        // Not by their uuids, which whoever makes a table chooses.
        for other in others.filter(|other| other.name != table.name) {
            // Of a store that is not served here, so not of this place.
            let Ok(theirs) = Place::of(&self.files.spelling.here(other.metadata.location())) else {
                continue;
            };
            self.files.add(&other.metadata_location, place)?;
            self.add_files(store, &other.metadata, place).await?;
            if theirs.key != place.key && place.holds(&theirs.key) {
                self.inner.push(theirs);
            }
        }
        Ok(())
    }

    /// A dropped table's, which it is to have when it comes back. One without its metadata file cannot.
    async fn add_dropped(&mut self, store: &FileStore, metadata_location: &str, place: &Place) -> Result<()> {
        if Place::of(&self.files.spelling.here(metadata_location)).is_err() {
            return Ok(());
        }
        let bytes = match store.get(metadata_location).await {
            Err(TableError::FileNotFound { .. }) => return Ok(()),
            read => read?,
        };
        let damaged = |error: serde_json::Error| TableError::Damaged {
            reason: format!("{metadata_location} is no metadata of a table: {error}"),
        };
        let mut document: Value = serde_json::from_slice(&bytes).map_err(damaged)?;
        disguise::hide(&mut document);
        let metadata: TableMetadata = serde_json::from_value(document).map_err(damaged)?;
        self.files.add(metadata_location, place)?;
        self.add_files(store, &metadata, place).await
    }

    async fn add_files(&mut self, store: &FileStore, metadata: &TableMetadata, place: &Place) -> Result<()> {
        for file in metadata_files_of(metadata) {
            self.files.add(&file, place)?;
        }
        content(store, metadata, place, &mut self.files).await
    }
}
