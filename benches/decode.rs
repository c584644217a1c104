//! Decoding against parsing alone: real Debezium records, and the synthetic hospital's, to typed columns.
//!
//! A ratio of 1 means as fast as the parser that makes a document tree of the same keys and values.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use arrow::datatypes::Schema;
use bytes::Bytes;

use crate::report::Report;
use tidewater_core::{SharedClock, SystemClock};
use tidewater_ingest::source::file::parse_line;
use tidewater_ingest::{DecodeOptions, Record, TopicBuffer};
use tidewater_synth::{DeliveryOptions, RecordStream, Shape, WorldOptions};

/// Records of a batch: about what a second of a busy topic brings.
const BATCH: usize = 10_000;

/// The best of so many rounds counts.
const ROUNDS: usize = 45;

/// Our decoder should be at least this fast, the parser being 1.
const GOAL: f64 = 0.5;

/// Records of the hospital among which its busiest topic is looked for.
const HOSPITAL_RECORDS: u64 = 200_000;

const FIXTURES: &[(&str, &str)] = &[
    ("envelope", "env.public.medical_records"),
    ("envelope_all_types", "env.public.alltypes"),
    ("envelope_with_schema", "envs.public.medical_records"),
    (
        "unwrapped",
        "cdc.medical_records.medical-records-db.public.medical_records",
    ),
];

const HOSPITAL: &[(&str, Shape)] = &[
    ("hospital_envelope", Shape::Envelope),
    ("hospital_with_schema", Shape::EnvelopeSchemas),
    ("hospital_unwrapped", Shape::Unwrapped),
];

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let clock = SystemClock::shared();
    let text = include_str!("../ingest/fixtures/debezium-3.6.3-pg15.jsonl");
    let mut ratios = Vec::new();
    for (name, topic) in FIXTURES {
        ratios.push(compare(report, name, &fixture(text, topic)?, &clock)?);
    }
    for (name, shape) in HOSPITAL {
        ratios.push(compare(report, name, &hospital(*shape)?, &clock)?);
    }
    let smallest = ratios.into_iter().fold(f64::INFINITY, f64::min);
    report.at_least("smallest_ratio", smallest, "of the parser's speed", GOAL);
    report.note(
        "both sides read keys and values; the decoder may skip the bytes of a schema it knows, the parser may not",
    );
    Ok(())
}

fn compare(report: &mut Report, name: &str, records: &[Record], clock: &SharedClock) -> Result<f64> {
    let bytes: usize = records
        .iter()
        .flat_map(|r| [&r.key, &r.value])
        .flatten()
        .map(|part| part.len())
        .sum();
    ensure!(
        decode(records)? == records.len(),
        "{name}: a record did not become a row"
    );
    // In turns, so that both see the same machine.
    let (mut parser, mut decoder) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        parser = parser.min(timed(clock, || parse(records)));
        decoder = decoder.min(timed(clock, || decode(records)));
    }
    let per_second = |count: usize, time: Duration| count as f64 / time.as_secs_f64();
    let ratio = parser.as_secs_f64() / decoder.as_secs_f64();
    report.figure(
        &format!("{name}.bytes_per_record"),
        (bytes / records.len()) as f64,
        "bytes",
    );
    report.figure(&format!("{name}.parse"), per_second(bytes, parser) / 1e6, "MB/s");
    report.figure(&format!("{name}.decode"), per_second(bytes, decoder) / 1e6, "MB/s");
    report.figure(
        &format!("{name}.decode_records"),
        per_second(records.len(), decoder),
        "records/s",
    );
    report.figure(&format!("{name}.ratio"), ratio, "of the parser's speed");
    Ok(ratio)
}

fn timed<T>(clock: &SharedClock, work: impl FnOnce() -> T) -> Duration {
    let begun = clock.monotonic();
    std::hint::black_box(work());
    clock.monotonic() - begun
}

/// Row records of a topic of the fixtures, repeated.
fn fixture(text: &str, topic: &str) -> Result<Vec<Record>> {
    let all: Vec<Record> = text
        .lines()
        .filter_map(|line| parse_line(&Bytes::copy_from_slice(line.as_bytes())).ok())
        .filter(|record| {
            &*record.partition.topic == topic && record.value.as_ref().is_some_and(|value| value.len() > 100)
        })
        .collect();
    repeated(&all).with_context(|| format!("no records of {topic}"))
}

/// Different records of the hospital's busiest topic.
fn hospital(shape: Shape) -> Result<Vec<Record>> {
    let delivery = DeliveryOptions {
        shape,
        partitions: 1,
        ..DeliveryOptions::default()
    };
    let stream = RecordStream::new(WorldOptions::default(), delivery)?.with_limit(Some(HOSPITAL_RECORDS));
    let mut topics: HashMap<Arc<str>, Vec<Record>> = HashMap::new();
    let mut line = Vec::new();
    for record in stream {
        line.clear();
        record.write_line(&mut line);
        let record = parse_line(&Bytes::copy_from_slice(line.trim_ascii_end()))?;
        if record.value.as_ref().is_some_and(|value| value.len() > 100) {
            topics
                .entry(Arc::clone(&record.partition.topic))
                .or_default()
                .push(record);
        }
    }
    let busiest = topics.into_values().max_by_key(Vec::len).unwrap_or_default();
    repeated(&busiest).context("the hospital has no records")
}

fn repeated(records: &[Record]) -> Option<Vec<Record>> {
    let record = |at: usize| {
        let mut record = records.get(at % records.len().max(1))?.clone();
        record.partition.number = 0;
        record.offset = i64::try_from(at).ok()?;
        Some(record)
    };
    (0..BATCH).map(record).collect()
}

/// The work of the bare parser: a document tree of each key and value.
fn parse(records: &[Record]) -> usize {
    records
        .iter()
        .flat_map(|record| [&record.key, &record.value])
        .flatten()
        .filter_map(|bytes| sonic_rs::from_slice::<sonic_rs::Value>(bytes).ok())
        .map(|value| usize::from(sonic_rs::JsonValueTrait::is_object(&value)))
        .sum()
}

/// The work of ingest: keys and values to a record batch.
fn decode(records: &[Record]) -> Result<usize> {
    let topic = records.first().context("records")?.partition.topic.clone();
    let mut buffer = TopicBuffer::new(topic, Arc::new(DecodeOptions::default()), &Schema::empty());
    for record in records {
        buffer.push(record, 1_767_225_600_000)?;
    }
    Ok(buffer.take()?.map_or(0, |batch| batch.num_rows()))
}
