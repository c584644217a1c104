//! From handing a record to Kafka's client until a query sees its row, with the hospital streaming over all its topics.
//!
//! Each record bears the moment it was handed over as its Kafka timestamp, which bronze keeps. While the stream runs, the newest
//! offset of each partition of a few tables is asked for, over and over; afterwards every row of those tables is given the
//! moment of the first answer that covered it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{GOAL_P99_MS, tell};
use crate::block_on;
use crate::flight::Sql;
use crate::process::{Stack, Tidewater};
use crate::report::{Report, percentile};
use tidewater_core::{SharedClock, SystemClock, Tasks};
use tidewater_synth::sink::kafka::KafkaSink;
use tidewater_synth::{DeliveryOptions, RecordStream, WorldOptions};

/// Records a second.
const RATE: u64 = 500;

/// How long ages are taken.
const WINDOW: Duration = Duration::from_secs(120);

/// How long the stream runs before: caches are warm, and tables have files of more than one commit.
const WARM_UP: Duration = Duration::from_secs(20);

/// After the window the stream goes on for so long, so that its last rows are seen under the same load.
const AFTERWARDS: Duration = Duration::from_secs(15);

/// Longest time until the first snapshot of every table is in bronze.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(300);

/// The busiest tables are asked for; more would make each answer rarer.
const TABLES: usize = 4;

/// A query looks at rows not older than this, as a screen that follows a table would.
const LOOK_BACK_MS: i64 = 30_000;

/// Pause between two rounds of queries.
const ROUND_PAUSE: Duration = Duration::from_millis(20);

/// How often the producer hands over what is due.
const PRODUCE_INTERVAL: Duration = Duration::from_millis(5);

/// When the newest offset of a table's partition was seen, oldest first.
type Seen = BTreeMap<(usize, i64), Vec<(i64, i64)>>;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    block_on(async {
        let clock = SystemClock::shared();
        let stack = Stack::up(&["kafka"], &[])?;
        let brokers = stack.env("KAFKA_BOOTSTRAP")?;
        let source = format!(
            "[[ingest.sources]]\ntype = \"kafka\"\nbootstrap = \"{brokers}\"\ntopics = [\"hospital\\\\..*\"]\n"
        );
        let node = Tidewater::start(&stack.path().join("node"), &["up"], &source, &clock).await?;
        let tasks = Tasks::new("bench");
        let failure: Arc<Mutex<Option<anyhow::Error>>> = Arc::default();
        let producer = {
            let (clock, failure, stop) = (Arc::clone(&clock), Arc::clone(&failure), tasks.token());
            async move {
                let produced = produce(&brokers, &clock, || stop.is_cancelled()).await;
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = produced.err();
            }
        };
        tasks.spawn("producer", producer);
        let measured = measure(report, &node, &clock).await;
        tasks.shutdown(Duration::from_secs(30)).await;
        match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error.context("the producer failed")),
            None => measured.with_context(|| node.log()),
        }
    })
}

/// The hospital's snapshot as fast as it goes, then records at [`RATE`], each with the moment it is handed over.
async fn produce(brokers: &str, clock: &SharedClock, stopped: impl Fn() -> bool) -> Result<()> {
    let delivery = DeliveryOptions::default();
    let partitions = delivery.partitions;
    let mut stream = RecordStream::new(WorldOptions::default(), delivery)?;
    let mut sink = KafkaSink::open(brokers, &stream.topics(), partitions, Arc::clone(clock)).await?;
    let (mut begun, mut paced) = (None, 0_u64);
    while !stopped() {
        if stream.world().steps() > 0 {
            let begun = *begun.get_or_insert_with(|| clock.monotonic());
            let due = (clock.monotonic() - begun).as_millis() * u128::from(RATE) / 1_000;
            if u128::from(paced) >= due {
                clock.sleep(PRODUCE_INTERVAL).await;
                continue;
            }
            paced += 1;
        }
        let mut record = stream.next().context("the hospital's stream has no end")?;
        record.timestamp_ms = clock.now_ms();
        sink.append(&record).await?;
    }
    Ok(sink.flush().await?)
}

async fn measure(report: &mut Report, node: &Tidewater, clock: &SharedClock) -> Result<()> {
    wait_for_stream(node, clock).await?;
    clock.sleep(WARM_UP).await;
    let tables = busiest(&node.ingest().await?)?;
    let mut sql = Sql::connect(&node.flight()).await?;
    let cpu = node.cpu_seconds()?;
    let before = node.ingest().await?["records"].as_u64().unwrap_or(0);
    let begin_ms = clock.now_ms();
    let end_ms = begin_ms + i64::try_from(WINDOW.as_millis())?;
    let mut seen = Seen::new();
    let mut rounds_ms = Vec::new();
    let until = clock.monotonic() + WINDOW + AFTERWARDS;
    while clock.monotonic() < until {
        let round = clock.monotonic();
        for (at, table) in tables.iter().enumerate() {
            look(&mut sql, at, table, clock, &mut seen).await?;
        }
        clock.sleep(ROUND_PAUSE).await;
        rounds_ms.push((clock.monotonic() - round).as_secs_f64() * 1e3);
    }
    let took = (WINDOW + AFTERWARDS).as_secs_f64();
    let cores = (node.cpu_seconds()? - cpu) / took;
    let after = node.ingest().await?["records"].as_u64().unwrap_or(0);
    let mut ages = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        ages.extend(ages_of(&mut sql, at, table, (begin_ms, end_ms), &seen).await?);
    }
    ensure!(!ages.is_empty(), "no row came within the window");
    report.figure("rate", (after - before) as f64 / took, "records/s");
    report.figure("processor", cores, "cores of tidewater");
    report.figure("round_of_queries.p50", percentile(&mut rounds_ms, 50), "ms");
    report.figure("round_of_queries.p99", percentile(&mut rounds_ms, 99), "ms");
    tell(report, "kafka_to_bronze", &mut ages, Some(GOAL_P99_MS));
    report.note(format!(
        "ages of the rows of {}; a row counts as seen when the answer has arrived, so an age holds up to one round of queries",
        tables.join(", ")
    ));
    Ok(())
}

/// Waits until the snapshot is in bronze and ingest keeps up with the stream.
async fn wait_for_stream(node: &Tidewater, clock: &SharedClock) -> Result<()> {
    let deadline = clock.monotonic() + SNAPSHOT_DEADLINE;
    loop {
        let status = node.ingest().await?;
        let lag: i64 = partitions(&status)
            .filter_map(|partition| partition["lag"].as_i64())
            .sum();
        let records = status["records"].as_u64().unwrap_or(0);
        // The snapshot has thousands of records; a lag of two seconds is what commits leave open.
        if records > 2_000 && lag < 2 * i64::try_from(RATE)? {
            return Ok(());
        }
        if clock.monotonic() > deadline {
            bail!("after {SNAPSHOT_DEADLINE:?} {records} records are in bronze and {lag} wait");
        }
        clock.sleep(Duration::from_millis(500)).await;
    }
}

fn partitions(status: &Value) -> impl Iterator<Item = &Value> {
    status["partitions"].as_array().into_iter().flatten()
}

fn busiest(status: &Value) -> Result<Vec<String>> {
    let mut tables: Vec<(u64, String)> = status["tables"]
        .as_array()
        .context("ingest lists its tables")?
        .iter()
        .filter_map(|table| Some((table["rows"].as_u64()?, table["table"].as_str()?.to_owned())))
        .collect();
    tables.sort();
    Ok(tables.into_iter().rev().take(TABLES).map(|(_, name)| name).collect())
}

/// Asks for the newest offset of each partition and notes when the answer came.
async fn look(sql: &mut Sql, at: usize, table: &str, clock: &SharedClock, seen: &mut Seen) -> Result<()> {
    let since = since(clock.now_ms() - LOOK_BACK_MS);
    let query = format!(
        "SELECT _kafka_partition, max(_offset) FROM {table} WHERE _kafka_ts >= {since} GROUP BY _kafka_partition"
    );
    let rows = sql.numbers(&query).await?;
    let now_ms = clock.now_ms();
    for row in rows {
        let [Some(partition), Some(newest)] = row[..] else {
            bail!("{table}: a row without place");
        };
        let answers = seen.entry((at, partition)).or_default();
        if answers.last().is_none_or(|(known, _)| *known < newest) {
            answers.push((newest, now_ms));
        }
    }
    Ok(())
}

/// The age of every row of a table in the window when it was first covered by an answer, in milliseconds.
async fn ages_of(sql: &mut Sql, at: usize, table: &str, window: (i64, i64), seen: &Seen) -> Result<Vec<f64>> {
    let query = format!(
        "SELECT _kafka_partition, _offset, _kafka_ts FROM {table} WHERE _kafka_ts >= {} AND _kafka_ts < {}",
        since(window.0),
        since(window.1)
    );
    let mut ages = Vec::new();
    for row in sql.numbers(&query).await? {
        let [Some(partition), Some(offset), Some(kafka_us)] = row[..] else {
            bail!("{table}: a row without place");
        };
        let answers = seen.get(&(at, partition)).map_or(&[][..], Vec::as_slice);
        let first = answers.partition_point(|(newest, _)| *newest < offset);
        let (_, seen_ms) = answers
            .get(first)
            .with_context(|| format!("{table}: no answer covered partition {partition}, offset {offset}"))?;
        ages.push((seen_ms - kafka_us / 1_000) as f64);
    }
    Ok(ages)
}

/// A moment as SQL of the column's own type, so that files are pruned by it.
fn since(ms: i64) -> String {
    format!("arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", ms * 1_000)
}
