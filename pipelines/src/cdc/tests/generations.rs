//! Tables of kind `cdc` that go back to before a full refresh, whose tombstones are not theirs.

use proptest::prelude::*;
use serde_json::Value;
use tidewater_table::{Catalog, Change, expire, rollback_to_snapshot};

use super::histories::{Record, deed, log, naive};
use super::{FILTER, MODEL, SILVER, SOFT_DELETE, lake_of, roll_back, run, run_full, silver_head};
use crate::testing::{Lake, change, table_name};
use crate::{Mode, ModelRun, Pipelines};

const GRAVES: &str = "ops.tombstones__silver__patients";
const NOT_THEIRS: &str = "its tombstones are not those of its rows: the table was rolled back, or they were dropped";

fn of_text(lake: &Lake, text: &str) -> Pipelines {
    lake.pipelines(&[("silver.patients", text)])
}

fn is_refreshed(run: &ModelRun) {
    assert_eq!((run.mode, run.reason.as_str()), (Mode::Full, NOT_THEIRS));
}

// Goal: a row that the model hid stays hidden when its text was another one meanwhile, under which nothing was hidden. Method: the text is
// changed, which is a full refresh, then it and the table go back, and a change of before comes late.
#[tokio::test]
async fn what_was_buried_stays_so_when_a_text_is_reverted() {
    let (lake, pipelines) = lake_of(FILTER).await;
    let first = [change("c", 10, 0, 1, 1, Some("a")), change("c", 11, 1, 2, 2, Some("b"))];
    lake.append("bronze.patients", &first).await;
    run(&pipelines).await;
    lake.append("bronze.patients", &[change("u", 20, 2, 1, 70, Some("c"))])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    let head = silver_head(&lake).await;
    assert_eq!(run(&of_text(&lake, MODEL)).await.mode, Mode::Full);
    assert_eq!(lake.lines(SILVER).await, ["1,70,c", "2,2,b"]);
    assert!(lake.lines(&format!("SELECT id FROM {GRAVES}")).await.is_empty());

    roll_back(&lake, head).await;
    lake.append("bronze.patients", &[change("u", 15, 3, 1, 5, Some("late"))])
        .await;
    is_refreshed(&run(&pipelines).await);
    assert_eq!(lake.lines(SILVER).await, ["2,2,b"]);
    assert_eq!(run(&pipelines).await.mode, Mode::UpToDate);
    lake.append("bronze.patients", &[change("u", 30, 4, 2, 4, Some("d"))])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["2,4,d"]);
}

// Goal: what another text hid is not taken for deleted once it is reverted. Method: as above, the other way round: the change that was hidden
// is read for the first time after the table went back.
#[tokio::test]
async fn what_another_text_buried_is_not_missed() {
    let (lake, pipelines) = lake_of(MODEL).await;
    let first = [change("c", 10, 0, 1, 1, Some("a")), change("c", 11, 1, 2, 2, Some("b"))];
    lake.append("bronze.patients", &first).await;
    run(&pipelines).await;
    let head = silver_head(&lake).await;
    lake.append("bronze.patients", &[change("u", 20, 2, 1, 70, Some("c"))])
        .await;
    assert_eq!(run(&of_text(&lake, FILTER)).await.mode, Mode::Full);
    assert_eq!(lake.lines(SILVER).await, ["2,2,b"]);
    roll_back(&lake, head).await;
    is_refreshed(&run(&pipelines).await);
    assert_eq!(lake.lines(SILVER).await, ["1,70,c", "2,2,b"]);
}

// Goal: the tombstones of a full refresh are not believed of rows of before it, though the model's text is the same. Method: a rollback across
// one, of a row that is there again and of one that is not.
#[tokio::test]
async fn a_rollback_across_a_full_refresh() {
    for comes_again in [true, false] {
        let (lake, pipelines) = lake_of(MODEL).await;
        lake.append("bronze.patients", &[change("c", 10, 0, 1, 1, Some("a"))])
            .await;
        run(&pipelines).await;
        lake.append("bronze.patients", &[change("d", 20, 1, 1, 0, None)]).await;
        run(&pipelines).await;
        let head = silver_head(&lake).await;
        if comes_again {
            lake.append("bronze.patients", &[change("c", 30, 2, 1, 3, Some("again"))])
                .await;
        }
        run_full(&pipelines).await;
        roll_back(&lake, head).await;
        is_refreshed(&run(&pipelines).await);
        let wanted: &[&str] = if comes_again { &["1,3,again"] } else { &[] };
        assert_eq!(lake.lines(SILVER).await, wanted);
    }
}

// Goal: deletes are not forgotten with the table that remembers them. Method: it is dropped, and a change of before a delete comes late.
#[tokio::test]
async fn tombstones_are_dropped() {
    let (lake, pipelines) = lake_of(MODEL).await;
    let first = [change("c", 10, 0, 1, 1, Some("a")), change("d", 20, 1, 1, 0, None)];
    lake.append("bronze.patients", &first).await;
    run(&pipelines).await;
    Catalog::drop_table(lake.catalog.as_ref(), &table_name(GRAVES), false)
        .await
        .expect("a drop");
    lake.append("bronze.patients", &[change("u", 15, 2, 1, 5, Some("late"))])
        .await;
    is_refreshed(&run(&pipelines).await);
    assert!(lake.lines(SILVER).await.is_empty());
    assert_eq!(lake.lines(&format!("SELECT id, _lsn FROM {GRAVES}")).await, ["1,20"]);
}

// Goal: deletes are not forgotten where the table that remembers them goes back alone, and one that goes back together with the rows is right.
// Method: rollbacks to before the second of two deletes, then a change of before it comes late.
#[tokio::test]
async fn tombstones_are_rolled_back() {
    for together in [false, true] {
        let (lake, pipelines) = lake_of(MODEL).await;
        let first = [
            change("c", 10, 0, 1, 1, Some("a")),
            change("c", 11, 1, 2, 2, Some("b")),
            change("d", 12, 2, 2, 0, None),
        ];
        lake.append("bronze.patients", &first).await;
        run(&pipelines).await;
        let head = silver_head(&lake).await;
        let graves = table_name(GRAVES);
        let of_graves = lake.load(GRAVES).await.metadata.current_snapshot_id();
        lake.append("bronze.patients", &[change("d", 20, 3, 1, 0, None)]).await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        rollback_to_snapshot(
            lake.catalog.as_ref(),
            &lake.store,
            &graves,
            of_graves.expect("a snapshot"),
        )
        .await
        .expect("a rollback");
        if together {
            roll_back(&lake, head).await;
        }
        lake.append("bronze.patients", &[change("u", 15, 4, 1, 5, Some("late"))])
            .await;
        let refreshed = run(&pipelines).await;
        match together {
            true => assert_eq!(refreshed.mode, Mode::Incremental),
            false => is_refreshed(&refreshed),
        }
        assert!(lake.lines(SILVER).await.is_empty());
        let deleted = lake.lines(&format!("SELECT id, _lsn FROM {GRAVES} ORDER BY id")).await;
        assert_eq!(deleted, ["1,20", "2,12"]);
        assert_eq!(run(&pipelines).await.mode, Mode::UpToDate);
    }
}

// Goal: tombstones are still known for the model's own when a compaction came and all that was before it has expired. Method: a snapshot as
// compactions leave it, a run without deletes, an expiry of all but the newest one, and a late change.
#[tokio::test]
async fn compactions_and_expiries_leave_the_mark() {
    let (lake, pipelines) = lake_of(MODEL).await;
    let first = [change("c", 10, 0, 1, 1, Some("a")), change("d", 20, 1, 1, 0, None)];
    lake.append("bronze.patients", &first).await;
    run(&pipelines).await;
    lake.commit(GRAVES, &Change::append(Vec::new())).await;
    for (id, snapshots_count) in [(2, 3), (3, 3)] {
        lake.append("bronze.patients", &[change("c", 20 + id, id, id, 1, Some("b"))])
            .await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        assert_eq!(lake.load(GRAVES).await.metadata.snapshots().len(), snapshots_count);
    }
    let expired = expire(lake.catalog.as_ref(), &lake.store, &table_name(GRAVES), 1_u32).await;
    assert_eq!(expired.expect("an expiry").snapshots.len(), 2);
    lake.append("bronze.patients", &[change("u", 15, 4, 1, 5, Some("late"))])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["2,1,b", "3,1,b"]);
}

// Goal: a model of which nothing was deleted is not refreshed again and again, with and without a table of tombstones. Method: refreshes and
// increments in turn, also by a text that takes nothing for a delete.
#[tokio::test]
async fn nothing_was_deleted() {
    let (lake, pipelines) = lake_of(MODEL).await;
    for at in 0..3 {
        lake.append("bronze.patients", &[change("c", at, at, at, 1, Some("a"))])
            .await;
        run_full(&pipelines).await;
        assert_eq!(run(&pipelines).await.mode, Mode::UpToDate);
        lake.append("bronze.patients", &[change("u", 10 + at, 10 + at, at, 2, Some("b"))])
            .await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        if at == 0 {
            assert!(!lake.catalog_has(GRAVES).await);
            lake.append("bronze.patients", &[change("d", 20, 20, 9, 0, None)]).await;
            assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
            assert!(lake.catalog_has(GRAVES).await);
            // By this text nothing is: the table has rows before its first full refresh, and none before the second.
            let none = MODEL.replace("key: id\n", "key: id\ndelete_when: \"op = 'x'\"\n");
            let none = of_text(&lake, &none);
            for _ in 0..2 {
                run_full(&none).await;
                assert!(lake.lines(&format!("SELECT id FROM {GRAVES}")).await.is_empty());
                assert_eq!(run(&none).await.mode, Mode::UpToDate);
            }
        }
    }
    assert_eq!(lake.lines(SILVER).await, ["0,2,b", "1,2,b", "2,2,b"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    // Goal: silver is what the log says under the model's text of now, whatever the text was before and wherever silver was rolled back to.
    // Method: random histories with records moved, cut into random batches; before each one another text, and perhaps a rollback; after each
    // one silver against a naive map.
    #[test]
    fn silver_equals_a_naive_map_whatever_the_text_was(
        deeds in prop::collection::vec(deed(), 1..24),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
        cuts in prop::collection::vec(1..5_usize, 1..8),
        texts in prop::collection::vec(prop::sample::select(vec![MODEL, FILTER, SOFT_DELETE]), 1..8),
        rollbacks in prop::collection::vec(prop::option::weighted(0.5, any::<prop::sample::Index>()), 1..8),
    ) {
        let mut records = log(&deeds);
        prop_assume!(!records.is_empty());
        for (from, to) in &moves {
            let record = records.remove(from.index(records.len()));
            records.insert(to.index(records.len() + 1), record);
        }
        let records: Vec<(i64, Record)> = records.into_iter().enumerate().map(|(at, r)| (at as i64, r)).collect();

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let (lake, _) = lake_of(MODEL).await;
            let (mut cut, mut text) = (cuts.iter().cycle(), texts.iter().cycle());
            let (mut read, mut rollback) = (0, rollbacks.iter().cycle());
            let mut snapshots: Vec<i64> = Vec::new();
            while read < records.len() {
                if let (Some(to), false) = (rollback.next().expect("endless"), snapshots.is_empty()) {
                    snapshots.truncate(to.index(snapshots.len()) + 1);
                    roll_back(&lake, *snapshots.last().expect("one")).await;
                }
                let until = records.len().min(read + cut.next().expect("endless"));
                let events: Vec<Value> = records[read..until].iter().map(|(offset, r)| r.event(*offset)).collect();
                lake.append("bronze.patients", &events).await;
                let text = *text.next().expect("endless");
                run(&of_text(&lake, text)).await;
                read = until;
                snapshots.push(silver_head(&lake).await);
                let shows: fn(i64) -> bool = if text == MODEL { |_| true } else { |score| score < 60 };
                let rows = lake.lines(SILVER).await;
                prop_assert_eq!(rows, naive(&records[..read], shows), "{}: {} of {:?}", text, read, records);
            }
            Ok(())
        });
        outcome?;
    }
}
