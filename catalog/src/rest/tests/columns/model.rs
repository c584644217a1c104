//! Random tables through random updates, beside a model that changes nothing but JSON.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::kit::{Kit, TABLE, TABLES};

const PLAIN: [&str; 4] = ["long", "string", "decimal(9, 2)", "timestamptz_ns"];
const LATER: [&str; 5] = [
    "variant",
    "unknown",
    "geometry",
    "geometry(srid:4326)",
    "geography(srid:4326, karney)",
];

/// A type of any depth whose ids are all 0.
fn kinds() -> impl Strategy<Value = Value> {
    let plain = proptest::sample::select(&PLAIN[..]).prop_map(|name| json!(name));
    let later = proptest::sample::select(&LATER[..]).prop_map(|name| json!(name));
    prop_oneof![plain, later].prop_recursive(3, 12, 3, |inner| {
        let key = proptest::sample::select(&PLAIN[..]);
        prop_oneof![
            inner
                .clone()
                .prop_map(|kind| json!({"type": "list", "element-id": 0, "element-required": false, "element": kind})),
            (key, inner.clone()).prop_map(|(key, value)| {
                json!({"type": "map", "key-id": 0, "key": key, "value-id": 0, "value-required": false, "value": value})
            }),
            proptest::collection::vec(columns(inner), 1..3)
                .prop_map(|columns| json!({"type": "struct", "fields": named(columns)})),
        ]
    })
}

fn columns(kinds: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    (kinds, 0..4_u8).prop_map(|(kind, sort)| {
        let mut column = json!({"id": 0, "required": false, "type": kind});
        match sort {
            0 => column["doc"] = json!("what it is"),
            1 if kind == "long" => column["initial-default"] = json!(7),
            2 if kind == "timestamptz_ns" => column["write-default"] = json!("2026-01-01T00:00:00.000000001+00:00"),
            3 => column["x-later"] = json!({"a": [1, null, "b"]}),
            _ => {}
        }
        column
    })
}

fn named(mut columns: Vec<Value>) -> Vec<Value> {
    for (at, column) in columns.iter_mut().enumerate() {
        column["name"] = json!(format!("c{at}"));
    }
    columns
}

/// Ids as the catalog gives them: all of one level before those inside it.
fn number(columns: &mut [Value], next: &mut i64) {
    let mut take = |id: &mut Value| {
        *next += 1;
        *id = json!(*next);
    };
    columns.iter_mut().for_each(|column| take(&mut column["id"]));
    columns
        .iter_mut()
        .for_each(|column| number_type(&mut column["type"], next));
}

fn number_type(kind: &mut Value, next: &mut i64) {
    for (id, part) in [("element-id", "element"), ("key-id", "key"), ("value-id", "value")] {
        if kind.get(part).is_some() {
            *next += 1;
            kind[id] = json!(*next);
            number_type(&mut kind[part], next);
        }
    }
    if let Some(columns) = kind.get_mut("fields").and_then(Value::as_array_mut) {
        number(columns, next);
    }
}

#[derive(Debug, Clone)]
enum Change {
    AddSchema(Vec<Value>),
    WidenSchema(Value),
    SetCurrent(usize),
    RemoveSchema(usize),
    SetProperty(u8, u8),
    RemoveProperty(u8),
    Append(u8),
    /// The file is parsed anew.
    Forget,
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        proptest::collection::vec(columns(kinds()), 1..3).prop_map(Change::AddSchema),
        columns(kinds()).prop_map(Change::WidenSchema),
        (0..8_usize).prop_map(Change::SetCurrent),
        (0..8_usize).prop_map(Change::RemoveSchema),
        (0..3_u8, any::<u8>()).prop_map(|(name, value)| Change::SetProperty(name, value)),
        (0..3_u8).prop_map(Change::RemoveProperty),
        (0..9_u8).prop_map(Change::Append),
        Just(Change::Forget),
    ]
}

/// What a table's metadata is to be.
struct Model {
    schemas: Vec<Value>,
    current: i64,
    last_column: i64,
    properties: Map<String, Value>,
    rows: i64,
    snapshots: i64,
}

fn schema(id: i64, columns: &[Value]) -> Value {
    json!({"type": "struct", "schema-id": id, "fields": columns})
}

impl Model {
    fn id(&self, at: usize) -> i64 {
        self.schemas[at % self.schemas.len()]["schema-id"]
            .as_i64()
            .expect("an id")
    }

    fn columns(&self) -> Vec<Value> {
        let current = self.schemas.iter().find(|schema| schema["schema-id"] == self.current);
        current.expect("the current schema")["fields"]
            .as_array()
            .expect("columns")
            .clone()
    }

    /// Adds a schema as the current one, unless it is there.
    fn add(&mut self, columns: Vec<Value>) -> Value {
        let same = self.schemas.iter().find(|schema| schema["fields"] == json!(columns));
        let id = match same {
            Some(schema) => schema["schema-id"].as_i64().expect("an id"),
            None => {
                let ids = self.schemas.iter().filter_map(|schema| schema["schema-id"].as_i64());
                let id = ids.max().unwrap_or(0) + 1;
                self.schemas.push(schema(id, &columns));
                id
            }
        };
        self.current = id;
        // The id that a client sends is not the one that counts.
        json!([{"action": "add-schema", "schema": schema(77, &columns)}, {"action": "set-current-schema", "schema-id": -1}])
    }

    /// The updates of a change; none when it would be refused.
    fn apply(&mut self, change: Change) -> Option<Value> {
        match change {
            Change::AddSchema(columns) => {
                let mut columns = named(columns);
                number(&mut columns, &mut self.last_column);
                Some(self.add(columns))
            }
            Change::WidenSchema(column) => {
                let mut wide = self.columns();
                let mut column = [column];
                number(&mut column, &mut self.last_column);
                let [mut column] = column;
                column["name"] = json!(format!("w{}", column["id"]));
                wide.push(column);
                Some(self.add(wide))
            }
            Change::SetCurrent(at) => {
                self.current = self.id(at);
                Some(json!([{"action": "set-current-schema", "schema-id": self.current}]))
            }
            Change::RemoveSchema(at) => {
                let id = self.id(at);
                if id == self.current {
                    return None;
                }
                self.schemas.retain(|schema| schema["schema-id"] != id);
                Some(json!([{"action": "remove-schemas", "schema-ids": [id]}]))
            }
            Change::SetProperty(name, value) => {
                let (name, value) = (format!("p{name}"), value.to_string());
                self.properties.insert(name.clone(), json!(value));
                Some(json!([{"action": "set-properties", "updates": {name: value}}]))
            }
            Change::RemoveProperty(name) => {
                let name = format!("p{name}");
                self.properties.remove(&name);
                Some(json!([{"action": "remove-properties", "removals": [name]}]))
            }
            Change::Append(rows) => {
                let parent = (self.snapshots > 0).then_some(self.snapshots);
                self.snapshots += 1;
                let mut updates = super::super::kit::append(self.snapshots, parent, self.snapshots);
                updates[0]["snapshot"]["first-row-id"] = json!(self.rows);
                updates[0]["snapshot"]["added-rows"] = json!(rows);
                updates[0]["snapshot"]["schema-id"] = json!(self.current);
                self.rows += i64::from(rows);
                Some(updates)
            }
            Change::Forget => None,
        }
    }

    fn check(&self, metadata: &Value) {
        let mut schemas = metadata["schemas"].as_array().expect("schemas").clone();
        schemas.sort_by_key(|schema| schema["schema-id"].as_i64());
        assert_eq!(schemas, self.schemas);
        assert_eq!(metadata["current-schema-id"], self.current);
        assert_eq!(metadata["last-column-id"], self.last_column);
        let properties = metadata.get("properties").cloned().unwrap_or_else(|| json!({}));
        assert_eq!(properties, Value::Object(self.properties.clone()));
        assert_eq!(metadata["next-row-id"], self.rows);
        let snapshots = metadata["snapshots"].as_array().map_or(0, Vec::len);
        assert_eq!(snapshots as i64, self.snapshots);
    }
}

async fn run(columns: Vec<Value>, changes: Vec<Change>) {
    let kit = Kit::empty();
    assert_eq!(
        kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await.status,
        200
    );
    let mut columns = named(columns);
    let mut last_column = 0;
    number(&mut columns, &mut last_column);
    let new = json!({"name": "t", "schema": schema(0, &columns), "properties": {"format-version": "3"}});
    let made = kit.post(TABLES, new).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let mut model = Model {
        schemas: vec![schema(0, &columns)],
        current: 0,
        last_column,
        properties: Map::new(),
        rows: 0,
        snapshots: 0,
    };
    model.check(&made.body["metadata"]);
    for change in changes {
        if matches!(change, Change::Forget) {
            kit.service.cache.forget().await;
        }
        let Some(updates) = model.apply(change) else { continue };
        let changed = kit.update(updates.clone()).await;
        assert_eq!(changed.status, 200, "{updates}: {}", changed.body);
        model.check(&changed.body["metadata"]);
    }
    model.check(&kit.get(TABLE).await.body["metadata"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    // Goal: no column, type, default or unknown member is lost in any table by any row of updates. Method: random tables and updates
    // over the wire, each answer compared with a model that only moves JSON.
    #[test]
    fn nothing_is_lost_by_updates(
        given in proptest::collection::vec(columns(kinds()), 1..4),
        changes in proptest::collection::vec(changes(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(given, changes));
    }
}
