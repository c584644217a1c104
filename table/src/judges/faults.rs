//! Writers and readers over a store that fails.

use std::sync::Arc;
use std::time::Duration;

use super::history::History;
use super::lake::{Lake, Operation};
use crate::testing::Fault as CatalogFault;
use crate::testing::weather::{Fault, Weather};
use crate::{FileStore, StoreOptions, TableError, expire};
use tidewater_core::{Coded, ErrorKind, Rng, SeededRng, SystemClock};

/// Calls of the store; `TIDEWATER_STORE_CALLS` asks for more.
const CALLS: u64 = 8_000;

/// Longest time that one operation may take: a store that fails at once makes nobody wait.
const OPERATION_MAX: Duration = Duration::from_secs(20);

fn calls_wanted() -> u64 {
    let asked = std::env::var("TIDEWATER_STORE_CALLS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(CALLS)
}

/// Caches so small that every look goes to the store.
fn uncached() -> StoreOptions {
    StoreOptions {
        manifest_cache_bytes: 0,
        delete_cache_bytes: 0,
        ..StoreOptions::default()
    }
}

/// Whether an operation may end like this while the store fails: told as what it is, and nothing was done.
fn is_told(error: &TableError) -> bool {
    match error {
        TableError::FileExists { .. }
        | TableError::Damaged { .. }
        | TableError::BytesChanged { .. }
        | TableError::Metadata { .. } => false,
        _ => matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict
        ),
    }
}

// Goal: a store that refuses, loses answers, cuts bodies off and is slow makes no row wrong, no commit half and no wait endless
// (R12). Method: one writer of all operations and a reader over such a store, by seed; every answer in a replay, every read against
// it while the storm goes on, and the whole table after it.
#[tokio::test]
async fn a_failing_store_makes_no_row_wrong() {
    for (seed, version) in [(1, "2"), (2, "3")] {
        let weather = Weather::new(seed);
        let rng = SeededRng::new(seed + 100);
        let clock = SystemClock::shared();
        let store = FileStore::over(
            weather.clone(),
            uncached(),
            clock.clone(),
            Arc::new(SeededRng::new(seed)),
        );
        let lake = Lake::beside(FileStore::system(), store, "memory://lake", version).await;
        let history = History::default();
        let (mut done, mut failed, mut unread) = (0_u64, 0_u64, 0_u64);
        weather.storm(true);
        for step in 0.. {
            if weather.calls() >= calls_wanted() / 2 {
                break;
            }
            if rng.below(20) == 0 {
                lake.catalog.inject([CatalogFault::AnswerLost]);
            }
            let operation = [
                Operation::Append,
                Operation::MergeCopying,
                Operation::MergeOnRead,
                Operation::Overwrite,
                Operation::Compact,
            ][rng.below(5) as usize];
            let begun = clock.monotonic();
            match lake.act(operation, &rng, step * 10).await {
                Ok(told) => {
                    history.note(&told);
                    done += 1;
                }
                Err(error) => {
                    assert!(is_told(&error), "{operation:?}: {error:?}");
                    failed += 1;
                }
            }
            let took = clock.monotonic() - begun;
            assert!(took < OPERATION_MAX, "{operation:?} took {took:?}");
            let table = lake.table().await;
            if let Some(head) = table.metadata.current_snapshot_id() {
                match lake.rows(&table.metadata, Some(head)).await {
                    Ok(rows) => history.read(head, rows),
                    Err(error) => {
                        assert!(is_told(&error), "a reader: {error:?}");
                        unread += 1;
                    }
                }
            }
            if rng.below(10) == 0 {
                // Its own failures leave files behind at worst.
                drop(expire(&lake.catalog, &lake.store, &lake.name, 10).await);
            }
        }
        weather.storm(false);
        let met = weather.met();
        println!(
            "format {version}: {done} done, {failed} failed, {unread} reads failed, {} reads, {met:?}",
            history.reads()
        );
        let every = [
            Fault::Refused,
            Fault::AnswerLost,
            Fault::Reset,
            Fault::Truncated,
            Fault::Slow,
        ];
        assert!(
            every.iter().all(|fault| met.get(fault) >= Some(&3)),
            "faults that did not fire: {met:?}"
        );
        assert!(
            done > 20 && failed > 20 && history.reads() > 20,
            "{done} done, {failed} failed"
        );
        let rows = history
            .replay()
            .unwrap_or_else(|wrong| panic!("format {version}: {wrong}"));
        let table = lake.table().await;
        assert_eq!(
            lake.rows(&table.metadata, None).await.expect("rows"),
            rows,
            "format {version}"
        );
    }
}
