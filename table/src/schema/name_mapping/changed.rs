//! A table's mapping of names after its columns were renamed or added. As the reference implementation does it (`MappingUtil.update`),
//! but for one thing: a name that another field beside has in the mapping stays that field's. There the new owner gets it, and what
//! older files hold of the former column is read as the later one's.

use std::sync::Arc;

use iceberg::spec::{MappedField, NameMapping, NestedFieldRef, Schema, TableMetadata, Type};

use super::mapping;
use crate::schema::within::fields_within;

/// The mapping that goes with the table's new schema; `None` if the table has none, or it stays as it is. One that cannot be read is
/// left to its readers, who tell.
pub(crate) fn changed_mapping(table: &TableMetadata, after: &Schema) -> Option<String> {
    let before = mapping(table).ok().flatten()?;
    let mapped: Vec<&MappedField> = before.fields().iter().collect();
    let columns: Vec<&NestedFieldRef> = after.as_struct().fields().iter().collect();
    let changed = NameMapping::new(level(&mapped, &columns, table.current_schema()));
    match changed == before {
        true => None,
        false => serde_json::to_string(&changed).ok(),
    }
}

/// What stands beside one another: what is mapped now, and the fields that there will be.
fn level(mapped: &[&MappedField], columns: &[&NestedFieldRef], before: &Schema) -> Vec<MappedField> {
    let mut entries = Vec::with_capacity(mapped.len());
    for entry in mapped {
        let column = columns.iter().find(|column| entry.field_id() == Some(column.id));
        let Some(column) = column else {
            // Of a column that is gone: its values are still in files, and nobody else's.
            entries.push((*entry).clone());
            continue;
        };
        let mut names = entry.names().to_vec();
        let is_renamed = before.field_by_id(column.id).is_some_and(|was| was.name != column.name);
        if is_renamed && !names.contains(&column.name) && is_free(mapped, column) {
            names.push(column.name.clone());
        }
        let inner: Vec<&MappedField> = entry.fields().iter().map(Arc::as_ref).collect();
        let inner = level(&inner, &fields_within(&column.field_type), before);
        entries.push(MappedField::new(Some(column.id), names, inner));
    }
    for column in columns {
        let is_mapped = mapped.iter().any(|entry| entry.field_id() == Some(column.id));
        if before.field_by_id(column.id).is_none() && !is_mapped {
            let names = match is_free(mapped, column) {
                true => vec![column.name.clone()],
                false => Vec::new(),
            };
            entries.push(MappedField::new(Some(column.id), names, fresh(&column.field_type)));
        }
    }
    entries
}

/// Whether no other field beside is called so in files.
fn is_free(mapped: &[&MappedField], column: &NestedFieldRef) -> bool {
    let others = mapped.iter().filter(|entry| entry.field_id() != Some(column.id));
    !others.flat_map(|entry| entry.names()).any(|name| *name == column.name)
}

/// Fields of a column that is new: they are called as they are.
fn fresh(of: &Type) -> Vec<MappedField> {
    let fields = fields_within(of).into_iter();
    fields
        .map(|field| MappedField::new(Some(field.id), vec![field.name.clone()], fresh(&field.field_type)))
        .collect()
}

#[cfg(test)]
mod tests;
