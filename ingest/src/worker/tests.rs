mod halted;
mod marked;
mod restarts;
mod shared;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidewater_core::{SeededRng, SystemClock, Tasks};
use tidewater_table::{FileStore, LoadedTable, StoreOptions, plan_scan};
use tokio::runtime::Runtime;

use crate::source::Source;
use crate::source::file::FileSource;
use crate::status::PartitionStatus;
use crate::testing::ModelLog;
use crate::{Ingest, IngestOptions};

/// Longest any of these tests waits for what must come.
const DEADLINE: Duration = Duration::from_secs(60);

/// A log, a store and segments, which outlive the processes that read them.
struct World {
    folder: tempfile::TempDir,
    store: FileStore,
    log: Arc<ModelLog>,
    written: BTreeMap<(String, i32, i64), usize>,
    seed: u64,
    options: IngestOptions,
}

/// One run of the process.
struct Process {
    runtime: Runtime,
    tasks: Tasks,
    ingest: Ingest,
}

impl World {
    fn new() -> Self {
        let store = FileStore::new(
            StoreOptions::default(),
            SystemClock::shared(),
            Arc::new(SeededRng::new(7)),
        );
        Self {
            folder: tempfile::tempdir().expect("a temporary directory"),
            log: Arc::new(ModelLog::new(store.clone())),
            store,
            written: BTreeMap::new(),
            seed: 0,
            options: IngestOptions {
                commit_interval_ms: 20,
                discovery_interval_ms: 50,
                ..IngestOptions::default()
            },
        }
    }

    /// A row change of a topic; one in `bad_every` is broken.
    fn append(&mut self, topic: &str, count: i64, bad_every: i64) {
        self.append_to(topic, 0, count, bad_every);
    }

    fn append_to(&mut self, topic: &str, partition: i32, count: i64, bad_every: i64) {
        let mut text = String::new();
        let place = |at: &&(String, i32, i64)| at.0 == topic && at.1 == partition;
        let first = self.written.keys().filter(place).count();
        let first = i64::try_from(first).expect("a small number");
        for offset in first..first + count {
            // The column `late` comes later than the table.
            let late = if offset > 20 { r#","late":1.5"# } else { "" };
            let good = format!(
                r#"{{"before":null,"after":{{"id":{offset},"name":"n"{late}}},"source":{{"lsn":{offset}}},"op":"c"}}"#
            );
            let bad = offset % bad_every == bad_every - 1;
            let line = serde_json::json!({
                "topic": topic, "partition": partition, "offset": offset, "timestamp": 1_767_225_600_000_i64, "headers": [],
                "key": {"text": format!("{{\"id\":{offset}}}")},
                "value": {"text": if bad { "{broken" } else { &good }},
            });
            text.push_str(&format!("{line}\n"));
            self.written.insert((topic.to_owned(), partition, offset), 1);
        }
        append(&self.folder.path().join("0001.jsonl"), &text);
    }

    /// An unwrapped row with its place in the source's log, or a delete without a value.
    fn append_unwrapped(&mut self, partition: i32, offset: i64, lsn: Option<i64>) {
        let topic = "a.public.users";
        let value = lsn.map(|lsn| serde_json::json!({"text": format!(r#"{{"id":1,"__op":"u","__lsn":{lsn}}}"#)}));
        let line = serde_json::json!({
            "topic": topic, "partition": partition, "offset": offset, "timestamp": 1_767_225_600_000_i64, "headers": [],
            "key": {"text": "{\"id\":1}"}, "value": value,
        });
        self.written.insert((topic.to_owned(), partition, offset), 1);
        append(&self.folder.path().join("0001.jsonl"), &format!("{line}\n"));
    }

    fn start(&mut self) -> Process {
        let source = FileSource::new(self.folder.path(), SystemClock::shared());
        self.start_with(Box::new(source))
    }

    fn start_with(&mut self, source: Box<dyn Source>) -> Process {
        self.start_all(vec![source])
    }

    fn start_all(&mut self, sources: Vec<Box<dyn Source>>) -> Process {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let tasks = Tasks::new("test");
        self.seed += 1;
        let guard = runtime.enter();
        let ingest = Ingest::start_with(
            sources,
            self.options.clone(),
            Arc::clone(&self.log) as _,
            self.store.clone(),
            SystemClock::shared(),
            Arc::new(SeededRng::new(self.seed)),
            &tasks,
        );
        drop(guard);
        Process {
            runtime,
            tasks,
            ingest: ingest.expect("sound options"),
        }
    }

    /// Until every record that was written is committed.
    fn wait(&self, process: &Process) {
        let mut wanted: BTreeMap<(&str, i32), i64> = BTreeMap::new();
        for (topic, partition, offset) in self.written.keys() {
            let next = wanted.entry((topic, *partition)).or_default();
            *next = (*next).max(offset + 1);
        }
        wait_for(process, || {
            wanted
                .iter()
                .all(|((topic, partition), next)| self.log.next_offset(topic, *partition) == Some(*next))
        });
    }

    /// Every (topic, partition, offset) in the tables, with how often it is there.
    fn stored(&self, runtime: &Runtime) -> BTreeMap<(String, i32, i64), usize> {
        let mut stored = BTreeMap::new();
        for table in self.log.tables() {
            let letters = table.name.name() == "_dead_letter";
            let names = if letters {
                ["topic", "partition", "offset"]
            } else {
                ["_topic", "_kafka_partition", "_offset"]
            };
            for place in runtime.block_on(self.places(&table, names)) {
                *stored.entry(place).or_default() += 1;
            }
        }
        stored
    }

    /// `_lsn` of each partition and offset of the only table.
    async fn lsn_by_place(&self) -> BTreeMap<(i32, i64), Option<i64>> {
        let table = &self.log.tables()[0];
        let scan = plan_scan(&self.store, &table.metadata, None, None).await;
        let mut found = BTreeMap::new();
        for file in scan.expect("a readable table") {
            let bytes = self.store.get(&file.path).await.expect("a file of a snapshot");
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
            for batch in reader.expect("a data file") {
                let batch = batch.expect("rows");
                let partitions = batch["_kafka_partition"].as_primitive::<Int32Type>();
                let offsets = batch["_offset"].as_primitive::<Int64Type>();
                let lsn = batch["_lsn"].as_primitive::<Int64Type>();
                for row in 0..batch.num_rows() {
                    let lsn = lsn.is_valid(row).then(|| lsn.value(row));
                    found.insert((partitions.value(row), offsets.value(row)), lsn);
                }
            }
        }
        found
    }

    async fn places(&self, table: &LoadedTable, names: [&str; 3]) -> Vec<(String, i32, i64)> {
        let scan = plan_scan(&self.store, &table.metadata, None, None)
            .await
            .expect("a readable table");
        let mut places = Vec::new();
        for file in scan {
            let bytes = self.store.get(&file.path).await.expect("a file of a snapshot");
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
            for batch in reader.expect("a data file") {
                let batch = batch.expect("rows");
                let topics = batch[names[0]].as_string::<i32>();
                let partitions = batch[names[1]].as_primitive::<Int32Type>();
                let offsets = batch[names[2]].as_primitive::<Int64Type>();
                places.extend(
                    (0..batch.num_rows())
                        .map(|row| (topics.value(row).to_owned(), partitions.value(row), offsets.value(row))),
                );
            }
        }
        places
    }
}

impl Process {
    /// As `kill -9` would: nothing is told, nothing is waited for.
    fn kill(self) {
        self.runtime.shutdown_background();
    }

    fn stop(self) {
        assert!(self.runtime.block_on(self.tasks.shutdown(DEADLINE)));
    }
}

fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("a writable file");
}

#[expect(clippy::disallowed_methods, reason = "a test waits in real time, with a deadline")]
fn wait_for(process: &Process, reached: impl Fn() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < DEADLINE, "{:#?}", process.ingest.status());
        process.runtime.block_on(tokio::task::yield_now());
        std::thread::yield_now();
    }
}

// Goal: rows and dead letters of all topics are committed, new columns join, status tells it. Method: one quiet run.
#[test]
fn a_quiet_run() {
    let mut world = World::new();
    world.append("db.public.users", 50, 10);
    world.append("db.public.orders", 5, 100);
    let process = world.start();
    world.wait(&process);
    world.append("db.public.users", 50, 10);
    world.append("db.public.late", 3, 100);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    let names: Vec<_> = world.log.tables().iter().map(|table| table.name.to_string()).collect();
    assert_eq!(
        names,
        ["bronze._dead_letter", "bronze.late", "bronze.orders", "bronze.users"]
    );
    let users = &world.log.tables()[3];
    assert!(users.metadata.current_schema().field_by_name("after.late").is_some());
    let summary = &users
        .metadata
        .current_snapshot()
        .expect("a snapshot")
        .summary()
        .additional_properties;
    assert_eq!(
        summary.get(crate::OFFSETS_KEY).map(String::as_str),
        Some(r#"{"db.public.users":{"0":100}}"#)
    );
    assert!(summary.contains_key(crate::BATCH_ID_KEY) && summary.contains_key(crate::RANGES_KEY));
    wait_for(&process, || process.ingest.status().records == 108);
    assert_eq!(process.ingest.status().dead_letters, 10);
    // Partitions are told with the next look for new ones.
    wait_for(&process, || {
        let status = process.ingest.status();
        let caught_up = |partition: &PartitionStatus| partition.state == "running" && partition.lag == 0;
        status.partitions.iter().all(caught_up)
    });
    process.stop();
}
