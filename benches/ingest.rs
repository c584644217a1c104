//! The whole way from a change log in files to committed bronze tables, against bare decoding and Parquet encoding.
//!
//! The bare side does with the same records what cannot be left out: it decodes them and encodes Parquet in memory, with one
//! thread and without reading, planning, syncing or committing. The whole side is a `tidewater up` of its own, which must end with
//! every record committed and every row visible to a query.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::Value;

use crate::block_on;
use crate::flight::Sql;
use crate::process::{Tidewater, cpu_seconds};
use crate::report::Report;
use tidewater_core::{SharedClock, SystemClock, Tasks};
use tidewater_ingest::source::file::parse_line;
use tidewater_ingest::{DecodeOptions, IngestOptions, Pushed, Record, TopicBuffer};
use tidewater_synth::{DeliveryOptions, Hooks, RunOptions, Shape, SinkOptions};

/// A change log to read: enough for tens of seconds, so that the start and the last batch's wait weigh little.
struct Case {
    name: &'static str,
    shape: Shape,
    records: u64,
    /// A larger hospital has more changes a day, and bronze tables are partitioned by day.
    patients: u32,
    judged: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "envelope",
        shape: Shape::Envelope,
        records: 2_400_000,
        patients: 20_000,
        judged: true,
    },
    Case {
        name: "envelope_with_schema",
        shape: Shape::EnvelopeSchemas,
        records: 1_200_000,
        patients: 20_000,
        judged: true,
    },
    // Two months of a small hospital at once: a batch goes to files of ten days.
    Case {
        name: "envelope_of_months",
        shape: Shape::Envelope,
        records: 600_000,
        patients: 200,
        judged: false,
    },
];

/// The whole should reach this share of the bare side's events per second.
const GOAL: f64 = 0.6;

/// Longest time for the whole side.
const DEADLINE: Duration = Duration::from_secs(600);

/// Pause between two looks at how far it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// One past the last offset of each partition.
type Ends = BTreeMap<(String, i64), i64>;

/// What the bare side found and needed.
#[derive(Debug, Default)]
struct Bare {
    records: u64,
    bytes: u64,
    rows: u64,
    dead_letters: u64,
    parquet_bytes: u64,
    ends: Ends,
    lines: Duration,
    decode: Duration,
    encode: Duration,
    decode_and_encode_cpu_seconds: f64,
}

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let clock = SystemClock::shared();
    let mut ratios = Vec::new();
    for case in CASES {
        let folder = tempfile::tempdir()?;
        let segments = generate(&folder.path().join("log"), case, &clock)?;
        let bare = bare(&segments, &clock)?;
        let (seconds, cpu) = block_on(whole(folder.path(), &segments, &bare, &clock))?;
        let ratio = tell(report, case.name, &bare, seconds, cpu);
        if case.judged {
            ratios.push(ratio);
        }
    }
    let smallest = ratios.into_iter().fold(f64::INFINITY, f64::min);
    report.at_least("smallest_ratio", smallest, "of bare decode + encode", GOAL);
    report.note("ratio: events/s; the bare side is one thread, the whole side a process that may use every core");
    report.note("ratio_processor: the same by processor time, the whole side's with everything it does besides");
    report.note("envelope_of_months: each batch holds ten days, so the whole side writes ten files where the bare side encodes one");
    Ok(())
}

fn tell(report: &mut Report, name: &str, bare: &Bare, seconds: f64, cpu: f64) -> f64 {
    let records = bare.records as f64;
    let bare_seconds = (bare.decode + bare.encode).as_secs_f64();
    let microseconds = |time: Duration| time.as_secs_f64() / records * 1e6;
    let mut figure = |what: &str, value: f64, unit: &str| report.figure(&format!("{name}.{what}"), value, unit);
    figure("records", records, "records");
    figure("bytes_per_record", bare.bytes as f64 / records, "bytes");
    figure("parquet_bytes_per_record", bare.parquet_bytes as f64 / records, "bytes");
    figure("read_lines_alone", microseconds(bare.lines), "us a record");
    figure("bare_decode", microseconds(bare.decode), "us a record");
    figure("bare_encode", microseconds(bare.encode), "us a record");
    figure("bare", records / bare_seconds, "events/s");
    figure("ingest", records / seconds, "events/s");
    figure("ingest_processor", cpu / records * 1e6, "us a record");
    figure("ingest_cores", cpu / seconds, "cores");
    figure(
        "ratio_processor",
        bare.decode_and_encode_cpu_seconds / cpu,
        "of bare decode + encode",
    );
    let ratio = bare_seconds / seconds;
    figure("ratio", ratio, "of bare decode + encode");
    ratio
}

/// Writes the hospital's change log; its segments in order.
fn generate(folder: &Path, case: &Case, clock: &SharedClock) -> Result<Vec<PathBuf>> {
    let mut options = RunOptions::new(SinkOptions::folder(folder));
    options.delivery = DeliveryOptions {
        shape: case.shape,
        ..DeliveryOptions::default()
    };
    options.world.patients = case.patients;
    options.records_max = Some(case.records);
    let stop = Tasks::new("bench").token();
    block_on(async {
        tidewater_synth::run::run(options, Arc::clone(clock), Hooks::default(), stop).await?;
        Ok(())
    })?;
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            segments.push(path);
        }
    }
    segments.sort();
    Ok(segments)
}

/// Decodes and encodes everything, in batches as large as those that ingest commits.
fn bare(segments: &[PathBuf], clock: &SharedClock) -> Result<Bare> {
    let commit_bytes = IngestOptions::default().commit_bytes;
    let mut bare = Bare::default();
    let mut buffers: HashMap<Arc<str>, TopicBuffer> = HashMap::new();
    let mut topics: HashMap<String, Arc<str>> = HashMap::new();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for segment in segments {
        let mut reader = BufReader::with_capacity(1 << 20, File::open(segment)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let begun = clock.monotonic();
            let mut record = parse_line(&Bytes::copy_from_slice(line.trim_ascii_end()))?;
            bare.lines += clock.monotonic() - begun;
            line.clear();
            let name = record.partition.topic.to_string();
            let topic = topics
                .entry(name)
                .or_insert_with(|| Arc::clone(&record.partition.topic));
            record.partition.topic = Arc::clone(topic);
            let place = (record.partition.topic.to_string(), i64::from(record.partition.number));
            bare.ends.insert(place, record.offset + 1);
            bytes += record.size_bytes();
            batch.push(record);
            if bytes >= commit_bytes {
                bare.take(&batch, bytes, &mut buffers, clock)?;
                batch.clear();
                bytes = 0;
            }
        }
    }
    bare.take(&batch, bytes, &mut buffers, clock)?;
    Ok(bare)
}

impl Bare {
    fn take(
        &mut self,
        records: &[Record],
        bytes: usize,
        buffers: &mut HashMap<Arc<str>, TopicBuffer>,
        clock: &SharedClock,
    ) -> Result<()> {
        self.records += records.len() as u64;
        self.bytes += bytes as u64;
        let (begun, cpu) = (clock.monotonic(), cpu_seconds("self")?);
        let now_ms = clock.now_ms();
        for record in records {
            let topic = &record.partition.topic;
            let buffer = match buffers.get_mut(topic) {
                Some(buffer) => buffer,
                None => buffers.entry(Arc::clone(topic)).or_insert_with(|| {
                    TopicBuffer::new(Arc::clone(topic), Arc::new(DecodeOptions::default()), &Schema::empty())
                }),
            };
            match buffer.push(record, now_ms) {
                Ok(Pushed::Row) => self.rows += 1,
                Ok(Pushed::Control(_)) => {}
                Err(_) => self.dead_letters += 1,
            }
        }
        let mut batches = Vec::new();
        for buffer in buffers.values_mut() {
            batches.extend(buffer.take()?);
        }
        let decoded = clock.monotonic();
        for batch in batches {
            self.parquet_bytes += encode(&batch)? as u64;
        }
        let encoded = clock.monotonic();
        self.decode += decoded - begun;
        self.encode += encoded - decoded;
        self.decode_and_encode_cpu_seconds += cpu_seconds("self")? - cpu;
        Ok(())
    }
}

/// Parquet with the properties of bronze's own files; its size.
fn encode(batch: &RecordBatch) -> Result<usize> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    Ok(writer.into_inner()?.len())
}

/// Hands the segments to a running `tidewater up` and waits until all is committed: seconds, and seconds of processor time.
async fn whole(folder: &Path, segments: &[PathBuf], bare: &Bare, clock: &SharedClock) -> Result<(f64, f64)> {
    let changes = folder.join("changes");
    std::fs::create_dir_all(&changes)?;
    let source = format!("[[ingest.sources]]\ntype = \"file\"\npath = {changes:?}\n");
    let node = Tidewater::start(&folder.join("node"), &["up"], &source, clock).await?;
    let (begun, cpu) = (clock.monotonic(), node.cpu_seconds()?);
    for segment in segments {
        let name = segment.file_name().context("a segment has a name")?;
        std::fs::rename(segment, changes.join(name))?;
    }
    loop {
        let status = node.ingest().await?;
        if next_offsets(&status) == bare.ends {
            break;
        }
        if clock.monotonic() - begun > DEADLINE {
            bail!("not all is committed after {DEADLINE:?}; its log is\n{}", node.log());
        }
        clock.sleep(LOOK_INTERVAL).await;
    }
    let (seconds, cpu) = ((clock.monotonic() - begun).as_secs_f64(), node.cpu_seconds()? - cpu);
    check(&node, bare).await.with_context(|| node.log())?;
    Ok((seconds, cpu))
}

fn next_offsets(status: &Value) -> Ends {
    let place = |partition: &Value| {
        let topic = partition["topic"].as_str()?.to_owned();
        Some(((topic, partition["partition"].as_i64()?), partition["next"].as_i64()?))
    };
    status["partitions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(place)
        .collect()
}

/// A fast ingest that loses rows is none.
async fn check(node: &Tidewater, bare: &Bare) -> Result<()> {
    let status = node.ingest().await?;
    let mut sql = Sql::connect(&node.flight()).await?;
    let mut rows = 0;
    for table in status["tables"].as_array().into_iter().flatten() {
        let name = table["table"].as_str().context("a table has a name")?;
        let count = sql.number(&format!("SELECT count(*) FROM {name}")).await?;
        rows += u64::try_from(count.unwrap_or(0))?;
    }
    let expected = bare.rows + bare.dead_letters;
    ensure!(rows == expected, "{rows} rows are in bronze, {expected} were decoded");
    Ok(())
}
