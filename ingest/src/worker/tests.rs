use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use async_trait::async_trait;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::error::Result;
use crate::record::Partition;
use crate::source::file::FileSource;
use crate::source::{Discovered, Poll, PollBounds, Source};
use crate::status::PartitionStatus;
use crate::testing::{Fault, ModelLog};
use crate::{Ingest, IngestOptions};
use tidewater_core::{SeededRng, SystemClock, TableName, Tasks};
use tidewater_table::iceberg::TableUpdate;
use tidewater_table::marks::{DEAD_LETTERS_KEY, TOPIC_KEY};
use tidewater_table::schema::from_arrow;
use tidewater_table::{Catalog, CommitOutcome, FileStore, LoadedTable, NewTable, StoreOptions, TableCommit, plan_scan};

/// Longest any of these tests waits for what must come.
const DEADLINE: Duration = Duration::from_secs(60);

/// A log, a store and segments, which outlive the processes that read them.
struct World {
    folder: tempfile::TempDir,
    store: FileStore,
    log: Arc<ModelLog>,
    written: BTreeMap<(String, i32, i64), usize>,
    seed: u64,
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
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let tasks = Tasks::new("test");
        self.seed += 1;
        let options = IngestOptions {
            commit_interval_ms: 20,
            discovery_interval_ms: 50,
            ..IngestOptions::default()
        };
        let guard = runtime.enter();
        let ingest = Ingest::start_with(
            vec![source],
            options,
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

// Goal: a commit that finds no catalog does not keep the process from ending, and nothing of its batch is lost or doubled. Method: a catalog
// that is away for longer than a worker waits for its last commit, and a process after it.
#[test]
fn a_commit_ends_with_its_worker() {
    let mut world = World::new();
    world.log.inject(std::iter::repeat_n(Fault::Unavailable, 12));
    world.append("db.public.users", 50, 10);
    let process = world.start();
    wait_for(&process, || world.log.calls() >= 3);
    let ended = process
        .runtime
        .block_on(process.tasks.shutdown(Duration::from_secs(10)));
    assert!(ended, "{:?}", process.tasks.running());
    process.kill();
    let process = world.start();
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}

// Goal: a topic whose table holds another topic is halted, the others go on. Method: two topics of the same last segment.
#[test]
fn a_taken_table_halts_its_topic() {
    let mut world = World::new();
    world.append("a.public.users", 5, 100);
    let process = world.start();
    world.wait(&process);
    world.append("a.public.users", 5, 100);
    append(
        &world.folder.path().join("0001.jsonl"),
        "{\"topic\":\"b.public.users\",\"partition\":0,\"offset\":0,\"key\":{\"text\":\"1\"},\"value\":{\"text\":\"{\\\"a\\\":1}\"}}\n",
    );
    world.wait(&process);
    wait_for(&process, || {
        process
            .ingest
            .status()
            .partitions
            .iter()
            .any(|partition| partition.state == "halted")
    });
    let status = process.ingest.status();
    let halted: Vec<_> = status
        .partitions
        .iter()
        .filter(|partition| partition.state == "halted")
        .collect();
    assert_eq!(halted.len(), 1);
    assert!(
        halted[0]
            .reason
            .as_deref()
            .is_some_and(|reason| reason.starts_with("ING-0005")),
        "{status:#?}"
    );
    world.append("a.public.users", 5, 100);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}

// Goal: records that were removed before they were read halt their partition. Method: offsets in the log, an older segment gone.
#[test]
fn a_loss_is_told() {
    let mut world = World::new();
    world.append("db.public.users", 10, 100);
    let process = world.start();
    world.wait(&process);
    process.stop();
    let path = world.folder.path().join("0001.jsonl");
    std::fs::remove_file(&path).expect("a segment");
    append(
        &path,
        "{\"topic\":\"db.public.users\",\"partition\":0,\"offset\":40,\"key\":{\"text\":\"1\"},\"value\":{\"text\":\"{\\\"a\\\":1}\"}}\n",
    );
    let process = world.start();
    wait_for(&process, || {
        process
            .ingest
            .status()
            .partitions
            .iter()
            .any(|partition| partition.state == "halted")
    });
    let reason = process.ingest.status().partitions[0].reason.clone();
    assert!(
        reason.as_deref().is_some_and(|reason| reason.starts_with("ING-0201")),
        "{reason:?}"
    );
    assert_eq!(world.log.next_offset("db.public.users", 0), Some(10));
    process.stop();
}

/// A reader whose answers about the end of its partitions are older than what was committed.
#[derive(Debug)]
struct OldEnds {
    inner: FileSource,
    /// An answer that is asked for anew is true.
    cured: bool,
    asked: bool,
}

#[async_trait]
impl Source for OldEnds {
    async fn partitions(&mut self) -> Result<Vec<Discovered>> {
        let mut found = self.inner.partitions().await?;
        for found in &mut found {
            if !self.asked {
                found.asked_at = Duration::ZERO;
            }
            if !(self.asked && self.cured) {
                found.high -= 5;
            }
        }
        Ok(found)
    }

    fn ask_anew(&mut self) {
        self.asked = true;
    }

    async fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<()> {
        self.inner.assign(positions).await
    }

    async fn poll(&mut self, bounds: PollBounds) -> Result<Poll> {
        self.inner.poll(bounds).await
    }
}

impl OldEnds {
    fn of(world: &World, cured: bool) -> Box<dyn Source> {
        Box::new(Self {
            inner: FileSource::new(world.folder.path(), SystemClock::shared()),
            cured,
            asked: false,
        })
    }
}

// Goal: an end that was asked for before another process committed halts nothing, one that still holds when asked anew does.
// Method: a reader whose first answers are old, then one whose answers stay.
#[test]
fn an_old_end_is_no_truncation() {
    let mut world = World::new();
    world.append("db.public.users", 10, 100);
    let process = world.start();
    world.wait(&process);
    process.stop();
    let process = world.start_with(OldEnds::of(&world, true));
    world.append("db.public.users", 3, 100);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    assert!(process.ingest.status().partitions.iter().all(|p| p.state == "running"));
    process.stop();
    let process = world.start_with(OldEnds::of(&world, false));
    let halted = || process.ingest.status().partitions.iter().any(|p| p.state == "halted");
    wait_for(&process, halted);
    let reason = process.ingest.status().partitions[0].reason.clone();
    assert!(reason.is_some_and(|reason| reason.starts_with("ING-0202")));
    process.stop();
}

// Goal: a delete without a value has its place behind the last change of its partition, whoever wrote that. Method: changes of two
// partitions, a new process each time, then deletes alone, twice.
#[test]
fn a_delete_keeps_its_place_over_restarts() {
    let mut world = World::new();
    world.append_unwrapped(0, 0, Some(41));
    world.append_unwrapped(1, 0, Some(7));
    for (partition, offset) in [(0, 1), (1, 1), (1, 2)] {
        let process = world.start();
        world.wait(&process);
        process.stop();
        world.append_unwrapped(partition, offset, None);
    }
    let process = world.start();
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    let lsn = process.runtime.block_on(world.lsn_by_place());
    assert_eq!(
        lsn,
        BTreeMap::from([
            ((0, 0), Some(41)),
            ((0, 1), Some(41)),
            ((1, 0), Some(7)),
            ((1, 1), Some(7)),
            ((1, 2), Some(7)),
        ])
    );
    process.stop();
}

// Goal: a table that cannot take its rows halts its own topic, loudly, and no other. Method: a table whose `op` is no string, made
// before its topic has rows.
#[test]
fn a_table_that_cannot_change_halts_its_topic() {
    let mut world = World::new();
    let process = world.start();
    let schema = Schema::new(vec![Field::new("op", DataType::Boolean, true)]);
    let name = "bronze.orders".parse().expect("a name");
    let table = NewTable::new(name, from_arrow(&schema, 1).expect("a schema"));
    process.runtime.block_on(world.log.make(&table));
    world.append("a.public.users", 5, 100);
    world.wait(&process);
    let good = world.written.clone();
    world.append("a.public.orders", 5, 100);
    let halted = || process.ingest.status().partitions.iter().any(|p| p.state == "halted");
    wait_for(&process, halted);
    world.written = good;
    world.append("a.public.users", 5, 100);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    let status = process.ingest.status();
    let halted: Vec<_> = status.partitions.iter().filter(|p| p.state == "halted").collect();
    assert_eq!(halted.len(), 1);
    assert_eq!(halted[0].topic, "a.public.orders");
    assert!(
        halted[0]
            .reason
            .as_deref()
            .is_some_and(|reason| reason.starts_with("ING-0007"))
    );
    assert_eq!(world.log.next_offset("a.public.orders", 0), None);
    process.stop();
}

// Goal: where grants bind, a topic's rows go into no table that somebody put there first, until that one is marked for the topic, while other
// topics go on. Method: such a table, before and after it is marked.
#[test]
fn a_table_of_somebody_else_gets_no_rows() {
    let mut world = World::new();
    let schema = Schema::new(vec![Field::new("_topic", DataType::Utf8, true)]);
    let name: TableName = "bronze.orders".parse().expect("a name");
    let mut table = NewTable::new(name, from_arrow(&schema, 1).expect("a schema"));
    world.log.bind();
    world.append("a.public.users", 5, 100);
    let process = world.start();
    process.runtime.block_on(world.log.make(&table));
    world.wait(&process);
    world.append("a.public.orders", 5, 100);
    let halted = || process.ingest.status().partitions.iter().any(|p| p.state == "halted");
    wait_for(&process, halted);
    let status = process.ingest.status();
    let halted: Vec<_> = status.partitions.iter().filter(|p| p.state == "halted").collect();
    assert_eq!((halted.len(), halted[0].topic.as_str()), (1, "a.public.orders"));
    let reason = halted[0].reason.as_deref();
    assert!(
        reason.is_some_and(|reason| reason.starts_with("ING-0013")),
        "{status:#?}"
    );
    assert_eq!(world.log.next_offset("a.public.orders", 0), None);
    let orders = &world.log.tables()[0];
    assert_eq!((orders.name.name(), orders.metadata.snapshots().len()), ("orders", 0));
    table.properties = [(TOPIC_KEY.to_owned(), "a.public.orders".to_owned())].into();
    process.runtime.block_on(world.log.make(&table));
    process.stop();
    let process = world.start();
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}

// Goal: tables that earlier versions made without a mark go on where grants bind. Method: all tables lose their marks between two runs, and
// grants bind from then on.
#[test]
fn unmarked_tables_of_earlier_versions_go_on() {
    let mut world = World::new();
    world.append("db.public.users", 20, 10);
    let process = world.start();
    world.wait(&process);
    for table in world.log.tables() {
        let removals = vec![TOPIC_KEY.to_owned(), DEAD_LETTERS_KEY.to_owned()];
        let marked = removals
            .iter()
            .any(|mark| table.metadata.properties().contains_key(mark));
        assert!(marked, "{}", table.name);
        let commit = TableCommit {
            name: table.name.clone(),
            requirements: Vec::new(),
            updates: vec![TableUpdate::RemoveProperties { removals }],
        };
        let outcome = process.runtime.block_on(world.log.commit(vec![commit]));
        assert!(matches!(outcome, Ok(CommitOutcome::Committed(_))), "{outcome:?}");
    }
    world.log.bind();
    process.stop();
    let process = world.start();
    world.append("db.public.users", 20, 10);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}

// Goal: rows for a table that is replaced while they are on their way are in the columns of the new one. Method: a table with rows makes way
// just before the next commit; what its files tell is of columns that it has.
#[test]
fn a_replaced_table_gets_its_rows() {
    let mut world = World::new();
    world.append("a.public.users", 5, 100);
    let process = world.start();
    world.wait(&process);
    world.log.inject([Fault::TablesReplaced]);
    world.append("a.public.users", 5, 100);
    world.wait(&process);
    // What was there before went with the old table.
    world.written.retain(|(_, _, offset), _| *offset >= 5);
    assert_eq!(world.stored(&process.runtime), world.written);
    let tables = world.log.tables();
    let metadata = &tables[0].metadata;
    let scan = process.runtime.block_on(plan_scan(&world.store, metadata, None, None));
    for file in scan.expect("a readable table") {
        let counts = file.data_file().value_counts();
        let has = |id: &i32| metadata.current_schema().field_by_id(*id).is_some();
        assert!(!counts.is_empty() && counts.keys().all(has), "{counts:?}");
    }
    process.stop();
}

#[derive(Debug, Clone)]
enum Step {
    Append {
        topic: usize,
        partition: i32,
        count: i64,
    },
    Faults(Vec<Fault>),
    /// Kill once this many more commits were tried.
    KillAfter(usize),
    /// Another process starts and takes all leases over; the one before does not know, and goes on.
    TakeOver,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::None),
        Just(Fault::AnswerLost),
        Just(Fault::RequestLost),
        Just(Fault::Unavailable),
        Just(Fault::TableMoved),
        Just(Fault::LeaseTaken),
    ];
    prop_oneof![
        4 => (0..3_usize, 0..3_i32, 1..40_i64)
            .prop_map(|(topic, partition, count)| Step::Append { topic, partition, count }),
        3 => prop::collection::vec(fault, 1..5).prop_map(Step::Faults),
        2 => (0..3_usize).prop_map(Step::KillAfter),
        2 => Just(Step::TakeOver),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 4, ..ProptestConfig::default() })]

    // Goal: whatever fails, every record is stored exactly once (INV-ING-1, INV-ING-2). Method: random appends to
    // several partitions, faults of the log, kills and processes that take over from living ones; in the end the places in all tables are the places written, each once.
    #[test]
    fn stored_exactly_once(steps in prop::collection::vec(step(), 3..12)) {
        let topics = ["a.public.users", "a.public.orders", "a.public.visits"];
        let mut world = World::new();
        world.append(topics[0], 3, 7);
        let mut process = world.start();
        let mut replaced = Vec::new();
        for step in steps {
            match step {
                Step::Append { topic, partition, count } => world.append_to(topics[topic], partition, count, 7),
                Step::TakeOver => replaced.push(std::mem::replace(&mut process, world.start())),
                Step::Faults(faults) => world.log.inject(faults),
                Step::Wait => world.wait(&process),
                Step::KillAfter(calls) => {
                    for _ in 0..calls {
                        let before = world.log.calls();
                        world.append(topics[0], 2, 7);
                        wait_for(&process, || world.log.calls() > before);
                    }
                    process.kill();
                    process = world.start();
                }
            }
        }
        world.wait(&process);
        replaced.into_iter().for_each(Process::kill);
        prop_assert_eq!(world.stored(&process.runtime), world.written.clone());
        process.stop();
    }
}
