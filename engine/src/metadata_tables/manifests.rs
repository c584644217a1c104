//! Tables of manifests.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{BooleanBuilder, ListBuilder, StringBuilder, StructBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::catalog::TableProvider;
use futures::{StreamExt, stream};
use tidewater_table::LoadedTable;
use tidewater_table::iceberg::spec::{
    Datum, FieldSummary, ManifestContentType, ManifestFile, PrimitiveType, TableMetadata, Type,
};
use tidewater_table::inspect;

use super::columns::{bytes, ints, longs, texts};
use super::table::{Column, MetadataTable, Source};
use crate::engine::Parts;
use crate::error::Result;

/// Lists read at the same time: hides a store's latency.
const READS_MAX: usize = 8;

/// A manifest, with a snapshot that has it.
#[derive(Debug)]
struct Listed {
    manifest: ManifestFile,
    snapshot_id: i64,
}

#[derive(Debug)]
struct Manifests {
    parts: Arc<Parts>,
    table: LoadedTable,
    snapshots: Vec<i64>,
}

#[async_trait]
impl Source<Listed> for Manifests {
    async fn rows(&self, limit: Option<usize>) -> Result<Vec<Listed>> {
        let reads: Vec<_> = self
            .snapshots
            .iter()
            .map(|snapshot| inspect::manifests(&self.parts.store, &self.table.metadata, *snapshot))
            .collect();
        let mut lists = stream::iter(reads)
            .buffered(READS_MAX)
            .zip(stream::iter(&self.snapshots));
        let mut found = Vec::new();
        while let Some((list, snapshot_id)) = lists.next().await {
            found.extend(list?.into_iter().map(|manifest| Listed {
                manifest,
                snapshot_id: *snapshot_id,
            }));
            if limit.is_some_and(|limit| found.len() >= limit) {
                break;
            }
        }
        Ok(found)
    }
}

/// Those of one snapshot.
pub(super) fn manifests(
    parts: &Arc<Parts>,
    table: &LoadedTable,
    snapshot: Option<i64>,
) -> Result<Arc<dyn TableProvider>> {
    let source = Manifests {
        parts: parts.clone(),
        table: table.clone(),
        snapshots: snapshot.into_iter().collect(),
    };
    Ok(MetadataTable::provider(columns(table)?, source))
}

/// Those of each snapshot, as often as snapshots have them.
pub(super) fn all_manifests(parts: &Arc<Parts>, table: &LoadedTable) -> Result<Arc<dyn TableProvider>> {
    let mut columns = columns(table)?;
    columns.push(longs("reference_snapshot_id", false, |row: &Listed| {
        Some(row.snapshot_id)
    })?);
    columns.push(bytes("key_metadata", |row: &Listed| row.manifest.key_metadata.clone())?);
    let source = Manifests {
        parts: parts.clone(),
        table: table.clone(),
        snapshots: table
            .metadata
            .snapshots()
            .map(|snapshot| snapshot.snapshot_id())
            .collect(),
    };
    Ok(MetadataTable::provider(columns, source))
}

fn columns(table: &LoadedTable) -> Result<Vec<Column<Listed>>> {
    let count = |name: &str, of: ManifestContentType, count: fn(&ManifestFile) -> Option<u32>| {
        ints(name, false, move |row: &Listed| {
            // Files of the other kind a manifest cannot list.
            let count = if row.manifest.content == of {
                count(&row.manifest)
            } else {
                None
            };
            Some(count.map_or(0, |count| i32::try_from(count).unwrap_or(i32::MAX)))
        })
    };
    let (data, deletes) = (ManifestContentType::Data, ManifestContentType::Deletes);
    Ok(vec![
        ints("content", false, |row: &Listed| {
            Some(match row.manifest.content {
                ManifestContentType::Data => 0,
                ManifestContentType::Deletes => 1,
            })
        })?,
        texts("path", false, |row: &Listed| Some(row.manifest.manifest_path.clone()))?,
        longs("length", false, |row: &Listed| Some(row.manifest.manifest_length))?,
        ints("partition_spec_id", false, |row: &Listed| {
            Some(row.manifest.partition_spec_id)
        })?,
        longs("added_snapshot_id", false, |row: &Listed| {
            Some(row.manifest.added_snapshot_id)
        })?,
        count("added_data_files_count", data, |manifest| manifest.added_files_count)?,
        count("existing_data_files_count", data, |manifest| {
            manifest.existing_files_count
        })?,
        count("deleted_data_files_count", data, |manifest| {
            manifest.deleted_files_count
        })?,
        count("added_delete_files_count", deletes, |manifest| {
            manifest.added_files_count
        })?,
        count("existing_delete_files_count", deletes, |manifest| {
            manifest.existing_files_count
        })?,
        count("deleted_delete_files_count", deletes, |manifest| {
            manifest.deleted_files_count
        })?,
        summaries(table.metadata.clone())?,
    ])
}

fn summaries(table: Arc<TableMetadata>) -> Result<Column<Listed>> {
    let fields = Fields::from(vec![
        Field::new("contains_null", DataType::Boolean, false),
        Field::new("contains_nan", DataType::Boolean, true),
        Field::new("lower_bound", DataType::Utf8, true),
        Field::new("upper_bound", DataType::Utf8, true),
    ]);
    let item = Arc::new(Field::new("element", DataType::Struct(fields.clone()), true));
    Column::new("partition_summaries", false, move |rows: &[Listed]| {
        let mut lists = ListBuilder::new(StructBuilder::from_fields(fields.clone(), 0)).with_field(item.clone());
        for row in rows {
            let types = types(&table, row.manifest.partition_spec_id);
            for (at, summary) in row.manifest.partitions.iter().flatten().enumerate() {
                append(lists.values(), summary, types.get(at).and_then(Option::as_ref));
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()))
    })
}

fn append(to: &mut StructBuilder, summary: &FieldSummary, of: Option<&PrimitiveType>) {
    let bound = |bytes: Option<&[u8]>| {
        let bound = Datum::try_from_bytes(bytes?, of?.clone()).ok()?;
        Some(bound.to_human_string())
    };
    if let Some(nulls) = to.field_builder::<BooleanBuilder>(0) {
        nulls.append_value(summary.contains_null);
    }
    if let Some(nans) = to.field_builder::<BooleanBuilder>(1) {
        nans.append_option(summary.contains_nan);
    }
    if let Some(lower) = to.field_builder::<StringBuilder>(2) {
        lower.append_option(bound(summary.lower_bound.as_ref().map(|bytes| bytes.as_ref())));
    }
    if let Some(upper) = to.field_builder::<StringBuilder>(3) {
        upper.append_option(bound(summary.upper_bound.as_ref().map(|bytes| bytes.as_ref())));
    }
    to.append(true);
}

/// The types of a spec's values; nothing for a column that is not known any more.
fn types(table: &TableMetadata, spec_id: i32) -> Vec<Option<PrimitiveType>> {
    let Some(spec) = table.partition_spec_by_id(spec_id) else {
        return Vec::new();
    };
    let of = |source_id: i32| table.schemas_iter().find_map(|schema| schema.field_by_id(source_id));
    let of = spec.fields().iter().map(|field| {
        let result = field.transform.result_type(&of(field.source_id)?.field_type).ok()?;
        match result {
            Type::Primitive(primitive) => Some(primitive),
            _ => None,
        }
    });
    of.collect()
}
