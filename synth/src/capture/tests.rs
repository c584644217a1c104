use serde_json::Value as Json;

use super::*;
use crate::schema::{TableId, table};
use crate::value::Value;
use tidewater_core::SeededRng;

fn capture(shape: Shape) -> Capture {
    let options = DeliveryOptions {
        shape,
        ..DeliveryOptions::default()
    };
    Capture::new(&options, &SeededRng::new(1), 1_767_859_200_000)
}

fn payer(id: &str, name: Option<&str>) -> Row {
    let name = name.map_or(Value::Null, Value::text);
    [
        Value::text(id),
        name,
        Value::text("MEDICARE"),
        Value::Bool(true),
        Value::Micros(1_767_866_400_123_456),
    ]
    .into()
}

fn change(op: Op, before: Option<Row>, after: Option<Row>) -> Transaction {
    let table: TableId = table("payers").unwrap().0;
    let changes = vec![Change {
        table,
        op,
        before,
        after,
        lsn: 24_158_536,
    }];
    Transaction {
        service: table.service,
        id: 762,
        committed_us: 1_795_451_403_695_888,
        last_commit_lsn: 24_158_360,
        changes,
    }
}

fn messages(capture: &Capture, transaction: Transaction) -> Vec<Message> {
    let mut messages = Vec::new();
    capture.messages(transaction, true, true, &mut messages);
    messages
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap()).unwrap()
}

// Goal: an envelope has the members, order and forms of a captured one. Method: one update against a text written after
// the fixture `env.public.medical_records`.
#[test]
fn envelope_is_debeziums() {
    let capture = capture(Shape::Envelope);
    let update = change(
        Op::Update,
        Some(payer("PAY1", None)),
        Some(payer("PAY1", Some("A \"B\""))),
    );
    let messages = messages(&capture, update);
    assert_eq!(messages.len(), 1);
    assert_eq!(text(Some(capture.key(&messages[0]))), r#"{"payer_id":"PAY1"}"#);
    let captured_us = 1_795_451_403_695_888_i64 + 80_000 + 24_158_536 % 97 * 500;
    let expected = format!(
        concat!(
            r#"{{"before":null,"after":{{"payer_id":"PAY1","name":"A \"B\"","payer_type":"MEDICARE","active":true,"#,
            r#""updated_at":1767866400123456}},"source":{{"version":"3.6.3.Final","connector":"postgresql","#,
            r#""name":"hospital.insurance","ts_ms":1795451403695,"snapshot":"false","db":"hospital_insurance","#,
            r#""sequence":"[\"24158360\",\"24158536\"]","ts_us":1795451403695888,"ts_ns":1795451403695888000,"#,
            r#""schema":"public","table":"payers","txId":762,"lsn":24158536,"xmin":null,"origin":null,"origin_lsn":null}},"#,
            r#""transaction":null,"op":"u","ts_ms":{},"ts_us":{},"ts_ns":{}}}"#,
        ),
        captured_us / 1_000,
        captured_us,
        captured_us * 1_000,
    );
    assert_eq!(text(capture.encode(&messages[0]).value), expected);
}

// Goal: schemas describe the payload. Method: the names of the schema's fields, in order, are the payload's.
#[test]
fn schemas_describe_payloads() {
    let capture = capture(Shape::EnvelopeSchemas);
    let messages = messages(&capture, change(Op::Create, None, Some(payer("PAY1", None))));
    let value = text(capture.encode(&messages[0]).value);
    let json: Json = serde_json::from_str(&value).unwrap();
    let names = |fields: &Json| -> Vec<String> {
        fields
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["field"].as_str().unwrap().to_owned())
            .collect()
    };
    let fields = &json["schema"]["fields"];
    assert_eq!(
        names(fields),
        [
            "before",
            "after",
            "source",
            "transaction",
            "op",
            "ts_ms",
            "ts_us",
            "ts_ns"
        ]
    );
    assert_eq!(
        names(&fields[1]["fields"]),
        ["payer_id", "name", "payer_type", "active", "updated_at"]
    );
    assert_eq!(json["schema"]["name"], "hospital.insurance.public.payers.Envelope");
    let expected = concat!(
        r#"{"type":"string","optional":false,"field":"payer_id"},{"type":"string","optional":true,"field":"name"},"#,
        r#"{"type":"string","optional":true,"field":"payer_type"},{"type":"boolean","optional":true,"field":"active"},"#,
        r#"{"type":"int64","optional":true,"name":"io.debezium.time.MicroTimestamp","version":1,"field":"updated_at"}],"#,
        r#""optional":true,"name":"hospital.insurance.public.payers.Value","field":"before"}"#,
    );
    assert!(value.contains(expected), "{value}");
    let key = text(Some(capture.key(&messages[0])));
    let expected = concat!(
        r#"{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"payer_id"}],"optional":false,"#,
        r#""name":"hospital.insurance.public.payers.Key"},"payload":{"payer_id":"PAY1"}}"#,
    );
    assert_eq!(key, expected);
}

// Goal: a changed key is a delete, its tombstone and a create, tied by headers. Method: look at the three records.
#[test]
fn changed_key_is_delete_and_create() {
    let capture = capture(Shape::Envelope);
    let renamed = change(Op::Update, Some(payer("PAY1", None)), Some(payer("PAY2", None)));
    let messages = messages(&capture, renamed);
    let [gone, tombstone, born] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    for (message, key, header, other) in [
        (gone, "PAY1", "__debezium.newkey", "PAY2"),
        (tombstone, "PAY1", "__debezium.newkey", "PAY2"),
        (born, "PAY2", "__debezium.oldkey", "PAY1"),
    ] {
        assert_eq!(text(Some(capture.key(message))), format!(r#"{{"payer_id":"{key}"}}"#));
        let first = capture.encode(message).headers.into_iter().next().unwrap();
        assert_eq!(first, (header.to_owned(), format!(r#"{{"payer_id":"{other}"}}"#)));
    }
    let value = text(capture.encode(gone).value);
    let before =
        r#"{"before":{"payer_id":"PAY1","name":null,"payer_type":null,"active":null,"updated_at":null},"after":null"#;
    assert!(value.starts_with(before), "{value}");
    assert!(capture.encode(tombstone).value.is_none());
    assert!(text(capture.encode(born).value).contains(r#""op":"c""#));
}

// Goal: unwrapped records carry the metadata of the fixture `rew`. Method: a delete's members.
#[test]
fn unwrapped_delete_is_rewritten() {
    let capture = capture(Shape::Unwrapped);
    let messages = messages(&capture, change(Op::Delete, Some(payer("PAY1", None)), None));
    assert_eq!(messages.len(), 1);
    let value = text(capture.encode(&messages[0]).value);
    assert!(
        value.contains(r#""updated_at":null,"__deleted":"true","__op":"d","__ts_ms":"#),
        "{value}"
    );
    assert!(value.contains(
        r#""__table":"payers","__lsn":24158536,"__source_ts_ms":1795451403695,"__txId":762,"__source_snapshot":null}"#
    ));
}
