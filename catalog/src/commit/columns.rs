//! What the format allows of columns, where the `iceberg` crate looks away: which version has which types and defaults, and where
//! the types that the crate does not know may stand.

use std::collections::BTreeMap;

use iceberg::spec::{FormatVersion, Schema, TableMetadata, Transform};
use serde_json::Value;

use crate::command::Ident;
use crate::error::{CatalogError, Result};
use tidewater_table::disguise;

/// Types that came with version 3 and that the crate knows.
const NANOSECONDS: [&str; 2] = ["timestamp_ns", "timestamptz_ns"];

/// How the edges of a geography may be drawn.
const EDGES: [&str; 5] = ["spherical", "vincenty", "thomas", "andoyer", "karney"];

/// A column at any depth, an element, a key or a value.
struct Column<'a> {
    id: Option<i64>,
    name: String,
    kind: &'a Value,
    is_required: bool,
    /// The member's name and its value, where there is one.
    defaults: [(&'static str, Option<&'a Value>); 2],
}

/// Checks what a commit adds to the metadata: schemas, and specs and sort orders over the current one.
pub(super) fn check(table: &Ident, before: Option<&TableMetadata>, after: &TableMetadata) -> Result<()> {
    let is_new = |schema: &Schema| before.is_none_or(|before| before.schema_by_id(schema.schema_id()).is_none());
    for schema in after.schemas_iter().filter(|schema| is_new(schema)) {
        let written = written(schema)?;
        for column in columns(&written) {
            check_column(&column, after.format_version()).map_err(|reason| refused(table, &reason))?;
        }
    }
    if disguise::is_hidden(after.current_schema()) {
        check_uses(before, after).map_err(|reason| refused(table, &reason))?;
    }
    Ok(())
}

/// Checks the schema of a view, which may have all types of the newest version.
pub(super) fn check_of_view(schema: &Schema) -> Result<()> {
    let written = written(schema)?;
    for column in columns(&written) {
        check_column(&column, FormatVersion::V3).map_err(|reason| CatalogError::InvalidView { reason })?;
    }
    Ok(())
}

fn refused(table: &Ident, reason: &str) -> CatalogError {
    CatalogError::bad_request(format!("commit to {table} is not valid: {reason}"))
}

fn written(schema: &Schema) -> Result<Value> {
    let mut written = serde_json::to_value(schema).map_err(|error| CatalogError::internal(error.to_string()))?;
    disguise::reveal(&mut written);
    Ok(written)
}

/// All columns of a schema, nested ones too.
fn columns(schema: &Value) -> Vec<Column<'_>> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), schema)];
    while let Some((path, kind)) = open.pop() {
        let below = |name: &str| match path.is_empty() {
            true => name.to_owned(),
            false => format!("{path}.{name}"),
        };
        let fields = kind.get("fields").and_then(Value::as_array);
        for field in fields.into_iter().flatten() {
            let name = below(field.get("name").and_then(Value::as_str).unwrap_or_default());
            let Some(kind) = field.get("type") else { continue };
            let default = |member| (member, field.get(member).filter(|value| !value.is_null()));
            open.push((name.clone(), kind));
            found.push(Column {
                id: field.get("id").and_then(Value::as_i64),
                name,
                kind,
                is_required: field.get("required").and_then(Value::as_bool).unwrap_or(false),
                defaults: [default("initial-default"), default("write-default")],
            });
        }
        for part in ["element", "key", "value"] {
            let Some(inner) = kind.get(part) else { continue };
            let name = below(part);
            open.push((name.clone(), inner));
            let required = kind.get(format!("{part}-required")).and_then(Value::as_bool);
            found.push(Column {
                id: kind.get(format!("{part}-id")).and_then(Value::as_i64),
                name,
                kind: inner,
                is_required: required.unwrap_or(part == "key"),
                defaults: [("initial-default", None), ("write-default", None)],
            });
        }
    }
    found
}

/// Why a column is not allowed.
fn check_column(column: &Column<'_>, version: FormatVersion) -> std::result::Result<(), String> {
    let Column { name, kind, .. } = column;
    if let Some(kind) = kind.as_str() {
        let is_later = !disguise::is_known(kind);
        if is_later && !is_later_type(kind) {
            return Err(format!("{kind:?} of column {name} is no type of the format"));
        }
        if (is_later || NANOSECONDS.contains(&kind)) && version < FormatVersion::V3 {
            return Err(format!("Invalid type for {name}: {kind} is not supported until v3"));
        }
        if kind == "unknown" && column.is_required {
            return Err(format!("column {name} of type unknown cannot be required"));
        }
    }
    for (member, default) in &column.defaults {
        let Some(default) = default else { continue };
        if *member == "initial-default" && version < FormatVersion::V3 {
            return Err(format!(
                "Invalid initial default for {name}: non-null default ({default}) is not supported until v3"
            ));
        }
        if !fits(kind, default) {
            return Err(format!("{member} {default} of column {name} is no value of its type"));
        }
    }
    Ok(())
}

/// Whether it is a type of version 3 that the crate does not know.
fn is_later_type(kind: &str) -> bool {
    if matches!(kind, "variant" | "unknown") {
        return true;
    }
    let (base, parameters) = match kind.split_once('(') {
        None => (kind, ""),
        Some((base, rest)) => match rest.strip_suffix(')') {
            Some(parameters) => (base, parameters),
            None => return false,
        },
    };
    let edge = parameters.split_once(',').map(|(_, edge)| edge.trim());
    match base.trim_end() {
        "geometry" => edge.is_none(),
        "geography" => edge.is_none_or(|edge| EDGES.contains(&edge)),
        _ => false,
    }
}

/// Whether a default that is not null has the form of the type's values.
fn fits(kind: &Value, default: &Value) -> bool {
    match kind.as_str() {
        Some("boolean") => default.is_boolean(),
        Some("int" | "long") => default.is_i64(),
        Some("float" | "double") => default.is_number(),
        Some(kind) if disguise::is_known(kind) => default.is_string(),
        // The later types have no defaults but null.
        Some(_) => false,
        // Columns of a struct have defaults of their own.
        None if kind.get("fields").is_some() => default.as_object().is_some_and(serde_json::Map::is_empty),
        None => default.is_array() || default.is_object(),
    }
}

/// Why a column of a type that has no order, and no equality, may not stand where it stands.
fn check_uses(before: Option<&TableMetadata>, after: &TableMetadata) -> std::result::Result<(), String> {
    let schema = after.current_schema();
    let written = written(schema).map_err(|error| error.to_string())?;
    let later: BTreeMap<i64, Column<'_>> = columns(&written)
        .into_iter()
        .filter(|column| column.kind.as_str().is_some_and(|kind| !disguise::is_known(kind)))
        .filter_map(|column| Some((column.id?, column)))
        .collect();
    let refuse = |id: i32, what: &str| match later.get(&i64::from(id)) {
        None => Ok(()),
        Some(column) => Err(format!(
            "column {} of type {} cannot be {what}",
            column.name,
            column.kind.as_str().unwrap_or_default()
        )),
    };
    for id in schema.identifier_field_ids() {
        refuse(id, "an identifier field")?;
    }
    let is_new_spec = |id| before.is_none_or(|before| before.partition_spec_by_id(id).is_none());
    for spec in after.partition_specs_iter() {
        if spec.spec_id() != after.default_partition_spec_id() && !is_new_spec(spec.spec_id()) {
            continue;
        }
        for field in spec.fields().iter().filter(|field| field.transform != Transform::Void) {
            refuse(field.source_id, "partitioned by")?;
        }
    }
    let is_new_order = |id| before.is_none_or(|before| before.sort_order_by_id(id).is_none());
    for order in after.sort_orders_iter() {
        if order.order_id != after.default_sort_order_id() && !is_new_order(order.order_id) {
            continue;
        }
        for field in order.fields.iter().filter(|field| field.transform != Transform::Void) {
            refuse(field.source_id, "sorted by")?;
        }
    }
    Ok(())
}
