//! What a request would write of that by which ingest and models know their tables.

use serde_json::Value;

use tidewater_table::marks::{is_mark, is_mark_of_snapshot};

/// Whether the properties of a new table are such.
pub(super) fn in_properties(properties: &Value) -> bool {
    keys(Some(properties)).any(is_mark)
}

/// Whether an update of a table sets or removes such a property, or adds a snapshot that says of itself to be theirs.
pub(super) fn in_update(update: &Value) -> bool {
    let removals = update.pointer("/removals").and_then(Value::as_array);
    let mut removed = removals.into_iter().flatten().filter_map(Value::as_str);
    keys(update.pointer("/updates")).any(is_mark)
        || removed.any(is_mark)
        || keys(update.pointer("/snapshot/summary")).any(is_mark_of_snapshot)
}

fn keys(of: Option<&Value>) -> impl Iterator<Item = &str> {
    let entries = of.and_then(Value::as_object);
    entries.into_iter().flatten().map(|(key, _)| key.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // Goal: each way to write a mark is seen, and nothing else. Method: updates with marks and with settings.
    #[test]
    fn marks_are_seen_in_updates() {
        for (update, wanted) in [
            (
                json!({"action": "set-properties", "updates": {"a": "1", "tidewater.model-kind": "cdc"}}),
                true,
            ),
            (
                json!({"action": "remove-properties", "removals": ["a", "tidewater.ingest.topic"]}),
                true,
            ),
            (
                json!({"action": "add-snapshot", "snapshot": {"summary": {"tidewater.ingest.offsets": "{}"}}}),
                true,
            ),
            (
                json!({"action": "add-snapshot", "snapshot": {"summary": {"tidewater.refresh-state": "{}"}}}),
                true,
            ),
            (
                json!({"action": "set-properties", "updates": {"tidewater.sql-writes": "allowed"}}),
                false,
            ),
            (json!({"action": "remove-properties", "removals": ["comment"]}), false),
            (
                json!({"action": "add-snapshot", "snapshot": {"summary": {"operation": "append"}}}),
                false,
            ),
            (
                json!({"action": "set-location", "location": "tidewater.model-kind"}),
                false,
            ),
            (json!(7), false),
        ] {
            assert_eq!(in_update(&update), wanted, "{update}");
        }
        assert!(in_properties(&json!({"tidewater.tombstones-of": "a.b"})));
        assert!(!in_properties(&json!({"comment": "tidewater.model-kind"})) && !in_properties(&Value::Null));
    }
}
