//! Parts that end early, once and again, alone and with neighbours.

use std::sync::atomic::{AtomicU64, Ordering};

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use tidewater_core::{Coded, ErrorKind, Retry, SystemClock, SystemRng};

use super::*;
use crate::file_store::StoreOptions;
use crate::testing::{BUCKET, store_over};

/// Bytes that come of a body that is cut.
const LEFT: usize = 12;

/// A store in memory whose next parts of files end early, without a word.
#[derive(Debug, Default)]
struct Cutting {
    inner: InMemory,
    /// Answers that are cut yet.
    cuts: AtomicU64,
    asked: AtomicU64,
    /// Each answer is of another object.
    changes: bool,
}

impl fmt::Display for Cutting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cutting")
    }
}

#[async_trait]
impl ObjectStore for Cutting {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let found = self.inner.get_opts(path, options).await?;
        let (mut meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        if self.changes {
            meta.e_tag = Some(number.to_string());
        }
        let mut bytes = found.bytes().await?;
        let cuts = self
            .cuts
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |cuts| cuts.checked_sub(1));
        if cuts.is_ok() {
            bytes.truncate(LEFT);
        }
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::iter([Ok::<Bytes, Error>(bytes)]).boxed()),
            meta,
            range,
            attributes,
        })
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn path() -> Path {
    Path::from("a.parquet")
}

/// A file of 100 bytes, each of them its place.
fn whole() -> Bytes {
    (0..100_u8).collect()
}

/// A store that cuts so many answers, with the file.
async fn cutting(cuts: u64, changes: bool) -> Arc<Cutting> {
    let store = Cutting {
        cuts: AtomicU64::new(cuts),
        changes,
        ..Cutting::default()
    };
    store.inner.put(&path(), whole().into()).await.unwrap();
    Arc::new(store)
}

/// Some columns: one before the cut, one across it, and two behind it.
fn columns() -> Vec<Range<u64>> {
    vec![4..10, 10..30, 50..60, 90..100]
}

// Goal: a part of a file that ended early is gone on with, so that several columns that are read at once are right. Method: a store that
// cuts the first answer before the columns behind it; the bytes, and how often it was asked.
#[tokio::test]
async fn a_part_that_ends_early_is_gone_on_with() {
    let peer = cutting(1, false).await;
    let store = WholeParts::over(peer.clone());
    let read = store.get_ranges(&path(), &columns()).await.unwrap();
    let right: Vec<Bytes> = columns()
        .iter()
        .map(|range| whole().slice(range.start as usize..range.end as usize))
        .collect();
    assert_eq!(read, right);
    assert_eq!(peer.cuts.load(Ordering::SeqCst), 0);
    assert_eq!(peer.asked.load(Ordering::SeqCst), 2);

    for asked in [GetRange::Bounded(20..80), GetRange::Offset(20), GetRange::Suffix(80)] {
        peer.cuts.store(1, Ordering::SeqCst);
        let options = GetOptions {
            range: Some(asked),
            ..GetOptions::default()
        };
        let found = store.get_opts(&path(), options).await.unwrap();
        let range = found.range.clone();
        assert_eq!(
            found.bytes().await.unwrap(),
            whole().slice(range.start as usize..range.end as usize)
        );
        assert_eq!((range.start, peer.cuts.load(Ordering::SeqCst)), (20, 0));
    }
}

// Goal: what ends early again, or is of another object by then, is an error and neither short nor a panic. Method: stores that cut every
// answer, and one whose object changes; one part and several.
#[tokio::test]
async fn a_part_that_stays_short_is_an_error() {
    for (cuts, changes) in [(u64::MAX, false), (1, true)] {
        let peer = cutting(cuts, changes).await;
        let store = WholeParts::over(peer.clone());
        let several = store.get_ranges(&path(), &columns()).await;
        assert!(matches!(several, Err(Error::Generic { .. })), "{several:?}");
        peer.cuts.store(cuts, Ordering::SeqCst);
        let one = store.get_range(&path(), 0..50).await;
        assert!(matches!(one, Err(Error::Generic { .. })), "{one:?}");
    }
}

// Goal: whoever reads files is told that the store failed and that the call is safe to send again. Method: parts of a file in memory and of
// one in a bucket, of a store that cuts every answer.
#[tokio::test]
async fn files_tell_that_the_store_failed() {
    let peer = cutting(u64::MAX, false).await;
    let files = store_over(
        peer,
        StoreOptions::default(),
        SystemClock::shared(),
        SystemRng::shared(),
    );
    for location in ["memory://a.parquet".to_owned(), format!("s3://{BUCKET}/a.parquet")] {
        let error = files.get_range(&location, 0..50).await.unwrap_err();
        assert_eq!(
            (error.code(), error.kind(), error.retry()),
            ("TBL-0004", ErrorKind::Unavailable, Retry::Safe),
            "{error:?}"
        );
    }
}

// Goal: where a file really ends, one of several ranges is answered as if it were asked for alone. Method: ranges across its end and behind
// it, against a request of each.
#[tokio::test]
async fn ranges_end_where_the_file_does() {
    let store = WholeParts::over(cutting(0, false).await);
    let across = store.get_ranges(&path(), &[90..95, 96..120]).await.unwrap();
    assert_eq!(across, [whole().slice(90..95), whole().slice(96..100)]);
    for beyond in [100..101, 120..130] {
        let alone = store.get_range(&path(), beyond.clone()).await;
        let among = store.get_ranges(&path(), &[90..95, beyond.clone()]).await;
        assert!(alone.is_err() && among.is_err(), "{beyond:?}: {alone:?}, {among:?}");
    }
    assert_eq!(store.get_ranges(&path(), &[]).await.unwrap(), Vec::<Bytes>::new());
}
