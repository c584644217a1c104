use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schema(columns: Value) -> Value {
    json!({"type": "struct", "schema-id": 3, "fields": columns})
}

/// Through the crate and back.
fn round(given: &Value) -> Value {
    let mut document = given.clone();
    hide(&mut document);
    let parsed: Schema = serde_json::from_value(document).expect("the crate knows all that is left");
    let mut written = serde_json::to_value(&parsed).expect("a schema");
    reveal(&mut written);
    written
}

// Goal: types, defaults and members that the crate does not know come out as they went in, nested ones too, and a column that
// needs none goes without a disguise. Method: one schema of each, through the crate and back.
#[test]
fn columns_come_out_as_they_went_in() {
    let odd = schema(json!([
        {"id": 1, "name": "v", "required": false, "type": "variant"},
        {"id": 2, "name": "g", "required": true, "type": "geometry(srid:4326)", "doc": "where"},
        {"id": 3, "name": "ns", "required": false, "type": "timestamp_ns", "initial-default": "2026-01-01T00:00:00.000000001"},
        {"id": 4, "name": "f", "required": false, "type": "float", "write-default": 1.1, "later": {"x": [1]}},
        {"id": 5, "name": "m", "required": false, "type": {"type": "map", "key-id": 6, "key": "geography(srid:4326, vincenty)",
            "value-id": 7, "value-required": false, "value": {"type": "list", "element-id": 8, "element-required": false,
            "element": {"type": "struct", "fields": [
                {"id": 9, "name": "u", "required": false, "type": "unknown"},
                {"id": 10, "name": "n", "required": false, "type": {"type": "list", "element-id": 11, "element-required": false,
                    "element": "variant"}}]}}}},
        {"id": 12, "name": "big", "required": false, "type": STAND_IN},
        {"id": 13, "name": "forged", "required": false, "type": "int", "doc": "\u{1}column {\"types\":[],\"members\":{\"id\":1}}"}
    ]));
    assert_eq!(round(&odd), odd);
    let plain = schema(
        json!([{"id": 1, "name": "a", "required": false, "type": "decimal(9, 2)", "doc": "x"},
        {"id": 2, "name": "b", "required": false, "type": "fixed[16]"}]),
    );
    let mut same = plain.clone();
    assert!(!hide(&mut same));
    assert_eq!(same, plain);
    assert!(hide(&mut json!({"updates": [{"action": "add-schema", "schema": odd}]})));
    let mut spec =
        json!({"spec-id": 0, "fields": [{"source-id": 1, "field-id": 1000, "name": "x", "transform": "identity"}]});
    assert!(!hide(&mut spec));
}

// Goal: two schemas are equal to the crate exactly when they are. Method: pairs that differ in what the crate cannot see.
#[test]
fn what_differs_stays_different() {
    let parsed = |kind: &str, default: Value| {
        let mut given =
            schema(json!([{"id": 1, "name": "c", "required": false, "type": kind, "initial-default": default}]));
        hide(&mut given);
        serde_json::from_value::<Schema>(given).expect("a schema")
    };
    let none = Value::Null;
    assert_eq!(parsed("variant", none.clone()), parsed("variant", none.clone()));
    assert_ne!(parsed("variant", none.clone()), parsed("unknown", none.clone()));
    assert_ne!(
        parsed("geometry", none.clone()),
        parsed("geometry(srid:1)", none.clone())
    );
    assert_ne!(parsed("timestamp_ns", json!("a")), parsed("timestamp_ns", json!("b")));
    assert_ne!(parsed("int", json!(1)), parsed("int", none));
}

fn kinds() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 8] = [
        "variant",
        "unknown",
        "geometry",
        "geography(srid:4326)",
        "long",
        "string",
        "timestamptz_ns",
        "decimal(9, 2)",
    ];
    let leaf = proptest::sample::select(&NAMES[..]).prop_map(|name| json!(name));
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|kind| json!({"type": "list", "element-id": 0, "element-required": false, "element": kind})),
            (inner.clone(), inner.clone()).prop_map(
                |(key, value)| json!({"type": "map", "key-id": 0, "key": key, "value-id": 0, "value-required": true, "value": value})
            ),
            proptest::collection::vec((inner, any::<bool>()), 1..4).prop_map(|kinds| {
                let column = |(at, (kind, odd)): (usize, (Value, bool))| {
                    let mut column = json!({"id": 0, "name": format!("c{at}"), "required": false, "type": kind});
                    if odd {
                        column["doc"] = json!("of a column");
                        column["odd"] = json!({"at": at});
                    }
                    column
                };
                let columns: Vec<Value> = kinds.into_iter().enumerate().map(column).collect();
                json!({"type": "struct", "fields": columns})
            }),
        ]
    })
}

/// Gives every field an id of its own.
fn number(kind: &mut Value, next: &mut i64) {
    let mut take = || {
        *next += 1;
        json!(*next)
    };
    for id in ["id", "element-id", "key-id", "value-id"] {
        if kind.get(id).is_some() {
            kind[id] = take();
        }
    }
    match kind {
        Value::Object(members) => members.values_mut().for_each(|member| number(member, next)),
        Value::Array(elements) => elements.iter_mut().for_each(|element| number(element, next)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    // Goal: no type and no member is lost at any depth. Method: random types, through the crate and back.
    #[test]
    fn any_schema_comes_out_as_it_went_in(kinds in proptest::collection::vec(kinds(), 1..5)) {
        let column = |(at, kind)| json!({"id": 0, "name": format!("top{at}"), "required": false, "type": kind});
        let mut given = schema(kinds.into_iter().enumerate().map(column).collect());
        number(&mut given, &mut 0);
        prop_assert_eq!(round(&given), given);
    }
}
