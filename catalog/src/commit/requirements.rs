//! What a commit demands of the table as it stands. The words are those of the protocol's reference server, which clients know.

use std::fmt::Display;

use iceberg::TableRequirement;
use iceberg::spec::TableMetadata;

use crate::command::Ident;
use crate::error::{CatalogError, Result};

/// Whether everything that the commit demands holds.
pub(super) fn check(table: &Ident, metadata: &TableMetadata, requirements: &[TableRequirement]) -> Result<()> {
    match requirements
        .iter()
        .find_map(|requirement| failure(metadata, requirement))
    {
        None => Ok(()),
        Some(reason) => Err(CatalogError::CommitFailed {
            table: table.clone(),
            reason: format!("Requirement failed: {reason}"),
        }),
    }
}

/// Those that do not hold.
pub(super) fn failed<'r>(
    metadata: &TableMetadata,
    requirements: &'r [TableRequirement],
) -> impl Iterator<Item = &'r TableRequirement> {
    requirements
        .iter()
        .filter(|requirement| failure(metadata, requirement).is_some())
}

/// Why a requirement does not hold; none when it does.
fn failure(metadata: &TableMetadata, requirement: &TableRequirement) -> Option<String> {
    match requirement {
        TableRequirement::NotExist => Some("table already exists".into()),
        TableRequirement::UuidMatch { uuid } => differs("UUID does not match: expected", uuid, &metadata.uuid()),
        TableRequirement::RefSnapshotIdMatch { r#ref, snapshot_id } => moved(metadata, r#ref, *snapshot_id),
        TableRequirement::LastAssignedFieldIdMatch { last_assigned_field_id } => differs(
            "last assigned field id changed: expected id",
            last_assigned_field_id,
            &metadata.last_column_id(),
        ),
        TableRequirement::CurrentSchemaIdMatch { current_schema_id } => differs(
            "current schema changed: expected id",
            current_schema_id,
            &metadata.current_schema_id(),
        ),
        TableRequirement::LastAssignedPartitionIdMatch {
            last_assigned_partition_id,
        } => differs(
            "last assigned partition id changed: expected id",
            last_assigned_partition_id,
            &metadata.last_partition_id(),
        ),
        TableRequirement::DefaultSpecIdMatch { default_spec_id } => differs(
            "default partition spec changed: expected id",
            default_spec_id,
            &metadata.default_partition_spec_id(),
        ),
        TableRequirement::DefaultSortOrderIdMatch { default_sort_order_id } => differs(
            "default sort order changed: expected id",
            default_sort_order_id,
            &metadata.default_sort_order_id(),
        ),
    }
}

fn differs<T: PartialEq + Display>(what: &str, expected: &T, found: &T) -> Option<String> {
    (expected != found).then(|| format!("{what} {expected} != {found}"))
}

fn moved(metadata: &TableMetadata, name: &str, expected: Option<i64>) -> Option<String> {
    let found = metadata.snapshot_for_ref(name).map(|snapshot| snapshot.snapshot_id());
    match (expected, found) {
        (Some(expected), Some(found)) => differs(
            &format!("branch or tag {name} has changed: expected id"),
            &expected,
            &found,
        ),
        (Some(expected), None) => Some(format!("branch or tag {name} is missing, expected {expected}")),
        (None, Some(_)) => Some(format!("branch or tag {name} was created concurrently")),
        (None, None) => None,
    }
}
