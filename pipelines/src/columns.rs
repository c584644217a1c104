//! Columns that a table had and has no longer.

use iceberg::spec::Schema;

/// Columns of then, also those within others, that are there no longer, or under another name. Values that were read or written under
/// their names are not those of now.
pub(crate) fn lost<'a>(then: &'a Schema, now: &Schema) -> impl Iterator<Item = &'a str> {
    let columns = then.field_id_to_name_map().iter();
    columns
        .filter(move |(id, name)| now.name_by_field_id(**id) != Some(name.as_str()))
        .map(|(_, name)| name.as_str())
}
