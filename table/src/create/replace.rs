//! What becomes of a table that another one takes the place of: a new schema, spec and order, an empty main branch, and its history.

use iceberg::TableUpdate;
use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, SortField, SortOrder, TableMetadata, TableMetadataBuilder, UnboundPartitionField,
    UnboundPartitionSpec,
};

use crate::catalog::NewTable;
use crate::error::{Result, TableError};
use crate::schema::FreshIds;

/// The property by which a table's format version is chosen. Not kept as a property.
pub(crate) const FORMAT_VERSION: &str = "format-version";

/// The updates that let `wanted` take the place of a table. Every column gets a fresh id, so that no older file is taken for one
/// of the new table's, whatever its columns are called. Properties that are not named stay, as does the location.
pub(super) fn replacement(table: &TableMetadata, wanted: &NewTable) -> Result<Vec<TableUpdate>> {
    if let Some(location) = wanted.location.as_deref()
        && location.trim_end_matches('/') != table.location()
    {
        return Err(TableError::Unsupported {
            what: format!("replacing table {} at another location", wanted.name),
        });
    }
    let mut properties = wanted.properties.clone();
    let version = match properties.remove(FORMAT_VERSION) {
        Some(text) => parse_version(&text)?,
        None => table.format_version(),
    };
    let was_partitioned = table.partition_specs_iter().any(|spec| !spec.fields().is_empty());
    let is_partitioned = wanted.partition_spec.as_ref().is_some_and(|s| !s.fields().is_empty());
    if version == FormatVersion::V1 && (was_partitioned || is_partitioned) {
        // There fields of a spec are known by their place alone, and an old one can never go.
        return Err(TableError::Unsupported {
            what: format!("replacing table {} of format version 1 with partitions", wanted.name),
        });
    }
    let mut ids = FreshIds::after(table.last_column_id().max(table.current_schema().highest_field_id()));
    let schema = ids.schema(&wanted.schema)?;
    let spec = spec(table, wanted, &ids)?;
    let sort_order = order(wanted, &ids)?;
    let mut updates = Vec::new();
    if version != table.format_version() {
        let format_version = version;
        updates.push(TableUpdate::UpgradeFormatVersion { format_version });
    }
    if table.current_snapshot_id().is_some() {
        let ref_name = MAIN_BRANCH.to_owned();
        updates.push(TableUpdate::RemoveSnapshotRef { ref_name });
    }
    updates.extend([
        TableUpdate::AddSchema { schema },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
        TableUpdate::AddSpec { spec },
        TableUpdate::SetDefaultSpec { spec_id: -1 },
        TableUpdate::AddSortOrder { sort_order },
        TableUpdate::SetDefaultSortOrder { sort_order_id: -1 },
    ]);
    if !properties.is_empty() {
        updates.push(TableUpdate::SetProperties { updates: properties });
    }
    Ok(updates)
}

/// The metadata after the updates, as a catalog will make it.
pub(crate) fn applied(table: &TableMetadata, updates: &[TableUpdate]) -> Result<TableMetadata> {
    let fault = || TableError::metadata("apply updates to a table");
    let mut builder = TableMetadataBuilder::new_from_metadata(table.clone(), None);
    for update in updates {
        builder = update.clone().apply(builder).map_err(fault())?;
    }
    Ok(builder.build().map_err(fault())?.metadata)
}

/// The format version that a property names.
pub(crate) fn parse_version(text: &str) -> Result<FormatVersion> {
    match text.trim() {
        "1" => Ok(FormatVersion::V1),
        "2" => Ok(FormatVersion::V2),
        "3" => Ok(FormatVersion::V3),
        _ => Err(TableError::Unsupported {
            what: format!("format version {text:?}"),
        }),
    }
}

fn spec(table: &TableMetadata, wanted: &NewTable, ids: &FreshIds) -> Result<UnboundPartitionSpec> {
    let given = wanted
        .partition_spec
        .as_ref()
        .map_or(&[][..], UnboundPartitionSpec::fields);
    let mut last_id = table.last_partition_id();
    let mut fields = Vec::with_capacity(given.len());
    for field in given {
        last_id = last_id.saturating_add(1);
        fields.push(UnboundPartitionField {
            source_id: source(wanted, ids, field.source_id)?,
            // Said here, so that the manifests of the first snapshot can be written before the catalog is asked.
            field_id: Some(last_id),
            name: field.name.clone(),
            transform: field.transform,
        });
    }
    let builder = UnboundPartitionSpec::builder()
        .add_partition_fields(fields)
        .map_err(TableError::metadata(format!("partition table {}", wanted.name)))?;
    Ok(builder.build())
}

fn order(wanted: &NewTable, ids: &FreshIds) -> Result<SortOrder> {
    let given = wanted.sort_order.as_ref().map_or(&[][..], |order| &order.fields);
    let mut fields = Vec::with_capacity(given.len());
    for field in given {
        fields.push(SortField {
            source_id: source(wanted, ids, field.source_id)?,
            ..field.clone()
        });
    }
    match fields.is_empty() {
        true => Ok(SortOrder::unsorted_order()),
        false => Ok(SortOrder { order_id: 1, fields }),
    }
}

fn source(wanted: &NewTable, ids: &FreshIds, id: i32) -> Result<i32> {
    ids.of(id).ok_or_else(|| TableError::Unsupported {
        what: format!(
            "partitioning or sorting {} by column {id}, which its schema lacks",
            wanted.name
        ),
    })
}
