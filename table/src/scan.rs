//! Which files hold the rows of a snapshot that may fulfil a condition.

mod coverage;
mod deletes;
mod listing;
mod partition_columns;
mod parts;
mod pruning;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{
    DataContentType, DataFile, DataFileFormat, Datum, ManifestContentType, ManifestFile, SnapshotRef, Struct,
    TableMetadata,
};

pub use self::coverage::{Coverage, covers};
pub(crate) use self::deletes::Deletes;
pub use self::listing::Listing;
pub(crate) use self::listing::ListingCache;
pub use self::partition_columns::{Constant, PartitionColumns};
pub use self::parts::{Part, ScanParts, Verdict};
pub(crate) use self::pruning::Pruner;
use crate::at_hand::AtHand;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::{self, Description, Entry, Lender};
use crate::predicate::Predicate;

/// Manifests read at the same time: hides a store's latency; more would only compete for the processor.
pub(crate) const MANIFEST_READS_MAX: usize = 8;

/// Small ones take a store as long as large ones, and the processor next to nothing: so many at once.
const SMALL_READS_MAX: usize = 64;

/// What manifests that are read at once may have together, where that is more than a few.
const READ_BYTES_MAX: u64 = 32 << 20;

/// Manifests that are asked for before their files are taken: what is between them and the scan takes memory for each.
const MANIFESTS_PER_TURN: usize = 1_024;

/// How many of these manifests are read at the same time.
pub(crate) fn reads_at_once<'a>(manifests: impl Iterator<Item = &'a ManifestFile>) -> usize {
    let largest = manifests.map(|manifest| manifest.manifest_length.unsigned_abs()).max();
    let fitting = READ_BYTES_MAX / largest.unwrap_or(0).max(1);
    let fitting = usize::try_from(fitting).unwrap_or(SMALL_READS_MAX);
    fitting.clamp(MANIFEST_READS_MAX, SMALL_READS_MAX)
}

/// A data file to be read.
#[derive(Debug, Clone)]
pub struct ScanFile {
    /// Absolute location.
    pub path: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// Rows in it, before deletes.
    pub record_count: u64,
    /// The partition spec it was written with.
    pub spec_id: i32,
    /// Partition values of that spec.
    pub partition: Struct,
    /// Data sequence number: deletes of a higher one apply.
    pub sequence: i64,
    /// Sequence number of the commit that brought the file.
    pub file_sequence: i64,
    /// The snapshot that brought the file, or removed it in a list of removed files.
    pub snapshot_id: i64,
    /// Deletes that may touch its rows. Whoever reads the file must apply them.
    pub deletes: Vec<DeleteFile>,
    /// If set, only rows are meant that one of these deletes and none of `deletes` does. `None` but in answers of
    /// [`crate::changes_between`].
    pub only: Option<Vec<DeleteFile>>,
    entry: Lender,
}

impl ScanFile {
    /// Where it lies and where its delete files lie.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let deletes = self.deletes.iter().chain(self.only.iter().flatten());
        std::iter::once(self.path.as_str()).chain(deletes.map(|delete| delete.path.as_str()))
    }

    /// Whether all rows in the file are meant, whatever is in delete files.
    pub fn is_whole(&self) -> bool {
        self.deletes.is_empty() && self.only.is_none()
    }

    /// Refuses a file whose rows nobody here can read. What the table tells of it can be used all the same.
    ///
    /// # Errors
    /// [`TableError::FileFormat`] unless it is Parquet.
    pub fn require_readable(&self) -> Result<()> {
        match self.description().file_format() {
            DataFileFormat::Parquet => Ok(()),
            format => Err(TableError::FileFormat {
                path: self.path.clone(),
                format,
            }),
        }
    }

    /// Everything the table knows of the file: counts, sizes and bounds by field id. It is unpacked for this and kept until the value
    /// is dropped, at some kilobytes: who asks for a column of many files asks for that alone.
    pub fn data_file(&self) -> &DataFile {
        self.entry.file()
    }

    /// Bytes that a reader of these columns reads, by the field ids of leaves: all of the file but what other columns have of it. As far as
    /// the table does not know how much that is, it counts as read; so does a whole file of which rows are deleted by their values,
    /// which are read too.
    pub fn bytes_of(&self, leaves: &BTreeSet<i32>) -> u64 {
        let mut deletes = self.deletes.iter().chain(self.only.iter().flatten());
        if deletes.any(|delete| delete.content == DataContentType::EqualityDeletes) {
            return self.size_bytes;
        }
        let (mut all, mut unread) = (0_u64, 0_u64);
        self.description().each_column_size(|id, bytes| {
            all = all.saturating_add(bytes);
            if !leaves.contains(&id) {
                unread = unread.saturating_add(bytes);
            }
        });
        // What other writers say is believed only where it can be so.
        match all <= self.size_bytes {
            true => self.size_bytes.saturating_sub(unread),
            false => self.size_bytes,
        }
    }

    /// The id of its first row, where the table has given one.
    pub fn first_row_id(&self) -> Option<i64> {
        self.description().first_row_id()
    }

    /// Whether the table knows how many values of a column are in it, so that it has the column for sure.
    pub(crate) fn counts_values(&self, field_id: i32) -> bool {
        self.description().value_count(field_id).is_some()
    }

    /// Values of a column, nulls among them, by field id, where the table knows.
    pub fn value_count(&self, field_id: i32) -> Option<u64> {
        self.description().value_count(field_id)
    }

    /// Nulls in a column, by field id, where the table knows.
    pub fn null_value_count(&self, field_id: i32) -> Option<u64> {
        self.description().null_value_count(field_id)
    }

    /// Values that are no numbers in a column, by field id, where the table knows.
    pub fn nan_value_count(&self, field_id: i32) -> Option<u64> {
        self.description().nan_value_count(field_id)
    }

    /// Where row groups begin, in bytes from the file's beginning and in order; empty where the table does not know.
    pub fn split_offsets(&self) -> Vec<u64> {
        let told = self.description().split_offsets().unwrap_or_default();
        let starts: Option<Vec<u64>> = told.into_iter().map(|start| u64::try_from(start).ok()).collect();
        // What other writers say is believed only where it can be so.
        let sound = |starts: &Vec<u64>| starts.is_sorted() && starts.last().is_none_or(|last| *last < self.size_bytes);
        starts.filter(sound).unwrap_or_default()
    }

    /// No value of a column is below it, NaN left aside.
    pub fn lower_bound(&self, field_id: i32) -> Option<Datum> {
        self.description().lower_bound(field_id)
    }

    /// No value of a column is above it, NaN left aside.
    pub fn upper_bound(&self, field_id: i32) -> Option<Datum> {
        self.description().upper_bound(field_id)
    }

    pub(crate) fn description(&self) -> &Description {
        &self.entry.entry().file
    }

    pub(crate) fn add_deletes(&mut self, deletes: &Deletes) {
        self.deletes = deletes.of(self.entry.entry());
    }

    /// Only those of its rows that one of these deletes.
    pub(crate) fn narrowed(mut self, only: Vec<DeleteFile>) -> Self {
        self.only = Some(only);
        self
    }

    pub(crate) fn of(entry: &Arc<Entry>, deletes: Vec<DeleteFile>) -> Self {
        let file = &entry.file;
        Self {
            path: file.file_path().to_owned(),
            size_bytes: file.file_size_in_bytes(),
            record_count: file.record_count(),
            spec_id: entry.spec_id,
            partition: file.partition().clone(),
            sequence: entry.sequence,
            file_sequence: entry.file_sequence,
            snapshot_id: entry.snapshot_id,
            deletes,
            only: None,
            entry: Lender::new(entry.clone()),
        }
    }
}

/// A file that deletes rows of data files.
#[derive(Debug, Clone)]
pub struct DeleteFile {
    /// Absolute location.
    pub path: String,
    /// By position or by equality.
    pub content: DataContentType,
    /// Data sequence number: it applies to older files.
    pub sequence: i64,
    entry: Lender,
}

impl DeleteFile {
    /// The partition spec it was written with.
    pub fn spec_id(&self) -> i32 {
        self.entry.entry().spec_id
    }

    /// Everything the table knows of the file.
    pub fn data_file(&self) -> &DataFile {
        self.entry.file()
    }

    pub(crate) fn description(&self) -> &Description {
        &self.entry.entry().file
    }

    /// Where what it says stands: a file, and of a deletion vector where it begins in there.
    pub(crate) fn place(&self) -> (&str, Option<i64>) {
        (&self.path, self.entry.entry().file.content_offset())
    }
}

/// A scan to be planned.
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    store: &'a FileStore,
    table: &'a TableMetadata,
    snapshot: Option<i64>,
    filter: Option<&'a Predicate>,
    with_deletes: bool,
    appended_after: Option<Option<i64>>,
}

impl<'a> Scan<'a> {
    /// Of the current snapshot, without a condition.
    pub fn new(store: &'a FileStore, table: &'a TableMetadata) -> Self {
        Self {
            store,
            table,
            snapshot: None,
            filter: None,
            with_deletes: false,
            appended_after: None,
        }
    }

    /// Of this snapshot.
    #[must_use]
    pub fn snapshot(mut self, snapshot_id: Option<i64>) -> Self {
        self.snapshot = snapshot_id;
        self
    }

    /// Of what a branch or tag names.
    ///
    /// # Errors
    /// [`TableError::RefNotFound`] if there is none of that name.
    pub fn reference(self, name: &str) -> Result<Self> {
        let snapshot_id = crate::refs::snapshot_of(self.table, name)?;
        Ok(self.snapshot(Some(snapshot_id)))
    }

    /// Only files that may hold such rows.
    #[must_use]
    pub fn filter(mut self, filter: Option<&'a Predicate>) -> Self {
        self.filter = filter;
        self
    }

    /// Report deletes instead of refusing them: the caller promises to apply [`ScanFile::deletes`].
    #[must_use]
    pub fn with_deletes(mut self) -> Self {
        self.with_deletes = true;
        self
    }

    /// Only files that appends brought after that snapshot (`None`: since the table began). For [`Self::parts`].
    #[must_use]
    pub fn appended_after(mut self, snapshot_id: Option<i64>) -> Self {
        self.appended_after = Some(snapshot_id);
        self
    }

    /// The files, in the order of the manifests.
    pub async fn plan(self) -> Result<Vec<ScanFile>> {
        Ok(match self.snapshot_read()? {
            Some(snapshot) => self.found(snapshot).await?.into_files(),
            None => Vec::new(),
        })
    }

    /// The same, kept for a while: a statement asks more than once for the same files of the same snapshot, and so do those that follow
    /// it. The caller promises to apply [`ScanFile::deletes`].
    pub async fn listing(self) -> Result<Arc<Listing>> {
        let scan = self.with_deletes();
        match scan.snapshot_read()? {
            Some(snapshot) => scan.store.listings().of(&scan, snapshot).await,
            None => Ok(Arc::default()),
        }
    }

    /// `None` for a table without any.
    fn snapshot_read(&self) -> Result<Option<&'a SnapshotRef>> {
        let Some(snapshot_id) = self.snapshot else {
            return Ok(self.table.current_snapshot());
        };
        let snapshot = self.table.snapshot_by_id(snapshot_id);
        snapshot.map(Some).ok_or(TableError::SnapshotNotFound { snapshot_id })
    }

    async fn found(&self, snapshot: &SnapshotRef) -> Result<Listing> {
        self.store.tell(AtHand::listed);
        let manifests = manifest::shared_list(self.store, self.table, snapshot).await?;
        let deletes = self.deletes(&manifests).await?;
        let pruner = Pruner::new(self.table, self.filter);
        let wanted: Vec<&ManifestFile> = manifests
            .iter()
            .filter(|m| holds_live(m, ManifestContentType::Data) && pruner.keeps_manifest(m))
            .collect();
        let at_once = reads_at_once(wanted.iter().copied());
        let mut files = Vec::new();
        for some in wanted.chunks(MANIFESTS_PER_TURN) {
            // Collected, since a closure that lives across an await makes the future of a scan not `Send` in general.
            let reads: Vec<_> = some
                .iter()
                .map(|manifest| manifest::entries(self.store, manifest))
                .collect();
            let mut entries = stream::iter(reads).buffered(at_once);
            while let Some(entries) = entries.try_next().await? {
                let kept = entries
                    .iter()
                    .filter(|entry| entry.is_live() && pruner.keeps_file(entry));
                files.extend(kept.map(|entry| ScanFile::of(entry, deletes.of(entry))));
            }
        }
        let of_deletes = manifests.iter().filter(|m| holds_live(m, ManifestContentType::Deletes));
        let read = of_deletes.chain(wanted.iter().copied());
        let manifests = read.map(|manifest| manifest.manifest_path.clone()).collect();
        Ok(Listing::new(files, snapshot.manifest_list().to_owned(), manifests))
    }

    async fn deletes(&self, manifests: &[ManifestFile]) -> Result<Deletes> {
        let deletes = Deletes::read(self.store, self.table, manifests).await?;
        if !deletes.is_empty() && !self.with_deletes {
            return Err(TableError::Unsupported {
                what: format!("reading a table with row deletes ({} delete files)", deletes.len()),
            });
        }
        Ok(deletes)
    }
}

/// Does the manifest list files of this kind that are part of the snapshot?
pub(crate) fn holds_live(manifest: &ManifestFile, content: ManifestContentType) -> bool {
    manifest.content == content && (manifest.has_added_files() || manifest.has_existing_files())
}

/// The files of a snapshot (`None`: the current one) that may hold rows of `filter`. Refuses tables with row deletes.
pub async fn plan_scan(
    store: &FileStore,
    table: &TableMetadata,
    snapshot: Option<i64>,
    filter: Option<&Predicate>,
) -> Result<Vec<ScanFile>> {
    Scan::new(store, table).snapshot(snapshot).filter(filter).plan().await
}

#[cfg(test)]
pub(crate) mod tests;
