//! Files that lie in a table's location and that nothing names: of writers that failed, of commits that lost, of expiries that
//! ended early. Nothing outside of the location is looked at, and nothing young, for somebody may be about to commit it.

mod neighbours;
mod spelling;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::TableMetadata;

use self::neighbours::Neighbours;
use self::spelling::Spelling;
use crate::catalog::{Catalog, LoadedTable};
use crate::error::{Result, TableError};
use crate::file_store::{FileInfo, FileStore, Location};
use crate::manifest;
use crate::reachable::metadata_files_of;
use crate::scan::MANIFEST_READS_MAX;
use tidewater_core::TableName;

/// Longer than any writer takes from its first file to its commit.
const AGE_DEFAULT: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// What is younger is only removed by who says so: a long query may still be writing.
const AGE_MIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Most names of files that are kept in memory, some 2 GB. A listing ends at a tenth of them
/// ([`crate::file_store::LIST_ENTRIES_MAX`]); a table may name more than lies in the folder that is looked at.
const FILES_MAX: usize = 10_000_000;

/// Files removed at the same time.
const REMOVALS_MAX: usize = 16;

/// What counts as an orphan.
#[derive(Debug, Clone)]
pub struct OrphanOptions {
    /// Younger files are left. Less than a day is refused unless [`Self::allow_young`].
    pub older_than: Duration,
    /// Nobody writes to the table now, and the caller knows it.
    pub allow_young: bool,
    /// Only files below this, which must be the table's location or lie in it.
    pub below: Option<String>,
    /// Files whose path the table names in another store are left as if they were named, and are no error.
    pub leave_doubtful: bool,
    /// Schemes that mean another one, besides `s3a` and `s3n`, which mean `s3`: two with one meaning are one.
    pub equal_schemes: BTreeMap<String, String>,
    /// Authorities (buckets, hosts) that mean another one, likewise.
    pub equal_authorities: BTreeMap<String, String>,
}

impl Default for OrphanOptions {
    fn default() -> Self {
        Self {
            older_than: AGE_DEFAULT,
            allow_young: false,
            below: None,
            leave_doubtful: false,
            equal_schemes: BTreeMap::new(),
            equal_authorities: BTreeMap::new(),
        }
    }
}

/// What lies in a table's location.
#[derive(Debug, Clone, Default)]
pub struct Orphans {
    /// Files that nothing names, in the order of their locations.
    pub files: Vec<FileInfo>,
    /// Files that nothing names and that are too young to tell.
    pub young: u64,
    /// Files of other tables. Where nothing else is old enough to go, young ones of tables that lie elsewhere count as young.
    pub others: u64,
    /// Files that the table names.
    pub named: u64,
}

impl Orphans {
    /// Bytes that a removal frees.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}

/// Finds the orphans of a table; removes nothing.
///
/// # Errors
/// If the table, or any other, cannot be read whole: then nothing is an orphan for sure. Others are read if there is something to remove.
pub async fn find_orphans(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    options: &OrphanOptions,
) -> Result<Orphans> {
    if options.older_than < AGE_MIN && !options.allow_young {
        return Err(TableError::Unsupported {
            what: format!(
                "looking for orphans younger than a day ({:?}) while others may write",
                options.older_than
            ),
        });
    }
    let missing = || TableError::TableNotFound { table: name.clone() };
    let before = catalog.load_table(name).await?.ok_or_else(missing)?;
    let place = Place::of(before.metadata.location())?;
    let below = options.below.as_deref().unwrap_or_else(|| before.metadata.location());
    if !place.holds(&key(below)?) {
        return Err(TableError::Location {
            location: below.into(),
            reason: format!("it is not in the location of table {name}"),
        });
    }
    // What is named is looked at after what is there, so that a file committed in between is seen as named.
    let now_ms = store.clock().now_ms();
    let listed = store.list(below).await?;
    let table = catalog.load_table(name).await?.ok_or_else(missing)?;
    if table.metadata.uuid() != before.metadata.uuid() {
        return Err(TableError::Conflict {
            table: name.clone(),
            reason: "the name means another table now".into(),
        });
    }
    let spelling = Spelling::of(table.metadata.location(), options);
    let mut neighbours = Neighbours::below(&place, &listed, &spelling)?;
    let named = names(store, &table, &place, &spelling).await?;
    let oldest_ms = now_ms.saturating_sub(i64::try_from(options.older_than.as_millis()).unwrap_or(i64::MAX));
    let mut found = Orphans::default();
    let mut unnamed = Vec::new();
    for file in listed {
        let key = key(&file.location)?;
        let own = match named.own(&key, &file.location) {
            Err(TableError::Location { .. }) if options.leave_doubtful => true,
            told => told?,
        };
        match own {
            true => found.named += 1,
            false => unnamed.push((key, file)),
        }
    }
    // Most tables have no orphan, and then nobody else's manifests have to be read.
    let any_goes = unnamed
        .iter()
        .any(|(key, file): &(String, FileInfo)| file.modified_ms < oldest_ms && place.may_lose(key));
    neighbours.look(catalog, store, &table, &place, any_goes).await?;
    for (key, file) in unnamed {
        if neighbours.own(&key, &file.location) {
            found.others += 1;
        } else if !place.may_lose(&key) {
            // Not ours to say.
        } else if file.modified_ms >= oldest_ms {
            found.young += 1;
        } else {
            found.files.push(file);
        }
    }
    found.files.sort_by(|one, other| one.location.cmp(&other.location));
    Ok(found)
}

/// Removes the orphans of a table; answers what was found, all of which is gone.
///
/// # Errors
/// As [`find_orphans`], or if a file cannot be removed: it and others stay for the next time.
pub async fn remove_orphans(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    options: &OrphanOptions,
) -> Result<Orphans> {
    let found = find_orphans(catalog, store, name, options).await?;
    let removals: Vec<_> = found.files.iter().map(|file| store.delete(&file.location)).collect();
    stream::iter(removals)
        .buffer_unordered(REMOVALS_MAX)
        .try_collect::<()>()
        .await?;
    Ok(found)
}

/// A location in the one form in which it is compared: several ways to write it mean the same file.
fn key(location: &str) -> Result<String> {
    let (scheme, path) = match Location::parse(location)? {
        Location::File { path } => ("file:".to_owned(), path),
        Location::S3 { bucket, key } => (format!("s3:{bucket}/"), key),
        Location::Memory { path } => ("memory:".to_owned(), path),
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    Ok(scheme + &parts.join("/"))
}

/// The path of a location whatever its scheme, as far as it can be told.
fn bare(location: &str) -> Vec<&str> {
    let rest = location.split_once("://").map_or(location, |(_, rest)| rest);
    rest.split('/').filter(|part| !part.is_empty()).collect()
}

/// A table's location.
#[derive(Debug)]
pub(crate) struct Place {
    key: String,
}

impl Place {
    fn of(location: &str) -> Result<Self> {
        Ok(Self { key: key(location)? })
    }

    /// Whether it is this location or lies in it.
    fn holds(&self, key: &str) -> bool {
        key.strip_prefix(&self.key)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn rest<'a>(&self, key: &'a str) -> &'a str {
        key.strip_prefix(&self.key).unwrap_or(key)
    }

    /// Whether it is the table's to say what becomes of a file.
    fn may_lose(&self, key: &str) -> bool {
        self.holds(key) && !is_hidden(self.rest(key))
    }

    /// Its path, as [bare] tells it.
    fn path(&self) -> &str {
        self.key.split_once(':').map_or("", |(_, path)| path)
    }

    /// Whether neither lies in the other, whatever their stores are.
    fn is_beside(&self, other: &Self) -> bool {
        !self.may_hold(other.path()) && !other.may_hold(self.path())
    }

    /// Whether a file lies in it.
    fn has(&self, location: &str) -> bool {
        key(location).is_ok_and(|key| self.holds(&key))
    }

    /// Whether a [bare] path lies in it, whatever its store is.
    fn may_hold(&self, bare: &str) -> bool {
        // The root of a bucket ends at a slash.
        let own = self.path().trim_end_matches('/');
        let rest = bare.strip_prefix(own);
        rest.is_some_and(|rest| own.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }
}

/// As other engines have it: what begins with a dot or an underscore is somebody's own, unless it is a partition's folder.
fn is_hidden(rest: &str) -> bool {
    let mut parts = rest.split('/').filter(|part| !part.is_empty());
    parts.any(|part| (part.starts_with('.') || part.starts_with('_')) && !part.contains('='))
}

/// Files that a table names.
#[derive(Debug, Default)]
struct Named {
    keys: HashSet<String>,
    /// Locations of other stores that are in the place by their path: it may be the same file under another name.
    elsewhere: HashSet<String>,
    spelling: Spelling,
}

impl Named {
    fn spelled(spelling: &Spelling) -> Self {
        Self {
            spelling: spelling.clone(),
            ..Self::default()
        }
    }

    fn add(&mut self, location: &str, place: &Place) -> Result<()> {
        let location = self.spelling.here(location);
        match key(&location) {
            Ok(key) if place.holds(&key) => {
                self.keys.insert(key);
            }
            _ => {
                let bare = bare(&location).join("/");
                // Of what lies elsewhere for sure, there may be as much as there are files in the lake.
                if place.may_hold(&bare) {
                    self.elsewhere.insert(bare);
                }
            }
        }
        self.require_few()
    }

    /// Adds what another one holds.
    fn take(&mut self, other: Self) -> Result<()> {
        self.keys.extend(other.keys);
        self.elsewhere.extend(other.elsewhere);
        self.require_few()
    }

    fn require_few(&self) -> Result<()> {
        if self.keys.len() + self.elsewhere.len() > FILES_MAX {
            return Err(TableError::Unsupported {
                what: format!("looking for orphans of a table of more than {FILES_MAX} files"),
            });
        }
        Ok(())
    }

    fn own(&self, key: &str, location: &str) -> Result<bool> {
        if self.keys.contains(key) {
            return Ok(true);
        }
        match self.elsewhere.contains(&bare(location).join("/")) {
            true => Err(TableError::Location {
                location: location.into(),
                reason: "the table names this path in another store, which may be the same file".into(),
            }),
            false => Ok(false),
        }
    }
}

/// Everything that the table's current metadata names, over all of its snapshots. A file that a manifest tells to be deleted is
/// named as well: expiry removes it.
async fn names(store: &FileStore, table: &LoadedTable, place: &Place, spelling: &Spelling) -> Result<Named> {
    let mut named = Named::spelled(spelling);
    let metadata = table.metadata.as_ref();
    named.add(&table.metadata_location, place)?;
    named.add(&format!("{}/metadata/version-hint.text", metadata.location()), place)?;
    for file in metadata_files_of(metadata) {
        named.add(&file, place)?;
    }
    content(store, metadata, place, &mut named).await?;
    Ok(named)
}

async fn content(store: &FileStore, table: &TableMetadata, place: &Place, named: &mut Named) -> Result<()> {
    let mut seen = HashSet::new();
    for snapshot in table.snapshots() {
        let mut manifests = manifest::list(store, table, Some(snapshot)).await?;
        manifests.retain(|file| seen.insert(file.manifest_path.clone()));
        // Collected: a closure that lives across an await makes this future not `Send` in general.
        let reads: Vec<_> = manifests.iter().map(|file| manifest::entries(store, file)).collect();
        let mut entries = stream::iter(reads).buffered(MANIFEST_READS_MAX);
        while let Some(entries) = entries.try_next().await? {
            for entry in entries.iter() {
                named.add(entry.file.file_path(), place)?;
            }
        }
        for file in &manifests {
            named.add(&file.manifest_path, place)?;
        }
    }
    Ok(())
}

/// The same of another table, whose location, `home`, lies beside the place. What is known to name nothing outside of its table's location is not read again:
/// a lake may have more snapshots than a store answers in hours.
async fn content_beside(
    store: &FileStore,
    table: &TableMetadata,
    home: &Place,
    place: &Place,
    named: &mut Named,
) -> Result<()> {
    let (at_home, location) = (store.manifests().at_home(), table.location());
    // Manifests that name something elsewhere.
    let mut astray = HashSet::new();
    for snapshot in table.snapshots() {
        let list = snapshot.manifest_list();
        if at_home.knows(list, location) {
            continue;
        }
        let manifests = manifest::list(store, table, Some(snapshot)).await?;
        let mut unread = Vec::new();
        let mut stays = true;
        for file in &manifests {
            let path = &file.manifest_path;
            named.add(path, place)?;
            stays &= home.has(path) && !astray.contains(path);
            if !at_home.knows(path, location) && !astray.contains(path) {
                unread.push(file);
            }
        }
        let reads: Vec<_> = unread.iter().map(|file| manifest::entries(store, file)).collect();
        let mut entries = stream::iter(reads).buffered(MANIFEST_READS_MAX);
        let mut read = unread.iter();
        while let Some(entries) = entries.try_next().await? {
            let mut is_at_home = true;
            for entry in entries.iter() {
                let path = entry.file.file_path();
                named.add(path, place)?;
                is_at_home &= home.has(path);
            }
            // They come in the order in which they were asked for.
            if let Some(file) = read.next() {
                match is_at_home {
                    true => at_home.keep(&file.manifest_path, location),
                    false => {
                        astray.insert(file.manifest_path.clone());
                    }
                }
            }
            stays &= is_at_home;
        }
        if stays {
            at_home.keep(list, location);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
