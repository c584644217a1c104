//! Iceberg schemas as Arrow schemas and back, and what a schema may become.

mod arrow_types;
mod defaults;
mod evolve;
mod fresh_ids;
mod lost_defaults;
mod name_mapping;
mod within;

use std::collections::HashMap;

use iceberg::spec::{DEFAULT_SCHEMA_NAME_MAPPING, Schema, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

pub use self::arrow_types::{FIELD_ID_KEY, field_id, from_arrow, to_arrow};
pub(crate) use self::defaults::{as_text, repeated};
pub use self::defaults::{initial_default, write_default};
pub use self::evolve::evolve;
pub(crate) use self::fresh_ids::{FreshIds, widened};
pub use self::lost_defaults::LostDefaults;
pub(crate) use self::name_mapping::{changed_mapping, mapped_names};
pub use self::name_mapping::{maps_names, stands_for, with_mapped_names};
pub use self::within::{ToldWithin, Within, told_by_partition};
use crate::catalog::{Catalog, CommitOutcome, LoadedTable, TableCommit};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use tidewater_core::TableName;

/// Schema changes are rare: whoever loses this many races has met a defect.
const EVOLVE_ATTEMPTS_MAX: u32 = 10;

/// The commit that makes `schema` (as [`evolve`] answers it) the table's current one; a table's mapping of names follows it.
pub fn schema_commit(name: &TableName, table: &TableMetadata, schema: Schema) -> TableCommit {
    let mapping = changed_mapping(table, &schema).map(|mapping| TableUpdate::SetProperties {
        updates: HashMap::from([(DEFAULT_SCHEMA_NAME_MAPPING.to_owned(), mapping)]),
    });
    let mut updates = vec![
        TableUpdate::AddSchema { schema },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
    ];
    updates.extend(mapping);
    TableCommit {
        name: name.clone(),
        requirements: vec![
            TableRequirement::UuidMatch { uuid: table.uuid() },
            TableRequirement::CurrentSchemaIdMatch {
                current_schema_id: table.current_schema_id(),
            },
            TableRequirement::LastAssignedFieldIdMatch {
                last_assigned_field_id: table.last_column_id(),
            },
        ],
        updates,
    }
}

/// Brings the table to a schema that holds everything in `wanted`; answers the table's newest state.
pub async fn evolve_table(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    wanted: &Schema,
) -> Result<LoadedTable> {
    for attempt in 0..EVOLVE_ATTEMPTS_MAX {
        let table = catalog
            .load_table(name)
            .await?
            .ok_or_else(|| TableError::TableNotFound { table: name.clone() })?;
        let current = table.metadata.current_schema();
        let Some(schema) = evolve(current, wanted, table.metadata.last_column_id())? else {
            return Ok(table);
        };
        match catalog
            .commit(vec![schema_commit(name, &table.metadata, schema)])
            .await?
        {
            CommitOutcome::Committed(tables) => {
                return tables
                    .into_iter()
                    .next()
                    .ok_or_else(|| TableError::damaged("a commit answered no table"));
            }
            // Whatever became of an unknown one: the next round looks at the schema itself.
            CommitOutcome::Conflict { .. } | CommitOutcome::Unknown { .. } => {}
        }
        store.clock().sleep(crate::commit::backoff(store, attempt)).await;
    }
    Err(TableError::Contention {
        table: name.clone(),
        attempts: EVOLVE_ATTEMPTS_MAX,
    })
}

#[cfg(test)]
mod tests;
