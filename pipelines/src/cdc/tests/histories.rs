//! Tables of kind `cdc` against a naive map, over random histories of a source.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use tidewater_table::Change;

use super::{
    FILTER, MODEL, SILVER, SOFT_DELETE, commit_at_head, delete_rows_of, lake_of, log_files, roll_back, run, run_full,
    silver_head,
};
use crate::Mode;
use crate::testing::{Lake, change};

/// What happened in the source database.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Insert {
        id: i64,
        score: i64,
        notes: u8,
    },
    /// The long text did not change, so the log leaves it out.
    Update {
        id: i64,
        score: i64,
    },
    UpdateAll {
        id: i64,
        score: i64,
        notes: u8,
    },
    Delete {
        id: i64,
    },
    Rename {
        from: i64,
        to: i64,
    },
    Truncate,
}

pub(super) fn deed() -> impl Strategy<Value = Deed> {
    let id = 0..5_i64;
    prop_oneof![
        6 => (id.clone(), 0..100_i64, any::<u8>()).prop_map(|(id, score, notes)| Deed::Insert { id, score, notes }),
        6 => (id.clone(), 0..100_i64).prop_map(|(id, score)| Deed::Update { id, score }),
        2 => (id.clone(), 0..100_i64, any::<u8>()).prop_map(|(id, score, notes)| Deed::UpdateAll { id, score, notes }),
        4 => id.clone().prop_map(|id| Deed::Delete { id }),
        2 => (id.clone(), id).prop_map(|(from, to)| Deed::Rename { from, to }),
        1 => Just(Deed::Truncate),
    ]
}

/// One record of the log, before it has an offset.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// None: the source tells none.
    lsn: Option<i64>,
    op: &'static str,
    id: i64,
    score: i64,
    /// None: left out.
    notes: Option<String>,
    /// A delete that tells its key in the message key only.
    key_only: bool,
}

impl Record {
    pub(super) fn event(&self, offset: i64) -> Value {
        if self.op == "t" {
            return json!({"op": "t", "_lsn": self.lsn, "_offset": offset, "_kafka_partition": 3});
        }
        let mut event = change(self.op, 0, offset, self.id, self.score, self.notes.as_deref());
        event["_lsn"] = json!(self.lsn);
        if self.notes.is_none() && self.op == "u" {
            event["_unavailable"] = json!(["notes"]);
        }
        if self.key_only {
            event["before"] = Value::Null;
        }
        event
    }
}

/// The log of a database in which these things happened.
pub(super) fn log(deeds: &[Deed]) -> Vec<Record> {
    let mut rows: BTreeMap<i64, (i64, String)> = BTreeMap::new();
    let mut log = Vec::new();
    for (at, deed) in deeds.iter().enumerate() {
        let lsn = 100 + 10 * at as i64;
        let mut tell = |op, id, score, notes: Option<&str>| {
            let notes = notes.map(str::to_owned);
            log.push(Record {
                lsn: Some(lsn),
                op,
                id,
                score,
                notes,
                key_only: lsn % 20 == 0 && op == "d",
            });
        };
        match deed {
            Deed::Insert { id, score, notes } if !rows.contains_key(id) => {
                let notes = format!("n{notes}");
                tell("c", *id, *score, Some(&notes));
                rows.insert(*id, (*score, notes));
            }
            Deed::Update { id, score } | Deed::Insert { id, score, .. } => {
                if let Some(row) = rows.get_mut(id) {
                    row.0 = *score;
                    tell("u", *id, *score, None);
                }
            }
            Deed::UpdateAll { id, score, notes } => {
                if let Some(row) = rows.get_mut(id) {
                    *row = (*score, format!("m{notes}"));
                    tell("u", *id, *score, Some(&row.1));
                }
            }
            Deed::Delete { id } => {
                if rows.remove(id).is_some() {
                    tell("d", *id, 0, None);
                }
            }
            Deed::Rename { from, to } => {
                if !rows.contains_key(to)
                    && let Some(row) = rows.remove(from)
                {
                    tell("d", *from, 0, None);
                    tell("c", *to, row.0, Some(&row.1));
                    rows.insert(*to, row);
                }
            }
            Deed::Truncate => {
                tell("t", 0, 0, None);
                rows.clear();
            }
        }
    }
    log
}

/// The log of a source that tells no lsn: its records stand in the order they are told in.
fn without_lsn(mut log: Vec<Record>) -> Vec<Record> {
    for record in &mut log {
        record.lsn = None;
    }
    log
}

/// How rows are erased from the log before they were read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Erasure {
    /// By delete files beside the file that brought them.
    Beside,
    /// The same after a compaction wrote that file anew.
    BesideCompacted,
    /// After such a compaction its file is written anew without them.
    CopyCompacted,
}

impl Erasure {
    /// Erases these rows of the file that brought `events`, the newest.
    pub(super) async fn erase(self, lake: &Lake, events: &[Value], gone: &BTreeSet<usize>) {
        if !matches!(self, Self::Beside) {
            let change = Change::replace([newest_path(lake).await], lake.write("bronze.patients", events).await);
            commit_at_head(lake, change).await;
        }
        let kept = events.iter().enumerate().filter(|(at, _)| !gone.contains(at));
        let kept: Vec<Value> = kept.map(|(_, event)| event.clone()).collect();
        if matches!(self, Self::CopyCompacted) && !kept.is_empty() {
            let change = Change::overwrite([newest_path(lake).await], lake.write("bronze.patients", &kept).await);
            commit_at_head(lake, change).await;
        } else {
            let gone: Vec<u64> = gone.iter().map(|at| *at as u64).collect();
            let newest = log_files(lake).await.pop().expect("a file");
            delete_rows_of(lake, newest, &gone).await;
        }
    }
}

async fn newest_path(lake: &Lake) -> String {
    log_files(lake).await.pop().expect("a file").path
}

/// The naive way: all records seen so far, in the order of the source, one after the other. Rows that `shows` does not want are there,
/// and not to be seen.
pub(super) fn naive(seen: &[(i64, Record)], shows: fn(i64) -> bool) -> Vec<String> {
    let mut ordered: Vec<&(i64, Record)> = seen.iter().collect();
    ordered.sort_by_key(|(offset, record)| (record.lsn, *offset));
    let mut rows: BTreeMap<i64, (i64, Option<String>)> = BTreeMap::new();
    for (_, record) in ordered {
        match record.op {
            "t" => rows.clear(),
            "d" => {
                rows.remove(&record.id);
            }
            _ => {
                let old = rows.get(&record.id).and_then(|row| row.1.clone());
                rows.insert(record.id, (record.score, record.notes.clone().or(old)));
            }
        }
    }
    rows.iter()
        .filter(|(_, (score, _))| shows(*score))
        .map(|(id, (score, notes))| format!("{id},{score},{}", notes.clone().unwrap_or_default()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    // Goal: silver is what the log says, whatever came when, whatever rows the model hides, though it was rolled back and though records
    // were erased before they were read. Method: random histories with records repeated and moved, cut into random batches, of which
    // some are written anew and some records erased; silver goes back to older snapshots in between; after each batch silver against a
    // naive map of all records seen; at the end a full refresh too.
    #[test]
    fn silver_equals_a_naive_map(
        deeds in prop::collection::vec(deed(), 1..24),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
        repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        cuts in prop::collection::vec(1..7_usize, 1..8),
        with_lsn in prop::bool::weighted(0.7),
        model in prop::sample::select(vec![MODEL, FILTER, SOFT_DELETE]),
        rollbacks in prop::collection::vec(prop::option::weighted(0.25, any::<prop::sample::Index>()), 1..8),
        erasures in prop::collection::vec(prop::option::weighted(0.25, (
            prop::sample::select(vec![Erasure::Beside, Erasure::BesideCompacted, Erasure::CopyCompacted]),
            prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        )), 1..8),
    ) {
        let mut records = log(&deeds);
        if !with_lsn {
            records = without_lsn(records);
        }
        prop_assume!(!records.is_empty());
        for (from, to) in &moves {
            let record = records.remove(from.index(records.len()));
            records.insert(to.index(records.len() + 1), record);
        }
        for repeat in &repeats {
            let record = records[repeat.index(records.len())].clone();
            records.push(record);
        }
        let records: Vec<(i64, Record)> = records.into_iter().enumerate().map(|(at, r)| (at as i64, r)).collect();
        let shows: fn(i64) -> bool = if model == MODEL { |_| true } else { |score| score < 60 };

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let (lake, pipelines) = lake_of(model).await;
            let (mut read, mut seen, mut cut) = (0, Vec::new(), cuts.iter().cycle());
            let (mut rollback, mut erasure) = (rollbacks.iter().cycle(), erasures.iter().cycle());
            let mut snapshots: Vec<i64> = Vec::new();
            while read < records.len() {
                if let (Some(to), false) = (rollback.next().expect("endless"), snapshots.is_empty()) {
                    snapshots.truncate(to.index(snapshots.len()) + 1);
                    roll_back(&lake, *snapshots.last().expect("one")).await;
                }
                let until = records.len().min(read + cut.next().expect("endless"));
                let batch = &records[read..until];
                let events: Vec<Value> = batch.iter().map(|(offset, r)| r.event(*offset)).collect();
                lake.append("bronze.patients", &events).await;
                let mut gone = BTreeSet::new();
                if let Some((how, which)) = erasure.next().expect("endless") {
                    gone.extend(which.iter().map(|index| index.index(events.len())));
                    how.erase(&lake, &events, &gone).await;
                }
                let kept = batch.iter().enumerate().filter(|(at, _)| !gone.contains(at));
                seen.extend(kept.map(|(_, record)| record.clone()));
                let run = run(&pipelines).await;
                prop_assert_eq!(run.mode, if read == 0 { Mode::Full } else { Mode::Incremental });
                read = until;
                snapshots.push(silver_head(&lake).await);
                prop_assert_eq!(lake.lines(SILVER).await, naive(&seen, shows), "after {} of {:?}", read, records);
            }
            run_full(&pipelines).await;
            prop_assert_eq!(lake.lines(SILVER).await, naive(&seen, shows), "full refresh of {:?}", records);
            Ok(())
        });
        outcome?;
    }
}
