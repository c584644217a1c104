//! Rows of records, with their keys and places, and what all tests of decoding share.

mod bad;
mod fixtures;
mod inferred;
mod left_out;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, Schema};
use arrow::json::LineDelimitedWriter;

use super::{DecodeOptions, KeepRaw, Pushed, RecordFault, TopicBuffer};
use crate::layout::FLAG_TOMBSTONE;
use crate::record::Record;
use crate::testing::record;

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

fn typed(precision: u8, scale: i8, value: &str) -> String {
    format!(
        r#"{{"schema":{{"type":"struct","fields":[{{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","parameters":{{"scale":"{scale}","connect.decimal.precision":"{precision}"}},"field":"cost"}}],"optional":false}},"payload":{{"cost":"{value}"}}}}"#
    )
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
