//! Decodes real Debezium records, and for comparison only parses the same bytes with sonic-rs. Prints JSON; a ratio of 1 means
//! as fast as the parser alone.
//!
//! `cargo run --release -p tidewater-ingest --example bench_decode`

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use arrow::datatypes::Schema;

use tidewater_ingest::source::file::parse_line;
use tidewater_ingest::{DecodeOptions, Record, TopicBuffer};

/// Records of a batch: about what a second of a busy topic brings.
const BATCH: usize = 10_000;
/// The best of so many rounds counts.
const ROUNDS: usize = 7;

const CASES: &[(&str, &str)] = &[
    ("envelope", "env.public.medical_records"),
    ("envelope_all_types", "env.public.alltypes"),
    ("envelope_with_schema", "envs.public.medical_records"),
    (
        "unwrapped",
        "cdc.medical_records.medical-records-db.public.medical_records",
    ),
];

fn main() -> Result<()> {
    let text = include_str!("../fixtures/debezium-3.6.3-pg15.jsonl");
    let mut results = Vec::new();
    for (name, topic) in CASES {
        let records = batch(text, topic)?;
        let bytes: usize = records
            .iter()
            .filter_map(|record| record.value.as_ref())
            .map(|value| value.len())
            .sum();
        let parse = best(|| parse(&records));
        let decode = best(|| decode(topic, &records));
        results.push(serde_json::json!({
            "case": name,
            "bytes_per_record": bytes / records.len(),
            "parse_mb_s": rate(bytes, parse) / 1e6,
            "decode_mb_s": rate(bytes, decode) / 1e6,
            "decode_records_s": rate(records.len(), decode),
            "ratio": parse.as_secs_f64() / decode.as_secs_f64(),
        }));
    }
    let report = serde_json::json!({"bench": "decode", "goal": "ratio >= 0.5", "results": results});
    #[expect(clippy::print_stdout, reason = "this is what the program is for")]
    {
        println!("{report:#}");
    }
    Ok(())
}

/// Row records of a topic, repeated.
fn batch(text: &str, topic: &str) -> Result<Vec<Record>> {
    let all: Vec<Record> = text
        .lines()
        .filter_map(|line| parse_line(line.as_bytes()).ok())
        .filter(|record| {
            &*record.partition.topic == topic && record.value.as_ref().is_some_and(|value| value.len() > 100)
        })
        .collect();
    anyhow::ensure!(!all.is_empty(), "no records of {topic}");
    (0..BATCH)
        .map(|at| {
            let mut record = all.get(at % all.len()).context("a record")?.clone();
            record.partition.number = 0;
            record.offset = i64::try_from(at)?;
            Ok(record)
        })
        .collect()
}

/// The work of the bare parser: a document tree of each value.
fn parse(records: &[Record]) -> usize {
    records
        .iter()
        .filter_map(|record| record.value.as_ref())
        .filter_map(|value| sonic_rs::from_slice::<sonic_rs::Value>(value).ok())
        .map(|value| usize::from(sonic_rs::JsonValueTrait::is_object(&value)))
        .sum()
}

/// The work of ingest: keys and values to a record batch.
fn decode(topic: &str, records: &[Record]) -> usize {
    let mut buffer = TopicBuffer::new(Arc::from(topic), Arc::new(DecodeOptions::default()), &Schema::empty());
    for record in records {
        let _bad = buffer.push(record, 1_767_225_600_000);
    }
    buffer.take().ok().flatten().map_or(0, |batch| batch.num_rows())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn best(work: impl Fn() -> usize) -> Duration {
    (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            std::hint::black_box(work());
            begun.elapsed()
        })
        .min()
        .unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "figures to look at")]
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
