//! Tables of the files of a snapshot, or of all snapshots.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{BinaryBuilder, Int32Builder, Int64Builder, MapBuilder};
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use futures::{StreamExt, TryStreamExt, stream};
use tidewater_table::LoadedTable;
use tidewater_table::foreign::{folders_outside, require_own};
use tidewater_table::iceberg::spec::{
    DataContentType, DataFile, Datum, ManifestContentType, ManifestFile, ManifestStatus,
};
use tidewater_table::inspect::{self, ManifestEntry};

use super::columns::{bytes, counts, int_lists, ints, long, long_lists, longs, names, nested, texts};
use super::metrics;
use super::partition::PartitionType;
use super::table::{Column, MetadataTable, Source};
use crate::engine::Parts;
use crate::error::Result;

/// Manifests read at the same time: hides a store's latency.
const READS_MAX: usize = 8;

/// Which files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Any,
    Data,
    Deletes,
}

/// The files that some snapshots' manifests list.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) parts: Arc<Parts>,
    pub(super) table: LoadedTable,
    snapshots: Vec<i64>,
    content: Content,
    /// Entries of removed files count too.
    removed: bool,
    /// Whether manifests of another table are refused.
    bound: bool,
}

impl Files {
    pub(super) fn of_snapshot(
        parts: &Arc<Parts>,
        table: &LoadedTable,
        snapshot: Option<i64>,
        content: Content,
    ) -> Self {
        Self {
            parts: parts.clone(),
            table: table.clone(),
            snapshots: snapshot.into_iter().collect(),
            content,
            removed: false,
            bound: false,
        }
    }

    /// The same for somebody whom grants bind, if they do.
    pub(super) fn bound(mut self, bound: bool) -> Self {
        self.bound = bound;
        self
    }

    pub(super) fn of_all(parts: &Arc<Parts>, table: &LoadedTable, content: Content) -> Self {
        let snapshots = table.metadata.snapshots().map(|snapshot| snapshot.snapshot_id());
        Self {
            snapshots: snapshots.collect(),
            ..Self::of_snapshot(parts, table, None, content)
        }
    }

    /// Each manifest once, with the first snapshot that has it.
    pub(super) async fn manifests(&self) -> Result<Vec<ManifestFile>> {
        let reads: Vec<_> = self
            .snapshots
            .iter()
            .map(|snapshot| inspect::manifests(&self.parts.store, &self.table.metadata, *snapshot))
            .collect();
        let mut lists = stream::iter(reads).buffered(READS_MAX);
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        while let Some(list) = lists.try_next().await? {
            let wanted = list.into_iter().filter(|manifest| match self.content {
                Content::Any => true,
                Content::Data => manifest.content == ManifestContentType::Data,
                Content::Deletes => manifest.content == ManifestContentType::Deletes,
            });
            found.extend(wanted.filter(|manifest| seen.insert(manifest.manifest_path.clone())));
        }
        if self.bound {
            let folders = self.outside(&found);
            require_own(&*self.parts.catalog, &self.table.name, &folders).await?;
        }
        Ok(found)
    }

    /// The folders of lists of manifests and of these manifests that do not lie in the table's location.
    fn outside(&self, manifests: &[ManifestFile]) -> Vec<String> {
        let metadata = &self.table.metadata;
        let snapshots = self.snapshots.iter().filter_map(|id| metadata.snapshot_by_id(*id));
        let lists = snapshots.map(|snapshot| snapshot.manifest_list());
        let manifests = manifests.iter().map(|manifest| manifest.manifest_path.as_str());
        folders_outside(metadata.location(), lists.chain(manifests))
    }

    /// Refuses files of another table to whom grants bind.
    async fn require_own(&self, entries: &[ManifestEntry]) -> Result<()> {
        if !self.bound {
            return Ok(());
        }
        let folders = {
            let paths = entries.iter().map(|entry| entry.file().file_path());
            folders_outside(self.table.metadata.location(), paths)
        };
        Ok(require_own(&*self.parts.catalog, &self.table.name, &folders).await?)
    }
}

#[async_trait]
impl Source<ManifestEntry> for Files {
    async fn rows(&self, limit: Option<usize>) -> Result<Vec<ManifestEntry>> {
        let manifests = self.manifests().await?;
        let reads: Vec<_> = manifests
            .iter()
            .map(|manifest| inspect::entries(&self.parts.store, manifest))
            .collect();
        let mut lists = stream::iter(reads).buffered(READS_MAX);
        let mut found = Vec::new();
        while let Some(entries) = lists.try_next().await? {
            found.extend(entries.into_iter().filter(|entry| self.removed || entry.is_live()));
            if limit.is_some_and(|limit| found.len() >= limit) {
                break;
            }
        }
        // Manifests are merged and written anew: those of the table's own may tell of another's files.
        self.require_own(&found).await?;
        Ok(found)
    }
}

/// One row for each file.
pub(super) fn files(files: Files) -> Result<Arc<dyn TableProvider>> {
    let mut columns = file_columns(&files)?;
    columns.extend(metrics::readable(files.table.metadata.current_schema())?);
    Ok(MetadataTable::provider(columns, files))
}

/// One row for each entry of a manifest, of removed files too.
pub(super) fn entries(files: Files) -> Result<Arc<dyn TableProvider>> {
    let files = Files { removed: true, ..files };
    let mut columns = vec![
        ints("status", false, |entry: &ManifestEntry| {
            Some(match entry.status() {
                ManifestStatus::Existing => 0,
                ManifestStatus::Added => 1,
                ManifestStatus::Deleted => 2,
            })
        })?,
        longs("snapshot_id", true, |entry: &ManifestEntry| Some(entry.snapshot_id()))?,
        longs("sequence_number", true, |entry: &ManifestEntry| Some(entry.sequence()))?,
        longs("file_sequence_number", true, |entry: &ManifestEntry| {
            Some(entry.file_sequence())
        })?,
        nested("data_file", file_columns(&files)?)?,
    ];
    columns.extend(metrics::readable(files.table.metadata.current_schema())?);
    Ok(MetadataTable::provider(columns, files))
}

/// What a kind of file has for a number.
pub(super) fn content(file: &DataFile) -> i32 {
    match file.content_type() {
        DataContentType::Data => 0,
        DataContentType::PositionDeletes => 1,
        DataContentType::EqualityDeletes => 2,
    }
}

type Entry = ManifestEntry;

fn file_columns(files: &Files) -> Result<Vec<Column<Entry>>> {
    let mut columns = vec![
        ints("content", false, |entry: &Entry| Some(content(entry.file())))?,
        texts("file_path", false, |entry: &Entry| {
            Some(entry.file().file_path().to_owned())
        })?,
        texts("file_format", false, |entry: &Entry| {
            Some(entry.file().file_format().to_string().to_uppercase())
        })?,
        ints("spec_id", false, |entry: &Entry| Some(entry.spec_id()))?,
    ];
    let partition = PartitionType::of(&files.table.metadata)?;
    // As in Spark: a table without partitions has no such column.
    if !partition.is_empty() {
        columns.push(Column::new("partition", false, move |rows: &[Entry]| {
            partition.array(rows.iter().map(|entry| (entry.spec_id(), entry.file().partition())))
        })?);
    }
    columns.extend([
        counts("record_count", |entry: &Entry| entry.file().record_count())?,
        counts("file_size_in_bytes", |entry: &Entry| entry.file().file_size_in_bytes())?,
        count_maps("column_sizes", DataFile::column_sizes)?,
        count_maps("value_counts", DataFile::value_counts)?,
        count_maps("null_value_counts", DataFile::null_value_counts)?,
        count_maps("nan_value_counts", DataFile::nan_value_counts)?,
        bound_maps("lower_bounds", DataFile::lower_bounds)?,
        bound_maps("upper_bounds", DataFile::upper_bounds)?,
        bytes("key_metadata", |entry: &Entry| {
            entry.file().key_metadata().map(<[u8]>::to_vec)
        })?,
        long_lists("split_offsets", |entry: &Entry| {
            entry.file().split_offsets().map(<[i64]>::to_vec)
        })?,
        int_lists("equality_ids", |entry: &Entry| entry.file().equality_ids())?,
        ints("sort_order_id", true, |entry: &Entry| entry.file().sort_order_id())?,
        longs("first_row_id", true, |entry: &Entry| entry.file().first_row_id())?,
        texts("referenced_data_file", true, |entry: &Entry| {
            entry.file().referenced_data_file()
        })?,
        longs("content_offset", true, |entry: &Entry| entry.file().content_offset())?,
        longs("content_size_in_bytes", true, |entry: &Entry| {
            entry.file().content_size_in_bytes()
        })?,
    ]);
    Ok(columns)
}

fn sorted<V>(map: &HashMap<i32, V>) -> Vec<(i32, &V)> {
    let mut entries: Vec<(i32, &V)> = map.iter().map(|(id, value)| (*id, value)).collect();
    entries.sort_unstable_by_key(|(id, _)| *id);
    entries
}

/// Counts by field id; null where a file tells none.
fn count_maps(name: &str, of: fn(&DataFile) -> &HashMap<i32, u64>) -> Result<Column<Entry>> {
    Column::new(name, true, move |rows: &[Entry]| {
        let mut maps = MapBuilder::new(Some(names()), Int32Builder::new(), Int64Builder::new());
        for row in rows {
            let map = of(row.file());
            for (id, count) in sorted(map) {
                maps.keys().append_value(id);
                maps.values().append_value(long(*count));
            }
            maps.append(!map.is_empty()).map_err(DataFusionError::from)?;
        }
        Ok(Arc::new(maps.finish()))
    })
}

/// Bounds by field id, in Iceberg's bytes; null where a file tells none.
fn bound_maps(name: &str, of: fn(&DataFile) -> &HashMap<i32, Datum>) -> Result<Column<Entry>> {
    Column::new(name, true, move |rows: &[Entry]| {
        let mut maps = MapBuilder::new(Some(names()), Int32Builder::new(), BinaryBuilder::new());
        for row in rows {
            let mut any = false;
            for (id, bound) in sorted(of(row.file())) {
                // What has no bytes is no bound.
                if let Ok(bytes) = bound.to_bytes() {
                    maps.keys().append_value(id);
                    maps.values().append_value(bytes);
                    any = true;
                }
            }
            maps.append(any).map_err(DataFusionError::from)?;
        }
        Ok(Arc::new(maps.finish()))
    })
}
