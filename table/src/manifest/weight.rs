//! The JSON in a header, weighed before anything is made of it: it is handed on as it was parsed, so it has to be read in any case.

use serde_json::Value;

use super::avro::{File, OrReason};

/// The Avro schema of entries is some 8 KB, and 100 bytes for each partition field.
const AVRO_BYTES_MAX: usize = 256 << 10;

/// Deeper than an entry's maps by half: what reads values calls itself once a level.
const AVRO_DEPTH_MAX: usize = 24;

/// What serde_json reads too.
const DEPTH_MAX: usize = 128;

/// Bytes that may be made of JSON. Each level takes a copy of what is below it, full names have those of all levels above, and a type is
/// copied for each name that it had before. The schema of 10,000 columns weighs some 10 MB.
const WEIGHT_MAX: usize = 256 << 20;

/// Of a value besides its text, and what a schema takes for a byte of its text.
const VALUE_BYTES: usize = 32;
const SCHEMA_RATIO: usize = 16;

const TOO_LARGE: &str = "has a schema that is larger than is read";
const NO_JSON: &str = "has a schema that is not JSON";

/// The schema of a file's values.
pub(super) fn avro_schema(file: &File<'_>) -> OrReason<Value> {
    let text = file.value(b"avro.schema").ok_or("has no schema")?;
    if text.len() > AVRO_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    weighed(text, Of::Values)
}

/// Weighs the table's schema and its partition spec in the header of a manifest.
pub(super) fn check_table_schema(file: &File<'_>) -> OrReason<()> {
    // Its reader compares each field with all others. In the Avro schema they take more.
    let spec = file.value(b"partition-spec");
    if spec.is_some_and(|spec| spec.len() > AVRO_BYTES_MAX) {
        return Err("has a partition spec that is larger than is read");
    }
    match file.value(b"schema") {
        Some(text) => weighed(text, Of::Table).map(|_| ()),
        // Its reader says so.
        None => Ok(()),
    }
}

/// Whose schema it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Avro's.
    Values,
    /// Iceberg's.
    Table,
}

fn weighed(text: &[u8], of: Of) -> OrReason<Value> {
    let parsed: Value = serde_json::from_slice(text).map_err(|_| NO_JSON)?;
    let mut scales = Scales {
        of,
        text_bytes: text.len(),
        left: WEIGHT_MAX,
    };
    scales.put(&parsed, 1, 0).ok_or(TOO_LARGE)?;
    Ok(parsed)
}

struct Scales {
    of: Of,
    text_bytes: usize,
    left: usize,
}

impl Scales {
    /// A value that many levels down, whose names above have that many bytes.
    fn put(&mut self, value: &Value, depth: usize, names_bytes: usize) -> Option<()> {
        let depth_max = match self.of {
            Of::Values => AVRO_DEPTH_MAX,
            Of::Table => DEPTH_MAX,
        };
        if depth > depth_max {
            return None;
        }
        let text = value.as_str().map_or(0, str::len);
        self.take((VALUE_BYTES + text).checked_mul(depth)?)?;
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.put(item, depth + 1, names_bytes)),
            Value::Object(parts) => {
                let name = parts.get("name").and_then(Value::as_str).map_or(0, str::len);
                let names_bytes = names_bytes + name;
                self.take(names_bytes)?;
                if self.of == Of::Values && parts.get("default").is_some_and(has_parts) {
                    return None;
                }
                if let Some(aliases) = parts.get("aliases").and_then(Value::as_array) {
                    let copies = self.text_bytes.checked_mul(SCHEMA_RATIO)?;
                    self.take(copies.checked_mul(aliases.len())?)?;
                }
                parts.iter().try_for_each(|(key, part)| {
                    self.take(key.len().checked_mul(depth)?)?;
                    self.put(part, depth + 1, names_bytes)
                })
            }
            _ => Some(()),
        }
    }

    fn take(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }
}

/// A default with parts is made at once, of types by name whose own defaults have parts: twice as much with each of them.
fn has_parts(default: &Value) -> bool {
    match default {
        Value::Object(_) => true,
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // Goal: what a few bytes would make much of is refused, and what tables have is not. Method: wide and deep schemas, long names above
    // many others, many former names, defaults that are made of others.
    #[test]
    fn what_grows_is_refused() {
        let weighed = |value: &Value, of| weighed(value.to_string().as_bytes(), of).map(|_| ());
        let column = |id: usize| json!({"id": id, "name": format!("column_{id}"), "required": false, "type": "string"});
        let wide: Vec<Value> = (0..10_000).map(column).collect();
        let wide = json!({"type": "struct", "schema-id": 0, "fields": wide});
        assert_eq!(weighed(&wide, Of::Table), Ok(()));
        let nested = |levels: usize| (0..levels).fold(json!("long"), |inner, _| json!({"type": inner}));
        assert_eq!(weighed(&nested(20), Of::Values), Ok(()));
        assert_eq!(weighed(&nested(AVRO_DEPTH_MAX), Of::Values), Err(TOO_LARGE));
        assert_eq!(weighed(&nested(100), Of::Table), Ok(()));
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(super::weighed(deep.as_bytes(), Of::Table), Err(NO_JSON));
        let within = |name: usize| json!({"name": "n".repeat(name), "type": wide});
        assert_eq!(weighed(&within(100), Of::Table), Ok(()));
        assert_eq!(weighed(&within(100_000), Of::Table), Err(TOO_LARGE));
        let known_as =
            |names: usize| json!({"type": "record", "aliases": vec!["a"; names], "doc": "d".repeat(100_000)});
        assert_eq!(weighed(&known_as(3), Of::Values), Ok(()));
        assert_eq!(weighed(&known_as(1_000), Of::Values), Err(TOO_LARGE));
        let by_default = |default: Value| json!({"fields": [{"name": "a", "type": "b", "default": default}]});
        for default in [json!(null), json!(1), json!("a"), json!([])] {
            assert_eq!(weighed(&by_default(default), Of::Values), Ok(()));
        }
        for default in [json!({}), json!([{}])] {
            assert_eq!(weighed(&by_default(default.clone()), Of::Values), Err(TOO_LARGE));
            assert_eq!(weighed(&by_default(default), Of::Table), Ok(()));
        }
    }
}
