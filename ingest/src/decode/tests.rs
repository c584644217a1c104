use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Float64Type, Int32Type, Int64Type, Schema};
use arrow::json::LineDelimitedWriter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::layout::{FLAG_OUT_OF_RANGE, FLAG_SPLIT, FLAG_TOMBSTONE, FLAG_UNWRAPPED};
use crate::record::Record;
use crate::testing::{fixtures, record};

const NOW_MS: i64 = 1_767_225_600_000;

fn buffer(topic: &str, options: DecodeOptions) -> TopicBuffer {
    TopicBuffer::new(topic.into(), options.into(), &Schema::empty())
}

type Outcome = Result<Pushed, RecordFault>;

fn decode(records: &[Record]) -> (TopicBuffer, Vec<(i64, Outcome)>) {
    let topic = records
        .first()
        .map_or("t", |record| &*record.partition.topic)
        .to_owned();
    let mut buffer = buffer(&topic, DecodeOptions::default());
    let outcomes = records
        .iter()
        .map(|record| (record.offset, buffer.push(record, NOW_MS)))
        .collect();
    (buffer, outcomes)
}

fn rows(records: &[Record]) -> RecordBatch {
    let (mut buffer, outcomes) = decode(records);
    for (offset, outcome) in outcomes {
        assert_eq!(outcome, Ok(Pushed::Row), "offset {offset}");
    }
    buffer.take().expect("sound columns").expect("rows")
}

fn json_lines(batch: &RecordBatch) -> String {
    let mut bytes = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut bytes);
    writer
        .write(batch)
        .and_then(|()| writer.finish())
        .expect("rows as JSON");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

fn flags(batch: &RecordBatch) -> Vec<i32> {
    batch["_flags"].as_primitive::<Int32Type>().values().to_vec()
}

fn after<'a>(batch: &'a RecordBatch, column: &str) -> &'a dyn Array {
    let array = batch["after"].as_struct().column_by_name(column);
    array
        .unwrap_or_else(|| panic!("no column {column} in {:?}", batch["after"].data_type()))
        .as_ref()
}

// Goal: every record of every connector configuration becomes the row we looked at once. Method: golden files, one a topic,
// written with `TIDEWATER_GOLDEN=update`.
#[test]
fn fixtures_become_rows() {
    let mut topics: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in fixtures() {
        topics
            .entry(record.partition.topic.to_string())
            .or_default()
            .push(record);
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden");
    let mut different = Vec::new();
    for (topic, records) in topics {
        let (mut buffer, outcomes) = decode(&records);
        let mut text = String::new();
        for (offset, outcome) in outcomes {
            match outcome {
                Ok(Pushed::Row) => {}
                Ok(Pushed::Control(kind)) => text.push_str(&format!("# {offset} is {kind:?}\n")),
                Err(fault) => text.push_str(&format!("# {offset} is bad: {fault}\n")),
            }
        }
        if let Some(batch) = buffer.take().expect("sound columns") {
            for field in batch.schema().fields() {
                text.push_str(&format!("# {}: {}\n", field.name(), field.data_type()));
            }
            text.push_str(&json_lines(&batch));
        }
        let path = folder.join(format!("{topic}.jsonl"));
        if std::env::var("TIDEWATER_GOLDEN").is_ok_and(|value| value == "update") {
            std::fs::write(&path, &text).expect("a writable folder");
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            different.push(topic);
        }
    }
    assert_eq!(
        different,
        Vec::<String>::new(),
        "TIDEWATER_GOLDEN=update writes what is decoded now"
    );
}

fn of_topic(topic: &str) -> Vec<Record> {
    fixtures()
        .into_iter()
        .filter(|record| &*record.partition.topic == topic)
        .collect()
}

// Goal: a table with every PostgreSQL type is typed as its schema says. Method: the row with all values, column by column.
#[test]
fn every_type_with_schemas() {
    let batch = rows(&of_topic("envs.public.alltypes"));
    let text = json_lines(&batch);
    let row = text.lines().find(|line| line.contains("CiText")).expect("the full row");
    let expected = [
        r#""b":true"#,
        r#""i2":-5"#,
        r#""i8":9007199254740993"#,
        r#""f8":2.25e300"#,
        r#""n":"123.456""#,
        r#""n102":12.34"#,
        r#""n380":99999999999999999999999999999999999999"#,
        r#""n505":"1.00001""#,
        r#""m":1234.56"#,
        r#""dom":7.50"#,
        r#""v":"vé""#,
        r#""by":"deadbeef""#,
        r#""d":"2026-01-08""#,
        r#""tm":"12:34:56.789012""#,
        r#""ts":"2026-01-08T12:34:56.789012""#,
        r#""ts3":"2026-01-08T12:34:56.789""#,
        r#""tstz":"2026-01-08T07:04:56.789012Z""#,
        r#""ia":[1,null,3]"#,
        r#""na":[1.10,null]"#,
        r#""pt":{"x":1.5,"y":2.5,"wkb":"0101000000000000000000f83f0000000000000440"}"#,
        r#""tsa":["2026-01-08T12:00:00Z"]"#,
    ];
    for part in expected {
        assert!(row.contains(part), "{part} is not in {row}");
    }
    let out_of_range = flags(&batch)
        .iter()
        .filter(|flags| **flags & FLAG_OUT_OF_RANGE != 0)
        .count();
    assert_eq!(out_of_range, 2, "infinity twice: snapshot and stream");
    let raw = batch["_raw"].as_binary::<i32>();
    assert_eq!(raw.len() - raw.null_count(), 2);
}

// Goal: the three spellings of a delete all delete. Method: the topics that have them.
#[test]
fn deletes_in_all_spellings() {
    for topic in [
        "cdc.medical_records.medical-records-db.public.medical_records",
        "seeds.public.medical_records",
        "rew.public.medical_records",
        "env.public.medical_records",
        "envs.public.medical_records",
    ] {
        let batch = rows(&of_topic(topic));
        let ops = batch["op"].as_string::<i32>();
        let deletes: Vec<usize> = (0..batch.num_rows()).filter(|row| ops.value(*row) == "d").collect();
        assert!(deletes.len() >= 2, "{topic}");
        for row in deletes {
            assert!(batch["after"].is_null(row), "{topic}");
            assert!(batch["_key"].is_valid(row), "{topic}");
        }
    }
}

// Goal: a scale that changes mid-stream loses nothing. Method: `ALTER … TYPE numeric(14,4)` of the fixtures.
#[test]
fn a_changed_scale_gets_its_own_column() {
    let batch = rows(&of_topic("envs.public.medical_records"));
    let old = after(&batch, "cost").as_primitive::<Decimal128Type>().clone();
    assert_eq!((old.precision(), old.scale()), (14, 4));
    let mut changed = vec![
        record("t", 0, Some(r#"{"id":1}"#), Some(&typed(10, 2, "BOI="))),
        record("t", 1, Some(r#"{"id":1}"#), Some(&typed(14, 4, "MDk="))),
        record("t", 2, Some(r#"{"id":1}"#), Some(&typed(12, 2, "BOI="))),
    ];
    let batch = rows(&changed);
    assert_eq!(
        after(&batch, "cost").data_type(),
        &arrow::datatypes::DataType::Decimal128(12, 2)
    );
    assert_eq!(
        after(&batch, "cost__decimal_14_4")
            .as_primitive::<Decimal128Type>()
            .value(1),
        12_345
    );
    changed.remove(0);
    let batch = rows(&changed);
    assert_eq!(after(&batch, "cost").as_primitive::<Decimal128Type>().value(1), 125_000);
}

fn typed(precision: u8, scale: i8, value: &str) -> String {
    format!(
        r#"{{"schema":{{"type":"struct","fields":[{{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","parameters":{{"scale":"{scale}","connect.decimal.precision":"{precision}"}},"field":"cost"}}],"optional":false}},"payload":{{"cost":"{value}"}}}}"#
    )
}

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

// Goal: columns of records without schema find their type and keep it. Method: values that change their mind.
#[test]
fn inferred_types() {
    let values = [
        r#"{"n":1,"f":1,"s":"a","l":[1,2],"o":{"a":1},"x":null}"#,
        r#"{"n":2,"f":1.5,"s":7,"l":["a"],"o":[1,"a"],"x":"NaN"}"#,
        r#"{"n":"three","f":2,"s":true,"l":[],"o":"o","x":2.5,"big":18446744073709551615}"#,
    ];
    let records: Vec<_> = values
        .iter()
        .zip(0..)
        .map(|(v, at)| record("t", at, Some("1"), Some(v)))
        .collect();
    let batch = rows(&records);
    let text = json_lines(&batch);
    assert_eq!(after(&batch, "n").as_primitive::<Int64Type>().values(), &[1, 2, 0]);
    assert_eq!(after(&batch, "n__string").as_string::<i32>().value(2), "three");
    assert_eq!(after(&batch, "f").data_type(), &arrow::datatypes::DataType::Float64);
    assert_eq!(after(&batch, "s").as_string::<i32>().value(1), "7");
    assert_eq!(after(&batch, "l__list_string").as_list::<i32>().value(1).len(), 1);
    assert_eq!(after(&batch, "o").as_string::<i32>().value(0), r#"{"a":1}"#);
    assert_eq!(after(&batch, "big").as_string::<i32>().value(2), "18446744073709551615");
    assert_eq!(
        after(&batch, "x").data_type(),
        &arrow::datatypes::DataType::Float64,
        "{text}"
    );
    assert!(flags(&batch).iter().all(|flags| flags & FLAG_UNWRAPPED != 0));
    assert!(flags(&batch)[2] & FLAG_SPLIT != 0);
}

// Goal: a column of records without schema holds the same values after a restart as before it. Method: values of another type come
// first, and find the columns of the batch before.
#[test]
fn columns_keep_their_values_after_a_restart() {
    let first = rows(&[record("t", 0, Some("1"), Some(r#"{"n":1,"f":1.5,"l":[1]}"#))]);
    let mut buffer = TopicBuffer::new("t".into(), DecodeOptions::default().into(), &first.schema());
    for (offset, value) in [(1, r#"{"n":"three","f":2,"l":[]}"#), (2, r#"{"n":5,"f":2.5,"l":[2]}"#)] {
        let pushed = buffer.push(&record("t", offset, Some("1"), Some(value)), NOW_MS);
        assert_eq!(pushed, Ok(Pushed::Row));
    }
    let batch = buffer.take().expect("sound columns").expect("rows");
    assert_eq!(after(&batch, "n__string").as_string::<i32>().value(0), "three");
    assert_eq!(after(&batch, "n").as_primitive::<Int64Type>().value(1), 5);
    assert!(after(&batch, "n__string").is_null(1));
    assert_eq!(after(&batch, "f").as_primitive::<Float64Type>().values(), &[2.0, 2.5]);
    assert!(after(&batch, "l").is_valid(0) && after(&batch, "l").is_valid(1));
    assert_eq!(batch["after"].as_struct().num_columns(), 4);
    let split: Vec<_> = flags(&batch).iter().map(|flags| flags & FLAG_SPLIT != 0).collect();
    assert_eq!(split, [true, false]);
}

// Goal: no digit is lost where records lose their schema. Method: a column of 32-bit floats with a schema, then doubles without one.
#[test]
fn doubles_make_a_column_of_floats_wider() {
    let typed =
        r#"{"schema":{"type":"struct","fields":[{"type":"float","optional":true,"field":"f"}]},"payload":{"f":1.5}}"#;
    let first = rows(&[record("t", 0, Some("1"), Some(typed))]);
    let mut buffer = TopicBuffer::new("t".into(), DecodeOptions::default().into(), &first.schema());
    for (offset, value) in [(1, r#"{"f":0.1}"#), (2, r#"{"f":1.0000000001}"#)] {
        let pushed = buffer.push(&record("t", offset, Some("1"), Some(value)), NOW_MS);
        assert_eq!(pushed, Ok(Pushed::Row));
    }
    let batch = buffer.take().expect("sound columns").expect("rows");
    let doubles = after(&batch, "f").as_primitive::<Float64Type>();
    assert_eq!(doubles.values(), &[0.1, 1.0000000001]);
}

// Goal: a decimal that travels as a number keeps its digits. Method: numbers that no double is, without a schema and with one.
#[test]
fn digits_of_numbers_are_kept() {
    let values = [
        r#"{"d":0.1,"x":12345678901234567890.12,"l":[0.12345678901234567891]}"#,
        r#"{"d":0.12345678901234567891,"x":1,"l":[0.5]}"#,
    ];
    let records: Vec<_> = values
        .iter()
        .zip(0..)
        .map(|(value, at)| record("t", at, Some("1"), Some(value)))
        .collect();
    let batch = rows(&records);
    assert_eq!(after(&batch, "d").as_primitive::<Float64Type>().value(0), 0.1);
    let texts = [
        ("d__string", 1, "0.12345678901234567891"),
        ("x", 0, "12345678901234567890.12"),
        ("x", 1, "1"),
    ];
    for (column, row, text) in texts {
        assert_eq!(after(&batch, column).as_string::<i32>().value(row), text);
    }
    assert_eq!(
        after(&batch, "l").as_string::<i32>().value(0),
        "[0.12345678901234567891]"
    );
    let number = typed(38, 30, "?").replace("\"?\"", "1.2345678901234567890123E-7");
    let batch = rows(&[record("t", 0, Some("1"), Some(&number))]);
    let cost = after(&batch, "cost").as_primitive::<Decimal128Type>().value(0);
    assert_eq!(cost, 123_456_789_012_345_678_901_230);
}

// Goal: hints type what a record without schema cannot. Method: the encodings of Debezium.
#[test]
fn hints_type_columns() {
    let hints = [
        ("cost", "decimal(10,2)"),
        ("d", "date"),
        ("ts", "timestamp_micros"),
        ("at", "timestamptz"),
    ];
    let hints = hints
        .iter()
        .map(|(column, hint)| ((*column).to_owned(), (*hint).to_owned()))
        .collect();
    let options = DecodeOptions {
        hints: [("t".to_owned(), hints)].into(),
        ..DecodeOptions::default()
    };
    let mut buffer = buffer("t", options);
    let value = r#"{"cost":"BOI=","d":20461,"ts":1767875696789012,"at":"2026-01-08T07:04:56Z"}"#;
    buffer
        .push(&record("t", 0, Some("1"), Some(value)), NOW_MS)
        .expect("a row");
    let text = json_lines(&buffer.take().expect("sound").expect("rows"));
    for part in [
        "12.50",
        "2026-01-08\"",
        "2026-01-08T12:34:56.789012",
        "2026-01-08T07:04:56Z",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

// Goal: each kind of bad record has its code and leaves no trace. Method: the list of bad input, between good records.
#[test]
fn bad_records_have_codes() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(RECORD_BYTES_MAX));
    let typed_bad = typed(10, 2, "BOI=").replace("\"BOI=\"", "{}");
    let typed_unreadable = typed(10, 2, "?");
    let typed_overflow = typed(3, 2, "f////w==");
    let cases: Vec<(&str, Option<&str>, Option<&str>)> = vec![
        ("ING-0101", Some("1"), Some(&large)),
        ("ING-0102", Some("1"), Some(&deep)),
        ("ING-0103", Some("1"), Some("{\"a\":")),
        ("ING-0103", Some("1"), Some("{\"a\":NaN}")),
        ("ING-0103", Some("{\"id\""), Some("{\"a\":1}")),
        ("ING-0104", Some("1"), Some("[1]")),
        (
            "ING-0104",
            Some("1"),
            Some(r#"{"before":null,"after":null,"source":{},"op":"c"}"#),
        ),
        (
            "ING-0105",
            Some("1"),
            Some(r#"{"before":null,"after":{"a":1},"source":{},"op":"x"}"#),
        ),
        ("ING-0106", Some("1"), Some(&typed_bad)),
        (
            "ING-0106",
            Some("1"),
            Some(r#"{"before":5,"after":{"a":1},"source":{},"op":"u"}"#),
        ),
        ("ING-0107", Some("1"), Some(&typed_unreadable)),
        ("ING-0107", Some("1"), Some(&typed_overflow)),
        ("ING-0108", None, Some("{}")),
        (
            "ING-0108",
            None,
            Some(r#"{"before":null,"after":null,"source":{},"op":"d"}"#),
        ),
        ("ING-0109", Some("\u{0}\u{1}"), None),
        ("ING-0110", Some("1"), Some(r#"{"":1}"#)),
        ("ING-0110", Some("1"), Some(r#"{"id":1,"ID":2}"#)),
        ("ING-0111", Some("1"), Some(r#"{"schema":{"type":"odd"},"payload":{}}"#)),
        ("ING-0112", Some("1"), Some(r#"{"id":1,"id":2}"#)),
    ];
    let good = |offset| record("t", offset, Some("1"), Some(r#"{"id":1,"a":"x"}"#));
    let mut buffer = buffer("t", DecodeOptions::default());
    for ((code, key, value), offset) in cases.iter().zip(0..) {
        let fault = buffer
            .push(&record("t", 2 * offset, *key, *value), NOW_MS)
            .expect_err(code);
        assert_eq!(tidewater_core::Coded::code(&fault), *code, "{fault}");
        buffer.push(&good(2 * offset + 1), NOW_MS).expect("a row");
    }
    let batch = buffer.take().expect("sound columns").expect("rows");
    assert_eq!(batch.num_rows(), cases.len());
    assert_eq!(
        after(&batch, "a").as_string::<i32>().iter().flatten().count(),
        cases.len()
    );
}

// Goal: a record that is kept as it came counts in memory with its schema. Method: the same records, kept and not.
#[test]
fn kept_records_count() {
    let value = typed(10, 2, "BOI=");
    let [without, with] = [KeepRaw::Never, KeepRaw::Always].map(|keep_raw| {
        let options = DecodeOptions {
            keep_raw,
            ..DecodeOptions::default()
        };
        let mut buffer = buffer("t", options);
        for offset in 0..2 {
            let pushed = buffer.push(&record("t", offset, Some("1"), Some(&value)), NOW_MS);
            assert_eq!(pushed, Ok(Pushed::Row));
        }
        buffer.size_bytes()
    });
    assert_eq!(with - without, 2 * value.len());
}

// Goal: a key that is no object is kept, a tombstone keeps its key. Method: keys of several kinds.
#[test]
fn keys_of_any_kind() {
    let batch = rows(&[
        record("t", 0, Some("abc-1"), Some(r#"{"a":1}"#)),
        record("t", 1, Some("abc-1"), None),
        record("t", 2, None, Some(r#"{"a":1}"#)),
    ]);
    let key = batch["_key"].as_struct();
    assert_eq!(
        key.column_by_name("key").expect("a column").as_string::<i32>().value(1),
        "abc-1"
    );
    assert!(key.is_null(2));
    assert_eq!(flags(&batch)[1] & FLAG_TOMBSTONE, FLAG_TOMBSTONE);
}

// Goal: a delete without a value stands behind the change it follows, where rows tell their place in the log. Method: both shapes.
#[test]
fn deletes_without_value_are_placed() {
    let unwrapped = r#"{"a":1,"__op":"c","__lsn":77}"#;
    let batch = rows(&[
        record("t", 0, Some("1"), Some(unwrapped)),
        record("t", 1, Some("1"), Some("null")),
    ]);
    assert_eq!(batch["_lsn"].as_primitive::<Int64Type>().value(1), 77);
    let envelope = r#"{"before":null,"after":{"a":1},"source":{"lsn":77},"op":"c"}"#;
    let batch = rows(&[
        record("t", 0, Some("1"), Some(envelope)),
        record("t", 1, Some("1"), None),
    ]);
    assert!(batch["_lsn"].is_null(1));
}

// Goal: rows of a batch stand in the order of partition and offset. Method: partitions that take turns.
#[test]
fn batches_are_sorted() {
    let mut records: Vec<_> = (0..6)
        .map(|offset| record("t", offset, Some("1"), Some(r#"{"a":1}"#)))
        .collect();
    for (record, number) in records.iter_mut().zip([1, 0].into_iter().cycle()) {
        record.partition.number = number;
    }
    let batch = rows(&records);
    assert_eq!(
        batch["_kafka_partition"].as_primitive::<Int32Type>().values(),
        &[0, 0, 0, 1, 1, 1]
    );
    assert_eq!(
        batch["_offset"].as_primitive::<Int64Type>().values(),
        &[1, 3, 5, 0, 2, 4]
    );
}

proptest! {
    // Goal: no bytes make the decoder panic, and each record is a row, a control record or bad; never anything in between.
    // Method: real records with bytes changed, between records that must not suffer.
    #[test]
    fn mutated_records(
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..24)
    ) {
        let all = fixtures();
        let mut buffer = buffer("t", DecodeOptions::default());
        let mut kept = Vec::new();
        for ((which, at, byte, cut), offset) in picks.into_iter().zip(0..) {
            let mut record = all[which.index(all.len())].clone();
            record.offset = offset;
            if let Some(value) = record.value.as_mut().filter(|value| !value.is_empty()) {
                let mut bytes = value.to_vec();
                let at = at.index(bytes.len());
                if cut { bytes.truncate(at) } else { bytes[at] = byte }
                *value = bytes.into();
            }
            if let Ok(Pushed::Row) = buffer.push(&record, NOW_MS) {
                kept.push((record.partition.number, offset));
            }
            prop_assert_eq!(buffer.rows(), kept.len());
        }
        kept.sort_unstable();
        if let Some(batch) = buffer.take().expect("sound columns") {
            let partitions = batch["_kafka_partition"].as_primitive::<Int32Type>().values().iter().copied();
            let offsets = batch["_offset"].as_primitive::<Int64Type>().values().iter().copied();
            prop_assert_eq!(partitions.zip(offsets).collect::<Vec<_>>(), kept);
        }
    }

    // Goal: as above for bytes that were never a record. Method: any bytes as key and value.
    #[test]
    fn any_bytes(payloads in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 1..16)) {
        let mut buffer = buffer("t", DecodeOptions::default());
        for ((key, value), offset) in payloads.into_iter().zip(0..) {
            let mut record = record("t", offset, None, None);
            record.key = Some(key.into());
            record.value = Some(value.into());
            let _outcome = buffer.push(&record, NOW_MS);
        }
        buffer.take().expect("sound columns");
    }

    // Goal: objects of any shape become rows or faults. Method: random JSON rows, twice over one buffer.
    #[test]
    fn any_rows(rows in prop::collection::vec(prop::collection::btree_map("[a-c]", json_value(), 0..4), 1..12)) {
        let mut buffer = buffer("t", DecodeOptions::default());
        for round in 0..2 {
            let mut count = 0;
            for (row, offset) in rows.iter().zip(0..) {
                let text = serde_json::to_string(row).expect("JSON");
                let pushed = buffer.push(&record("t", offset, Some("1"), Some(&text)), NOW_MS);
                count += usize::from(pushed == Ok(Pushed::Row));
            }
            prop_assert_eq!(count, rows.len(), "round {}", round);
            let batch = buffer.take().expect("sound columns").expect("rows");
            prop_assert_eq!(batch.num_rows(), count);
        }
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e9..1e9).prop_map(|f: f64| f.into()),
        "[a-z]{0,5}".prop_map(Into::into),
        Just("NaN".into()),
        Just(UNAVAILABLE_DEFAULT.into()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
