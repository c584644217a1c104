//! Metadata files handled as JSON, without the types of the `iceberg` crate: tables it cannot parse still load and register.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use bytes::Bytes;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

/// The few fields of a metadata file that a pointer needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Head {
    pub(crate) table_uuid: Uuid,
    pub(crate) location: String,
    current_snapshot_id: Option<i64>,
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, String>,
}

impl Head {
    pub(crate) fn parse(raw: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(raw)
    }

    pub(crate) fn snapshot_id(&self) -> Option<i64> {
        // Version 1 writes -1 for none.
        self.current_snapshot_id.filter(|id| *id != -1)
    }
}

/// The few fields of a view's metadata file that a pointer needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ViewHead {
    pub(crate) view_uuid: Uuid,
    pub(crate) location: String,
}

impl ViewHead {
    pub(crate) fn parse(raw: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(raw)
    }
}

/// A JSON object whose members keep their order and their bytes.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Named {
    snapshot_id: i64,
}

/// The file without the snapshots that no branch or tag names.
pub(super) fn only_referenced(raw: &[u8]) -> serde_json::Result<Bytes> {
    let mut members: Members<'_> = serde_json::from_slice(raw)?;
    let member = |name: &str| {
        members
            .0
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.get())
    };
    let mut kept: HashSet<i64> = HashSet::new();
    if let Some(refs) = member("refs") {
        let refs: Option<BTreeMap<String, Named>> = serde_json::from_str(refs)?;
        kept.extend(refs.unwrap_or_default().into_values().map(|named| named.snapshot_id));
    }
    if let Some(current) = member("current-snapshot-id") {
        kept.extend(serde_json::from_str::<Option<i64>>(current)?);
    }
    let Some(snapshots) = member("snapshots") else {
        return Ok(Bytes::copy_from_slice(raw));
    };
    let snapshots: Option<Vec<&RawValue>> = serde_json::from_str(snapshots)?;
    let mut left = Vec::new();
    for snapshot in snapshots.unwrap_or_default() {
        let named: Named = serde_json::from_str(snapshot.get())?;
        if kept.contains(&named.snapshot_id) {
            left.push(snapshot);
        }
    }
    let left = serde_json::value::to_raw_value(&left)?;
    for (name, value) in &mut members.0 {
        if *name == "snapshots" {
            *value = &left;
        }
    }
    serde_json::to_vec(&members).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: only referenced snapshots stay and all else keeps its bytes. Method: a file with odd spacing, an unknown field and three snapshots.
    #[test]
    fn unreferenced_snapshots_go() {
        let raw = br#"{"format-version": 2, "odd":  [1,  2], "current-snapshot-id": 3,
            "snapshots": [{"snapshot-id": 1}, {"snapshot-id": 2, "x": 1.0}, {"snapshot-id": 3}],
            "refs": {"main": {"snapshot-id": 3}, "audit": {"snapshot-id": 2}}}"#;
        let bytes = only_referenced(raw).expect("a good file");
        let text = std::str::from_utf8(&bytes).expect("utf-8");
        assert!(text.contains(r#""odd":[1,  2]"#), "{text}");
        assert!(
            text.contains(r#""snapshots":[{"snapshot-id": 2, "x": 1.0},{"snapshot-id": 3}]"#),
            "{text}"
        );
    }
}
