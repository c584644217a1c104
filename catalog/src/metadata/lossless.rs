//! Whether a metadata file can be parsed and written out again without losing a field.
//!
//! The `iceberg` crate drops JSON fields it does not know. A table made by a newer engine may hold some; changing it would trim them away in silence.

use std::collections::BTreeSet;

use serde_json::Value;

/// Members that tell elements of a list apart, as far as they have them: what the crate never adds or rewrites.
const IDENTITY: [&str; 10] = [
    "id",
    "snapshot-id",
    "schema-id",
    "spec-id",
    "order-id",
    "version-id",
    "source-id",
    "name",
    "metadata-file",
    "statistics-path",
];

/// Fields of older formats that say what other fields say as well.
const REPEATED: [&str; 2] = ["/schema", "/partition-spec"];

/// The path of a field of `raw` that is missing `after`wards. Values are not compared: the crate writes some in another form.
pub(super) fn first_lost(raw: &[u8], after: &Value) -> Option<String> {
    let before = match serde_json::from_slice(raw) {
        Ok(value) => fields(&value),
        Err(error) => return Some(error.to_string()),
    };
    let after = fields(after);
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

/// The paths of all fields that hold something. An element of a list is known by its identity, not by its place: the crate does
/// not keep the order.
fn fields(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![(String::new(), value)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Null => {}
            Value::Object(members) => {
                open.extend(members.iter().map(|(name, member)| (format!("{path}/{name}"), member)))
            }
            Value::Array(elements) => {
                open.extend(
                    elements
                        .iter()
                        .map(|element| (format!("{path}{}", identity(element)), element)),
                );
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) if holds_something(&path, value) => {
                found.insert(path);
            }
            _ => {}
        }
    }
    found
}

/// `[12,first]` of an element with such members, nothing of others.
fn identity(element: &Value) -> String {
    let members = IDENTITY.iter().filter_map(|name| element.get(name));
    let members: Vec<String> = members.map(Value::to_string).collect();
    if members.is_empty() {
        return String::new();
    }
    format!("[{}]", members.join(","))
}

/// Writers put defaults in that the crate leaves out.
fn holds_something(path: &str, value: &Value) -> bool {
    let absent_snapshot = path == "/current-snapshot-id" && value.as_i64() == Some(-1);
    !absent_snapshot
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // Goal: what one element of a list loses is found although another keeps a field of that name; order and defaults do not
    // count. Method: pairs of documents, with the field that is missing from the second.
    #[test]
    fn losses_are_found_by_element() {
        let before = json!({
            "current-snapshot-id": -1,
            "schema": {"type": "struct"},
            "snapshots": [{"snapshot-id": 1, "first-row-id": 0}, {"snapshot-id": 2, "first-row-id": 10}],
            "schemas": [{"schema-id": 0, "fields": [{"id": 1, "name": "a", "doc": "x"}, {"id": 2, "name": "b", "doc": "y"}]}],
        });
        let lost = |change: fn(&mut Value)| {
            let mut after = before.clone();
            change(&mut after);
            first_lost(before.to_string().as_bytes(), &after)
        };
        assert_eq!(lost(|_| {}), None);
        assert_eq!(
            lost(|after| {
                after["snapshots"].as_array_mut().unwrap().reverse();
                after["schema"].take();
                after["current-snapshot-id"].take();
            }),
            None
        );
        let one = lost(|after| drop(after["snapshots"][0]["first-row-id"].take()));
        assert_eq!(one.as_deref(), Some("snapshots[1].first-row-id"));
        let element = lost(|after| drop(after["snapshots"].as_array_mut().unwrap().pop()));
        assert!(element.is_some_and(|path| path.starts_with("snapshots[2]")));
        let nested = lost(|after| drop(after["schemas"][0]["fields"][1]["doc"].take()));
        assert_eq!(nested.as_deref(), Some("schemas[0].fields[2,\"b\"].doc"));
    }
}
