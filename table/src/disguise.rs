//! Columns in disguise: what the `iceberg` crate does not know of a column goes through it unseen and comes out as it was.
//!
//! The crate knows neither `variant`, `unknown`, `geometry` nor `geography`, drops members of a column that it has no name for, and
//! writes some default values in another form or not at all. So before it parses a schema, such a column is disguised: each type it
//! does not know becomes [`STAND_IN`], and the types, the defaults and all else go into the column's comment, which the crate
//! carries along and compares as any other. What is equal stays equal and what differs stays different, whatever ids the crate
//! gives anew; when a schema is written, the comments are taken apart again. No schema in disguise ever reaches a file or a client.

use iceberg::spec::{Schema, StructType, Type};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a type that the crate does not know goes as. No file has it: values are not longer than an `int` counts.
const STAND_IN: &str = "fixed[9223372036854775807]";

/// The same in the crate's messages.
pub const STAND_IN_PRINTED: &str = "fixed(9223372036854775807)";

/// Begins a comment that holds a column. A comment of somebody else that begins so is disguised as well.
const MARK: &str = "\u{1}column ";

/// Types without parameters that the crate knows.
const KNOWN: [&str; 14] = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "timestamp_ns",
    "timestamptz_ns",
    "string",
    "uuid",
    "binary",
];

/// Members of a column that the crate keeps as they are.
const KEPT: [&str; 4] = ["id", "name", "required", "type"];

/// What a comment holds.
#[derive(Debug, Serialize, Deserialize)]
struct Hidden {
    /// The types behind the stand-ins, in the order in which they stand in the column's type; columns of structs have their own.
    types: Vec<String>,
    /// Members as they were written.
    members: Map<String, Value>,
}

/// Disguises every schema in a document, wherever it stands; answers whether there was something to disguise.
pub fn hide(document: &mut Value) -> bool {
    if let Some(columns) = columns_of(document) {
        let mut changed = false;
        for column in columns {
            changed |= hide_column(column);
        }
        return changed;
    }
    let mut changed = false;
    match document {
        Value::Array(elements) => elements.iter_mut().for_each(|element| changed |= hide(element)),
        Value::Object(members) => members.values_mut().for_each(|member| changed |= hide(member)),
        _ => {}
    }
    changed
}

/// Takes the disguise off every schema in a document.
pub fn reveal(document: &mut Value) {
    if let Some(columns) = columns_of(document) {
        columns.iter_mut().for_each(reveal_column);
        return;
    }
    match document {
        Value::Array(elements) => elements.iter_mut().for_each(reveal),
        Value::Object(members) => members.values_mut().for_each(reveal),
        _ => {}
    }
}

/// Whether a column of the schema is disguised.
pub fn is_hidden(schema: &Schema) -> bool {
    in_struct(schema.as_struct())
}

fn in_struct(columns: &StructType) -> bool {
    let marked = |doc: &Option<String>| doc.as_ref().is_some_and(|doc| doc.starts_with(MARK));
    let mut columns = columns.fields().iter();
    columns.any(|column| marked(&column.doc) || in_type(&column.field_type))
}

fn in_type(kind: &Type) -> bool {
    match kind {
        Type::Primitive(_) => false,
        Type::Struct(columns) => in_struct(columns),
        Type::List(list) => in_type(&list.element_field.field_type),
        Type::Map(map) => in_type(&map.key_field.field_type) || in_type(&map.value_field.field_type),
    }
}

/// The columns of a schema or a struct. Fields of partition specs and sort orders have no type.
fn columns_of(value: &mut Value) -> Option<&mut Vec<Value>> {
    let fields = value.get_mut("fields")?.as_array_mut()?;
    let typed = fields.iter().any(|field| field.get("type").is_some());
    typed.then_some(fields)
}

fn hide_column(column: &mut Value) -> bool {
    let Some(column) = column.as_object_mut() else {
        return false;
    };
    let mut types = Vec::new();
    let inside = column.get_mut("type").is_some_and(|kind| hide_type(kind, &mut types));
    let is_plain = |name: &str, value: &Value| match (name, value) {
        (_, Value::Null) => true,
        ("doc", Value::String(doc)) => !doc.starts_with(MARK),
        (name, _) => KEPT.contains(&name),
    };
    if types.is_empty() && column.iter().all(|(name, value)| is_plain(name, value)) {
        return inside;
    }
    let (kept, members) = std::mem::take(column)
        .into_iter()
        .partition(|(name, _)| KEPT.contains(&name.as_str()));
    *column = kept;
    // Strings and JSON always become JSON.
    let hidden = serde_json::to_string(&Hidden { types, members }).unwrap_or_default();
    column.insert("doc".into(), Value::String(format!("{MARK}{hidden}")));
    true
}

/// Puts stand-ins into a type and collects what they stand for; answers whether a column inside was disguised.
fn hide_type(kind: &mut Value, types: &mut Vec<String>) -> bool {
    if let Some(columns) = columns_of(kind) {
        let mut changed = false;
        for column in columns {
            changed |= hide_column(column);
        }
        return changed;
    }
    match kind {
        Value::String(name) if !is_known(name) => {
            types.push(std::mem::replace(name, STAND_IN.to_owned()));
            false
        }
        Value::Object(members) => {
            let mut changed = false;
            for place in ["element", "key", "value"] {
                changed |= members.get_mut(place).is_some_and(|kind| hide_type(kind, types));
            }
            changed
        }
        _ => false,
    }
}

/// Whether the crate knows the type by this name.
pub fn is_known(name: &str) -> bool {
    let parameters = |start: &str, end: char| name.strip_prefix(start)?.strip_suffix(end);
    if let Some(length) = parameters("fixed[", ']') {
        return length.parse::<i32>().is_ok();
    }
    if let Some(both) = parameters("decimal(", ')') {
        let numbers = both.split_once(',');
        return numbers.is_some_and(|(one, other)| {
            let number = |text: &str| text.trim().parse::<u32>().is_ok();
            number(one) && number(other)
        });
    }
    KNOWN.contains(&name)
}

fn reveal_column(column: &mut Value) {
    let Some(column) = column.as_object_mut() else {
        return;
    };
    let comment = column.get("doc").and_then(Value::as_str);
    let hidden = comment.and_then(|doc| serde_json::from_str::<Hidden>(doc.strip_prefix(MARK)?).ok());
    let Some(hidden) = hidden else {
        if let Some(kind) = column.get_mut("type") {
            reveal_type(kind, &mut Vec::new().into_iter());
        }
        return;
    };
    column.remove("doc");
    if let Some(kind) = column.get_mut("type") {
        reveal_type(kind, &mut hidden.types.into_iter());
    }
    let members = hidden.members.into_iter();
    column.extend(members.filter(|(name, _)| !KEPT.contains(&name.as_str())));
}

fn reveal_type(kind: &mut Value, types: &mut impl Iterator<Item = String>) {
    if let Some(columns) = columns_of(kind) {
        columns.iter_mut().for_each(reveal_column);
        return;
    }
    match kind {
        Value::String(name) if name == STAND_IN => {
            if let Some(real) = types.next() {
                *name = real;
            }
        }
        Value::Object(members) => {
            for place in ["element", "key", "value"] {
                if let Some(kind) = members.get_mut(place) {
                    reveal_type(kind, types);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
