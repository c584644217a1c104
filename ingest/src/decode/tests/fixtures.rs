//! What the connectors sent, with every type and in every spelling.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Decimal128Type;

use super::{after, decode, flags, json_lines, rows, typed};
use crate::decode::Pushed;
use crate::layout::FLAG_OUT_OF_RANGE;
use crate::record::Record;
use crate::testing::{fixtures, record};

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
