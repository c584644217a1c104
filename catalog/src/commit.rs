//! Commits: metadata is built and written by the leader, then the log swaps the pointers.
//!
//! Commits to one table are planned one after the other (`queue.rs`, `follow.rs`), so that on a leader nobody loses a race against himself; a race against another
//! leader is decided by the version in the log, and the loser deletes what it wrote and builds again from the new head, as long as its requirements hold there.

mod build;
mod columns;
mod create;
mod files;
mod follow;
mod queue;
mod rebase;
mod requirements;
mod retained;
mod row_ids;
mod spec_ids;
mod time_fields;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures::future::join_all;
use futures::poll;
use iceberg::spec::{Operation, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use crate::command::{
    Command, Expect, Ident, IngestChange, OffsetRange, Op, Outcome, Pointer, Refusal, Relation, TableChange,
};
use crate::error::{CatalogError, Result};
use crate::metadata::{self, CachedMetadata, METADATA_BYTES_MAX};
use crate::service::{Service, Ticket, require_free, require_namespace};
use crate::state::{State, TableRow};
use tidewater_table::digest::named_metadata;

pub(crate) use create::NewTable;
pub(crate) use files::{Choice, Files, physical};
pub(crate) use queue::TableQueue;
pub(crate) use view::{NewView, ViewRequirement, ViewWork};

/// How often a lost race is run again; what the reference server does as well.
pub(crate) const RETRIES_MAX: u32 = 4;

/// Most tables in one transaction: each is a file to write and a change in one log entry.
pub(crate) const TABLES_PER_COMMIT_MAX: usize = 1_000;

/// Most updates, and most requirements, for one table or view in one commit.
pub(crate) const UPDATES_PER_TABLE_MAX: usize = 10_000;

/// The property that says where metadata files go.
const METADATA_PATH: &str = "write.metadata.path";

/// What one table's commit demands and changes.
#[derive(Debug, Clone)]
pub(crate) struct TableWork {
    pub(crate) table: Ident,
    pub(crate) requirements: Vec<TableRequirement>,
    pub(crate) updates: Vec<TableUpdate>,
    /// Whether an append that lost a race may be put on the new head.
    pub(crate) may_rebase: bool,
    /// By whose choice its table lies where it makes or moves it.
    pub(crate) choice: Choice,
    /// Who says what its table's main branch keeps.
    pub(crate) retention: Retention,
}

/// Who says how much of its history a table's main branch keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Retention {
    /// Whoever commits.
    Told,
    /// Who may alter the table, which this user may not: it stays as it is.
    Kept { from: String },
}

/// A table's next state, not committed yet.
#[derive(Debug)]
pub(crate) struct Prepared {
    change: TableChange,
    /// None when nothing changes and no file is written.
    file: Option<Arc<CachedMetadata>>,
    /// Older metadata files, and lists of appends that were rebased, that are not needed once this one counts.
    expired: Vec<String>,
    /// Manifests and manifest lists that were written for it.
    beside: Vec<String>,
}

impl Prepared {
    /// With files that were written for it and go if it does not count.
    pub(crate) fn beside(mut self, files: Vec<String>) -> Self {
        self.beside.extend(files);
        self
    }
}

/// What a commit is planned on.
struct Base {
    row: TableRow,
    /// What the log has to find.
    expect: Expect,
    current: Arc<CachedMetadata>,
}

/// What became of files and the operation that points to them.
struct Written {
    outcome: Outcome,
    /// Whether the files are pointed to: an answer from an earlier attempt under the same key names that attempt's.
    counts: bool,
}

impl Service {
    /// Commits to tables, all or none, and advances offsets with them if there are any.
    pub(crate) async fn commit(
        &self,
        ticket: &Ticket,
        works: Vec<TableWork>,
        ranges: Vec<OffsetRange>,
    ) -> Result<Outcome> {
        check_limits(&works)?;
        if let [work] = &works[..]
            && ranges.is_empty()
            && !compacts(work)
        {
            return self.commit_to_one(ticket, work).await;
        }
        let _turn = self.turn_of(&works).await?;
        let mut attempt = 0;
        loop {
            let state = self.fresh_state().await?;
            if !ranges.is_empty() {
                if already_ingested(&state, &ranges) {
                    return Ok(Outcome::AlreadyIngested);
                }
                // The log checks them again; looking first saves the files of who has lost his lease.
                state.check_ranges(&ranges)?;
            }
            let prepared = self.prepare_all(&state, &works).await?;
            let ranges = ranges.clone();
            let to_op = |changes| {
                Ok(match ranges.is_empty() {
                    true => Op::Commit { changes },
                    false => Op::Ingest(IngestChange { ranges, changes }),
                })
            };
            match self.publish(ticket, prepared, to_op).await? {
                Outcome::Refused(refusal) if is_race(&refusal) && attempt < RETRIES_MAX => attempt += 1,
                Outcome::Refused(refusal) => return Err(refusal.into()),
                outcome => return Ok(outcome),
            }
        }
    }

    /// Compactions can wait; what they rewrite was readable before.
    async fn turn_of(&self, works: &[TableWork]) -> Result<Vec<OwnedSemaphorePermit>> {
        let tables = works.iter().map(|work| &work.table);
        if !works.iter().any(compacts) {
            return self.queue.turn(tables).await;
        }
        let appends = || works.iter().any(|work| self.appends.waiting(&work.table) > 0);
        self.queue.turn_after_writers(&self.clock, tables, appends).await
    }

    /// Makes a table.
    pub(crate) async fn create(
        &self,
        ticket: &Ticket,
        table: &Ident,
        metadata: TableMetadata,
        choice: Choice,
    ) -> Result<Outcome> {
        let _turn = self.queue.turn([table]).await?;
        {
            let state = self.consensus.state().state;
            // Who lost a race for a name and its place hears of the name.
            require_free(&state, Relation::Table, table)?;
            self.check_place(&state, table, metadata.location(), choice)?;
        }
        let id = self.rng.uuid_v7(self.clock.now_ms());
        let prepared = self.prepared(table, Expect::New { id }, metadata, 0)?;
        let to_op = |changes| Ok(Op::Commit { changes });
        match self.publish(ticket, vec![prepared], to_op).await? {
            Outcome::Refused(refusal) => Err(refusal.into()),
            outcome => Ok(outcome),
        }
    }

    /// What a commit to a table may name that lies at `location`; one without an id is being made.
    pub(crate) fn files_of<'a>(&'a self, state: &'a State, id: Option<Uuid>, location: &'a str) -> Files<'a> {
        Files {
            warehouse: &self.warehouse,
            state,
            id,
            location,
            grants: self.authorizer.is_some(),
        }
    }

    /// Refuses a location for a new table that is another's.
    pub(crate) fn check_place(&self, state: &State, table: &Ident, location: &str, choice: Choice) -> Result<()> {
        let place = self.warehouse.checked(location)?;
        self.files_of(state, None, &place).check_location(table, &place, choice)
    }

    async fn prepare_all(&self, state: &State, works: &[TableWork]) -> Result<Vec<Prepared>> {
        let (mut prepared, mut failed) = (Vec::with_capacity(works.len()), None);
        for one in join_all(works.iter().map(|work| self.prepare(state, work))).await {
            match one {
                Ok(one) => prepared.push(one),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let Some(error) = failed else { return Ok(prepared) };
        let beside: Vec<String> = prepared.into_iter().flat_map(|one| one.beside).collect();
        self.delete_unused(&beside).await;
        Err(error)
    }

    /// The next state of a table, on the state of the catalog as it is. Nothing is visible of it yet.
    pub(crate) async fn prepare(&self, state: &State, work: &TableWork) -> Result<Prepared> {
        require_namespace(state, &work.table.namespace)?;
        let Some(row) = state.table(&work.table) else {
            // Nothing is written for a name that cannot become a table's.
            if state.view(&work.table).is_some() && create::asserts(work) {
                let name = work.table.clone();
                let by = Relation::View;
                return Err(CatalogError::NameTaken { name, by });
            }
            let metadata = create::from_updates(self, state, work, self.clock.now_ms())?;
            let id = self.rng.uuid_v7(self.clock.now_ms());
            return self.prepared(&work.table, Expect::New { id }, metadata, 0);
        };
        let base = Base {
            expect: Expect::Version {
                id: row.id,
                version: row.version,
            },
            current: self.cache.load(&row.pointer.metadata_location).await?,
            row: row.clone(),
        };
        self.prepare_on(state, work, &base).await
    }

    /// The next state of a table that stands, or will stand, at `base`.
    async fn prepare_on(&self, state: &State, work: &TableWork, base: &Base) -> Result<Prepared> {
        let Base { row, expect, current } = base;
        let metadata = current.parsed(&work.table)?;
        let files = self.files_of(state, Some(row.id), &row.pointer.location);
        let rebased = match requirements::check(&work.table, &metadata, &work.requirements) {
            Ok(()) => None,
            Err(error) if current.parsed_to_change(&work.table).is_err() => return Err(error),
            Err(error) => Some(self.rebased(&files, &metadata, work).await?.ok_or(error)?),
        };
        if work.updates.is_empty() {
            let change = TableChange {
                table: work.table.clone(),
                expect: expect.clone(),
                pointer: row.pointer.clone(),
            };
            return Ok(Prepared {
                change,
                file: None,
                expired: Vec::new(),
                beside: Vec::new(),
            });
        }
        let metadata = current.parsed_to_change(&work.table)?;
        let number = file_number(current.location()).map_or(row.version, |number| number + 1);
        let next = |work: &TableWork| {
            let next = build::apply(&files, &metadata, current.location(), work, self.clock.now_ms())?;
            let mut prepared = self.prepared(&work.table, expect.clone(), next.metadata, number)?;
            if !state.location_is_shared(&row.pointer.location, row.id) {
                prepared.expired = next.expired;
            }
            Ok(prepared)
        };
        let Some(rebased) = rebased else { return next(work) };
        match next(&rebased.work) {
            Ok(mut prepared) => {
                prepared.expired.extend(rebased.superseded);
                Ok(prepared.beside(rebased.written))
            }
            Err(error) => {
                self.delete_unused(&rebased.written).await;
                Err(error)
            }
        }
    }

    fn prepared(&self, table: &Ident, expect: Expect, metadata: TableMetadata, number: u64) -> Result<Prepared> {
        let raw = metadata::encode(&metadata).map_err(|error| CatalogError::internal(error.to_string()))?;
        if raw.len() > METADATA_BYTES_MAX {
            return Err(CatalogError::TooLarge {
                what: "the table's metadata",
                limit: METADATA_BYTES_MAX,
            });
        }
        let location = self.metadata_file(metadata.location(), metadata.properties(), number, &raw);
        let pointer = Pointer {
            uuid: metadata.uuid(),
            location: self.warehouse.checked(metadata.location())?,
            metadata_location: location.clone(),
            snapshot_id: metadata.current_snapshot_id(),
        };
        let file = CachedMetadata::written(&location, Bytes::from(raw), Arc::new(metadata));
        let table = table.clone();
        Ok(Prepared {
            change: TableChange { table, expect, pointer },
            file: Some(Arc::new(file)),
            expired: Vec::new(),
            beside: Vec::new(),
        })
    }

    /// A fresh name for a metadata file with these bytes: in the folder that the properties ask for, if it lies in the table's or view's
    /// own.
    fn metadata_file(&self, location: &str, properties: &HashMap<String, String>, number: u64, raw: &[u8]) -> String {
        let asked = properties.get(METADATA_PATH).map(|path| path.trim_end_matches('/'));
        let asked = asked.filter(|path| {
            let own = [(METADATA_PATH.to_owned(), (*path).to_owned())];
            let own = own.iter().map(|(name, value)| (name, value));
            self.warehouse.check_properties(location, own).is_ok() && self.warehouse.checked(path).is_ok()
        });
        let folder = asked.map_or_else(|| format!("{location}/metadata"), str::to_owned);
        let name: Uuid = self.rng.uuid();
        format!("{folder}/{}", named_metadata(&format!("{number:05}-{name}"), raw))
    }

    /// Writes the files of tables, then proposes their pointers.
    pub(crate) async fn publish(
        &self,
        ticket: &Ticket,
        prepared: Vec<Prepared>,
        to_op: impl FnOnce(Vec<TableChange>) -> Result<Op>,
    ) -> Result<Outcome> {
        let published = self
            .publish_in_order(ticket, prepared, to_op, async || Ok(true), || ())
            .await?;
        published.ok_or_else(|| CatalogError::internal("a commit that follows none was held back"))
    }

    /// The same, for commits that follow one another: `may_propose` waits for those before and says whether they may come about; none is
    /// answered, and nothing is left behind, if not. `proposed` is called when others may follow.
    async fn publish_in_order(
        &self,
        ticket: &Ticket,
        mut prepared: Vec<Prepared>,
        to_op: impl FnOnce(Vec<TableChange>) -> Result<Op>,
        may_propose: impl AsyncFnOnce() -> Result<bool>,
        proposed: impl FnOnce(),
    ) -> Result<Option<Outcome>> {
        let files: Vec<Arc<CachedMetadata>> = prepared.iter().filter_map(|one| one.file.clone()).collect();
        let expired: Vec<String> = prepared
            .iter_mut()
            .flat_map(|one| std::mem::take(&mut one.expired))
            .collect();
        let beside: Vec<String> = prepared
            .iter_mut()
            .flat_map(|one| std::mem::take(&mut one.beside))
            .collect();
        let op = to_op(prepared.into_iter().map(|one| one.change).collect())?;
        self.write_files(&files, &beside).await?;
        match may_propose().await {
            Ok(true) => {}
            held_back => {
                self.discard(&files, &beside).await;
                return held_back.map(|_| None);
            }
        }
        let written = self.propose_files(ticket, files, &beside, op, proposed).await?;
        if written.counts && !expired.is_empty() {
            self.expire(expired);
        }
        Ok(Some(written.outcome))
    }

    /// Writes files, then proposes the operation that points to them.
    async fn write_then_propose(
        &self,
        ticket: &Ticket,
        files: Vec<Arc<CachedMetadata>>,
        beside: &[String],
        op: Op,
    ) -> Result<Written> {
        self.write_files(&files, beside).await?;
        self.propose_files(ticket, files, beside, op, || ()).await
    }

    /// Writes files, all or none.
    async fn write_files(&self, files: &[Arc<CachedMetadata>], beside: &[String]) -> Result<()> {
        let puts = files
            .iter()
            .map(|file| self.store.put_new(file.location(), file.raw().clone()));
        if let Some(error) = join_all(puts).await.into_iter().find_map(Result::err) {
            self.discard(files, beside).await;
            return Err(error);
        }
        tidewater_core::fail_point::pass("catalog.metadata_written");
        Ok(())
    }

    /// Proposes the operation that points to files. What was written for nothing is deleted, files `beside` included, which the files name;
    /// after an unknown outcome all stay, for they may be in use.
    async fn propose_files(
        &self,
        ticket: &Ticket,
        files: Vec<Arc<CachedMetadata>>,
        beside: &[String],
        op: Op,
        proposed: impl FnOnce(),
    ) -> Result<Written> {
        let at_ms = self.clock.now_ms();
        let command = match ticket.key {
            Some(key) => Command::once(key, ticket.print, at_ms, op),
            None => Command::new(at_ms, op),
        };
        // The first poll puts it into the log's queue, where order counts.
        let mut write = self.consensus.write(command);
        let begun = poll!(write.as_mut());
        proposed();
        let outcome = match begun {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => write.await,
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                let error = CatalogError::from(error);
                if tidewater_core::Coded::retry(&error) != tidewater_core::Retry::Unknown {
                    self.discard(&files, beside).await;
                }
                return Err(error);
            }
        };
        if matches!(outcome, Outcome::Refused(Refusal::UuidTaken { .. })) {
            // Who read the file before the log heard of it may have registered it: then it is that table's.
            return Ok(Written { outcome, counts: false });
        }
        let used: Vec<&str> = match &outcome {
            Outcome::Committed(tables) => tables.iter().map(|table| table.metadata_location.as_str()).collect(),
            _ => Vec::new(),
        };
        // An answer from an earlier attempt under the same key names that attempt's files, not these.
        let (kept, unused): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| used.contains(&file.location()));
        let counts = !kept.is_empty();
        join_all(kept.into_iter().map(|file| self.cache.keep(file))).await;
        self.discard(&unused, if counts { &[] } else { beside }).await;
        Ok(Written { outcome, counts })
    }

    /// Deletes older metadata files while the commit's answer is on its way. One that is left behind costs space and nothing else.
    fn expire(&self, files: Vec<String>) {
        let store = Arc::clone(&self.store);
        self.tasks.spawn("expire-metadata", async move {
            for file in files {
                if let Err(error) = store.delete(&file).await {
                    tracing::warn!(file, %error, "an old metadata file stays behind");
                }
            }
        });
    }

    async fn discard(&self, files: &[Arc<CachedMetadata>], beside: &[String]) {
        let files = files.iter().map(|file| file.location().to_owned());
        let files: Vec<String> = files.chain(beside.iter().cloned()).collect();
        self.delete_unused(&files).await;
    }

    /// Deletes what was written for nothing.
    pub(crate) async fn delete_unused(&self, files: &[String]) {
        for result in join_all(files.iter().map(|file| self.store.delete(file))).await {
            if let Err(error) = result {
                tracing::warn!(%error, "a metadata file that nothing points to stays behind");
            }
        }
    }
}

fn check_limits(works: &[TableWork]) -> Result<()> {
    if works.len() > TABLES_PER_COMMIT_MAX {
        return Err(CatalogError::TooLarge {
            what: "the number of tables in one commit",
            limit: TABLES_PER_COMMIT_MAX,
        });
    }
    works
        .iter()
        .try_for_each(|work| check_counts(work.updates.len(), work.requirements.len()))
}

/// Refuses a commit with more to do or to check than any client has reason for.
fn check_counts(updates: usize, requirements: usize) -> Result<()> {
    let counts = [
        ("the number of updates to one table or view", updates),
        ("the number of requirements on one table or view", requirements),
    ];
    match counts.into_iter().find(|(_, count)| *count > UPDATES_PER_TABLE_MAX) {
        None => Ok(()),
        Some((what, _)) => Err(CatalogError::TooLarge {
            what,
            limit: UPDATES_PER_TABLE_MAX,
        }),
    }
}

/// Whether the commit puts the same rows into other files.
fn compacts(work: &TableWork) -> bool {
    let replaces = |update: &TableUpdate| matches!(update, TableUpdate::AddSnapshot { snapshot } if snapshot.summary().operation == Operation::Replace);
    work.updates.iter().any(replaces)
}

fn already_ingested(state: &State, ranges: &[OffsetRange]) -> bool {
    let next = |range: &OffsetRange| state.partition(&range.partition).and_then(|row| row.next_offset);
    ranges
        .iter()
        .all(|range| next(range).is_some_and(|next| range.to <= next))
}

/// Whether others were faster.
pub(crate) fn is_race(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Stale(_) | Refusal::TableExists(_) | Refusal::NoSuchTable(_)
    )
}

/// The number in the name of a metadata file.
fn file_number(location: &str) -> Option<u64> {
    let (_, name) = location.rsplit_once('/')?;
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
