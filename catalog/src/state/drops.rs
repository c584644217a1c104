//! Dropped tables: where they stood, for as long as the drop can be taken back or their files are being deleted.
//!
//! A dropped table holds neither its name nor its location. Whoever brings it back has to find both free.

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::changes::ChangeKind;
use super::drop_jobs::{DropJobs, DropWork};
use super::namespaces::key;
use super::tables::{TABLES_MAX, TableRow, folder, holders, ids_around};
use super::{Shared, State};
use crate::command::{DropOp, DropTerms, Ident, JobPhase, Outcome, Pointer, Refusal, Relation};

/// How many dropped tables are kept that nobody asked to purge: about 100 MB. Beyond it the one that would be forgotten first is.
pub const DROPPED_MAX: usize = 100_000;

/// How many tables one command forgets because their time is over: applying it must stay short.
const FORGOTTEN_AT_ONCE: usize = 100;

/// A dropped table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedTable {
    /// How it stood.
    pub row: TableRow,
    /// When it was dropped.
    pub dropped_at_ms: i64,
    /// Which drop it was: later ones have greater numbers.
    pub order: u64,
    /// Until when the drop can be taken back.
    pub until_ms: i64,
    /// The job that deletes its files after that.
    pub purge: Option<Uuid>,
}

/// All of them, and the jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(super) struct Drops {
    rows: OrdMap<Uuid, Shared<DroppedTable>>,
    /// Key of the namespace and name → ids, the one dropped last at the end.
    names: OrdMap<String, Vec<Uuid>>,
    /// As for living tables.
    locations: OrdMap<String, Vec<Uuid>>,
    /// Those without a purge, the first to be forgotten in front.
    until: OrdSet<(i64, Uuid)>,
    /// The number of the last drop.
    last: u64,
    pub(super) jobs: DropJobs,
    /// Each one's uuid and its id. Not stored: snapshots of earlier versions have none.
    #[serde(skip)]
    uuids: OrdSet<(Uuid, Uuid)>,
}

/// What snapshots have of it.
#[derive(Deserialize)]
struct Stored {
    rows: OrdMap<Uuid, Shared<DroppedTable>>,
    names: OrdMap<String, Vec<Uuid>>,
    locations: OrdMap<String, Vec<Uuid>>,
    until: OrdSet<(i64, Uuid)>,
    last: u64,
    jobs: DropJobs,
}

impl From<Stored> for Drops {
    fn from(stored: Stored) -> Self {
        let Stored {
            rows,
            names,
            locations,
            until,
            last,
            jobs,
        } = stored;
        let uuids = rows
            .iter()
            .map(|(id, dropped)| (dropped.row.pointer.uuid, *id))
            .collect();
        Self {
            rows,
            names,
            locations,
            until,
            last,
            jobs,
            uuids,
        }
    }
}

impl Drops {
    pub(super) fn has(&self, id: Uuid) -> bool {
        self.rows.contains_key(&id)
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now_ms: i64) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.until.get_min() {
                Some(&(until_ms, id)) if until_ms <= now_ms => self.remove(id),
                _ => return,
            };
        }
    }

    /// The table with this uuid at this place whose files are being deleted.
    pub(super) fn purged_at(&self, pointer: &Pointer) -> Option<&DroppedTable> {
        let there = self.locations.get(&folder(&pointer.location))?;
        let mut rows = there.iter().filter_map(|id| self.rows.get(id));
        let found = rows.find(|dropped| dropped.row.pointer.uuid == pointer.uuid && self.is_begun(dropped));
        found.map(|dropped| &**dropped)
    }

    /// Whether a path lies in the location of dropped tables of which this is true.
    pub(super) fn holds(&self, path: &str, is_meant: impl Fn(&Vec<Uuid>) -> bool) -> bool {
        holders(&self.locations, path).any(is_meant)
    }

    /// Those whose location is, holds or lies in this one.
    pub(super) fn around(&self, location: &str) -> impl Iterator<Item = &DroppedTable> {
        ids_around(&self.locations, location).filter_map(|id| self.rows.get(id).map(|dropped| &**dropped))
    }

    fn of_uuid(&self, uuid: Uuid) -> Option<&DroppedTable> {
        let mut ids = self.uuids.range((uuid, Uuid::nil())..=(uuid, Uuid::max()));
        ids.find_map(|(_, id)| self.rows.get(id).map(|dropped| &**dropped))
    }

    /// Whether the table's files are being deleted already.
    fn is_begun(&self, dropped: &DroppedTable) -> bool {
        let job = dropped.purge.and_then(|job| self.jobs.get(job));
        job.is_some_and(|job| job.phase != JobPhase::Queued)
    }

    fn insert(&mut self, dropped: DroppedTable) {
        let (id, row) = (dropped.row.id, &dropped.row);
        self.names.entry(name_key(&row.name)).or_default().push(id);
        let place = folder(&row.pointer.location);
        self.locations.entry(place).or_default().push(id);
        if dropped.purge.is_none() {
            self.until.insert((dropped.until_ms, id));
        }
        self.uuids.insert((dropped.row.pointer.uuid, id));
        self.rows.insert(id, Shared::new(dropped));
        while self.until.len() > DROPPED_MAX {
            if let Some(&(_, first)) = self.until.get_min() {
                self.remove(first);
            }
        }
    }

    pub(super) fn remove(&mut self, id: Uuid) -> Option<Shared<DroppedTable>> {
        let dropped = self.rows.remove(&id)?;
        self.until.remove(&(dropped.until_ms, id));
        self.uuids.remove(&(dropped.row.pointer.uuid, id));
        for (index, entry) in [
            (&mut self.names, name_key(&dropped.row.name)),
            (&mut self.locations, folder(&dropped.row.pointer.location)),
        ] {
            if let Some(ids) = index.get_mut(&entry) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    index.remove(&entry);
                }
            }
        }
        Some(dropped)
    }

    /// Reigns begin anew with a new history.
    pub(super) fn begin_anew(&mut self) {
        self.jobs.begin_anew();
    }
}

/// No level and no name holds the separator, so it tells where the name begins.
fn name_key(name: &Ident) -> String {
    format!("{}\u{1f}\u{1f}{}", key(&name.namespace), name.name)
}

impl State {
    /// A dropped table.
    pub fn dropped(&self, id: Uuid) -> Option<&DroppedTable> {
        self.drops.rows.get(&id).map(|dropped| &**dropped)
    }

    /// A dropped table with this uuid.
    pub fn dropped_of_uuid(&self, uuid: Uuid) -> Option<&DroppedTable> {
        self.drops.of_uuid(uuid)
    }

    /// All dropped tables, in order of name; those of one name as they were dropped.
    pub fn dropped_tables(&self) -> impl Iterator<Item = &DroppedTable> {
        let ids = self.drops.names.values().flatten();
        ids.filter_map(|id| self.dropped(*id))
    }

    /// How many dropped tables there are.
    pub fn dropped_count(&self) -> usize {
        self.drops.rows.len()
    }

    /// Whether the files of a dropped table are being deleted already.
    pub fn is_purge_begun(&self, dropped: &DroppedTable) -> bool {
        self.drops.is_begun(dropped)
    }

    /// Every other table, view or dropped table whose location is, holds or lies in that of a dropped table. A dropped one that is being purged itself counts only
    /// when it was dropped later: of two that share files, the later one deletes them.
    pub fn neighbours_of<'a>(&'a self, dropped: &'a DroppedTable) -> impl Iterator<Item = &'a TableRow> {
        let location = &dropped.row.pointer.location;
        let living = self.tables.around(location).chain(self.views.around(location));
        let others = ids_around(&self.drops.locations, location).filter_map(|id| self.dropped(*id));
        let owners = others.filter(|other| {
            other.row.id != dropped.row.id && (other.order > dropped.order || !self.drops.is_begun(other))
        });
        living.chain(owners.map(|other| &other.row))
    }

    /// Applies what concerns drops.
    pub(super) fn drop_op(&mut self, op: DropOp) -> Result<Outcome, Refusal> {
        match op {
            DropOp::Table { table, id, job, terms } => self.drop_on_terms(table, id, job, terms),
            DropOp::Undrop { table, id, to } => self.undrop(table, id, to, false),
            DropOp::BringBack { table, id, to } => self.undrop(table, id, to, true),
            DropOp::Namespace { namespace, job, terms } => self.begin_namespace_drop(namespace, job, terms),
            DropOp::Claim { job, fence } => self.claim_drop_job(job, fence),
            DropOp::Step { job, fence, limit } => self.step_namespace_drop(job, fence, limit),
            DropOp::Progress { job, fence, progress } => self.note_purge_progress(job, fence, progress),
            DropOp::Report {
                job,
                fence,
                ended,
                problem,
            } => self.report_drop_job(job, fence, ended, problem),
        }
    }

    pub(super) fn drop_on_terms(
        &mut self,
        table: Ident,
        id: Option<Uuid>,
        job: Uuid,
        terms: DropTerms,
    ) -> Result<Outcome, Refusal> {
        let Some(row) = self.table(&table).cloned() else {
            return Err(Refusal::NoSuchTable(table));
        };
        let outcome = self.drop_table(table, id)?;
        if terms.keep_ms == 0 && !terms.purge {
            return Ok(outcome);
        }
        let until_ms = self
            .now_ms
            .saturating_add(i64::try_from(terms.keep_ms).unwrap_or(i64::MAX));
        if terms.purge {
            let work = DropWork::Purge {
                table: row.clone(),
                progress: Default::default(),
            };
            self.drops.jobs.open(job, work, self.now_ms, until_ms)?;
        }
        self.drops.last += 1;
        let order = self.drops.last;
        self.drops.insert(DroppedTable {
            row,
            dropped_at_ms: self.now_ms,
            order,
            until_ms,
            purge: terms.purge.then_some(job),
        });
        Ok(outcome)
    }

    /// `alone`: not if its uuid is another table's.
    fn undrop(&mut self, table: Ident, id: Option<Uuid>, to: Ident, alone: bool) -> Result<Outcome, Refusal> {
        let ids = self.drops.names.get(&name_key(&table)).into_iter().flatten();
        let mut rows = ids.filter_map(|id| self.drops.rows.get(id));
        // People know a table by its uuid as well.
        let wanted = |dropped: &&Shared<DroppedTable>| {
            id.is_none_or(|id| dropped.row.id == id || dropped.row.pointer.uuid == id)
        };
        let Some(dropped) = rows.rfind(wanted).cloned() else {
            return Err(Refusal::NotDropped(table));
        };
        if self.drops.is_begun(&dropped) {
            return Err(Refusal::PurgeBegun(table));
        }
        // One whose purge is due and was not claimed yet has all its files.
        self.require_namespace(&to.namespace)?;
        self.require_free(Relation::Table, &to)?;
        if self.tables.contains(dropped.row.id) {
            return Err(Refusal::Repeated);
        }
        if self.tables.count() >= TABLES_MAX {
            return Err(Refusal::Full {
                limit: format!("{TABLES_MAX} tables"),
            });
        }
        let pointer = &dropped.row.pointer;
        if alone {
            self.require_own_uuid(pointer.uuid, dropped.row.id)?;
        }
        if let Some(other) = self.location_holder(&pointer.location, dropped.row.id, pointer.uuid) {
            return Err(Refusal::LocationTaken {
                location: pointer.location.clone(),
                by: other.name.clone(),
            });
        }
        if let Some(other) = self.drops.purged_at(pointer) {
            return Err(Refusal::PurgeBegun(other.row.name.clone()));
        }
        if let Some(job) = dropped.purge {
            self.drops.jobs.end(job, JobPhase::Cancelled, None, self.now_ms);
        }
        self.drops.remove(dropped.row.id);
        self.policy.touch(dropped.row.id);
        let row = TableRow {
            name: to,
            ..dropped.row.clone()
        };
        let reference = row.to_ref();
        self.record(ChangeKind::TableCreated(row.clone()));
        self.tables.insert(row);
        Ok(Outcome::Committed(vec![reference]))
    }
}
