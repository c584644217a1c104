use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use serde_json::Value as Json;

use super::*;
use crate::capture::UNAVAILABLE;
use crate::options::Shape;
use crate::oracle::Oracle;
use crate::schema::{Column, PgType, Table};
use crate::value::{date_text, decimal_text, timestamp_text};

fn small() -> WorldOptions {
    WorldOptions {
        seed: 7,
        patients: 20,
        history_days: 40,
        changes_per_day: 2_000,
        ..WorldOptions::default()
    }
}

/// Many repetitions, so that a short stream has all of them.
fn rough(shape: Shape) -> DeliveryOptions {
    DeliveryOptions {
        shape,
        duplicates_ppm: 20_000,
        redeliveries_ppm: 30_000,
        late_ppm: 5_000,
        ..DeliveryOptions::default()
    }
}

fn stream(shape: Shape, records: u64) -> RecordStream {
    RecordStream::new(small(), rough(shape))
        .unwrap()
        .with_limit(Some(records))
}

fn lines(records: impl Iterator<Item = Record>) -> Vec<u8> {
    let mut lines = Vec::new();
    records.for_each(|record| record.write_line(&mut lines));
    lines
}

fn parsed(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).unwrap()
}

/// The payload, whether there is a schema around it or not.
fn payload(bytes: &[u8]) -> Json {
    let mut json = parsed(bytes);
    if json.get("schema").is_some() {
        json["payload"].take()
    } else {
        json
    }
}

// Goal: same options, same bytes; another seed, other bytes. Method: two streams of one seed and one of another.
#[test]
fn same_options_same_bytes() {
    let first = lines(stream(Shape::EnvelopeSchemas, 2_500));
    assert_eq!(first, lines(stream(Shape::EnvelopeSchemas, 2_500)));
    let other = RecordStream::new(WorldOptions { seed: 8, ..small() }, rough(Shape::EnvelopeSchemas)).unwrap();
    assert_ne!(first, lines(other.with_limit(Some(2_500))));
}

// Goal: a stream that skips is the same stream. Method: compare the rest after skipping with the end of a whole one.
#[test]
fn skipping_changes_nothing() {
    let whole: Vec<_> = stream(Shape::Envelope, 4_000).collect();
    for skipped in [1, 1_234, 3_999] {
        let mut rest = stream(Shape::Envelope, 4_000);
        rest.skip_to(skipped);
        assert!(rest.eq(whole.iter().skip(usize::try_from(skipped).unwrap()).cloned()));
    }
}

// Goal: places are those of a broker; log positions grow but for events that are counted as late. Method: walk a stream,
// remember the last of each.
#[test]
fn offsets_and_log_positions_grow() {
    let mut next: BTreeMap<(Arc<str>, i32), (i64, i64)> = BTreeMap::new();
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut overtaken = 0;
    let mut rough = stream(Shape::Envelope, 8_000);
    for (sequence, record) in (0..).zip(rough.by_ref()) {
        assert_eq!(record.sequence, sequence);
        assert!((0..3).contains(&record.partition));
        let place = next
            .entry((Arc::clone(&record.topic), record.partition))
            .or_insert((0, 0));
        assert_eq!(record.offset, place.0);
        assert!(record.timestamp_ms >= place.1);
        *place = (record.offset + 1, record.timestamp_ms);
        let Some(value) = record
            .value
            .as_deref()
            .map(parsed)
            .filter(|value| value.get("op").is_some())
        else {
            continue;
        };
        let lsn = value["source"]["lsn"].as_i64().unwrap();
        let of_service = newest
            .entry(value["source"]["name"].as_str().unwrap().to_owned())
            .or_insert(0);
        let is_new = seen.insert((Arc::clone(&record.topic), record.key, lsn, value["op"].to_string()));
        overtaken += u64::from(is_new && lsn < *of_service);
        *of_service = lsn.max(*of_service);
    }
    // A late event may still come in time: others of its service need not be in between.
    let late = rough.report().delivery.late;
    assert!(overtaken > 0 && overtaken <= late, "{overtaken} of {late}");
}

// Goal: the oracle is what the events amount to. Method: a naive replay (newest log position wins, deletes remove,
// placeholders keep the old value) of every shape, with many repetitions, compared row by row.
#[test]
fn oracle_equals_a_naive_replay() {
    for shape in [Shape::EnvelopeSchemas, Shape::Envelope, Shape::Unwrapped] {
        let mut stream = stream(shape, 20_000);
        let mut replay = Replay::default();
        for record in stream.by_ref() {
            replay.apply(&record);
        }
        assert!(stream.at_boundary());
        let oracle = Oracle::new(stream.world());
        for (_, table) in schema::tables() {
            let expected: BTreeSet<_> = oracle
                .table(table.name)
                .unwrap()
                .iter()
                .map(crate::oracle::line)
                .collect();
            assert_eq!(replay.lines(table), expected, "{shape:?} {}", table.name);
        }
    }
}

// Goal: every defect and operation really occurs and is counted. Method: the report of a stream of some days.
#[test]
fn everything_occurs() {
    let mut stream = stream(Shape::EnvelopeSchemas, 30_000);
    let mut repeated = 0;
    let mut seen = BTreeSet::new();
    for record in stream.by_ref() {
        if let Some(value) = &record.value {
            repeated += u64::from(!record.topic.contains("heartbeat") && !seen.insert((record.topic, value.clone())));
        }
    }
    let Report { world, delivery } = stream.report();
    assert_eq!(repeated, delivery.duplicates + delivery.redeliveries - held(&stream));
    for count in [
        world.creates,
        world.updates,
        world.deletes,
        world.key_changes,
        world.revivals,
        world.nulls,
        world.orphans,
        world.out_of_range,
        world.future_dates,
        delivery.reads,
        delivery.creates,
        delivery.updates,
        delivery.deletes,
        delivery.tombstones,
        delivery.key_changes,
        delivery.heartbeats,
        delivery.duplicates,
        delivery.redeliveries,
        delivery.late,
        delivery.unavailable,
    ] {
        assert!(count > 0, "{:?}", stream.report());
    }
}

fn held(stream: &RecordStream) -> u64 {
    stream.held.values().map(|messages| messages.len() as u64).sum()
}

/// A naive replay: of every cell the newest value that was delivered, whatever came when.
#[derive(Default)]
struct Replay {
    rows: BTreeMap<(String, String), ReplayedRow>,
}

#[derive(Default)]
struct ReplayedRow {
    /// Log position of the newest change, and whether it deleted the row.
    newest: (i64, bool),
    /// Log position and value of every cell.
    cells: BTreeMap<String, (i64, Json)>,
}

impl Replay {
    fn apply(&mut self, record: &Record) {
        let Some(value) = record.value.as_deref().map(payload) else {
            return;
        };
        let table = record.topic.rsplit('.').next().unwrap();
        if record.topic.starts_with("__debezium-heartbeat.") {
            return;
        }
        let (op, lsn, after) = match value.get("__op") {
            Some(op) => (op, &value["__lsn"], value.clone()),
            None => (&value["op"], &value["source"]["lsn"], value["after"].clone()),
        };
        let key = (table.to_owned(), payload(&record.key).to_string());
        let row = self.rows.entry(key).or_default();
        let lsn = lsn.as_i64().unwrap();
        let deletes = op.as_str() == Some("d");
        row.newest = row.newest.max((lsn, deletes));
        if deletes {
            return;
        }
        for (name, cell) in after.as_object().unwrap() {
            let known = row.cells.entry(name.clone()).or_default();
            if lsn > known.0 && cell.as_str() != Some(UNAVAILABLE) {
                *known = (lsn, cell.clone());
            }
        }
    }

    fn lines(&self, table: &Table) -> BTreeSet<String> {
        let rows = self.rows.iter().filter(|((name, _), _)| name == table.name);
        let present = rows.filter(|(_, row)| !row.newest.1);
        let whole = present.map(|(_, row)| {
            Json::Object(
                row.cells
                    .iter()
                    .map(|(name, (_, cell))| (name.clone(), cell.clone()))
                    .collect(),
            )
        });
        whole.map(|row| canonical(table, &row)).collect()
    }
}

fn canonical(table: &Table, row: &Json) -> String {
    let cells: Vec<_> = table
        .columns
        .iter()
        .map(|column| format!("\"{}\":{}", column.name, text(column, &row[column.name])))
        .collect();
    format!("{{{}}}", cells.join(","))
}

fn text(column: &Column, cell: &Json) -> Json {
    if cell.is_null() {
        return Json::Null;
    }
    let number = || cell.as_i64().unwrap();
    Json::String(match column.pg {
        PgType::Numeric(_, scale) => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(cell.as_str().unwrap())
                .unwrap();
            let negative = bytes[0] & 0x80 != 0;
            let unscaled = bytes.iter().fold(if negative { -1_i64 } else { 0 }, |number, byte| {
                (number << 8) | i64::from(*byte)
            });
            decimal_text(unscaled, scale)
        }
        PgType::Date => date_text(i32::try_from(number()).unwrap()),
        PgType::Timestamp => timestamp_text(number(), ""),
        PgType::Int | PgType::BigInt => number().to_string(),
        PgType::Bool => cell.as_bool().unwrap().to_string(),
        PgType::Uuid | PgType::Text | PgType::Jsonb | PgType::Timestamptz => cell.as_str().unwrap().to_owned(),
    })
}
