//! Rows that are erased from a log after a compaction wrote them anew and before a model read them.

use std::collections::BTreeSet;

use serde_json::Value;
use tidewater_table::Change;

use super::histories::Erasure;
use super::{SILVER, commit_at_head, lake, log_files, run, run_full};
use crate::Mode;
use crate::testing::change;

// Goal: what was erased before it was read is not applied, whatever wrote its file anew before. Method: a batch of two rows of which one is
// erased in each way; the other one, and those of a batch behind it, are there.
#[tokio::test]
async fn rows_erased_behind_a_compaction_are_not_applied() {
    for how in [Erasure::Beside, Erasure::BesideCompacted, Erasure::CopyCompacted] {
        let (lake, pipelines) = lake().await;
        lake.append("bronze.patients", &[change("c", 1, 0, 1, 1, Some("a"))])
            .await;
        run(&pipelines).await;
        let events = [change("c", 2, 1, 2, 2, Some("b")), change("c", 3, 2, 3, 3, Some("c"))];
        lake.append("bronze.patients", &events).await;
        how.erase(&lake, &events, &BTreeSet::from([0])).await;
        lake.append("bronze.patients", &[change("c", 4, 3, 4, 4, Some("d"))])
            .await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        assert_eq!(lake.lines(SILVER).await, ["1,1,a", "3,3,c", "4,4,d"], "{how:?}");
        run_full(&pipelines).await;
        assert_eq!(lake.lines(SILVER).await, ["1,1,a", "3,3,c", "4,4,d"], "{how:?}");
    }
}

// Goal: a compaction that puts rows that were read beside rows that were not, and an erasure in what it wrote, lose and double nothing.
// Method: one file of all rows, of which one of each kind is erased: what was read stays applied.
#[tokio::test]
async fn read_and_unread_rows_in_one_file() {
    let (lake, pipelines) = lake().await;
    let old = [change("c", 1, 0, 1, 1, Some("a")), change("c", 2, 1, 2, 2, Some("b"))];
    lake.append("bronze.patients", &old).await;
    run(&pipelines).await;
    let new = [change("u", 3, 2, 2, 9, Some("z")), change("c", 4, 3, 3, 3, Some("c"))];
    lake.append("bronze.patients", &new).await;
    let all: Vec<Value> = old.iter().chain(&new).cloned().collect();
    let paths: Vec<String> = log_files(&lake).await.into_iter().map(|file| file.path).collect();
    let compacted = Change::replace(paths, lake.write("bronze.patients", &all).await);
    commit_at_head(&lake, compacted).await;
    Erasure::Beside.erase(&lake, &all, &BTreeSet::from([0, 3])).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,1,a", "2,9,z"]);
    run_full(&pipelines).await;
    assert_eq!(lake.lines(SILVER).await, ["2,9,z"]);
}
