//! Do files still fit a table whose columns others changed after they were written?

use std::slice::from_ref;

use iceberg::spec::{NestedField, NestedFieldRef, Schema, Type};

/// Why files that were written with a schema cannot join a table that has another one now. A table that was replaced has other columns
/// under the same names, whose values nobody would find in the files; one that forbids nulls could no longer be read. Columns that were
/// added, renamed or moved, or that may be null now, are no reason.
#[must_use]
pub fn misfit(written: &Schema, now: &Schema) -> Option<String> {
    match written.as_struct() == now.as_struct() {
        true => None,
        false => of_fields(written.as_struct().fields(), now.as_struct().fields()),
    }
}

fn of_fields(written: &[NestedFieldRef], now: &[NestedFieldRef]) -> Option<String> {
    for before in written {
        let Some(after) = now.iter().find(|field| field.id == before.id) else {
            return Some(format!("column {} is gone", before.name));
        };
        if after.required && !before.required {
            return Some(format!("column {} must not be null now", after.name));
        }
        if let Some(reason) = of_types(before, after) {
            return Some(reason);
        }
    }
    let mut added = now
        .iter()
        .filter(|field| written.iter().all(|before| before.id != field.id));
    let lacks = added.find(|field| field.required && field.initial_default.is_none());
    lacks.map(|field| format!("column {} was added and must not be null", field.name))
}

fn of_types(before: &NestedField, after: &NestedField) -> Option<String> {
    match (before.field_type.as_ref(), after.field_type.as_ref()) {
        (one, other) if one == other => None,
        (Type::Struct(one), Type::Struct(other)) => of_fields(one.fields(), other.fields()),
        (Type::List(one), Type::List(other)) => of_fields(from_ref(&one.element_field), from_ref(&other.element_field)),
        (Type::Map(one), Type::Map(other)) => of_fields(from_ref(&one.key_field), from_ref(&other.key_field))
            .or_else(|| of_fields(from_ref(&one.value_field), from_ref(&other.value_field))),
        (one, other) => Some(format!("column {} is of type {other} now, not {one}", after.name)),
    }
}

#[cfg(test)]
mod tests;
