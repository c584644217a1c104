//! Several time fields of one column in one partition spec, such as days and months.
//!
//! The format allows them, and Spark makes them for a moment when a table goes from days to months: it adds the new field,
//! then drops the old one. The library's builder takes them for redundant and refuses. So while a commit with such a spec is
//! built, every time transform goes disguised as a bucket transform of a width that nobody uses, in all specs alike: what is
//! equal stays equal, what differs stays different, and the columns that allow the one allow the other.

use iceberg::TableUpdate;
use iceberg::spec::{TableMetadata, Transform, UnboundPartitionSpec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::command::Ident;
use crate::error::{CatalogError, Result};

/// A transform as it is written, and its disguise.
const DISGUISES: [(&str, &str); 4] = [
    ("year", "bucket[4294967291]"),
    ("month", "bucket[4294967292]"),
    ("day", "bucket[4294967293]"),
    ("hour", "bucket[4294967294]"),
];

/// Where specs stand in metadata; version 1 may have the default one by itself.
const SPECS: [&str; 2] = ["partition-specs", "partition-spec"];

/// Whether a commit can only be built in disguise.
pub(super) fn needed(current: &TableMetadata, updates: &[TableUpdate]) -> bool {
    let added: Vec<&UnboundPartitionSpec> = updates.iter().filter_map(added_spec).collect();
    let meanings = |spec: &UnboundPartitionSpec| {
        let fields = spec.fields().iter();
        repeats(fields.map(|field| (field.source_id, field.transform)))
    };
    let known = |spec: &iceberg::spec::PartitionSpecRef| {
        let fields = spec.fields().iter();
        repeats(fields.map(|field| (field.source_id, field.transform)))
    };
    !added.is_empty() && (added.into_iter().any(meanings) || current.partition_specs_iter().any(known))
}

fn added_spec(update: &TableUpdate) -> Option<&UnboundPartitionSpec> {
    match update {
        TableUpdate::AddSpec { spec } => Some(spec),
        _ => None,
    }
}

/// Whether a column has two different time fields. Two that are the same are redundant indeed.
fn repeats(fields: impl Iterator<Item = (i32, Transform)>) -> bool {
    let mut seen: Vec<(i32, Transform)> = Vec::new();
    for (source, transform) in fields {
        if !matches!(
            transform,
            Transform::Year | Transform::Month | Transform::Day | Transform::Hour
        ) {
            continue;
        }
        if seen.iter().any(|(other, kind)| *other == source && *kind != transform) {
            return true;
        }
        seen.push((source, transform));
    }
    false
}

/// Metadata or a spec, with its time transforms disguised.
pub(super) fn disguised<T: Serialize + DeserializeOwned>(given: &T) -> Result<T> {
    exchanged(given, |(plain, disguise)| (plain, disguise))
        .map_err(|error| CatalogError::internal(format!("partition specs: {error}")))
}

/// The metadata as it is meant. What the builder could not check, that a time transform stands on a column of time, is
/// checked here.
pub(super) fn revealed(table: &Ident, built: &TableMetadata) -> Result<TableMetadata> {
    let metadata = exchanged(built, |(plain, disguise)| (disguise, plain))
        .map_err(|error| CatalogError::bad_request(format!("commit to {table} is not valid: {error}")))?;
    let fields = metadata.partition_specs_iter().flat_map(|spec| spec.fields());
    for field in fields {
        // A column that an old spec stood on may be gone.
        let Some(column) = metadata.current_schema().field_by_id(field.source_id) else {
            continue;
        };
        if field.transform.result_type(&column.field_type).is_err() {
            return Err(CatalogError::bad_request(format!(
                "commit to {table} is not valid: {} of {:?} cannot be taken",
                field.transform, column.name
            )));
        }
    }
    Ok(metadata)
}

fn exchanged<T: Serialize + DeserializeOwned>(
    given: &T,
    direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> serde_json::Result<T> {
    let mut value = serde_json::to_value(given)?;
    let pairs = DISGUISES.map(direction);
    exchange(&mut value, &pairs);
    for place in SPECS {
        match value.get_mut(place) {
            Some(Value::Array(specs)) => specs.iter_mut().for_each(|spec| exchange(spec, &pairs)),
            Some(spec) => exchange(spec, &pairs),
            None => {}
        }
    }
    serde_json::from_value(value)
}

/// Of a spec, or of a field by itself.
fn exchange(spec: &mut Value, pairs: &[(&str, &str)]) {
    if let Some(Value::Array(fields)) = spec.get_mut("fields") {
        fields.iter_mut().for_each(|field| exchange(field, pairs));
    }
    let Some(Value::String(transform)) = spec.get_mut("transform") else {
        return;
    };
    if let Some((_, other)) = pairs.iter().find(|(one, _)| *one == transform.as_str()) {
        *transform = (*other).to_owned();
    }
}
