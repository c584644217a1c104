//! Records that are bad, and bytes that may be anything.

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use proptest::prelude::*;

use super::{NOW_MS, after, buffer, typed};
use crate::decode::{DecodeOptions, Pushed, RECORD_BYTES_MAX, UNAVAILABLE_DEFAULT};
use crate::testing::{fixtures, record};

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
