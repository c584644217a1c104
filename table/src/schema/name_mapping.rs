//! What columns are called in data files without field ids: those of other formats' tables that became Iceberg's without being
//! written anew (<https://iceberg.apache.org/spec/#column-projection>, `schema.name-mapping.default`).

mod changed;

use std::collections::HashMap;

use arrow::datatypes::{Field, FieldRef, Schema as ArrowSchema};
use iceberg::spec::{DEFAULT_SCHEMA_NAME_MAPPING, MappedField, NameMapping, TableMetadata};

pub(crate) use self::changed::changed_mapping;
use super::{field_id, within};
use crate::error::{Result, TableError};

/// Arrow metadata key of the names that a column has in such files, as a JSON list; absent where the table maps no names.
const NAMES_KEY: &str = "tidewater:names_without_ids";

/// The names of a table's columns in files without field ids, by field id, and those of fields within them.
///
/// # Errors
/// [`TableError::Damaged`] if the table's property is no mapping.
pub(crate) fn mapped_names(table: &TableMetadata) -> Result<Option<HashMap<i32, Vec<String>>>> {
    let Some(mapping) = mapping(table)? else {
        return Ok(None);
    };
    let mut names = HashMap::new();
    for field in mapping.fields() {
        gather(field, &mut names);
    }
    Ok(Some(names))
}

fn gather(field: &MappedField, names: &mut HashMap<i32, Vec<String>>) {
    if let Some(id) = field.field_id() {
        names.insert(id, field.names().to_vec());
    }
    for inner in field.fields() {
        gather(inner, names);
    }
}

fn mapping(table: &TableMetadata) -> Result<Option<NameMapping>> {
    let text = table.properties().get(DEFAULT_SCHEMA_NAME_MAPPING);
    let mapping = text.map(|text| serde_json::from_str(text)).transpose();
    mapping.map_err(|error| TableError::damaged(format!("table property {DEFAULT_SCHEMA_NAME_MAPPING}: {error}")))
}

/// The schema of a table whose columns tell what they and the fields within them are called in files without field ids, if the table
/// says so.
///
/// # Errors
/// If the table's mapping cannot be read.
pub fn with_mapped_names(schema: ArrowSchema, table: &TableMetadata) -> Result<ArrowSchema> {
    let Some(names) = mapped_names(table)? else {
        return Ok(schema);
    };
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| {
            let own = field_id(field)
                .and_then(|id| names.get(&id).cloned())
                .unwrap_or_default();
            let mut metadata = field.metadata().clone();
            metadata.insert(NAMES_KEY.to_owned(), serde_json::json!(own).to_string());
            metadata.extend(within::names_within(field, |id| names.get(&id)));
            FieldRef::new(field.as_ref().clone().with_metadata(metadata))
        })
        .collect();
    Ok(ArrowSchema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Whether a column of the table tells what it is called in files without field ids.
pub fn maps_names(column: &Field) -> bool {
    column.metadata().contains_key(NAMES_KEY)
}

/// Whether a field of a file without field ids, by this name, is the table's column.
pub fn stands_for(column: &Field, name: &str) -> bool {
    match column.metadata().get(NAMES_KEY) {
        Some(names) => {
            serde_json::from_str::<Vec<String>>(names).is_ok_and(|names| names.iter().any(|known| known == name))
        }
        None => within::own_name(column) == name,
    }
}
