//! Columns of tables by their names: which are gone, and which are within others.

use std::collections::BTreeSet;

use iceberg::spec::Schema;

/// Columns of then, also those within others, that are there no longer, or under another name. Values that were read or written under
/// their names are not those of now.
pub(crate) fn lost<'a>(then: &'a Schema, now: &Schema) -> impl Iterator<Item = &'a str> {
    let columns = then.field_id_to_name_map().iter();
    columns
        .filter(move |(id, name)| now.name_by_field_id(**id) != Some(name.as_str()))
        .map(|(_, name)| name.as_str())
}

/// Whether a column is one of these, or within one of them.
pub(crate) fn is_within(name: &str, columns: &BTreeSet<String>) -> bool {
    columns.iter().any(|column| {
        let rest = name.strip_prefix(column.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}
