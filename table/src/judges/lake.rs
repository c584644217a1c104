//! A table of keyed numbers, and the operations that the judges mix.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use iceberg::spec::{
    FormatVersion, NestedField, PrimitiveType, Schema, TableMetadata, Transform, Type, UnboundPartitionSpec,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::history::{Effect, Rows};
use crate::testing::MemoryCatalog;
use crate::{
    Added, Catalog, Change, CommitOptions, Committed, DataFileWriter, FileDeletes, FileStore, LoadedTable, NewTable,
    Result, RewriteOptions, RowMask, Scan, ScanFile, TableError, Target, WriteOptions, commit_change,
    overwrite_partitions, plan_rewrite, write_deletes,
};
use tidewater_core::{Rng, SeededRng, TableName};

/// Partitions of the table: few, so that writers meet.
const BUCKETS: u32 = 4;

/// Files of a table beyond which a writer rather tidies than adds.
const FILES_MAX: usize = 24;

/// Rows of the operations are few: what is judged are commits, not encoding.
const ROWS_MAX: u64 = 6;

/// What a writer does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    /// New rows.
    Append,
    /// Some rows of a file get another number, others leave: the file is written anew.
    MergeCopying,
    /// The same with a delete file and a file of the changed rows.
    MergeOnRead,
    /// New rows in the place of a partition.
    Overwrite,
    /// Files of a partition become one, deletes applied.
    Compact,
}

/// The table, its catalog and its store.
#[derive(Debug)]
pub(super) struct Lake {
    pub(super) store: FileStore,
    pub(super) catalog: MemoryCatalog,
    pub(super) name: TableName,
}

impl Lake {
    pub(super) async fn new(store: FileStore, warehouse: &str, format_version: &str) -> Self {
        let of_catalog = store.clone();
        Self::beside(of_catalog, store, warehouse, format_version).await
    }

    /// With a store of the catalog's own for its metadata files.
    pub(super) async fn beside(of_catalog: FileStore, store: FileStore, warehouse: &str, format_version: &str) -> Self {
        let spec = UnboundPartitionSpec::builder()
            .add_partition_field(1, "id_bucket", Transform::Bucket(BUCKETS))
            .expect("a field");
        Self::made(of_catalog, store, warehouse, format_version, Some(spec.build())).await
    }

    /// Without partitions.
    pub(super) async fn unpartitioned(store: FileStore, warehouse: &str, format_version: &str) -> Self {
        let of_catalog = store.clone();
        Self::made(of_catalog, store, warehouse, format_version, None).await
    }

    async fn made(
        of_catalog: FileStore,
        store: FileStore,
        warehouse: &str,
        format_version: &str,
        spec: Option<UnboundPartitionSpec>,
    ) -> Self {
        let long = |id, name: &str| NestedField::required(id, name, Type::Primitive(PrimitiveType::Long));
        let schema = Schema::builder()
            .with_fields([long(1, "id").into(), long(2, "n").into()])
            .build();
        let lake = Self {
            catalog: MemoryCatalog::new(of_catalog, warehouse),
            name: "s.t".parse().expect("a name"),
            store,
        };
        let mut table = NewTable::new(lake.name.clone(), schema.expect("a schema"));
        table.partition_spec = spec;
        table.properties = [("format-version".to_owned(), format_version.to_owned())].into();
        lake.catalog.create_table(table).await.expect("a table");
        lake
    }

    pub(super) async fn table(&self) -> LoadedTable {
        self.catalog
            .load_table(&self.name)
            .await
            .expect("a catalog")
            .expect("a table")
    }

    /// Does one operation on the newest state; what it did to the rows, or why it did nothing.
    pub(super) async fn act(&self, operation: Operation, rng: &SeededRng, first_id: i64) -> Result<Done> {
        let table = self.table().await;
        let metadata = table.metadata.as_ref();
        let files = Scan::new(&self.store, metadata).with_deletes().plan().await?;
        let operation = match operation {
            Operation::Append if files.len() > FILES_MAX => Operation::Overwrite,
            other if files.is_empty() && other != Operation::Overwrite => Operation::Append,
            // Format 1 knows no row deletes.
            Operation::MergeOnRead if metadata.format_version() == FormatVersion::V1 => Operation::MergeCopying,
            other => other,
        };
        let prepared = self.prepared(metadata, files, operation, rng, first_id).await?;
        let (committed, effect) = match prepared {
            Some((change, effect)) => (Some(self.commit(&change).await?), effect),
            None => (None, Effect::default()),
        };
        Ok(Done {
            operation,
            committed,
            effect,
        })
    }

    /// An operation on these files of a state, not yet committed, and what it does to the rows; nothing if there is nothing to do.
    pub(super) async fn prepared(
        &self,
        table: &TableMetadata,
        files: Vec<ScanFile>,
        operation: Operation,
        rng: &SeededRng,
        first_id: i64,
    ) -> Result<Option<(Change, Effect)>> {
        match operation {
            Operation::Append => self.append(table, rng, first_id).await.map(Some),
            Operation::MergeCopying => self.merge_copying(table, pick(&files, rng), rng).await.map(Some),
            Operation::MergeOnRead => self.merge_on_read(table, pick(&files, rng), rng).await,
            Operation::Overwrite => self.overwrite(table, &files, rng, first_id).await.map(Some),
            Operation::Compact => self.compact(table, files).await,
        }
    }

    async fn append(&self, table: &TableMetadata, rng: &SeededRng, first_id: i64) -> Result<(Change, Effect)> {
        let rows: Vec<(i64, i64)> = (0..=rng.below(ROWS_MAX) as i64).map(|at| (first_id + at, 0)).collect();
        let change = Change::append(self.write(table, &rows).await?);
        Ok((change, Effect::added(rows)))
    }

    async fn merge_copying(&self, table: &TableMetadata, file: &ScanFile, rng: &SeededRng) -> Result<(Change, Effect)> {
        let rows = self.rows_of(table, file).await?;
        let merged = merged(&rows, rng);
        let kept: Vec<(i64, i64)> = rows.iter().zip(&merged).filter_map(|(_, new)| *new).collect();
        let change = Change::overwrite([file.path.clone()], self.write(table, &kept).await?)
            .read_at(table.current_snapshot_id());
        Ok((change, Effect::changed(rows, kept)))
    }

    async fn merge_on_read(
        &self,
        table: &TableMetadata,
        file: &ScanFile,
        rng: &SeededRng,
    ) -> Result<Option<(Change, Effect)>> {
        let before = self.mask(table, file).await?;
        let all = self.stored_rows(file).await?;
        let live: Vec<(u64, (i64, i64))> = (0..).zip(all).filter(|(at, _)| !before.is_deleted(*at)).collect();
        let rows: Vec<(i64, i64)> = live.iter().map(|(_, row)| *row).collect();
        let merged = merged(&rows, rng);
        let touched = live.iter().zip(&merged).filter(|((_, row), new)| Some(*row) != **new);
        let gone: RowMask = touched.clone().map(|((at, _), _)| *at).collect();
        let left: Vec<(i64, i64)> = touched.clone().map(|((_, row), _)| *row).collect();
        let came: Vec<(i64, i64)> = touched.filter_map(|(_, new)| *new).collect();
        if left.is_empty() {
            return Ok(None);
        }
        let mut added = write_deletes(&self.store, table, &[(file.clone(), gone.union(&before))]).await?;
        added.extend(self.write(table, &came).await?);
        let head = table.current_snapshot_id().expect("files are of a snapshot");
        let change = Change::row_delta(head, [file.path.clone()], added);
        Ok(Some((change, Effect::changed(left, came))))
    }

    async fn overwrite(
        &self,
        table: &TableMetadata,
        files: &[ScanFile],
        rng: &SeededRng,
        first_id: i64,
    ) -> Result<(Change, Effect)> {
        let rows: Vec<(i64, i64)> = (0..=rng.below(2) as i64).map(|at| (first_id + at, 0)).collect();
        let added = self.write(table, &rows).await?;
        let partitions: Vec<_> = added.iter().map(|new| new.file.partition().clone()).collect();
        let change = overwrite_partitions(&self.store, table, &Target::Main, added).await?;
        let mut gone = Vec::new();
        for file in files.iter().filter(|file| partitions.contains(&file.partition)) {
            gone.extend(self.rows_of(table, file).await?);
        }
        Ok((change, Effect::changed(gone, rows)))
    }

    async fn compact(&self, table: &TableMetadata, files: Vec<ScanFile>) -> Result<Option<(Change, Effect)>> {
        let options = RewriteOptions {
            everything: true,
            ..RewriteOptions::default()
        };
        let Some(group) = plan_rewrite(files, &options).into_iter().next() else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for file in &group.files {
            rows.extend(self.rows_of(table, file).await?);
        }
        let removed = group.files.iter().map(|file| file.path.clone());
        let change = Change::replace(removed, self.write(table, &rows).await?).read_at(table.current_snapshot_id());
        Ok(Some((change, Effect::changed(rows.clone(), rows))))
    }

    pub(super) async fn commit(&self, change: &Change) -> Result<Committed> {
        commit_change(
            &self.catalog,
            &self.store,
            &self.name,
            change,
            &CommitOptions::default(),
        )
        .await
    }

    pub(super) async fn write(&self, table: &TableMetadata, rows: &[(i64, i64)]) -> Result<Vec<Added>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = DataFileWriter::new(self.store.clone(), table, WriteOptions::default())?;
        let column = |of: fn(&(i64, i64)) -> i64| Arc::new(rows.iter().map(of).collect::<Int64Array>()) as ArrayRef;
        let batch = RecordBatch::try_new(writer.schema().clone(), vec![column(|row| row.0), column(|row| row.1)]);
        writer.write(batch.map_err(TableError::encode("make rows"))?).await?;
        writer.close().await
    }

    /// All rows of a snapshot, as a reader finds them.
    pub(super) async fn rows(&self, table: &TableMetadata, snapshot_id: Option<i64>) -> Result<Rows> {
        let scan = Scan::new(&self.store, table).snapshot(snapshot_id).with_deletes();
        let mut rows = BTreeMap::new();
        for file in scan.plan().await? {
            for row in self.rows_of(table, &file).await? {
                *rows.entry(row).or_default() += 1;
            }
        }
        Ok(rows)
    }

    pub(super) async fn rows_of(&self, table: &TableMetadata, file: &ScanFile) -> Result<Vec<(i64, i64)>> {
        let mask = self.mask(table, file).await?;
        let rows = self.stored_rows(file).await?;
        let kept = (0..).zip(rows).filter(|(at, _)| !mask.is_deleted(*at));
        Ok(kept.map(|(_, row)| row).collect())
    }

    pub(super) async fn mask(&self, table: &TableMetadata, file: &ScanFile) -> Result<RowMask> {
        match FileDeletes::of(file, table)? {
            Some(deletes) => deletes.mask(&self.store).await,
            None => Ok(RowMask::default()),
        }
    }

    /// The rows of a data file by position.
    pub(super) async fn stored_rows(&self, file: &ScanFile) -> Result<Vec<(i64, i64)>> {
        let bytes = self.store.get(&file.path).await?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(TableError::encode("read a data file"))?;
        let mut rows = Vec::new();
        for batch in reader {
            let batch = batch.map_err(TableError::encode("read a data file"))?;
            let column = |name| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
            let (Some(ids), Some(numbers)) = (column("id"), column("n")) else {
                return Err(TableError::damaged(format!("{} has other columns", file.path)));
            };
            rows.extend(ids.values().iter().copied().zip(numbers.values().iter().copied()));
        }
        Ok(rows)
    }
}

/// What an operation came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) operation: Operation,
    /// Nothing if there was nothing to do.
    pub(super) committed: Option<Committed>,
    pub(super) effect: Effect,
}

fn pick<'a>(files: &'a [ScanFile], rng: &SeededRng) -> &'a ScanFile {
    &files[rng.below(files.len() as u64) as usize]
}

/// Each row as it is to be: the same, with its number one higher, or gone.
fn merged(rows: &[(i64, i64)], rng: &SeededRng) -> Vec<Option<(i64, i64)>> {
    let fate = |&(id, n): &(i64, i64)| match rng.below(4) {
        0 => None,
        1 => Some((id, n)),
        _ => Some((id, n + 1)),
    };
    rows.iter().map(fate).collect()
}
