//! One row for each partition, with what its files hold.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use tidewater_table::iceberg::spec::{DataContentType, Struct};

use super::columns::{counts, ints, longs, moments};
use super::files::Files;
use super::partition::PartitionType;
use super::table::{Column, MetadataTable, Source};
use crate::error::Result;

/// What the files of a partition hold.
#[derive(Debug, Default)]
struct Partition {
    spec_id: i32,
    values: Option<Struct>,
    records: u64,
    files: i32,
    data_bytes: u64,
    position_deletes: (u64, i32),
    equality_deletes: (u64, i32),
    updated: Option<(i64, i64)>,
}

#[derive(Debug)]
struct Partitions(Files);

#[async_trait]
impl Source<Partition> for Partitions {
    async fn rows(&self, _: Option<usize>) -> Result<Vec<Partition>> {
        let Self(files) = self;
        let partition_type = PartitionType::of(&files.table.metadata)?;
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut found: Vec<Partition> = Vec::new();
        // A table without partitions is one partition, whatever it holds.
        if partition_type.is_empty() {
            found.push(Partition::default());
        }
        for entry in files.rows(None).await? {
            let file = entry.file();
            let place = match partition_type.is_empty() {
                true => 0,
                false => {
                    let key = format!("{:?}", partition_type.values(entry.spec_id(), file.partition()));
                    *places.entry(key).or_insert_with(|| {
                        found.push(Partition::default());
                        found.len() - 1
                    })
                }
            };
            let Some(partition) = found.get_mut(place) else {
                continue;
            };
            let (records, bytes) = (file.record_count(), file.file_size_in_bytes());
            match file.content_type() {
                DataContentType::Data => {
                    partition.records += records;
                    partition.files += 1;
                    partition.data_bytes += bytes;
                }
                DataContentType::PositionDeletes => {
                    partition.position_deletes.0 += records;
                    partition.position_deletes.1 += 1;
                }
                DataContentType::EqualityDeletes => {
                    partition.equality_deletes.0 += records;
                    partition.equality_deletes.1 += 1;
                }
            }
            if partition.values.is_none() || entry.spec_id() > partition.spec_id {
                partition.values = Some(file.partition().clone());
                partition.spec_id = entry.spec_id();
            }
            let snapshot = files.table.metadata.snapshot_by_id(entry.snapshot_id());
            let updated = snapshot.map(|snapshot| (snapshot.timestamp_ms(), snapshot.snapshot_id()));
            partition.updated = partition.updated.max(updated);
        }
        Ok(found)
    }
}

/// The partitions of a snapshot.
pub(super) fn partitions(files: Files) -> Result<Arc<dyn TableProvider>> {
    let partition_type = PartitionType::of(&files.table.metadata)?;
    let mut columns: Vec<Column<Partition>> = Vec::new();
    if !partition_type.is_empty() {
        columns.push(Column::new("partition", false, move |rows: &[Partition]| {
            let empty = Struct::empty();
            partition_type.array(
                rows.iter()
                    .map(|row| (row.spec_id, row.values.as_ref().unwrap_or(&empty))),
            )
        })?);
        columns.push(ints("spec_id", false, |row: &Partition| Some(row.spec_id))?);
    }
    columns.extend([
        counts("record_count", |row: &Partition| row.records)?,
        ints("file_count", false, |row: &Partition| Some(row.files))?,
        counts("total_data_file_size_in_bytes", |row: &Partition| row.data_bytes)?,
        counts("position_delete_record_count", |row: &Partition| row.position_deletes.0)?,
        ints("position_delete_file_count", false, |row: &Partition| {
            Some(row.position_deletes.1)
        })?,
        counts("equality_delete_record_count", |row: &Partition| row.equality_deletes.0)?,
        ints("equality_delete_file_count", false, |row: &Partition| {
            Some(row.equality_deletes.1)
        })?,
        moments("last_updated_at", true, |row: &Partition| {
            row.updated.map(|updated| updated.0)
        })?,
        longs("last_updated_snapshot_id", true, |row: &Partition| {
            row.updated.map(|updated| updated.1)
        })?,
    ]);
    Ok(MetadataTable::provider(columns, Partitions(files)))
}
