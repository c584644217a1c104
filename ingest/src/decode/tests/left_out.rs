//! Values that the source left out.

use arrow::array::{AsArray, RecordBatch};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{NOW_MS, after, json_lines, rows};
use crate::decode::{DecodeOptions, Pushed, TopicBuffer, UNAVAILABLE_DEFAULT};
use crate::testing::record;

// Goal: a value that the source left out is null and listed. Method: TOAST placeholders in every shape.
#[test]
fn left_out_values() {
    let bytes: Vec<String> = UNAVAILABLE_DEFAULT.bytes().map(|byte| byte.to_string()).collect();
    let value = format!(
        r#"{{"before":{{"text":"{ph}"}},"after":{{"id":1,"text":"{ph}","texts":["{ph}"],"numbers":[{numbers}],"binary":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==","uuids":["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]}},"source":{{"lsn":5}},"op":"u","ts_ms":1}}"#,
        ph = UNAVAILABLE_DEFAULT,
        numbers = bytes.join(","),
    );
    let batch = rows(&[record("t", 0, Some(r#"{"id":1}"#), Some(&value))]);
    let listed = batch["_unavailable"].as_list::<i32>().value(0);
    let listed: Vec<_> = listed.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    assert_eq!(listed, ["before.text", "text", "texts", "numbers", "binary", "uuids"]);
    assert!(!json_lines(&batch).replace("_unavailable", "").contains("debezium"));
}

/// An array with an item for each byte of the placeholder.
fn of_bytes(item: impl Fn(u8) -> String) -> String {
    let items: Vec<_> = UNAVAILABLE_DEFAULT.bytes().map(item).collect();
    format!("[{}]", items.join(","))
}

// Goal: the same for maps, and for arrays whose items are neither texts nor integers. Method: what Debezium makes of its placeholder
// for them, with schemas and without, each record three times.
#[test]
fn left_out_maps_and_arrays() {
    let map = format!(r#"{{"{ph}":"{ph}"}}"#, ph = UNAVAILABLE_DEFAULT);
    let text = serde_json::to_string(&map).expect("JSON");
    let unscaled = |byte: u8| format!("\"{}\"", STANDARD.encode([byte]));
    let row = format!(
        r#"{{"map":{map},"text":{text},"floats":{},"decimals":{},"scaled":{},"kept":{{"a":"b"}},"few":[95.0]}}"#,
        of_bytes(|byte| format!("{byte}.0")),
        of_bytes(unscaled),
        of_bytes(|byte| format!(r#"{{"scale":0,"value":{}}}"#, unscaled(byte))),
    );
    let decimal = r#""type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2","connect.decimal.precision":"9"}"#;
    let variable = r#""type":"struct","name":"io.debezium.data.VariableScaleDecimal","fields":[{"type":"int32","field":"scale"},{"type":"bytes","field":"value"}]"#;
    let of_map = r#""type":"map","keys":{"type":"string"},"values":{"type":"string"}"#;
    let fields = [
        ("map", of_map.to_owned()),
        ("text", r#""type":"string","name":"io.debezium.data.Json""#.to_owned()),
        ("floats", r#""type":"array","items":{"type":"double"}"#.to_owned()),
        ("decimals", format!(r#""type":"array","items":{{{decimal}}}"#)),
        ("scaled", format!(r#""type":"array","items":{{{variable}}}"#)),
        ("kept", of_map.to_owned()),
        ("few", r#""type":"array","items":{"type":"double"}"#.to_owned()),
    ];
    let fields = fields.map(|(name, kind)| format!(r#"{{{kind},"optional":true,"field":"{name}"}}"#));
    let typed = format!(
        r#"{{"schema":{{"type":"struct","fields":[{}]}},"payload":{row}}}"#,
        fields.join(",")
    );
    for value in [row, typed] {
        let batch = rows(&[0, 1, 2].map(|offset| record("t", offset, Some("1"), Some(&value))));
        for row in 0..3 {
            let listed = batch["_unavailable"].as_list::<i32>().value(row);
            let listed: Vec<_> = listed.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
            assert_eq!(listed, ["map", "text", "floats", "decimals", "scaled"], "{value}");
            assert_eq!(after(&batch, "kept").as_string::<i32>().value(row), r#"{"a":"b"}"#);
            assert_eq!(after(&batch, "few").as_list::<i32>().value(row).len(), 1);
        }
    }
}

fn unavailable(batch: &RecordBatch, row: usize) -> Vec<String> {
    let listed = batch["_unavailable"].as_list::<i32>().value(row);
    listed.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

// Goal: what was left out is listed for each column that took values of its field in, and for no other one. Method: a field that got a column
// beside its own, before a restart and after it, and one whose type changed in its schema.
#[test]
fn left_out_values_are_in_no_column() {
    let of = |list: &str| format!(r#"{{"id":1,"l":{list},"l_":1,"l__own":"x","z":2}}"#);
    let left_out = of(&format!(r#"["{UNAVAILABLE_DEFAULT}"]"#));
    let values = [of("[]"), of("[1]"), left_out.clone(), left_out.clone()];
    let records: Vec<_> = values
        .iter()
        .zip(0..)
        .map(|(value, at)| record("t", at, Some("1"), Some(value)))
        .collect();
    let batch = rows(&records);
    for row in [2, 3] {
        assert_eq!(unavailable(&batch, row), ["l", "l__list_long"]);
    }
    let mut buffer = TopicBuffer::new("t".into(), DecodeOptions::default().into(), &batch.schema());
    let pushed = buffer.push(&record("t", 4, Some("1"), Some(&left_out)), NOW_MS);
    assert_eq!(pushed, Ok(Pushed::Row));
    let batch = buffer.take().expect("sound columns").expect("a row");
    assert_eq!(unavailable(&batch, 0), ["l", "l__list_long"]);

    let typed = |kind: &str, value: &str| {
        format!(
            r#"{{"schema":{{"type":"struct","fields":[{{"type":"{kind}","optional":true,"field":"doc"}}]}},"payload":{{"doc":"{value}"}}}}"#
        )
    };
    let values = [
        typed("bytes", "AQ=="),
        typed("string", "a"),
        typed("string", UNAVAILABLE_DEFAULT),
    ];
    let records: Vec<_> = values
        .iter()
        .zip(0..)
        .map(|(value, at)| record("t", at, Some("1"), Some(value)))
        .collect();
    assert_eq!(unavailable(&rows(&records), 2), ["doc", "doc__string"]);
}
