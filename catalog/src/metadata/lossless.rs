//! Whether a metadata file can be parsed and written out again without losing a field.
//!
//! The `iceberg` crate drops JSON fields it does not know. A table made by a newer engine may hold some; changing it would trim them away in silence.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// Fields of older formats that say what other fields say as well.
const REPEATED: [&str; 2] = ["/schema", "/partition-spec"];

/// The path of a field of `raw` that `metadata` does not hold.
pub(super) fn first_lost(raw: &[u8], metadata: &impl Serialize) -> Option<String> {
    let before = match serde_json::from_slice(raw) {
        Ok(value) => fields(&value),
        Err(error) => return Some(error.to_string()),
    };
    let after = match serde_json::to_value(metadata) {
        Ok(value) => fields(&value),
        Err(error) => return Some(error.to_string()),
    };
    let mut lost = before.difference(&after);
    lost.find(|path| !is_repeated(path))
        .map(|path| path.trim_start_matches('/').replace('/', "."))
}

fn is_repeated(path: &str) -> bool {
    REPEATED.iter().any(|field| {
        path.strip_prefix(field)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The paths of all fields that hold something. Elements of lists share a path: their order is not kept by the crate.
fn fields(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![(String::new(), value)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Null => {}
            Value::Object(members) => {
                open.extend(members.iter().map(|(name, member)| (format!("{path}/{name}"), member)))
            }
            Value::Array(elements) => open.extend(elements.iter().map(|element| (path.clone(), element))),
            Value::Bool(_) | Value::Number(_) | Value::String(_) if holds_something(&path, value) => {
                found.insert(path);
            }
            _ => {}
        }
    }
    found
}

/// Writers put defaults in that the crate leaves out.
fn holds_something(path: &str, value: &Value) -> bool {
    let absent_snapshot = path == "/current-snapshot-id" && value.as_i64() == Some(-1);
    !absent_snapshot
}
