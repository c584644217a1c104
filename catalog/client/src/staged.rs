//! Tables that are made together with their first data: staged, then committed.

use iceberg::TableUpdate;
use iceberg::spec::TableMetadata;

/// The updates that make a staged table, to be followed by those that add its first snapshot. Commit them with the single
/// requirement `assert-create`.
pub fn creation_updates(metadata: &TableMetadata) -> Vec<TableUpdate> {
    let spec = metadata.default_partition_spec().as_ref().clone().into_unbound();
    let mut updates = vec![
        TableUpdate::AssignUuid { uuid: metadata.uuid() },
        TableUpdate::UpgradeFormatVersion {
            format_version: metadata.format_version(),
        },
        TableUpdate::SetLocation {
            location: metadata.location().to_owned(),
        },
        TableUpdate::AddSchema {
            schema: metadata.current_schema().as_ref().clone(),
        },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
        TableUpdate::AddSpec { spec },
        TableUpdate::SetDefaultSpec { spec_id: -1 },
        TableUpdate::AddSortOrder {
            sort_order: metadata.default_sort_order().as_ref().clone(),
        },
        TableUpdate::SetDefaultSortOrder { sort_order_id: -1 },
    ];
    if !metadata.properties().is_empty() {
        updates.push(TableUpdate::SetProperties {
            updates: metadata.properties().clone(),
        });
    }
    updates
}
