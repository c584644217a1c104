//! With the cache everything reads as without, and the bound holds.

use std::ops::Range;

use futures::StreamExt;
use object_store::{GetOptions, GetRange, GetResult};

use super::*;

/// Rounds of a seed.
const STEPS: usize = 800;

const PATHS: [&str; 6] = [
    "a.parquet",
    "b.parquet",
    "x/a.parquet",
    "c.puffin",
    "d.avro",
    "never.parquet",
];

fn some_range(rng: &SeededRng, length: u64) -> Range<u64> {
    let at = rng.below(length + BLOCK);
    // Now and then empty, and often beyond the end.
    at..at + rng.below([2, BLOCK, 4 * BLOCK, 40 * BLOCK][rng.below(4) as usize])
}

/// All that can be seen of an answer.
async fn seen(answer: object_store::Result<GetResult>) -> Result<(Bytes, Range<u64>, u64, Option<String>), String> {
    let answer = answer.map_err(kind)?;
    let (range, meta) = (answer.range.clone(), answer.meta.clone());
    let bytes = answer.bytes().await.map_err(kind)?;
    Ok((bytes, range, meta.size, meta.e_tag))
}

fn kind(error: object_store::Error) -> String {
    match error {
        object_store::Error::NotFound { .. } => "not found".into(),
        object_store::Error::Generic { .. } => "generic".into(),
        other => format!("{other:?}"),
    }
}

// Goal: whatever is asked for in whatever order, the answer is the store's, errors as well, and what lies on the disk never exceeds the
// bound and is what the cache says. Method: random reads of every kind, deletions and new objects under old names against the bare store,
// by seed, with room for a few blocks, for some, and for all.
#[tokio::test]
async fn answers_are_the_stores() {
    for (seed, blocks_max) in [(1, 3), (2, 17), (3, 400)] {
        let (bench, rng) = (Bench::new(blocks_max * ROOM), SeededRng::new(seed));
        let mut lengths = [0; PATHS.len()];
        for step in 0..STEPS {
            let at = rng.below(PATHS.len() as u64) as usize;
            let (path, length) = (Path::from(PATHS[at]), lengths[at]);
            if rng.below(if length == 0 { 3 } else { 100 }) == 0 && PATHS[at] != "never.parquet" {
                // There may be none.
                drop(bench.store.delete(&path).await);
                lengths[at] = rng.below(30 * BLOCK);
                bench.put(PATHS[at], lengths[at], &rng).await;
            }
            let length = lengths[at];
            if rng.below(4) == 0 {
                let ranges = (0..rng.below(5)).map(|_| some_range(&rng, length));
                // `object_store` panics where one of several begins beyond the end.
                let ranges: Vec<_> = ranges.filter(|range| range.start < length).collect();
                let found = bench.store.get_ranges(&path, &ranges).await.map_err(kind);
                let right = bench.peer.get_ranges(&path, &ranges).await.map_err(kind);
                assert_eq!(found, right, "seed {seed}, step {step}: {path} {ranges:?} of {length}");
            } else {
                let range = match rng.below(8) {
                    0 => None,
                    1 => Some(GetRange::Offset(rng.below(length + 10))),
                    2 => Some(GetRange::Suffix(rng.below(length + 10))),
                    _ => Some(some_range(&rng, length).into()),
                };
                let options = GetOptions {
                    range,
                    head: rng.below(20) == 0,
                    ..GetOptions::default()
                };
                let found = seen(bench.store.get_opts(&path, options.clone()).await).await;
                let right = seen(bench.peer.get_opts(&path, options.clone()).await).await;
                assert_eq!(found, right, "seed {seed}, step {step}: {path} {options:?} of {length}");
            }
            if rng.below(10) == 0 {
                bench.settle().await;
                let figures = bench.cache.figures();
                let on_disk = || -> u64 {
                    let length = |file: &PathBuf| std::fs::metadata(file).map_or(0, |found| found.len());
                    bench.files().iter().map(|file| Index::charge(length(file))).sum()
                };
                assert!(figures.held_bytes <= blocks_max * ROOM, "{figures:?}");
                // Those of deleted objects go by and by.
                until(|| on_disk() == figures.held_bytes).await;
            }
        }
        let figures = bench.cache.figures();
        println!("room for {blocks_max}: {figures:?}");
        assert!(figures.hits > 20 && figures.misses > 50, "{figures:?}");
        assert!(blocks_max > 17 || figures.evicted > 50, "{figures:?}");
        assert_eq!((figures.errors, figures.damaged), (0, 0));
    }
}

// Goal: the bound holds and answers are right while many read at once, on several threads. Method: sixteen readers of random ranges over
// room for a tenth of the objects; each answer compared, the disk looked at when all is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_bound_holds_under_load() {
    let (bench, rng) = (Bench::new(20 * ROOM), SeededRng::new(9));
    let whole = bench.put("a.parquet", 200 * BLOCK, &rng).await;
    for round in 0..5 {
        let reads = (0..16_u64).map(|reader| {
            let (store, whole) = (Arc::clone(&bench.store), whole.clone());
            let rng = SeededRng::new(100 * round + reader);
            async move {
                for _ in 0..20 {
                    let from = rng.below(200 * BLOCK - 1);
                    let to = (from + 1 + rng.below(5 * BLOCK)).min(200 * BLOCK);
                    let found = store.get_range(&Path::from("a.parquet"), from..to).await.unwrap();
                    assert_eq!(found, whole[from as usize..to as usize]);
                }
            }
        });
        let tasks = tidewater_core::Tasks::new("readers");
        let handles = reads.map(|read| tasks.spawn("reader", read)).collect::<Vec<_>>();
        assert!(
            futures::stream::iter(handles)
                .all(|handle| async move { handle.await.is_ok() })
                .await
        );
        assert!(!tasks.token().is_cancelled(), "a reader failed");
        bench.settle().await;
        let figures = bench.cache.figures();
        let files = bench.files();
        let length = |file: &PathBuf| std::fs::metadata(file).unwrap().len();
        let on_disk: u64 = files.iter().map(|file| Index::charge(length(file))).sum();
        assert_eq!((files.len() as u64, on_disk), (figures.held_blocks, figures.held_bytes));
        assert!(on_disk <= 20 * ROOM, "{figures:?}");
    }
    let figures = bench.cache.figures();
    assert!(figures.evicted > 200 && figures.hits > 50, "{figures:?}");
    assert_eq!((figures.errors, figures.damaged), (0, 0));
}
