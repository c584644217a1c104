//! The cache before a store that counts, over a real disk.

mod concurrent;
mod disk;
mod equal;
mod peer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutPayload};
use tempfile::TempDir;

use self::peer::Peer;
use super::*;
use crate::at_hand::Found;
use tidewater_core::{ManualClock, Rng, SeededRng};

/// Bytes of a block here: small, so that there are many.
const BLOCK: u64 = 4096;

/// Room that a whole block takes.
const ROOM: u64 = 2 * 4096;

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cache before a store of its own.
struct Bench {
    above: TempDir,
    peer: Arc<Peer>,
    cache: DiskCache,
    store: Arc<dyn ObjectStore>,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new(bytes_max: u64) -> Self {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("cache");
        Self::within(above, directory, bytes_max)
    }

    fn within(above: TempDir, directory: PathBuf, bytes_max: u64) -> Self {
        let clock = Arc::new(ManualClock::new(0));
        let options = DiskCacheOptions { directory, bytes_max };
        let cache = DiskCache::with_blocks(BLOCK, options, clock.clone(), Arc::new(SeededRng::new(1)));
        let peer = Peer::new();
        let store = cache.over("bucket", peer.clone());
        Self {
            above,
            peer,
            cache,
            store,
            clock,
        }
    }

    /// Puts an object of random bytes into the store.
    async fn put(&self, path: &str, length: u64, rng: &dyn Rng) -> Bytes {
        let bytes: Bytes = (0..length.div_ceil(8))
            .flat_map(|_| rng.next_u64().to_be_bytes())
            .take(length as usize)
            .collect();
        let payload = PutPayload::from_bytes(bytes.clone());
        self.peer.put(&Path::from(path), payload).await.unwrap();
        bytes
    }

    async fn range(&self, path: &str, range: std::ops::Range<u64>) -> object_store::Result<Bytes> {
        self.store.get_range(&Path::from(path), range).await
    }

    /// Waits until nothing waits for the disk.
    async fn settle(&self) {
        let all = u32::try_from(WRITES_MAX).unwrap();
        let settled = self.cache.inner.writes.acquire_many(all);
        drop(tokio::time::timeout(PATIENCE, settled).await.unwrap().unwrap());
    }

    /// The files of blocks that lie on the disk now.
    fn files(&self) -> Vec<PathBuf> {
        let entries = |directory: &std::path::Path| -> Vec<PathBuf> {
            let found = std::fs::read_dir(directory).into_iter().flatten();
            found.map(|entry| entry.unwrap().path()).collect()
        };
        let folders = entries(&self.cache.inner.options.directory);
        let all = folders
            .iter()
            .filter(|folder| folder.is_dir())
            .flat_map(|folder| entries(folder));
        all.filter(|file| file.file_name().unwrap() != "lock").collect()
    }
}

/// Waits for what another thread does.
async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

// Goal: what was read once is read without the store, whatever part of it is asked for. Method: a store that counts; parts of an object
// in three ways after one read of them, and another object of the same size whose bytes are its own.
#[tokio::test]
async fn a_second_read_asks_the_store_nothing() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(5));
    let whole = bench.put("a.parquet", 5 * BLOCK + 100, &rng).await;
    let other = bench.put("b.parquet", 5 * BLOCK + 100, &rng).await;
    assert_eq!(
        bench.range("a.parquet", 10..whole.len() as u64).await.unwrap(),
        whole[10..]
    );
    assert_eq!(
        bench.peer.asked(),
        [("a.parquet".to_owned(), 0..6 * BLOCK)],
        "neighbours are one request"
    );
    bench.settle().await;
    let part = |from: usize, to: usize| whole.slice(from..to);
    assert_eq!(bench.range("a.parquet", 4000..9000).await.unwrap(), part(4000, 9000));
    let path = Path::from("a.parquet");
    let two = bench.store.get_ranges(&path, &[20_000..20_500, 1..2]).await.unwrap();
    assert_eq!(two, [part(20_000, 20_500), part(1, 2)]);
    let beyond = bench.range("a.parquet", 20_000..1 << 40).await.unwrap();
    assert_eq!(beyond, whole[20_000..], "a range ends where the object ends");
    assert_eq!(bench.peer.asked(), []);
    assert_eq!(bench.range("b.parquet", 0..5000).await.unwrap(), other[..5000]);
    assert_eq!(bench.peer.asked().len(), 1);
    bench.settle().await;
    let figures = bench.cache.figures();
    assert_eq!((figures.misses, figures.hits, figures.held_blocks), (8, 3 + 3 + 2, 8));
    assert_eq!(figures.miss_bytes, 5 * BLOCK + 100 + 2 * BLOCK);
}

// Goal: who wants to know is told of the blocks of its own reads, whatever others read meanwhile. Method: a cold read and a warm one of
// an object through stores that tell, the warm one beside readers of two other objects, to one of whom nobody
// listens.
#[tokio::test]
async fn a_reader_is_told_of_its_own_blocks() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(9));
    for path in ["a.parquet", "b.parquet", "c.parquet"] {
        bench.put(path, 3 * BLOCK, &rng).await;
    }
    let read = async |path: &str| {
        let at_hand = Arc::new(AtHand::default());
        let store = bench.cache.telling("bucket", bench.peer.clone(), Arc::clone(&at_hand));
        store.get_range(&Path::from(path), 10..2 * BLOCK + 10).await.unwrap();
        at_hand.figures()
    };
    let cold = read("a.parquet").await;
    assert_eq!((cold.blocks, cold.blocks_joined), (Found { kept: 0, read: 3 }, 0));
    bench.settle().await;
    let (warm, other, unheard) = tokio::join!(read("a.parquet"), read("b.parquet"), bench.range("c.parquet", 0..10));
    unheard.unwrap();
    assert_eq!((warm.blocks, warm.blocks_joined), (Found { kept: 3, read: 0 }, 0));
    assert_eq!((other.blocks, other.blocks_joined), (Found { kept: 0, read: 3 }, 0));
    let figures = bench.cache.figures();
    assert_eq!((figures.misses, figures.hits, figures.joined), (7, 3, 0));
}

// Goal: neighbours that are missing come in requests of a bounded size, and what is kept between them is not asked for again. Method:
// one block in the middle first, then everything.
#[tokio::test]
async fn only_what_is_missing_is_asked_for() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(6));
    let whole = bench.put("a.parquet", 30 * BLOCK, &rng).await;
    bench.range("a.parquet", 20 * BLOCK..20 * BLOCK + 1).await.unwrap();
    bench.settle().await;
    bench.peer.asked();
    assert_eq!(bench.range("a.parquet", 0..30 * BLOCK).await.unwrap(), whole);
    let mut asked: Vec<_> = bench.peer.asked().into_iter().map(|(_, range)| range).collect();
    asked.sort_by_key(|range| range.start);
    let blocks = |from: u64, to: u64| from * BLOCK..to * BLOCK;
    assert_eq!(
        asked,
        [
            blocks(0, 8),
            blocks(8, 16),
            blocks(16, 20),
            blocks(21, 29),
            blocks(29, 30)
        ]
    );
}

// Goal: what is not a part of a data file passes by: metadata, whole files, looks at a file, conditions. Method: each of them two times;
// the store is asked two times, and nothing lies on the disk.
#[tokio::test]
async fn everything_else_passes_by() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(7));
    let (data, metadata) = (Path::from("a.parquet"), Path::from("a.avro"));
    bench.put("a.parquet", 3 * BLOCK, &rng).await;
    bench.put("a.avro", 3 * BLOCK, &rng).await;
    for _ in 0..2 {
        bench.store.get(&data).await.unwrap().bytes().await.unwrap();
        bench.store.head(&data).await.unwrap();
        bench.store.get_range(&metadata, 0..10).await.unwrap();
        let options = GetOptions {
            if_match: Some("*".into()),
            range: Some((0..10).into()),
            ..GetOptions::default()
        };
        bench.store.get_opts(&data, options).await.unwrap();
    }
    bench.settle().await;
    assert_eq!(bench.peer.calls(), 8);
    assert_eq!(bench.files(), Vec::<PathBuf>::new());
}

// Goal: what was deleted is not kept, on the disk neither, and another object of its name is another one: when this process makes it, and
// when somebody else does. Method: delete through the cache, then a new object with other bytes; then a third behind the cache's back.
#[tokio::test]
async fn deleted_and_replaced_objects_are_let_go() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(8));
    let path = Path::from("a.parquet");
    bench.put("a.parquet", 3 * BLOCK, &rng).await;
    bench.range("a.parquet", 0..3 * BLOCK).await.unwrap();
    bench.settle().await;
    assert_eq!(bench.files().len(), 3);
    bench.store.delete(&path).await.unwrap();
    until(|| bench.files().is_empty()).await;
    assert_eq!(bench.cache.figures().held_bytes, 0);
    let gone = bench.range("a.parquet", 0..10).await;
    assert!(matches!(gone, Err(object_store::Error::NotFound { .. })), "{gone:?}");

    let second = bench.put("a.parquet", 3 * BLOCK, &rng).await;
    assert_eq!(
        bench.range("a.parquet", 0..BLOCK).await.unwrap(),
        second[..BLOCK as usize]
    );
    bench.settle().await;
    let third = bench.put("a.parquet", 3 * BLOCK, &rng).await;
    let found = bench.range("a.parquet", 0..3 * BLOCK).await.unwrap();
    assert_eq!(found, third, "blocks of two objects are never mixed");
    let again = bench.range("a.parquet", 0..3 * BLOCK).await.unwrap();
    assert_eq!(again, third);
}

// Goal: a store is wrapped where a cache is configured and it is remote, and nowhere else. Method: what stores of each kind are called.
#[tokio::test]
async fn only_remote_stores_are_wrapped() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = DiskCacheOptions {
        directory: directory.path().to_owned(),
        bytes_max: 1 << 20,
    };
    for (disk_cache, expected) in [(None, [false; 3]), (Some(on_disk), [true, false, false])] {
        let options = crate::StoreOptions {
            disk_cache,
            ..crate::StoreOptions::default()
        };
        let rng = Arc::new(SeededRng::new(1));
        let files = crate::FileStore::new(options, tidewater_core::SystemClock::shared(), rng);
        let is_wrapped = |location: &str| {
            let (_, store, _) = files.object_store(location).unwrap();
            let at = files.store_at(location).unwrap();
            assert_eq!(store.to_string(), at.to_string());
            store.to_string().starts_with("DiskCache(")
        };
        assert_eq!(["s3://bucket/a", "file:///a", "memory://a"].map(is_wrapped), expected);
        assert_eq!(files.disk_cache_figures().is_some(), expected[0]);
    }
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "nothing is made before it is used"
    );
}

// Goal: who found wrong bytes gets those of the store, and so does everybody after. Method: an object that is kept, asked for anew, and
// then as usual; the store counts.
#[tokio::test]
async fn what_is_read_anew_is_not_kept() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(6));
    let whole = bench.put("a.parquet", 2 * BLOCK, &rng).await;
    assert_eq!(bench.range("a.parquet", 0..10).await.unwrap(), whole[..10]);
    bench.settle().await;
    assert_eq!(bench.range("a.parquet", 5..20).await.unwrap(), whole[5..20]);
    assert_eq!((bench.peer.calls(), bench.cache.figures().held_blocks), (1, 1));
    let mut options = GetOptions {
        range: Some((0..10).into()),
        ..GetOptions::default()
    };
    options.extensions.insert(ReadAnew);
    let read = bench.store.get_opts(&Path::from("a.parquet"), options).await.unwrap();
    assert_eq!(read.bytes().await.unwrap(), whole[..10]);
    assert_eq!((bench.peer.calls(), bench.cache.figures().held_blocks), (2, 0));
    assert_eq!(bench.range("a.parquet", 5..20).await.unwrap(), whole[5..20]);
    assert_eq!(bench.peer.calls(), 3);
}
