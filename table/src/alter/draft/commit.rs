//! The commit that gives a table its form.

use std::collections::{BTreeSet, HashMap};

use iceberg::spec::{DEFAULT_SCHEMA_NAME_MAPPING, MAIN_BRANCH, Schema, SortOrder, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

use super::Draft;
use crate::catalog::TableCommit;
use crate::error::Result;
use crate::refs::refs_of;
use crate::schema::changed_mapping;
use tidewater_core::TableName;

impl Draft {
    /// `None` if nothing changes.
    pub(in crate::alter) fn commit(&self, name: &TableName) -> Result<Option<TableCommit>> {
        let updates = self.updates()?;
        if updates.is_empty() {
            return Ok(None);
        }
        let table = &self.table;
        let mut requirements = vec![TableRequirement::UuidMatch { uuid: table.uuid() }];
        let is_property = |update: &TableUpdate| {
            matches!(
                update,
                TableUpdate::SetProperties { .. }
                    | TableUpdate::RemoveProperties { .. }
                    | TableUpdate::UpgradeFormatVersion { .. }
            )
        };
        if !updates.iter().all(is_property) {
            // Columns, partitions and order rest on one another.
            requirements.extend([
                TableRequirement::CurrentSchemaIdMatch {
                    current_schema_id: table.current_schema_id(),
                },
                TableRequirement::LastAssignedFieldIdMatch {
                    last_assigned_field_id: table.last_column_id(),
                },
                TableRequirement::DefaultSpecIdMatch {
                    default_spec_id: table.default_partition_spec_id(),
                },
                TableRequirement::LastAssignedPartitionIdMatch {
                    last_assigned_partition_id: table.last_partition_id(),
                },
                TableRequirement::DefaultSortOrderIdMatch {
                    default_sort_order_id: table.default_sort_order_id(),
                },
            ]);
        }
        if !self.to_prove.is_empty() {
            requirements.push(TableRequirement::RefSnapshotIdMatch {
                r#ref: MAIN_BRANCH.into(),
                snapshot_id: table.current_snapshot_id(),
            });
            // Branches and tags were where main is: rows that come to one of them meanwhile are not proven.
            let others = refs_of(table)?.into_iter().filter(|(name, _)| name != MAIN_BRANCH);
            requirements.extend(others.map(|(r#ref, named)| TableRequirement::RefSnapshotIdMatch {
                r#ref,
                snapshot_id: Some(named.snapshot_id),
            }));
        }
        Ok(Some(TableCommit {
            name: name.clone(),
            requirements,
            updates,
        }))
    }

    /// Whether a table has this form.
    pub(in crate::alter) fn is_in(&self, table: &TableMetadata) -> bool {
        table.uuid() == self.table.uuid()
            && same_schema(table.current_schema(), &self.schema)
            && self.spec.is_default_of(table)
            && table.default_sort_order().fields == self.order
            && table.format_version() == self.version
            && self
                .set
                .iter()
                .all(|(key, value)| table.properties().get(key) == Some(value))
            && self.unset.iter().all(|key| !table.properties().contains_key(key))
    }

    fn updates(&self) -> Result<Vec<TableUpdate>> {
        let table = &self.table;
        let mut updates = Vec::new();
        if self.version != table.format_version() {
            updates.push(TableUpdate::UpgradeFormatVersion {
                format_version: self.version,
            });
        }
        if !same_schema(table.current_schema(), &self.schema) {
            let schema = self.schema.clone();
            updates.push(TableUpdate::AddSchema { schema });
            updates.push(TableUpdate::SetCurrentSchema { schema_id: -1 });
        }
        if !self.spec.is_default_of(table) {
            let spec = self.spec.unbound()?;
            updates.push(TableUpdate::AddSpec { spec });
            updates.push(TableUpdate::SetDefaultSpec { spec_id: -1 });
        }
        if table.default_sort_order().fields != self.order {
            let sort_order = match self.order.is_empty() {
                true => SortOrder::unsorted_order(),
                false => SortOrder {
                    order_id: table.sort_orders_iter().map(|order| order.order_id).max().unwrap_or(0) + 1,
                    fields: self.order.clone(),
                },
            };
            updates.push(TableUpdate::AddSortOrder { sort_order });
            updates.push(TableUpdate::SetDefaultSortOrder { sort_order_id: -1 });
        }
        let unset = self.unset.iter().filter(|key| table.properties().contains_key(*key));
        let removals: Vec<String> = unset.cloned().collect();
        if !removals.is_empty() {
            updates.push(TableUpdate::RemoveProperties { removals });
        }
        let changed = |(key, value): &(&String, &String)| table.properties().get(*key) != Some(*value);
        let set = self
            .set
            .iter()
            .filter(changed)
            .map(|(key, value)| (key.clone(), value.clone()));
        let mut set: HashMap<_, _> = set.collect();
        // Unless the statement says itself what the mapping is to be.
        let is_meant = |key: &str| self.set.contains_key(key) || self.unset.contains(key);
        if !is_meant(DEFAULT_SCHEMA_NAME_MAPPING)
            && let Some(mapping) = changed_mapping(table, &self.schema)
        {
            set.insert(DEFAULT_SCHEMA_NAME_MAPPING.to_owned(), mapping);
        }
        if !set.is_empty() {
            updates.push(TableUpdate::SetProperties { updates: set });
        }
        Ok(updates)
    }
}

fn same_schema(one: &Schema, other: &Schema) -> bool {
    let identifiers = |schema: &Schema| schema.identifier_field_ids().collect::<BTreeSet<_>>();
    one.as_struct() == other.as_struct() && identifiers(one) == identifiers(other)
}
