//! Making tables, together with their first rows if there are some: one commit, seen whole or not at all.
//!
//! A table is staged, which tells its columns' ids and its location; rows are written for it; then it is committed with them.

mod replace;

use iceberg::spec::{MAIN_BRANCH, SnapshotRef, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

pub(crate) use self::replace::{FORMAT_VERSION, applied, parse_version};
use crate::alter::check_partition_fields;
use crate::catalog::{Catalog, CatalogFault, CommitOutcome, LoadedTable, NewTable, TableCommit};
use crate::change::{Change, JOB_ID_KEY};
use crate::commit::{CommitOptions, backoff, plan_append, sweep};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;

/// What to do when there is a table of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// Refuse.
    Fail,
    /// Take its place: its columns, partitions and rows make way, its history, branches, tags and other properties stay.
    Replace,
    /// Leave it as it is.
    Skip,
}

/// A table as it would be, or the one that is there.
#[derive(Debug)]
pub enum Staged {
    /// To be committed.
    New(Box<StagedTable>),
    /// Nothing is to be done.
    There(LoadedTable),
}

/// A table that nobody sees yet.
#[derive(Debug)]
pub struct StagedTable {
    table: LoadedTable,
    on_existing: OnExisting,
    updates: Vec<TableUpdate>,
    /// The table whose place it takes.
    base: Option<LoadedTable>,
    /// Its rows are all that may make way.
    must_stand: bool,
}

/// A table that was made, or was there.
#[derive(Debug, Clone)]
pub struct Created {
    /// The table.
    pub table: LoadedTable,
    /// The snapshot of its first rows.
    pub snapshot_id: Option<i64>,
    /// Nothing was made, for it was there: whatever was written for it is rubbish.
    pub was_there: bool,
}

/// The updates that make a staged table, to be followed by those that add its first snapshot. Commit them with the single
/// requirement `assert-create`.
pub fn creation_updates(metadata: &TableMetadata) -> Vec<TableUpdate> {
    let spec = metadata.default_partition_spec().as_ref().clone().into_unbound();
    let mut updates = vec![
        TableUpdate::AssignUuid { uuid: metadata.uuid() },
        TableUpdate::UpgradeFormatVersion {
            format_version: metadata.format_version(),
        },
        TableUpdate::SetLocation {
            location: metadata.location().to_owned(),
        },
        TableUpdate::AddSchema {
            schema: metadata.current_schema().as_ref().clone(),
        },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
        TableUpdate::AddSpec { spec },
        TableUpdate::SetDefaultSpec { spec_id: -1 },
        TableUpdate::AddSortOrder {
            sort_order: metadata.default_sort_order().as_ref().clone(),
        },
        TableUpdate::SetDefaultSortOrder { sort_order_id: -1 },
    ];
    if !metadata.properties().is_empty() {
        updates.push(TableUpdate::SetProperties {
            updates: metadata.properties().clone(),
        });
    }
    updates
}

/// Makes a table without rows.
pub async fn create_with(
    catalog: &dyn Catalog,
    store: &FileStore,
    table: NewTable,
    on_existing: OnExisting,
) -> Result<Created> {
    match stage(catalog, table, on_existing).await? {
        Staged::New(staged) => staged.commit(catalog, store, None, &CommitOptions::default()).await,
        Staged::There(table) => Ok(existing(table)),
    }
}

/// What the table would be. Nobody sees it before [`StagedTable::commit`].
///
/// # Errors
/// If there is one and there must not be, if it cannot be replaced, or if nothing could be written to a table of these partitions.
pub async fn stage(catalog: &dyn Catalog, table: NewTable, on_existing: OnExisting) -> Result<Staged> {
    if on_existing != OnExisting::Fail
        && let Some(there) = catalog.load_table(&table.name).await?
    {
        return taken(there, &table, on_existing);
    }
    check_partitions(&table)?;
    let staged = match catalog.stage_table(&table).await {
        Ok(staged) => staged,
        Err(CatalogFault::AlreadyExists { what }) if on_existing != OnExisting::Fail => {
            return match catalog.load_table(&table.name).await? {
                Some(there) => taken(there, &table, on_existing),
                // A view has the name.
                None => Err(CatalogFault::AlreadyExists { what }.into()),
            };
        }
        Err(fault) => return Err(fault.into()),
    };
    Ok(Staged::New(Box::new(StagedTable {
        updates: creation_updates(&staged.metadata),
        table: staged,
        on_existing,
        base: None,
        must_stand: false,
    })))
}

fn taken(there: LoadedTable, wanted: &NewTable, on_existing: OnExisting) -> Result<Staged> {
    if on_existing == OnExisting::Skip {
        return Ok(Staged::There(there));
    }
    check_partitions(wanted)?;
    let updates = replace::replacement(&there.metadata, wanted)?;
    let after = match applied(&there.metadata, &updates) {
        Ok(after) => after,
        // A column called as a partition field of the old table is, and the like.
        Err(TableError::Metadata { source, .. }) => {
            return Err(TableError::Alteration {
                what: format!("replacing table {}", wanted.name),
                reason: source.message().to_owned(),
                advice: "choose other names, or drop the table and create it anew".into(),
            });
        }
        Err(error) => return Err(error),
    };
    let table = LoadedTable {
        metadata: after.into(),
        ..there.clone()
    };
    Ok(Staged::New(Box::new(StagedTable {
        table,
        on_existing,
        updates,
        base: Some(there),
        must_stand: false,
    })))
}

fn check_partitions(wanted: &NewTable) -> Result<()> {
    match &wanted.partition_spec {
        Some(spec) => check_partition_fields(&wanted.schema, spec.fields()),
        None => Ok(()),
    }
}

fn existing(table: LoadedTable) -> Created {
    Created {
        table,
        snapshot_id: None,
        was_there: true,
    }
}

impl StagedTable {
    /// The table as it will be: its columns' ids, its spec and its location are final.
    pub fn table(&self) -> &LoadedTable {
        &self.table
    }

    /// The table that makes way for it.
    pub fn replaced(&self) -> Option<&LoadedTable> {
        self.base.as_ref()
    }

    /// What is written for it was computed from the table that makes way, as it is now: rows that others give that one meanwhile must not
    /// go unseen.
    #[must_use]
    pub fn of_replaced_rows(mut self) -> Self {
        self.must_stand = true;
        self
    }

    /// Makes the table, with these first rows if there are some: `change` can only add files. A change that is to be staged leaves main
    /// without rows.
    ///
    /// # Errors
    /// If another one of that name was made in the meantime, or the one that is to be replaced has changed its columns, or rows that
    /// count.
    pub async fn commit(
        &self,
        catalog: &dyn Catalog,
        store: &FileStore,
        change: Option<&Change>,
        options: &CommitOptions,
    ) -> Result<Created> {
        let deadline = store.clock().monotonic() + options.deadline;
        let (mut head, mut tried, mut unknown, mut count) = (self.base.clone(), Vec::new(), false, 0);
        while count < options.attempts_max && store.clock().monotonic() < deadline {
            count += 1;
            let attempt = self.attempt(store, head.as_ref(), change, options).await;
            let attempt = attempt.map_err(|error| self.told(error, unknown))?;
            tried.extend(attempt.snapshot_id);
            match catalog.commit(vec![attempt.commit]).await {
                Ok(CommitOutcome::Committed(tables)) => {
                    let table = tables.into_iter().next();
                    return Ok(Created {
                        table: table.ok_or_else(|| TableError::damaged("a commit answered no table"))?,
                        snapshot_id: attempt.snapshot_id,
                        was_there: false,
                    });
                }
                Ok(CommitOutcome::Conflict { message }) => {
                    tracing::debug!(table = %self.table.name, attempt = count, message, "making a table lost its race");
                    let now = catalog.load_table(&self.table.name).await;
                    head = match now.map_err(|fault| self.told(fault.into(), unknown))? {
                        Some(now) => match self
                            .meets(now, &tried, change)
                            .map_err(|error| self.told(error, unknown && self.must_stand))?
                        {
                            Met::Done(created) => return Ok(created),
                            Met::Head(now) => Some(now),
                        },
                        None if self.base.is_some() => return Err(self.missing()),
                        None => None,
                    };
                    sweep(store, &attempt.written).await;
                }
                // Its files stay: the snapshot may be in the table, now or when a slow request arrives.
                Ok(CommitOutcome::Unknown { message }) => {
                    tracing::debug!(table = %self.table.name, attempt = count, message, "making a table: unknown outcome");
                    unknown = true;
                    let now = catalog.load_table(&self.table.name).await;
                    match now.map_err(|fault| self.told(fault.into(), unknown))? {
                        Some(now) => match self
                            .meets(now, &tried, change)
                            .map_err(|error| self.told(error, unknown && self.must_stand))?
                        {
                            Met::Done(created) => return Ok(created),
                            Met::Head(now) => head = Some(now),
                        },
                        None if self.base.is_some() => return Err(self.missing()),
                        None => {}
                    }
                }
                Err(fault) => {
                    sweep(store, &attempt.written).await;
                    return Err(self.told(fault.into(), unknown));
                }
            }
            store.clock().sleep(backoff(store, count)).await;
        }
        let table = self.table.name.clone();
        Err(match unknown {
            true => TableError::UnknownOutcome {
                table,
                reason: format!("no answer to {count} attempts, and a late one may still be applied"),
            },
            false => TableError::Contention { table, attempts: count },
        })
    }

    async fn attempt(
        &self,
        store: &FileStore,
        head: Option<&LoadedTable>,
        change: Option<&Change>,
        options: &CommitOptions,
    ) -> Result<Attempt> {
        let (requirements, metadata) = match head {
            None => (vec![TableRequirement::NotExist], self.table.metadata.as_ref().clone()),
            Some(head) => (requirements(&head.metadata), applied(&head.metadata, &self.updates)?),
        };
        let mut updates = self.updates.clone();
        let (mut snapshot_id, mut written) = (None, Vec::new());
        if let Some(change) = change {
            let options = CommitOptions {
                // What the table held before must not go in the same step.
                keep_snapshots: None,
                ..options.clone()
            };
            let plan = plan_append(store, &metadata, change, &options).await?;
            updates.extend(plan.updates);
            snapshot_id = Some(plan.snapshot_id);
            written = plan.written;
        }
        Ok(Attempt {
            commit: TableCommit {
                name: self.table.name.clone(),
                requirements,
                updates,
            },
            snapshot_id,
            written,
        })
    }

    /// Whether the table that is there is this one, or may still be replaced.
    fn meets(&self, now: LoadedTable, tried: &[i64], change: Option<&Change>) -> Result<Met> {
        let job = change.and_then(|change| change.properties.get(JOB_ID_KEY));
        let is_ours = |id: i64, of_job: Option<&String>| tried.contains(&id) || (job.is_some() && job == of_job);
        let ours = |s: &&SnapshotRef| is_ours(s.snapshot_id(), s.summary().additional_properties.get(JOB_ID_KEY));
        let found = now.metadata.snapshots().find(ours).map(|s| s.snapshot_id());
        let done = |snapshot_id| Created {
            table: now.clone(),
            snapshot_id,
            was_there: false,
        };
        if found.is_some() {
            return Ok(Met::Done(done(found)));
        }
        let Some(base) = &self.base else {
            return match self.on_existing {
                // Nobody else can have been given this uuid.
                _ if now.metadata.uuid() == self.table.metadata.uuid() => Ok(Met::Done(done(None))),
                OnExisting::Skip => Ok(Met::Done(existing(now))),
                OnExisting::Fail => Err(CatalogFault::AlreadyExists {
                    what: format!("table {}", self.table.name),
                }
                .into()),
                OnExisting::Replace => Err(self.conflict("another table of this name was made")),
            };
        };
        let (now_is, base) = (&now.metadata, &base.metadata);
        if now_is.uuid() != base.uuid() {
            return Err(self.conflict("the name means another table now"));
        }
        let ours = self.table.metadata.current_schema();
        let is_replaced = now_is
            .schemas_iter()
            .any(|schema| schema.as_struct() == ours.as_struct());
        if change.is_none() && is_replaced {
            return Ok(Met::Done(done(None)));
        }
        if now_is.last_column_id() != base.last_column_id() || now_is.last_partition_id() != base.last_partition_id() {
            return Err(self.conflict("its columns or partitions were changed"));
        }
        if self.must_stand && now_is.current_snapshot_id() != base.current_snapshot_id() {
            return Err(self.conflict("its rows were changed, and the new ones are made from them"));
        }
        // The files name the order that they are in by the id it was to get.
        if now_is.default_sort_order_id() != base.default_sort_order_id() {
            return Err(self.conflict("its order was changed"));
        }
        Ok(Met::Head(now))
    }

    fn conflict(&self, reason: &str) -> TableError {
        TableError::Conflict {
            table: self.table.name.clone(),
            reason: reason.into(),
        }
    }

    /// An error as it is told where an attempt without an answer may still be applied: whoever hears of anything else takes the files
    /// away. What must stand keeps such an attempt out only until main is rolled back to it; other refusals are for good.
    fn told(&self, error: TableError, unknown: bool) -> TableError {
        match unknown {
            true => TableError::UnknownOutcome {
                table: self.table.name.clone(),
                reason: format!("an attempt had no answer, and then: {error}"),
            },
            false => error,
        }
    }

    fn missing(&self) -> TableError {
        TableError::TableNotFound {
            table: self.table.name.clone(),
        }
    }
}

struct Attempt {
    commit: TableCommit,
    snapshot_id: Option<i64>,
    written: Vec<String>,
}

enum Met {
    Done(Created),
    Head(LoadedTable),
}

/// The ids that were given must still be free, the order the one that another follows, and the head the one that the snapshot's
/// numbers follow.
fn requirements(table: &TableMetadata) -> Vec<TableRequirement> {
    vec![
        TableRequirement::UuidMatch { uuid: table.uuid() },
        TableRequirement::RefSnapshotIdMatch {
            r#ref: MAIN_BRANCH.into(),
            snapshot_id: table.current_snapshot_id(),
        },
        TableRequirement::LastAssignedFieldIdMatch {
            last_assigned_field_id: table.last_column_id(),
        },
        TableRequirement::LastAssignedPartitionIdMatch {
            last_assigned_partition_id: table.last_partition_id(),
        },
        TableRequirement::DefaultSortOrderIdMatch {
            default_sort_order_id: table.default_sort_order_id(),
        },
    ]
}

#[cfg(test)]
mod tests;
