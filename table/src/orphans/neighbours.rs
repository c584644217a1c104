//! Other tables: whatever is theirs is no orphan, wherever they lie. One that was moved has its files in a place that is no longer its
//! own, and files are added to a table where they lie.

use std::collections::{BTreeSet, HashMap};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use iceberg::spec::TableMetadata;
use serde_json::Value;
use uuid::Uuid;

use super::{Named, Place, Spelling, content, content_beside, key};
use crate::catalog::{Catalog, LoadedTable};
use crate::disguise;
use crate::error::{Result, TableError};
use crate::file_store::{FileInfo, FileStore};
use crate::reachable::metadata_files_of;
use tidewater_core::TableName;

/// Tables loaded in one call.
const LOADS_MAX: usize = 64;

/// How often is asked what other tables there are.
const ROUNDS_MAX: u32 = 8;

/// Tables whose manifests are read at the same time.
const READS_MAX: usize = 4;

/// What lies in a table's location and is another's.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// Places that lie deeper: all in them is left.
    inner: Vec<Place>,
    /// What other tables name.
    files: Named,
}

impl Neighbours {
    /// Where a metadata file of somebody lies deeper, a table is taken to be, for it may be a view, or dropped and yet to be brought back.
    pub(super) fn below(place: &Place, listed: &[FileInfo], spelling: &Spelling) -> Result<Self> {
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
        Ok(Self {
            inner: deeper.into_iter().map(|key| Place { key }).collect(),
            files: Named::spelled(spelling),
        })
    }

    /// Looks at every table of the catalog: where it lies, and what it names if that matters, which is what dropped ones name as well.
    pub(super) async fn look(
        &mut self,
        catalog: &dyn Catalog,
        store: &FileStore,
        table: &LoadedTable,
        place: &Place,
        with_content: bool,
    ) -> Result<()> {
        // Asked for before and after the others: what is dropped or comes back meanwhile is in one of the two.
        let mut dropped = BTreeSet::new();
        if with_content {
            dropped.extend(catalog.dropped().await?);
        }
        let mut seen: HashMap<TableName, Uuid> = HashMap::new();
        let mut rounds = 0;
        loop {
            // All at one moment: a table that is renamed meanwhile is found in the next round.
            let pointers = catalog.pointers().await?;
            let own = (&table.name, table.metadata.uuid());
            let unseen: Vec<TableName> = pointers
                .iter()
                .filter(|(name, at)| (*name, at.uuid) != own && seen.get(*name) != Some(&at.uuid))
                .map(|(name, _)| name.clone())
                .collect();
            if unseen.is_empty() {
                break;
            }
            if rounds == ROUNDS_MAX {
                return Err(TableError::Conflict {
                    table: table.name.clone(),
                    reason: "other tables are made and renamed faster than they are looked at".into(),
                });
            }
            rounds += 1;
            for some in unseen.chunks(LOADS_MAX) {
                let others: Vec<LoadedTable> = catalog.load_tables(some).await?.into_iter().flatten().collect();
                for other in &others {
                    seen.insert(other.name.clone(), other.metadata.uuid());
                }
                self.add(store, place, others, with_content).await?;
            }
        }
        if !with_content {
            return Ok(());
        }
        dropped.extend(catalog.dropped().await?);
        let unnameable = catalog.unnameable().await?.into_iter().map(|location| (location, true));
        let files: Vec<(String, bool)> = dropped
            .into_iter()
            .map(|location| (location, false))
            .chain(unnameable)
            .collect();
        for some in files.chunks(LOADS_MAX) {
            let spelling = self.files.spelling.clone();
            let mut reads: Vec<BoxFuture<'_, Result<Named>>> = Vec::with_capacity(some.len());
            for (metadata_location, is_there) in some {
                reads.push(named_by_file(store, metadata_location, *is_there, place, &spelling).boxed());
            }
            self.take_all(reads).await?;
        }
        Ok(())
    }

    /// Whether a file is another's, or may be.
    pub(super) fn own(&self, key: &str, location: &str) -> bool {
        self.inner.iter().any(|inner| inner.holds(key)) || self.files.own(key, location).unwrap_or(true)
    }

    async fn add(
        &mut self,
        store: &FileStore,
        place: &Place,
        others: Vec<LoadedTable>,
        with_content: bool,
    ) -> Result<()> {
        let spelling = self.files.spelling.clone();
        let mut reads: Vec<BoxFuture<'_, Result<Named>>> = Vec::new();
        for other in &others {
            // Of a store that is not served here, so not of this place.
            let Ok(theirs) = Place::of(&spelling.here(other.metadata.location())) else {
                continue;
            };
            self.files.add(&other.metadata_location, place)?;
            if with_content {
                reads.push(named_by(store, &other.metadata, place, &spelling).boxed());
            }
            if theirs.key != place.key && place.holds(&theirs.key) {
                self.inner.push(theirs);
            }
        }
        self.take_all(reads).await
    }

    async fn take_all(&mut self, reads: Vec<BoxFuture<'_, Result<Named>>>) -> Result<()> {
        let mut reads = stream::iter(reads).buffer_unordered(READS_MAX);
        while let Some(named) = reads.try_next().await? {
            self.files.take(named)?;
        }
        Ok(())
    }
}

/// What a table names, all of it that lies in the place or may.
async fn named_by(store: &FileStore, table: &TableMetadata, place: &Place, spelling: &Spelling) -> Result<Named> {
    let mut named = Named::spelled(spelling);
    for file in metadata_files_of(table) {
        named.add(&file, place)?;
    }
    let is_beside = Place::of(&spelling.here(table.location())).is_ok_and(|theirs| place.is_beside(&theirs));
    match Place::of(table.location()).ok().filter(|_| is_beside) {
        Some(home) => content_beside(store, table, &home, place, &mut named).await?,
        None => content(store, table, place, &mut named).await?,
    }
    Ok(named)
}

/// What a table names by its metadata file: a dropped one is to have it when it comes back, which it cannot without that file.
async fn named_by_file(
    store: &FileStore,
    metadata_location: &str,
    is_there: bool,
    place: &Place,
    spelling: &Spelling,
) -> Result<Named> {
    if Place::of(&spelling.here(metadata_location)).is_err() {
        return Ok(Named::default());
    }
    let bytes = match store.get(metadata_location).await {
        Err(TableError::FileNotFound { .. }) if !is_there => return Ok(Named::default()),
        read => read?,
    };
    let damaged = |error: serde_json::Error| TableError::Damaged {
        reason: format!("{metadata_location} is no metadata of a table: {error}"),
    };
    let mut document: Value = serde_json::from_slice(&bytes).map_err(damaged)?;
    disguise::hide(&mut document);
    let metadata: TableMetadata = serde_json::from_value(document).map_err(damaged)?;
    let mut named = named_by(store, &metadata, place, spelling).await?;
    named.add(metadata_location, place)?;
    Ok(named)
}
