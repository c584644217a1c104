use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use chrono::DateTime;
use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Schema as ArrowSchema;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::Result as ParquetResult;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::metrics::Count;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use tidewater_core::{Coded, ErrorKind, Rng, SeededRng};
use tidewater_table::Scan;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

use super::ahead::Ahead;
use super::reader::CheckedReader;
use crate::testing::{Lake, lines};

const TABLE: &str = "silver.visits";

/// Rows of the largest file: enough for several pages a column.
const ROWS: i64 = 50_000;

fn schema() -> Schema {
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "note", Type::Primitive(PrimitiveType::String)).into(),
    ];
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn rows(ids: Range<i64>) -> RecordBatch {
    let arrow: ArrowSchema = tidewater_table::schema::to_arrow(&schema()).expect("a schema");
    let notes = ids
        .clone()
        .map(|id| (id % 3 != 0).then(|| format!("note {}", id * 7919 % 10_007)));
    let columns = vec![
        Arc::new(Int64Array::from_iter_values(ids)) as _,
        Arc::new(notes.collect::<StringArray>()) as _,
    ];
    RecordBatch::try_new(Arc::new(arrow), columns).expect("rows")
}

async fn lake() -> (Lake, Vec<String>) {
    let lake = Lake::new();
    lake.create(TABLE, schema(), None).await;
    for ids in [0..ROWS, ROWS..ROWS + 10, ROWS + 10..ROWS + 1_000] {
        lake.append(TABLE, rows(ids)).await;
    }
    let table = lake.load(TABLE).await;
    let files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    (lake, files.into_iter().map(|file| file.path).collect())
}

/// All of it, one page of it, one row, and what needs no column.
const STATEMENTS: [&str; 4] = [
    "SELECT count(note), sum(id), min(note), max(note), sum(id * length(note)) FROM silver.visits",
    "SELECT note FROM silver.visits WHERE id BETWEEN 30100 AND 30120",
    "SELECT id, note FROM silver.visits WHERE id = 50005",
    "SELECT count(*) FROM (SELECT 1 FROM silver.visits WHERE note IS NULL)",
];

async fn replace(lake: &Lake, path: &str, bytes: Bytes) {
    lake.store.delete(path).await.expect("a file");
    lake.store.put_new(path, bytes).await.expect("a file");
}

/// What a reader that compares nothing makes of these bytes.
fn plainly(bytes: Bytes) -> Option<Vec<String>> {
    let read = std::panic::catch_unwind(|| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).ok()?.build().ok()?;
        let batches = reader.collect::<Result<Vec<RecordBatch>, _>>().ok()?;
        Some(lines(&batches))
    });
    read.ok().flatten()
}

// Goal: a flipped bit in a data file is told by the query that reads it, or changes no row (R13), in process and after a journey to
// another. Method: seeded flips, half of them behind the rows, each read by an engine that knows nothing yet; a reader that compares
// nothing has to answer wrongly for some of them, or the flips said nothing.
#[tokio::test]
async fn no_flip_in_a_data_file_makes_other_rows() {
    let (mut lake, files) = lake().await;
    let mut right = Vec::new();
    for sql in STATEMENTS {
        right.push(lake.lines(sql).await);
    }
    let mut plain = Vec::new();
    for path in &files {
        plain.push(plainly(lake.store.get(path).await.expect("a file")));
    }
    let rng = SeededRng::new(13);
    let (mut told, mut harmless, mut unnoticed) = (0, 0, 0);
    for flip in 0..100_u64 {
        let file = usize::try_from(rng.below(files.len() as u64)).expect("an index");
        let path = &files[file];
        let good = lake.store.get(path).await.expect("a file");
        let length = good.len() as u64;
        let at = match flip % 2 {
            0 => rng.below(length),
            _ => length - 1 - rng.below(length.min(1_500)),
        };
        let mut bad = good.to_vec();
        bad[usize::try_from(at).expect("an index")] ^= 1 << rng.below(8);
        let bad = Bytes::from(bad);
        if plainly(bad.clone()).is_some_and(|rows| Some(rows) != plain[file]) {
            unnoticed += 1;
        }
        replace(&lake, path, bad).await;
        for (sql, right) in STATEMENTS.iter().zip(&right) {
            lake.forget();
            let answers = [lake.answered(sql).await, lake.travelled(sql).await];
            for answer in answers {
                match answer {
                    Ok(rows) => {
                        assert_eq!(&rows, right, "byte {at} of {path}: {sql}");
                        harmless += 1;
                    }
                    Err(error) => {
                        assert_eq!(
                            error.kind(),
                            ErrorKind::Corrupt,
                            "byte {at} of {path}: {sql}: {error:?}"
                        );
                        assert_eq!(error.code(), "TBL-0025", "byte {at} of {path}: {sql}: {error:?}");
                        told += 1;
                    }
                }
            }
        }
        replace(&lake, path, good).await;
    }
    println!("{told} told, {harmless} harmless, {unnoticed} flips that nobody would have noticed");
    assert!(told >= 200, "only {told} told, {harmless} harmless");
    assert!(unnoticed >= 10, "only {unnoticed} flips change rows silently");
    for (sql, right) in STATEMENTS.iter().zip(&right) {
        lake.forget();
        assert_eq!(&lake.lines(sql).await, right, "{sql}");
    }
}

/// A file in memory, of which the first reads are wrong, and what was asked of it.
struct Flaky {
    bytes: Bytes,
    asked: Arc<std::sync::Mutex<Vec<Range<u64>>>>,
    wrong: Arc<AtomicUsize>,
}

impl AsyncFileReader for Flaky {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let mut read = self.bytes[range.start as usize..range.end as usize].to_vec();
        self.asked.lock().expect("a lock").push(range);
        let left = self
            .wrong
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            read[0] ^= 1;
        }
        async move { Ok(Bytes::from(read)) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async { panic!("footers are read by whoever compares them") }.boxed()
    }
}

// Goal: bytes that were wrong once are asked of the store again, those that stay wrong are told, and of a chunk that was compared parts
// are read alone. Method: a file whose first reads are wrong, the ranges that were asked of it, and a store behind it that has the right
// bytes, then wrong ones.
#[tokio::test]
async fn wrong_bytes_are_read_once_more() {
    let (lake, files) = lake().await;
    let path = &files[0];
    let bytes = lake.store.get(path).await.expect("a file");
    let file = described(path.rsplit('/').next().expect("a name"), &bytes);
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let wrong = Arc::new(AtomicUsize::new(1));
    let store = Arc::new(InMemory::new());
    put(&store, &file, &bytes).await;
    let footers = lake.engine.runtime_env().cache_manager.get_file_metadata_cache();
    let open = || {
        let flaky = Flaky {
            bytes: bytes.clone(),
            asked: asked.clone(),
            wrong: wrong.clone(),
        };
        CheckedReader::new(Box::new(flaky), store.clone(), file.clone(), footers.clone())
    };
    let mut reader = open();
    let footer = reader.get_metadata(None).await.expect("a footer at the second attempt");
    assert_eq!(wrong.load(Ordering::SeqCst), 0);
    assert_eq!(asked.lock().expect("a lock").len(), 1);
    assert!(footer.offset_index().is_some(), "indexes come with their footer");

    let (start, length) = footer.row_group(0).column(0).byte_range();
    let (chunk, middle) = (start..start + length, start + 10..start + 20);
    wrong.store(1, Ordering::SeqCst);
    asked.lock().expect("a lock").clear();
    let part = reader.get_bytes(middle.clone()).await;
    let part = part.expect("the chunk at the second attempt");
    assert_eq!(part, bytes.slice(middle.start as usize..middle.end as usize));
    assert_eq!(wrong.load(Ordering::SeqCst), 0);
    assert_eq!(*asked.lock().expect("a lock"), std::slice::from_ref(&chunk));

    asked.lock().expect("a lock").clear();
    // Nobody asks this one for the footer.
    let mut other = open();
    let part = other.get_bytes(middle.clone()).await;
    part.expect("a part of a compared chunk");
    assert_eq!(*asked.lock().expect("a lock"), [middle]);

    let mut bad = bytes.to_vec();
    bad[start as usize] ^= 1;
    put(&store, &file, &bad.into()).await;
    wrong.store(1, Ordering::SeqCst);
    let error = other.get_bytes(chunk).await.expect_err("a chunk that stays wrong");
    assert!(error.to_string().contains("column id of"), "{error}");
    assert_eq!(wrong.load(Ordering::SeqCst), 0);
}

fn described(name: &str, bytes: &Bytes) -> ObjectMeta {
    ObjectMeta {
        location: Path::from(name),
        last_modified: DateTime::UNIX_EPOCH,
        size: bytes.len() as u64,
        e_tag: None,
        version: None,
    }
}

async fn put(store: &InMemory, file: &ObjectMeta, bytes: &Bytes) {
    let put = store.put(&file.location, bytes.clone().into());
    put.await.expect("a place in memory");
}

// Goal: checksums count in files that were named here only, as other engines copy what a footer tells to files of other bytes. Method: a
// changed chunk in a file under its own name, and under another's.
#[tokio::test]
async fn files_of_other_engines_are_not_compared() {
    let (lake, files) = lake().await;
    let good = lake.store.get(&files[0]).await.expect("a file");
    let mut bad = good.to_vec();
    bad[100] ^= 1;
    let own = files[0].rsplit('/').next().expect("a name");
    for (name, is_read) in [(own, false), ("part-00000-of-another.parquet", true)] {
        let (file, bytes) = (described(name, &good), Bytes::from(bad.clone()));
        let store = Arc::new(InMemory::new());
        put(&store, &file, &bytes).await;
        let inner = Flaky {
            bytes,
            asked: Arc::default(),
            wrong: Arc::default(),
        };
        let footers = lake.engine.runtime_env().cache_manager.get_file_metadata_cache();
        let mut reader = CheckedReader::new(Box::new(inner), store, file, footers);
        let footer = reader.get_metadata(None).await.expect("a footer");
        let (start, length) = footer.row_group(0).column(0).byte_range();
        let read = reader.get_bytes(start..start + length).await;
        assert_eq!(read.is_ok(), is_read, "{name}: {read:?}");
    }
}

/// A file of another engine with row groups of so many rows.
fn grouped(groups: usize, rows_of_each: usize) -> Bytes {
    let all = rows(0..i64::try_from(groups * rows_of_each).expect("a few"));
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_of_each));
    let mut writer = ArrowWriter::try_new(Vec::new(), all.schema(), Some(properties.build())).expect("a writer");
    writer.write(&all).expect("written");
    Bytes::from(writer.into_inner().expect("a file"))
}

// Goal: columns that are read row group by row group come before they are asked for, each list of columns for itself; nothing does out of
// turn, nor without memory for it, and memory is given back. Method: what is asked of the reader below and what is counted of what came by
// itself; each answer against the file.
#[tokio::test]
async fn columns_are_read_ahead() {
    let bytes = grouped(5, 100);
    let file = described("part-00000-of-another.parquet", &bytes);
    let store = Arc::new(InMemory::new());
    put(&store, &file, &bytes).await;
    let first = [(0, vec![0]), (0, vec![1]), (1, vec![0]), (1, vec![1])];
    let rest = [
        (2, vec![0]),
        (2, vec![1]),
        (3, vec![0]),
        (3, vec![1]),
        (4, vec![0]),
        (4, vec![1]),
    ];
    let in_turn: Vec<_> = first.into_iter().chain(rest).collect();
    let out_of_turn: Vec<_> = [0, 2, 1, 4, 3].map(|group| (group, vec![0, 1])).into();
    for (memory_bytes, order, asked_below) in [(1 << 20, &in_turn, 4), (64, &in_turn, 10), (1 << 20, &out_of_turn, 5)] {
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let inner = Flaky {
            bytes: bytes.clone(),
            asked: asked.clone(),
            wrong: Arc::default(),
        };
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(memory_bytes));
        let counted = Count::new();
        let lake = Lake::new();
        let footers = lake.engine.runtime_env().cache_manager.get_file_metadata_cache();
        let ahead = Ahead::new(store.clone(), &pool, counted.clone());
        let mut reader = CheckedReader::new(Box::new(inner), store.clone(), file.clone(), footers);
        reader = reader.with_ahead(Some(ahead));
        let footer = reader.get_metadata(None).await.expect("a footer");
        asked.lock().expect("a lock").clear();
        let (mut all, mut below) = (0, 0);
        for (group, columns) in order {
            let ranges: Vec<Range<u64>> = columns
                .iter()
                .map(|column| footer.row_group(*group).column(*column).byte_range())
                .map(|(start, length)| start..start + length)
                .collect();
            let before = asked.lock().expect("a lock").len();
            let read = reader.get_byte_ranges(ranges.clone()).await.expect("bytes");
            for (range, read) in ranges.iter().zip(&read) {
                assert_eq!(read, &bytes.slice(range.start as usize..range.end as usize));
            }
            all += read.iter().map(Bytes::len).sum::<usize>();
            below += usize::from(asked.lock().expect("a lock").len() > before);
        }
        assert_eq!(below, asked_below, "{memory_bytes} {order:?}");
        let below: u64 = asked
            .lock()
            .expect("a lock")
            .iter()
            .map(|range| range.end - range.start)
            .sum();
        assert_eq!(counted.value() as u64 + below, all as u64, "each byte is counted once");
        drop(reader);
        assert_eq!(pool.reserved(), 0);
    }
}

/// A file in memory whose parts end a byte early, but for its footer.
struct Short(Bytes);

impl AsyncFileReader for Short {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let cut = usize::from(range.end < self.0.len() as u64);
        let read = self.0.slice(range.start as usize..range.end as usize - cut);
        async move { Ok(read) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async { panic!("footers are read by whoever compares them") }.boxed()
    }
}

// Goal: bytes that no checksum tells of are as many as were asked for, or an error, as what decodes them relies on that. Method: a file of
// another engine whose parts end early; all its columns, and one.
#[tokio::test]
async fn parts_without_checksums_are_not_short() {
    let bytes = grouped(1, 100);
    let file = described("part-00000-of-another.parquet", &bytes);
    let lake = Lake::new();
    let footers = lake.engine.runtime_env().cache_manager.get_file_metadata_cache();
    let mut reader = CheckedReader::new(Box::new(Short(bytes)), Arc::new(InMemory::new()), file, footers);
    let footer = reader.get_metadata(None).await.expect("a footer");
    let columns = footer.row_group(0).columns().iter().map(|column| column.byte_range());
    let ranges: Vec<Range<u64>> = columns.map(|(start, length)| start..start + length).collect();
    for asked in [ranges.clone(), ranges[..1].to_vec()] {
        let error = reader.get_byte_ranges(asked).await.expect_err("short parts");
        assert!(error.to_string().contains("shorter than its footer tells"), "{error}");
    }
}
