//! Columns of records that have no schema, or lose it.

use arrow::array::AsArray;
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type};

use super::{NOW_MS, after, buffer, flags, json_lines, rows, typed};
use crate::decode::{DecodeOptions, Pushed, TopicBuffer};
use crate::layout::{FLAG_SPLIT, FLAG_UNWRAPPED};
use crate::testing::record;

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
