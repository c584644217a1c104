//! Several who want the same block at once.

use futures::future::join_all;
use futures::{FutureExt, poll};

use super::*;

// Goal: who asks for a block that is asked for already waits for the same answer, also after it came and before it is on the disk.
// Method: a store that is shut until eight readers of overlapping ranges stand before it; requests counted.
#[tokio::test]
async fn concurrent_misses_ask_once() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(11));
    let whole = bench.put("a.parquet", 8 * BLOCK, &rng).await;
    bench.peer.shut(true);
    let reads = join_all((0..8).map(|n| bench.range("a.parquet", n * 100..3 * BLOCK + n)));
    let (answers, ()) = tokio::join!(reads, async { bench.peer.shut(false) });
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), whole[n * 100..3 * BLOCK as usize + n]);
    }
    let asked = bench.peer.asked();
    let expected = [0..3 * BLOCK, 3 * BLOCK..4 * BLOCK].map(|range| ("a.parquet".to_owned(), range));
    assert_eq!(asked, expected, "the fourth block is wanted by the second reader first");
    assert_eq!(bench.range("a.parquet", 0..10).await.unwrap(), whole[..10]);
    assert_eq!(bench.peer.asked(), [], "what waits for the disk is there");
    assert!(bench.cache.figures().joined >= 7);
}

// Goal: who goes away takes nobody's answer along. Method: the first of two readers is dropped while the store is shut; the second gets
// its answer from the request that was made. Then both are dropped: a third asks anew.
#[tokio::test]
async fn who_waits_does_not_need_who_asked() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(12));
    let whole = bench.put("a.parquet", 3 * BLOCK, &rng).await;
    bench.peer.shut(true);
    let mut first = bench.range("a.parquet", 0..BLOCK).boxed();
    let mut second = bench.range("a.parquet", 5..BLOCK).boxed();
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    drop(first);
    bench.peer.shut(false);
    assert_eq!(second.await.unwrap(), whole[5..BLOCK as usize]);
    assert_eq!(bench.peer.calls(), 1);

    bench.peer.shut(true);
    let mut given_up = bench.range("a.parquet", BLOCK..2 * BLOCK).boxed();
    assert!(poll!(&mut given_up).is_pending());
    drop(given_up);
    assert!(bench.cache.state().pending.keys().all(|(_, number)| *number != 1));
    bench.peer.shut(false);
    let third = bench.range("a.parquet", BLOCK..2 * BLOCK).await.unwrap();
    assert_eq!(third, whole[BLOCK as usize..2 * BLOCK as usize]);
    assert_eq!(bench.peer.calls(), 3);
    bench.settle().await;
    assert!(bench.cache.state().pending.is_empty());
}

// Goal: an error of the store is everybody's who waited, of its kind, and nobody's later. Method: a store that fails while two wait, and
// one that has no such object; then one that works.
#[tokio::test]
async fn errors_are_told_to_all_and_not_kept() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(13));
    let whole = bench.put("a.parquet", BLOCK, &rng).await;
    bench.peer.shut(true);
    bench.peer.fail(true);
    let reads = join_all((0..2).map(|_| bench.range("a.parquet", 0..10)));
    let (answers, ()) = tokio::join!(reads, async { bench.peer.shut(false) });
    for answer in answers {
        let error = answer.unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("503"), "{error:?}");
    }
    assert_eq!(bench.peer.calls(), 1);
    bench.peer.fail(false);
    assert_eq!(bench.range("a.parquet", 0..10).await.unwrap(), whole[..10]);
    let missing = bench.range("none.parquet", 0..10).await;
    assert!(
        matches!(missing, Err(object_store::Error::NotFound { .. })),
        "{missing:?}"
    );
}

// Goal: what is deleted while it is on its way is not kept. Method: a deletion between the store's answer being asked for and given.
#[tokio::test]
async fn what_is_deleted_meanwhile_is_not_kept() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(14));
    bench.put("a.parquet", BLOCK, &rng).await;
    bench.peer.shut(true);
    let mut read = bench.range("a.parquet", 0..10).boxed();
    assert!(poll!(&mut read).is_pending());
    bench.cache.forget("bucket/a.parquet");
    bench.peer.shut(false);
    read.await.unwrap();
    bench.settle().await;
    let figures = bench.cache.figures();
    assert_eq!((figures.misses, figures.held_blocks, figures.held_bytes), (1, 0, 0));
    assert_eq!(bench.files(), Vec::<PathBuf>::new());
}

// Goal: a disk that does not keep up holds nobody up. Method: all places of those who wait for it are taken; a read ends, and is counted.
#[tokio::test]
async fn a_slow_disk_is_not_waited_for() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(15));
    let whole = bench.put("a.parquet", 4 * BLOCK, &rng).await;
    let all = bench.cache.inner.writes.acquire_many(WRITES_MAX as u32).await.unwrap();
    assert_eq!(bench.range("a.parquet", 0..4 * BLOCK).await.unwrap(), whole);
    drop(all);
    bench.settle().await;
    let figures = bench.cache.figures();
    assert_eq!((figures.unkept, figures.held_blocks), (4, 0));
    assert!(bench.cache.state().pending.is_empty());
}
