//! Statistics files: how many different values each column has, as a sketch that any engine can read and merge.

mod theta;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::TryStreamExt;
use iceberg::compression::CompressionCodec;
use iceberg::io::{MemoryStorage, OutputFile, Storage};
use iceberg::puffin::{APACHE_DATASKETCHES_THETA_V1, Blob, PuffinWriter};
use iceberg::spec::{BlobMetadata, NestedFieldRef, Snapshot, StatisticsFile, TableMetadata, Type};
use iceberg::{TableRequirement, TableUpdate};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;

use self::theta::Theta;
use crate::catalog::{Catalog, CommitOutcome, LoadedTable, TableCommit};
use crate::commit::backoff;
use crate::deletes::{FileDeletes, Places, RowMask, StoredParquet, Wanted, filled};
use crate::digest;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::foreign::{folders_outside, require_own};
use crate::scan::{PartitionColumns, Scan, ScanFile};
use crate::schema::{initial_default, mapped_names, to_arrow};
use tidewater_core::TableName;

/// Nothing but the statistics of one snapshot is at stake, so whoever loses this many races has met a defect.
const ATTEMPTS_MAX: u32 = 10;

/// Property of a blob that tells how many different values a column has, without the sketch being read.
pub const DISTINCT: &str = "ndv";

/// Magic, flags, length of the payload and magic again: what a Puffin footer has beside its payload.
const FOOTER_FRAME_BYTES: u64 = 16;

/// What is computed.
#[derive(Debug, Clone, Default)]
pub struct StatisticsOptions {
    /// Columns at the top level that are neither structs, lists nor maps; empty: all of them.
    pub columns: Vec<String>,
    /// The snapshot; `None`: the current one.
    pub snapshot_id: Option<i64>,
}

/// What was computed.
#[derive(Debug, Clone)]
pub struct ComputedStatistics {
    /// The table after it.
    pub table: LoadedTable,
    /// The file; `None` for a table without a snapshot.
    pub file: Option<StatisticsFile>,
    /// About how many different values each column has, nulls not counted.
    pub distinct: BTreeMap<String, u64>,
}

/// Reads the columns of a snapshot and writes a statistics file of how many different values they have.
///
/// # Errors
/// If a column is not known, or nested; if a file can't be read.
pub async fn compute_statistics(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    options: &StatisticsOptions,
) -> Result<ComputedStatistics> {
    let missing = || TableError::TableNotFound { table: name.clone() };
    let table = catalog.load_table(name).await?.ok_or_else(missing)?;
    let metadata = table.metadata.clone();
    let snapshot = match options.snapshot_id {
        Some(snapshot_id) => {
            let found = metadata.snapshot_by_id(snapshot_id);
            Some(found.ok_or(TableError::SnapshotNotFound { snapshot_id })?)
        }
        None => metadata.current_snapshot(),
    };
    let Some(snapshot) = snapshot else {
        return Ok(ComputedStatistics {
            table,
            file: None,
            distinct: BTreeMap::new(),
        });
    };
    let fields = fields(&metadata, &options.columns)?;
    let mut sketches = vec![Theta::default(); fields.len()];
    let wanted = wanted(&metadata, &fields)?;
    let partition_columns = PartitionColumns::new(&metadata, &to_arrow(metadata.current_schema())?);
    let scan = Scan::new(store, &metadata)
        .snapshot(Some(snapshot.snapshot_id()))
        .with_deletes();
    let files = scan.plan().await?;
    // Whoever asks: what is counted is told of this table.
    let folders = folders_outside(metadata.location(), files.iter().flat_map(ScanFile::paths));
    require_own(catalog, name, &folders).await?;
    table.lost_defaults.require_none(metadata.current_schema(), &files)?;
    for file in files {
        file.require_readable()?;
        let mask = match FileDeletes::of(&file, &metadata)? {
            Some(deletes) => deletes.mask(store).await?,
            None => RowMask::default(),
        };
        let constants = partition_columns.of(&file)?.into_iter();
        let told: Vec<_> = constants.map(|constant| (constant.field_id, constant.value)).collect();
        let wanted: Vec<Wanted> = wanted.iter().map(|wanted| wanted.clone().told(&told)).collect();
        sketches = read(store, &file, &wanted, &mask, sketches).await?;
    }
    let counts = sketches.iter().map(|sketch| sketch.estimate().round() as u64);
    let distinct: BTreeMap<String, u64> = fields.iter().map(|field| field.name.clone()).zip(counts).collect();
    let file = write(store, &metadata, snapshot, &fields, &sketches).await?;
    let table = attach(catalog, store, name, &metadata, &file).await?;
    Ok(ComputedStatistics {
        table,
        file: Some(file),
        distinct,
    })
}

fn fields(table: &TableMetadata, columns: &[String]) -> Result<Vec<NestedFieldRef>> {
    let all = table.current_schema().as_struct();
    if columns.is_empty() {
        let plain = all
            .fields()
            .iter()
            .filter(|field| matches!(*field.field_type, Type::Primitive(_)));
        return Ok(plain.cloned().collect());
    }
    let find = |column: &String| {
        let field = all
            .field_by_name(column)
            .ok_or_else(|| TableError::ColumnNotFound { column: column.clone() })?;
        match field.field_type.as_ref() {
            Type::Primitive(_) => Ok(field.clone()),
            of => Err(TableError::UnsupportedType {
                column: column.clone(),
                data_type: of.to_string(),
            }),
        }
    };
    columns.iter().map(find).collect()
}

fn wanted(table: &TableMetadata, fields: &[NestedFieldRef]) -> Result<Vec<Wanted>> {
    let arrow = to_arrow(table.current_schema())?;
    let mut names = mapped_names(table)?;
    let find = |field: &NestedFieldRef| {
        let as_arrow = arrow.field_with_name(&field.name);
        let as_arrow = as_arrow.map_err(TableError::encode(format!("find column {}", field.name)))?;
        let default = initial_default(as_arrow)?.map(|value| (field.id, value));
        let wanted = Wanted::new(field.id, &field.name, as_arrow.data_type().clone()).told(default.as_slice());
        Ok(match &mut names {
            Some(names) => wanted.called(names.remove(&field.id).unwrap_or_default()),
            None => wanted,
        })
    };
    fields.iter().map(find).collect()
}

async fn read(
    store: &FileStore,
    file: &ScanFile,
    wanted: &[Wanted],
    mask: &RowMask,
    mut sketches: Vec<Theta>,
) -> Result<Vec<Theta>> {
    let what = || format!("read {}", file.path);
    let reader = StoredParquet::new(store, &file.path, file.size_bytes);
    let builder = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .map_err(TableError::encode(what()))?;
    let places = Places::new(builder.schema(), wanted);
    let projection = places.mask(builder.parquet_schema());
    let mut batches = builder
        .with_projection(projection)
        .build()
        .map_err(TableError::encode(what()))?;
    let mut first = 0;
    while let Some(batch) = batches.try_next().await.map_err(TableError::encode(what()))? {
        let columns = filled(places.take(&batch, &file.path)?, wanted, batch.num_rows())?;
        let rows = batch.num_rows() as u64;
        let kept: Vec<bool> = (first..first + rows).map(|row| !mask.is_deleted(row)).collect();
        first += rows;
        // Hashing a batch takes a millisecond and more.
        let task = tokio::task::spawn_blocking(move || {
            for (column, sketch) in columns.iter().zip(&mut sketches) {
                values::each(column, &kept, &mut |value| sketch.update(value))?;
            }
            Ok::<_, TableError>(sketches)
        });
        sketches = task.await.map_err(TableError::encode(what()))??;
    }
    Ok(sketches)
}

async fn write(
    store: &FileStore,
    table: &TableMetadata,
    snapshot: &Snapshot,
    fields: &[NestedFieldRef],
    sketches: &[Theta],
) -> Result<StatisticsFile> {
    const SCRATCH: &str = "memory:/statistics.puffin";
    let fault = || TableError::metadata("write statistics");
    let scratch: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let output = OutputFile::new(scratch.clone(), SCRATCH.to_owned());
    let properties = HashMap::from([(
        "created-by".to_owned(),
        concat!("tidewater ", env!("CARGO_PKG_VERSION")).to_owned(),
    )]);
    let mut writer = PuffinWriter::new(&output, properties, false).await.map_err(fault())?;
    let mut blobs = Vec::with_capacity(fields.len());
    for (field, sketch) in fields.iter().zip(sketches) {
        let told = HashMap::from([(DISTINCT.to_owned(), (sketch.estimate().round() as u64).to_string())]);
        let blob = Blob::builder()
            .r#type(APACHE_DATASKETCHES_THETA_V1.to_owned())
            .fields(vec![field.id])
            .snapshot_id(snapshot.snapshot_id())
            .sequence_number(snapshot.sequence_number())
            .data(sketch.compact())
            .properties(told.clone())
            .build();
        writer.add(blob, CompressionCodec::None).await.map_err(fault())?;
        blobs.push(BlobMetadata {
            r#type: APACHE_DATASKETCHES_THETA_V1.to_owned(),
            snapshot_id: snapshot.snapshot_id(),
            sequence_number: snapshot.sequence_number(),
            fields: vec![field.id],
            properties: told,
        });
    }
    writer.close().await.map_err(fault())?;
    let bytes = scratch.read(SCRATCH).await.map_err(fault())?;
    let footer = footer_bytes(&bytes).ok_or_else(|| TableError::damaged("a Puffin file without a footer"))?;
    let id = store.rng().uuid_v7(store.clock().now_ms());
    let name = digest::named(&format!("{}-{id}", snapshot.snapshot_id()), "stats", &bytes);
    let path = format!("{}/metadata/{name}", table.location().trim_end_matches('/'));
    let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    store.put_new(&path, bytes).await?;
    Ok(StatisticsFile {
        snapshot_id: snapshot.snapshot_id(),
        statistics_path: path,
        file_size_in_bytes: size,
        file_footer_size_in_bytes: i64::try_from(footer).unwrap_or(i64::MAX),
        key_metadata: None,
        blob_metadata: blobs,
    })
}

/// The length of its payload stands before its flags and the last magic.
fn footer_bytes(file: &[u8]) -> Option<u64> {
    let end = file.len().checked_sub(12)?;
    let length: [u8; 4] = file.get(end..end + 4)?.try_into().ok()?;
    Some(u64::from(u32::from_le_bytes(length)) + FOOTER_FRAME_BYTES)
}

/// Tells the table of the file. Of two that are computed at the same time, the later one stays.
async fn attach(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    table: &TableMetadata,
    file: &StatisticsFile,
) -> Result<LoadedTable> {
    let commit = || TableCommit {
        name: name.clone(),
        requirements: vec![TableRequirement::UuidMatch { uuid: table.uuid() }],
        updates: vec![TableUpdate::SetStatistics {
            statistics: file.clone(),
        }],
    };
    for attempt in 0..ATTEMPTS_MAX {
        match catalog.commit(vec![commit()]).await? {
            CommitOutcome::Committed(after) => {
                let after = after.into_iter().next();
                return after.ok_or_else(|| TableError::damaged("a commit answered no table"));
            }
            // Whatever became of an unknown one: doing it again comes to the same.
            CommitOutcome::Conflict { message } | CommitOutcome::Unknown { message } => {
                tracing::debug!(table = %name, attempt, message, "statistics are told again");
            }
        }
        store.clock().sleep(backoff(store, attempt)).await;
    }
    store.delete(&file.statistics_path).await?;
    Err(TableError::Contention {
        table: name.clone(),
        attempts: ATTEMPTS_MAX,
    })
}

#[cfg(test)]
mod tests;
