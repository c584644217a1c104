//! What the Arrow field of a column tells of the fields within it, at any depth: what they are called in data files without field ids,
//! and what they are in rows of files that lack them. It stands with the column and not with each of them: nested types are compared
//! with all metadata of their fields, and types that are the same have to stay the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray, new_null_array};
use arrow::datatypes::{DataType, Field};
use iceberg::spec::{NestedField, NestedFieldRef, Type};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{defaults, field_id};
use crate::error::{Result, TableError};

/// Arrow metadata keys of a column; each is a JSON object by field id, absent where there is nothing to tell.
const INITIAL_KEY: &str = "tidewater:initial_defaults_within";
const WRITE_KEY: &str = "tidewater:write_defaults_within";
const NAMES_KEY: &str = "tidewater:names_within";

/// What a partition tells of fields within a column is in the name under which the reader knows the column: the planner wants a scan's
/// columns to have the same metadata as the table's, whatever file they are of.
const PARTITION_PREFIX: &str = "\0within:";

/// What partitions tell of fields within columns: by the column's position, then by field id. `None` is null.
pub type ToldWithin = BTreeMap<usize, BTreeMap<i32, Option<String>>>;

/// What is known of the fields within one column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Within {
    names: Option<BTreeMap<i32, Vec<String>>>,
    defaults: BTreeMap<i32, String>,
    partition: BTreeMap<i32, Option<String>>,
}

impl Within {
    /// As a column of a table tells it, with the defaults that rows of older files have.
    ///
    /// # Errors
    /// [`TableError::Damaged`] if the column's metadata cannot be read.
    pub fn of(column: &Field) -> Result<Self> {
        let partition = match column.name().strip_prefix(PARTITION_PREFIX) {
            Some(text) => parsed::<(String, BTreeMap<i32, Option<String>>)>(text, column)?.1,
            None => BTreeMap::new(),
        };
        Ok(Self {
            partition,
            ..Self::with_defaults(column, INITIAL_KEY, defaults::INITIAL_KEY)?
        })
    }

    /// The same with the defaults of rows that are written without a field.
    pub(super) fn written(column: &Field) -> Result<Self> {
        Self::with_defaults(column, WRITE_KEY, defaults::WRITE_KEY)
    }

    fn with_defaults(column: &Field, within: &str, own: &str) -> Result<Self> {
        let metadata = column.metadata();
        let names = metadata.get(NAMES_KEY).map(|text| parsed(text, column)).transpose()?;
        let told = metadata.get(within).map(|text| parsed(text, column)).transpose()?;
        let mut defaults: BTreeMap<i32, String> = told.unwrap_or_default();
        if let (DataType::Struct(_), Some(id), Some(text)) = (column.data_type(), field_id(column), metadata.get(own)) {
            defaults.insert(id, text.clone());
        }
        Ok(Self {
            names,
            defaults,
            partition: BTreeMap::new(),
        })
    }

    /// Whether fields within are called as they are in the table, and null in files that lack them.
    pub fn is_plain(&self) -> bool {
        self.names.is_none() && self.defaults.is_empty() && self.partition.is_empty()
    }

    /// Whether a field of a file without field ids, by this name, is the field of the table.
    pub fn stands_for(&self, field: &Field, name: &str) -> bool {
        let Some(names) = &self.names else {
            return field.name() == name;
        };
        let known = field_id(field).and_then(|id| names.get(&id));
        known.is_some_and(|known| known.iter().any(|known| known == name))
    }

    /// Whether a field is something other than null in rows of files that lack it.
    pub fn tells(&self, field: &Field) -> bool {
        match field.data_type() {
            DataType::Struct(_) => self.text(field).is_some() || self.is_partitioned(field),
            _ => self.text(field).is_some(),
        }
    }

    /// What a field is in rows of files that lack it: one value of its type; `None` if it is null there. A struct that has a default is
    /// made of those of its fields (spec, "Default values"); one of which a partition tells a field is there too.
    ///
    /// # Errors
    /// [`TableError::Encode`] for a text that is no value of its field, [`TableError::Damaged`] for a struct whose default is no empty
    /// one, or one that lacks a value which it must have.
    pub fn absent(&self, field: &Field) -> Result<Option<ArrayRef>> {
        let text = self.text(field);
        let DataType::Struct(children) = field.data_type() else {
            return text.map(|text| defaults::read(field, text)).transpose();
        };
        if !self.tells(field) {
            return Ok(None);
        }
        if text.is_some_and(|text| text != defaults::EMPTY_STRUCT) {
            let name = field.name();
            return Err(TableError::damaged(format!("the default of {name} is no empty struct")));
        }
        let mut parts = Vec::with_capacity(children.len());
        for child in children {
            parts.push(match self.absent(child)? {
                Some(value) => value,
                None if child.is_nullable() => new_null_array(child.data_type(), 1),
                None => {
                    let (outer, name) = (field.name(), child.name());
                    let reason = format!("{outer} has a default, and its required field {name} has none");
                    return Err(TableError::damaged(reason));
                }
            });
        }
        let value = StructArray::try_new(children.clone(), parts, None);
        let value = value.map_err(TableError::encode(format!("make the default of {}", field.name())))?;
        Ok(Some(Arc::new(value)))
    }

    /// A partition's value goes before a default (spec, "Column Projection").
    fn text(&self, field: &Field) -> Option<&str> {
        let id = field_id(field)?;
        match self.partition.get(&id) {
            Some(told) => told.as_deref(),
            None => self.defaults.get(&id).map(String::as_str),
        }
    }

    /// Whether a partition has a value of a field somewhere within a struct.
    fn is_partitioned(&self, field: &Field) -> bool {
        match field.data_type() {
            DataType::Struct(children) => children.iter().any(|child| self.is_partitioned(child)),
            _ => field_id(field).is_some_and(|id| matches!(self.partition.get(&id), Some(Some(_)))),
        }
    }
}

/// A column under a name that tells what a partition tells of fields within it, as the texts that defaults travel as, by field id;
/// [`own_name`] is its name.
pub fn told_by_partition(column: &Field, values: &BTreeMap<i32, Option<String>>) -> Field {
    let told = serde_json::json!([column.name(), values]);
    column.clone().with_name(format!("{PARTITION_PREFIX}{told}"))
}

/// What the column is called, whatever a partition tells of the fields within it.
pub(super) fn own_name(column: &Field) -> Cow<'_, str> {
    let told = column.name().strip_prefix(PARTITION_PREFIX);
    match told.and_then(|text| serde_json::from_str::<(String, IgnoredAny)>(text).ok()) {
        Some((name, _)) => Cow::Owned(name),
        None => Cow::Borrowed(column.name()),
    }
}

/// The defaults of fields within a column, for the metadata of its Arrow field.
pub(super) fn defaults_within(column: &NestedField) -> Result<Vec<(String, String)>> {
    let (mut initial, mut write) = (BTreeMap::new(), BTreeMap::new());
    gather(&column.field_type, &mut initial, &mut write)?;
    let told = [(INITIAL_KEY, initial), (WRITE_KEY, write)];
    let told = told.into_iter().filter(|(_, texts)| !texts.is_empty());
    Ok(told
        .map(|(key, texts)| (key.to_owned(), serde_json::json!(texts).to_string()))
        .collect())
}

fn gather(of: &Type, initial: &mut BTreeMap<i32, String>, write: &mut BTreeMap<i32, String>) -> Result<()> {
    for field in fields_within(of) {
        if let Some(text) = defaults::text(field, field.initial_default.as_ref())? {
            initial.insert(field.id, text);
        }
        if let Some(text) = defaults::text(field, field.write_default.as_ref())? {
            write.insert(field.id, text);
        }
        gather(&field.field_type, initial, write)?;
    }
    Ok(())
}

/// The names of fields within a column, for the metadata of its Arrow field. `None` for a column that has none within it.
pub(super) fn names_within<'a>(
    column: &Field,
    names: impl Fn(i32) -> Option<&'a Vec<String>>,
) -> Option<(String, String)> {
    let mut ids = Vec::new();
    ids_within(column.data_type(), &mut ids);
    let known: BTreeMap<i32, &Vec<String>> = ids.iter().filter_map(|id| Some((*id, names(*id)?))).collect();
    column
        .data_type()
        .is_nested()
        .then(|| (NAMES_KEY.to_owned(), serde_json::json!(known).to_string()))
}

fn ids_within(of: &DataType, ids: &mut Vec<i32>) {
    let mut one = |field: &Field| {
        ids.extend(field_id(field));
        ids_within(field.data_type(), ids);
    };
    match of {
        DataType::Struct(fields) => fields.iter().for_each(|field| one(field)),
        DataType::List(field) | DataType::Map(field, _) => one(field),
        _ => {}
    }
}

/// The fields right within a type: those of a struct, the element of a list, key and value of a map.
pub(super) fn fields_within(of: &Type) -> Vec<&NestedFieldRef> {
    match of {
        Type::Primitive(_) => Vec::new(),
        Type::Struct(inner) => inner.fields().iter().collect(),
        Type::List(list) => vec![&list.element_field],
        Type::Map(map) => vec![&map.key_field, &map.value_field],
    }
}

fn parsed<T: DeserializeOwned>(text: &str, column: &Field) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| TableError::damaged(format!("what column {} tells of its fields: {error}", column.name())))
}

#[cfg(test)]
mod tests;
