use std::collections::BTreeMap;
use std::fmt::Write;

use arrow::datatypes::Schema;
use bytes::Bytes;
use proptest::prelude::*;

use crate::decode::{DecodeOptions, KeepRaw, NESTING_LEVELS_MAX, TopicBuffer, UNAVAILABLE_DEFAULT};
use crate::record::Record;
use crate::testing::{fixtures, record};

const NOW_MS: i64 = 1_767_225_600_000;

fn buffer() -> TopicBuffer {
    let options = DecodeOptions {
        keep_raw: KeepRaw::Always,
        ..DecodeOptions::default()
    };
    TopicBuffer::new("t".into(), options.into(), &Schema::empty())
}

/// Decodes with templates and without; answers how many values and keys were of a template.
fn assert_same(records: &[Record]) -> Result<(usize, usize), TestCaseError> {
    let (mut usual, mut by_names) = (buffer(), buffer());
    // The second half meets the templates of the first, and columns that are empty again.
    for half in [&records[..records.len() / 2], &records[records.len() / 2..]] {
        for record in half {
            by_names.forget_templates();
            let (one, other) = (usual.push(record, NOW_MS), by_names.push(record, NOW_MS));
            prop_assert_eq!(one, other, "{:?}", record);
            prop_assert_eq!(usual.rows(), by_names.rows());
            prop_assert_eq!(usual.size_bytes(), by_names.size_bytes());
            prop_assert_eq!(usual.last_lsn(), by_names.last_lsn());
        }
        let (one, other) = (usual.take(), by_names.take());
        prop_assert_eq!(one.expect("sound columns"), other.expect("sound columns"));
    }
    prop_assert_eq!(by_names.templates_used(), (0, 0));
    Ok(usual.templates_used())
}

fn topics() -> BTreeMap<String, Vec<Record>> {
    let mut topics: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in fixtures() {
        let records = topics.entry(record.partition.topic.to_string()).or_default();
        records.push(record);
    }
    topics
}

// Goal: real records are of templates from their second time on, and become the same rows. Method: each topic of the fixtures three
// times over, with templates and without.
#[test]
fn real_records_are_usual() -> Result<(), TestCaseError> {
    let mut used = BTreeMap::new();
    for (topic, records) in topics() {
        used.insert(topic, (assert_same(&[&records[..]; 3].concat())?, records.len()));
    }
    for topic in [
        "env.public.medical_records",
        "env.public.alltypes",
        "envs.public.medical_records",
        "cdc.medical_records.medical-records-db.public.medical_records",
    ] {
        let ((values, keys), records) = used[topic];
        assert!(values >= records && keys >= records, "{topic}: {used:?}");
    }
    Ok(())
}

// Goal: texts that are never the same cost little, and those that are have their templates all the same. Method: rows with names of
// their own, then rows with the same ones.
#[test]
fn credit_is_used_up_and_grows() -> Result<(), TestCaseError> {
    let odd = (0..2_000).map(|at| format!(r#"{{"a":1,"b":2,"c":3,"d{}":4}}"#, at % 700));
    let usual = (0..100).map(|at| format!(r#"{{"a":1,"b":2,"c":3,"d":{at}}}"#));
    let records: Vec<_> = odd
        .chain(usual)
        .zip(0..)
        .map(|(value, at)| record("t", at, None, Some(&value)))
        .collect();
    let (odd, _) = assert_same(&records[..2_000])?;
    let (all, _) = assert_same(&records)?;
    assert!(odd < 100, "{odd}");
    assert!(all >= odd + 80, "{odd}, then {all}");
    Ok(())
}

/// How a record differs from the usual one.
#[derive(Debug, Clone)]
enum Oddity {
    Swapped,
    Twice(&'static str),
    Escaped,
    Blank(usize),
    More(&'static str),
    Less,
    Deep(usize),
    Operation(&'static str),
    Part(&'static str, &'static str),
    Cut(usize),
}

fn oddity() -> impl Strategy<Value = Oddity> {
    let value = prop::sample::select(VALUES);
    let part = prop::sample::select(&["before", "after", "source", "transaction", "ts_ms"][..]);
    prop_oneof![
        Just(Oddity::Swapped),
        value.clone().prop_map(Oddity::Twice),
        Just(Oddity::Escaped),
        (0..400_usize).prop_map(Oddity::Blank),
        value.clone().prop_map(Oddity::More),
        Just(Oddity::Less),
        (NESTING_LEVELS_MAX - 4..NESTING_LEVELS_MAX + 2).prop_map(Oddity::Deep),
        prop::sample::select(&["\"c\"", "\"d\"", "\"\\u0063\"", "\"x\"", "\"t\"", "1", "null"][..])
            .prop_map(Oddity::Operation),
        (part, value).prop_map(|(part, value)| Oddity::Part(part, value)),
        (0..400_usize).prop_map(Oddity::Cut),
    ]
}

/// Values that mean something to some type, or are none.
const VALUES: &[&str] = &[
    "null",
    "null",
    "1",
    "2",
    "7",
    "-0",
    "12345678901234567890",
    "99999999999999999",
    "1.5",
    "1e3",
    "01",
    "true",
    "false",
    "\"a\"",
    "\"true\"",
    "\"false\"",
    "\"text\"",
    "\"B9A=\"",
    "\"a\\u00e9\\n\"",
    "\"NaN\"",
    "\"__debezium_unavailable_value\"",
    "[1,2]",
    "[\"__debezium_unavailable_value\"]",
    "[]",
    "{}",
    "{\"x\":{\"y\":[1]}}",
    "{\"scale\":1,\"value\":\"B9A=\"}",
];

/// A row's columns. The last one is hardly ever there: its column is made late.
const COLUMNS: &[&str] = &["id", "status", "name", "cost", "at", "late"];

const SCHEMA: &str = r#"{"type":"struct","name":"t.Envelope","fields":[{"field":"before","type":"struct","fields":[ROW]},{"field":"after","type":"struct","fields":[ROW]},{"field":"source","type":"struct","fields":[{"field":"version","type":"string"},{"field":"ts_ms","type":"int64"},{"field":"lsn","type":"int64"}]},{"field":"op","type":"string"},{"field":"ts_ms","type":"int64"}]}"#;
const ROW: &str = r#"{"field":"id","type":"int64"},{"field":"status","type":"string"},{"field":"name","type":"string"},{"field":"cost","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2","connect.decimal.precision":"10"}},{"field":"at","type":"int64","name":"io.debezium.time.MicroTimestamp"},{"field":"late","type":"int32"}"#;

fn object(fields: &[(String, String)]) -> String {
    let mut text = String::from("{");
    for (at, (name, value)) in fields.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(text, "{comma}\"{name}\":{value}").expect("a text");
    }
    text + "}"
}

/// A row, its operation and what is odd about it.
type Change = (Vec<&'static str>, usize, Option<Oddity>);

fn change() -> impl Strategy<Value = Change> {
    let usual = ["1", "\"a\"", "\"text\"", "\"B9A=\"", "1767225600000000", "null"];
    let values: Vec<_> = usual
        .into_iter()
        .map(|usual| prop_oneof![6 => Just(usual), 1 => prop::sample::select(VALUES)])
        .collect();
    let odd = prop_oneof![3 => Just(None), 1 => oddity().prop_map(Some)];
    (values, 0..5_usize, odd)
}

/// The text of a change as an envelope, or as a row alone.
fn write((values, op, odd): &Change, enveloped: bool, wrapped: bool) -> String {
    let fields = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let mut row = fields(&COLUMNS.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>());
    match odd {
        Some(Oddity::Swapped) => row.swap(1, 2),
        Some(Oddity::Twice(value)) => row.insert(2, ("status".into(), (*value).into())),
        Some(Oddity::Escaped) => row[2].0 = "n\\u0061me".into(),
        Some(Oddity::More(value)) => row.push(("more".into(), (*value).into())),
        Some(Oddity::Less) => drop(row.remove(3)),
        Some(Oddity::Deep(levels)) => row[2].1 = format!("{}{}", "[".repeat(*levels), "]".repeat(*levels)),
        _ => {}
    }
    let (name, before, after) = [
        ("\"c\"", false, true),
        ("\"r\"", false, true),
        ("\"u\"", false, true),
        ("\"u\"", true, true),
        ("\"d\"", true, false),
    ][*op];
    let name = match odd {
        Some(Oddity::Operation(name)) => name,
        _ => name,
    };
    let time = format!("{}", NOW_MS + i64::try_from(*op).expect("small"));
    let mut all = if enveloped {
        let part = |there: bool| if there { object(&row) } else { "null".to_owned() };
        let source = object(&fields(&[("version", "\"3\""), ("ts_ms", &time), ("lsn", &time[7..])]));
        let mut all = fields(&[("before", &part(before)), ("after", &part(after)), ("source", &source)]);
        all.extend(fields(&[("op", name), ("ts_ms", &time)]));
        all
    } else {
        let deleted = if after { "\"false\"" } else { "\"true\"" };
        row.extend(fields(&[
            ("__deleted", deleted),
            ("__op", name),
            ("__lsn", &time[7..]),
            ("__ts_ms", &time),
        ]));
        row
    };
    if let Some(Oddity::Part(part, value)) = odd {
        match all.iter_mut().find(|(name, _)| name == part) {
            Some((_, place)) => *place = (*value).into(),
            None => all.insert(1, ((*part).into(), (*value).into())),
        }
    }
    let mut text = object(&all);
    if wrapped {
        text = format!("{{\"schema\":{},\"payload\":{text}}}", SCHEMA.replace("ROW", ROW));
    }
    match odd {
        Some(Oddity::Blank(at)) => {
            let commas: Vec<_> = text.match_indices(',').map(|(at, _)| at).collect();
            let place = commas[at % commas.len()];
            text.insert(place, ' ');
        }
        Some(Oddity::Cut(at)) => text.truncate(text.len() - at % text.len()),
        _ => {}
    }
    text
}

proptest! {
    // Goal: a record becomes the same row, or is bad for the same reason, with templates and without. Method: changes of one table,
    // some of them odd in one of many ways, in every shape, with and without keys, among keys that are odd too.
    #[test]
    fn templates_change_nothing(
        changes in prop::collection::vec((change(), prop::option::weighted(0.9, prop::sample::select(VALUES))), 1..40),
        enveloped: bool,
        wrapped: bool,
    ) {
        let records: Vec<_> = changes
            .iter()
            .zip(0..)
            .map(|((change, key), at)| {
                let key = key.map(|key| format!("{{\"id\":{key}}}"));
                record("t", at, key.as_deref(), Some(&write(change, enveloped, wrapped && enveloped)))
            })
            .collect();
        assert_same(&records)?;
    }

    // Goal: the same for real records that are damaged. Method: the records of a topic over and over, in every third a byte is changed.
    #[test]
    fn damaged_records(
        topic: prop::sample::Index,
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::sample::select(&b"0159afz\"\\{}[],:-. \xc3\x01"[..])), 1..40)
    ) {
        let topics: Vec<_> = topics().into_values().collect();
        let records = topic.get(&topics);
        let mut damaged = Vec::new();
        for (round, (which, at, byte)) in picks.into_iter().enumerate() {
            let mut record = which.get(records).clone();
            if let Some(value) = record.value.as_mut().filter(|value| round % 3 == 0 && !value.is_empty()) {
                let mut bytes = value.to_vec();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                *value = Bytes::from(bytes);
            }
            damaged.push(record);
        }
        assert_same(&damaged)?;
    }
}

// Goal: what the source left out is told by name, as without templates. Method: updates with placeholders behind usual ones.
#[test]
fn left_out_values_are_told() -> Result<(), TestCaseError> {
    let value = |name: &str| {
        let row = format!(r#"{{"id":1,"name":"{name}"}}"#);
        format!(r#"{{"before":{row},"after":{row},"source":{{"lsn":1}},"op":"u","ts_ms":1}}"#)
    };
    let records: Vec<_> = ["a", "b", UNAVAILABLE_DEFAULT, "c"]
        .into_iter()
        .zip(0..)
        .map(|(name, at)| record("t", at, Some(r#"{"id":1}"#), Some(&value(name))))
        .collect();
    let used = assert_same(&records)?;
    assert_eq!(used, (3, 3), "all but the first");
    Ok(())
}
