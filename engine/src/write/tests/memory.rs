use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::future::{self, Either};
use futures::{Stream, StreamExt, stream};
use tidewater_table::{Added, DataFileWriter, ParquetCodec, WriteOptions, WriteRun};

use super::events;
use crate::ZONE;
use crate::testing::Lake;
use crate::write::exec::write_files;
use crate::write::{Distribution, FileMemory, IcebergWriteExec, Order, WriteRequest, WriteSpec};

const TABLE: &str = "silver.events";

/// Twenty batches of a little more than a mebibyte.
const BATCHES: i64 = 20;
const ROWS: i64 = 1_000;
const TEXT_BYTES: usize = 1_100;

const MIB: usize = 1 << 20;

/// All rows fit into one file; where there is no room it holds 8 MiB.
fn options() -> WriteOptions {
    WriteOptions {
        buffered_bytes_max: 32 << 20,
        codec: Some(ParquetCodec::Uncompressed),
        ..WriteOptions::default()
    }
}

fn schema() -> SchemaRef {
    Arc::new(ArrowSchema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("note", DataType::Utf8, false),
    ]))
}

fn batch(number: i64) -> RecordBatch {
    let ids = number * ROWS..(number + 1) * ROWS;
    let notes = StringArray::from_iter_values(ids.clone().map(|id| format!("{id:0>TEXT_BYTES$}")));
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(ids)), Arc::new(notes)];
    RecordBatch::try_new(schema(), columns).expect("rows")
}

async fn lake() -> Lake {
    let lake = Lake::new();
    lake.create(TABLE, events(), None).await;
    lake
}

fn pool(bytes: usize) -> Arc<dyn MemoryPool> {
    Arc::new(GreedyMemoryPool::new(bytes))
}

/// Writes all batches, while others hold so much of the pool; answers the files, and after each batch what was counted and what held.
async fn written(
    lake: &Lake,
    pool: &Arc<dyn MemoryPool>,
    others: impl Fn(i64) -> usize,
    sized: bool,
) -> (Vec<Added>, Vec<(usize, usize)>) {
    let table = lake.load(TABLE).await;
    let held_by_others = MemoryConsumer::new("others").register(pool);
    let memory = FileMemory::new(pool, &options(), sized);
    let mut writer = DataFileWriter::new(lake.store.clone(), &table.metadata, options()).expect("a writer");
    let mut seen = Vec::new();
    for number in 0..BATCHES {
        held_by_others.resize(others(number));
        writer.write(batch(number)).await.expect("rows that fit");
        memory.follow(&mut writer).await.expect("files");
        let held = usize::try_from(writer.held_bytes()).expect("a size");
        seen.push((pool.reserved() - held_by_others.size(), held));
    }
    let added = writer.close().await.expect("files");
    let rows: u64 = added.iter().map(|added| added.file.record_count()).sum();
    assert_eq!(rows, (BATCHES * ROWS).unsigned_abs());
    (added, seen)
}

// Goal: open files are counted as they are; where there is room they are as large as they would be uncounted, where there is none all rows
// are written, in more files. Method: pools with much, little and no room.
#[tokio::test]
async fn files_are_closed_early_where_there_is_no_room() {
    let lake = lake().await;
    let full = |_: i64| 1_usize << 30;
    let free = |_: i64| 0;

    let much = pool(1 << 30);
    let (added, seen) = written(&lake, &much, free, false).await;
    assert_eq!(added.len(), 1);
    assert!(seen.iter().all(|(counted, held)| counted == held), "{seen:?}");
    assert!(seen.last().is_some_and(|(counted, _)| *counted > 19 * MIB), "{seen:?}");
    assert_eq!(much.reserved(), 0);

    // 16 MiB of it are left to others.
    let little = pool(28 * MIB);
    let (added, seen) = written(&lake, &little, free, false).await;
    assert_eq!(added.len(), 2);
    assert!(
        seen.iter().all(|(counted, held)| counted == held && *held <= 12 * MIB),
        "{seen:?}"
    );
    assert_eq!(little.reserved(), 0);

    let none = pool(1 << 30);
    let (added, seen) = written(&lake, &none, full, false).await;
    assert_eq!(added.len(), 3);
    assert!(
        seen.iter().all(|(counted, held)| *counted == 0 && *held <= 8 * MIB),
        "{seen:?}"
    );
    assert_eq!(none.reserved(), 0);
}

// Goal: files give way to others who come later. Method: a pool that others fill half way.
#[tokio::test]
async fn files_give_way() {
    let lake = lake().await;
    let pool = pool(64 * MIB);
    let half = BATCHES / 2;
    let others = |number: i64| if number < half { 0 } else { 64 * MIB };
    let (added, seen) = written(&lake, &pool, others, false).await;
    let (before, after) = seen.split_at(half.unsigned_abs() as usize);
    assert!(before.iter().all(|(counted, held)| counted == held), "{before:?}");
    assert!(before.iter().any(|(counted, _)| *counted > 9 * MIB), "{before:?}");
    assert!(
        after.iter().all(|(counted, held)| *counted == 0 && *held <= 8 * MIB),
        "{after:?}"
    );
    assert_eq!(added.len(), 3);
    assert_eq!(pool.reserved(), 0);
}

// Goal: files that were asked for by their size have it, whatever is counted of them. Method: one file in pools of little and no room.
#[tokio::test]
async fn files_of_a_size_are_whole() {
    let lake = lake().await;
    for (bytes, others, most) in [(28 * MIB, 0, 12 * MIB), (28 * MIB, 28 * MIB, 0)] {
        let pool = pool(bytes);
        let (added, seen) = written(&lake, &pool, |_| others, true).await;
        assert_eq!(added.len(), 1);
        let counted = seen.iter().map(|(counted, _)| *counted).max();
        assert_eq!(counted, Some(most), "{seen:?}");
        assert_eq!(pool.reserved(), 0);
    }
}

fn spec(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<WriteSpec>> {
    match plan.downcast_ref::<IcebergWriteExec>() {
        Some(write) => Some(Arc::clone(write.spec())),
        None => plan.children().into_iter().find_map(spec),
    }
}

// Goal: whoever asks for files of a size gets them, in another process too, and nobody else does. Method: what the plans of both tell as
// they travel.
#[tokio::test]
async fn plans_tell_who_asked_for_a_size() {
    let lake = lake().await;
    let session = lake.session();
    for size in [None, Some(1 << 20)] {
        let request = WriteRequest {
            job: lake.job(),
            input: lake.engine.plan(&session, "SELECT 1 AS id").await.expect("a plan"),
            target: lake.load(TABLE).await,
            distribution: Distribution::AsPlanned,
            order: Order::OfTable,
            target_file_size_bytes: size,
            deadline: None,
        };
        let plan = lake
            .engine
            .write_plan(&request, WriteRun::new(lake.store.rng()), ZONE)
            .expect("a plan");
        let plan = session.state().create_physical_plan(&plan).await;
        let spec = spec(&plan.expect("a physical plan")).expect("a write");
        let told = serde_json::to_value(spec.as_ref()).expect("JSON");
        assert_eq!(told["sized"], size.is_some(), "{size:?}");
    }
}

/// Some batches and what comes behind them.
fn input<S>(batches: i64, end: S) -> SendableRecordBatchStream
where
    S: Stream<Item = Result<RecordBatch, DataFusionError>> + Send + 'static,
{
    let rows = stream::iter((0..batches).map(|number| Ok(batch(number))));
    Box::pin(RecordBatchStreamAdapter::new(schema(), rows.chain(end)))
}

// Goal: nothing stays counted, however a write ends, and a failed one leaves no file that was closed early. Method: a write that comes to
// its end, one that fails behind more rows than there is room for, and one that is dropped while it waits for rows.
#[tokio::test]
async fn memory_is_given_back() {
    let lake = lake().await;
    let table = lake.load(TABLE).await;
    let spec = WriteSpec::new(&table, lake.job(), &options()).expect("a spec");
    let pool = pool(28 * MIB);
    let memory = || FileMemory::new(&pool, &options(), false);

    let seen = Arc::clone(&pool);
    let failure = stream::once(async move {
        assert!(seen.reserved() > 0, "rows before it are counted");
        Err(DataFusionError::Execution("as it was told to".into()))
    });
    let failed = write_files(input(BATCHES, failure), lake.store.clone(), &spec, memory());
    failed.await.expect_err("a failure");
    assert_eq!(pool.reserved(), 0);
    let data = format!("{}/data", table.metadata.location());
    let left = lake.store.list(&data).await.expect("a listing");
    assert!(left.is_empty(), "{left:?}");

    let ended = write_files(input(BATCHES, stream::empty()), lake.store.clone(), &spec, memory());
    assert_eq!(ended.await.expect("files").num_rows(), 2);
    assert_eq!(pool.reserved(), 0);

    let waiting = write_files(input(3, stream::pending()), lake.store.clone(), &spec, memory());
    let counted = async {
        while pool.reserved() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let first = future::select(Box::pin(waiting), Box::pin(counted));
    let first = tokio::time::timeout(Duration::from_secs(20), first).await;
    let Either::Right(((), waiting)) = first.expect("rows that are counted") else {
        panic!("a write that waits does not end");
    };
    drop(waiting);
    assert_eq!(pool.reserved(), 0);
}
