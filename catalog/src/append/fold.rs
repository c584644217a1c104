//! Many appends become one snapshot.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use iceberg::TableUpdate;
use iceberg::spec::{PartitionSpecRef, Snapshot, TableMetadata};

use super::queue::{REQUESTS_PER_FOLD_MAX, Waiting};
use super::summary::{self, RANGES_KEY};
use super::{Append, Appended, known, overlap};
use crate::command::{AppendChange, Ident, Op, Outcome, ProducerRange, Refusal, TableChange};
use crate::commit::{Choice, RETRIES_MAX, Retention, TableWork, is_race};
use crate::error::{CatalogError, Result};
use crate::service::{Service, Ticket, find};
use crate::state::{AppendedRange, State, TableRow};
use tidewater_table::reachable::manifests_of;
use tidewater_table::{Added, Change, CommitOptions, FileStore, plan_append};

/// From the beginning of one snapshot to that of the next, at the least: at most fifty snapshots a second for one table. An append to a
/// table that was left alone as long does not wait.
const FOLD_INTERVAL: Duration = Duration::from_millis(20);

/// From the end of one to the next, at the least: those who were answered ask again within this, and would otherwise miss the next
/// snapshot and take turns with the others.
const GATHER: Duration = Duration::from_millis(5);

/// The table property that says how many snapshots made of appends are kept; 0 = all.
const KEEP_SNAPSHOTS: &str = "tidewater.append.keep-snapshots";

/// How many without it, as ingest has it for its own.
const KEEP_SNAPSHOTS_DEFAULT: u32 = 300;

/// So many more are let pass before those beyond are taken out: looking for them costs a walk through all of the metadata.
const TRIM_STEP: u32 = 100;

impl Service {
    /// Makes snapshots until nobody waits for one.
    pub(super) async fn fold_while_any_wait(&self, table: &Ident) {
        let mut begun = self.clock.monotonic();
        while let Some(batch) = self.appends.take(table) {
            // Who waits for an answer hears that it was broken off; the next ones get their turn.
            let folded = AssertUnwindSafe(self.fold(table, batch)).catch_unwind().await;
            if folded.is_err() {
                tracing::error!(%table, "a fold of appends panicked, see the lines above");
            }
            if self.appends.waiting(table) < REQUESTS_PER_FOLD_MAX {
                let rest = FOLD_INTERVAL.saturating_sub(self.clock.monotonic() - begun);
                self.clock.sleep(rest.max(GATHER)).await;
            }
            begun = self.clock.monotonic();
        }
    }

    async fn fold(&self, table: &Ident, mut open: Vec<Waiting>) {
        if let Err(error) = self.fold_all(table, &mut open).await {
            let error = Arc::new(error);
            for waiting in open {
                answer(waiting, Err(CatalogError::Shared(Arc::clone(&error))));
            }
        }
    }

    /// Answers all of them; those that are left in `open` when it fails are for the caller to answer.
    async fn fold_all(&self, table: &Ident, open: &mut Vec<Waiting>) -> Result<()> {
        let _turn = self.queue.turn([table]).await?;
        let mut attempt = 0;
        loop {
            let state = self.fresh_state().await?;
            let row = find(&state, table)?;
            let current = self.cache.load(&row.pointer.metadata_location).await?;
            let metadata = current.parsed_to_change(table)?;
            let fold = Fold::of(&state, row, &metadata, table, open);
            if open.is_empty() {
                return Ok(());
            }
            match self.commit_fold(&state, row, &metadata, fold).await? {
                Ok(appended) => {
                    for waiting in open.drain(..) {
                        answer(waiting, Ok(appended.clone()));
                    }
                    return Ok(());
                }
                Err(refusal) if attempt < RETRIES_MAX && is_raced(&refusal) => attempt += 1,
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// Others wrote the list of the head and its manifests: what lies outside of the warehouse is not read.
    async fn check_head(&self, store: &FileStore, metadata: &TableMetadata) -> Result<()> {
        let Some(head) = metadata.current_snapshot() else {
            return Ok(());
        };
        if head.manifest_list().is_empty() {
            return Err(CatalogError::Unsupported {
                what: "appending to a table whose snapshots have no manifest list".into(),
            });
        }
        self.warehouse.checked(head.manifest_list())?;
        let manifests = manifests_of(store, metadata, head)
            .await
            .map_err(|error| CatalogError::from_table(head.manifest_list(), error))?;
        manifests
            .iter()
            .try_for_each(|manifest| self.warehouse.checked(&manifest.manifest_path).map(drop))
    }

    async fn commit_fold(
        &self,
        state: &State,
        row: &TableRow,
        metadata: &TableMetadata,
        fold: Fold,
    ) -> Result<std::result::Result<Appended, Refusal>> {
        let store = self.table_files()?;
        self.check_head(store, metadata).await?;
        let Fold {
            ranges,
            added,
            mut properties,
        } = fold;
        properties.insert(RANGES_KEY.to_owned(), summary::named(&ranges)?);
        let change = Change {
            properties,
            ..Change::append(added)
        };
        let options = CommitOptions {
            keep_snapshots: kept(metadata),
            ..CommitOptions::default()
        };
        let plan = plan_append(store, metadata, &change, &options)
            .await
            .map_err(|error| CatalogError::from_table(&row.pointer.location, error))?;
        let mut updates = plan.updates;
        updates.iter_mut().for_each(|update| spare_others(update, metadata));
        let work = TableWork {
            table: row.name.clone(),
            requirements: Vec::new(),
            updates,
            may_rebase: false,
            choice: Choice::New,
            retention: Retention::Told,
        };
        let prepared = match self.prepare(state, &work).await {
            Ok(prepared) => prepared.beside(plan.written),
            Err(error) => {
                self.delete_unused(&plan.written).await;
                return Err(error);
            }
        };
        let (snapshot_id, sequence) = (plan.snapshot_id, plan.sequence);
        let to_op = |changes: Vec<TableChange>| match changes.into_iter().next() {
            Some(change) => Ok(Op::Append(AppendChange {
                change,
                snapshot_id,
                sequence,
                ranges,
            })),
            None => Err(CatalogError::internal("an append without a table")),
        };
        match self.publish(&Ticket::default(), vec![prepared], to_op).await? {
            Outcome::Committed(tables) => {
                let table = tables.into_iter().next();
                let table = table.ok_or_else(|| CatalogError::internal("an append that moved no table"))?;
                Ok(Ok(Appended {
                    snapshot_id,
                    sequence,
                    metadata_location: table.metadata_location,
                }))
            }
            Outcome::Refused(refusal) => Ok(Err(refusal)),
            other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
        }
    }
}

/// What one snapshot is made of.
#[derive(Debug, Default)]
struct Fold {
    ranges: Vec<ProducerRange>,
    added: Vec<Added>,
    properties: HashMap<String, String>,
}

impl Fold {
    /// Answers those whose range is there already or cannot be taken on this state, and gathers what the others bring. They stay in
    /// `open`, two with the same range as well, of which one brings its files.
    fn of(state: &State, row: &TableRow, metadata: &TableMetadata, table: &Ident, open: &mut Vec<Waiting>) -> Self {
        let (mut fold, mut trial) = (Self::default(), state.clone());
        let mut paths: BTreeSet<String> = BTreeSet::new();
        for waiting in std::mem::take(open) {
            match known(state, table, row.id, &waiting.append.range) {
                Ok(None) => {}
                Ok(Some(appended)) => {
                    answer(waiting, Ok(appended));
                    continue;
                }
                Err(error) => {
                    answer(waiting, Err(error));
                    continue;
                }
            }
            if fold.ranges.contains(&waiting.append.range) {
                open.push(waiting);
                continue;
            }
            let fits = still_fits(&waiting.append, row, metadata, table)
                .and_then(|()| not_twice(&waiting.append, &paths, table))
                .and_then(|()| take_range(&mut trial, row, table, &waiting.append.range));
            if let Err(error) = fits {
                answer(waiting, Err(error));
                continue;
            }
            let append = &waiting.append;
            paths.extend(append.files.iter().map(|added| added.file.file_path().to_owned()));
            fold.added.extend(append.files.iter().cloned());
            fold.ranges.push(append.range.clone());
            fold.properties.extend(append.summary.iter().cloned());
            open.push(waiting);
        }
        fold
    }
}

/// Whether looking at the state anew helps: it tells whose append does not fit, and spares the others.
fn is_raced(refusal: &Refusal) -> bool {
    is_race(refusal) || matches!(refusal, Refusal::AppendOverlap { .. } | Refusal::Full { .. })
}

/// Since the files were checked, the table may have become another one.
fn still_fits(append: &Append, row: &TableRow, metadata: &TableMetadata, table: &Ident) -> Result<()> {
    let has = |spec: &PartitionSpecRef| metadata.partition_spec_by_id(spec.spec_id()) == Some(spec);
    let is_same = append.table == row.id && append.location == row.pointer.location;
    match is_same && append.specs.iter().all(has) {
        true => Ok(()),
        false => Err(CatalogError::CommitFailed {
            table: table.clone(),
            reason: "the table, its location or its partition specs were replaced meanwhile".into(),
        }),
    }
}

/// Two producers that hand over one file would double its rows.
fn not_twice(append: &Append, paths: &BTreeSet<String>, table: &Ident) -> Result<()> {
    let mut of_append = append.files.iter().map(|added| added.file.file_path());
    match of_append.find(|path| paths.contains(*path)) {
        None => Ok(()),
        Some(path) => Err(CatalogError::bad_data_file(
            table,
            path,
            "another append at the same time names it".into(),
        )),
    }
}

/// What applying will say to the range, after those before it.
fn take_range(trial: &mut State, row: &TableRow, table: &Ident, range: &ProducerRange) -> Result<()> {
    let answer = AppendedRange {
        to: range.to,
        snapshot_id: 0,
        sequence: 0,
        metadata_location: String::new(),
    };
    match trial.remember_range(row.id, range.clone(), answer) {
        Err(Refusal::AppendOverlap { producer, from, to }) => {
            Err(overlap(table, range, ProducerRange { producer, from, to }))
        }
        other => other.map_err(CatalogError::from),
    }
}

fn answer(waiting: Waiting, answer: Result<Appended>) {
    // Nobody listens any more: what was done is done, and a repetition finds it.
    let _gone = waiting.answer.send(answer);
}

/// How many snapshots are kept, if it is time to take out what is beyond.
fn kept(metadata: &TableMetadata) -> Option<u32> {
    let wished = metadata.properties().get(KEEP_SNAPSHOTS);
    let keep = wished
        .and_then(|keep| keep.parse().ok())
        .unwrap_or(KEEP_SNAPSHOTS_DEFAULT);
    let folds = metadata.snapshots().filter(|snapshot| is_fold(snapshot)).count();
    let count = u32::try_from(folds).unwrap_or(u32::MAX);
    (keep > 0 && count >= keep.saturating_add(TRIM_STEP.min(keep))).then_some(keep)
}

/// Snapshots that others made stay: whoever made them decides how long.
fn spare_others(update: &mut TableUpdate, metadata: &TableMetadata) {
    if let TableUpdate::RemoveSnapshots { snapshot_ids } = update {
        snapshot_ids.retain(|id| metadata.snapshot_by_id(*id).is_some_and(|snapshot| is_fold(snapshot)));
    }
}

fn is_fold(snapshot: &Snapshot) -> bool {
    snapshot.summary().additional_properties.contains_key(RANGES_KEY)
}
