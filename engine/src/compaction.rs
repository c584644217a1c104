//! Small files, and files of which rows are gone, written anew as fewer and larger ones, perhaps in an order.

mod order;
mod zorder;

use std::time::Duration;

use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use tidewater_core::{JobId, TableName, fail_point};
use tidewater_table::foreign::{folders_outside, require_own};
use tidewater_table::iceberg::spec::FormatVersion;
use tidewater_table::{
    Added, Change, CommitOptions, Committed, FileDeletes, LoadedTable, Predicate, RewriteGroup, RewriteOptions, Scan,
    ScanFile, TableError, WriteOptions, commit_change, plan_rewrite,
};

pub use self::order::RowOrder;
pub(crate) use self::zorder::zorder;

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::lineage;
use crate::runner::PlanRunner;
use crate::session::{Class, SessionOptions};
use crate::write::{Distribution, Order, WriteRequest, drop_files};

/// Largest file that is made of smaller ones, whatever is asked for: each task holds twice as much in memory while it writes.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// Longest time that one group may take to be written.
const GROUP_DEADLINE: Duration = Duration::from_secs(3600);

/// Which rows are written anew, and how they lie then.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Only files that may hold rows of this condition; `None`: any.
    pub filter: Option<Predicate>,
    /// Their order within each file; `None`: as they come.
    pub order: Option<RowOrder>,
    /// The branch whose files they are, with the snapshot it stands at; `None`: main.
    pub branch: Option<(String, i64)>,
}

/// What a compaction came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Groups that were committed, each in a snapshot of its own.
    pub groups: usize,
    /// Groups that others changed meanwhile. Their files are as they were.
    pub conflicts: usize,
    /// Files of those groups.
    pub files_failed: usize,
    /// Files that left the table.
    pub files_removed: usize,
    /// Files that took their place.
    pub files_added: usize,
    /// Size of the files that left.
    pub bytes_removed: u64,
    /// Delete files that left with them, as they deleted nothing else.
    pub deletes_removed: u64,
    /// Rows in the new files.
    pub rows: u64,
}

impl Engine {
    /// What [`Self::compact`] would do now.
    pub async fn plan_compaction(&self, table: &LoadedTable, options: &RewriteOptions) -> Result<Vec<RewriteGroup>> {
        let options = self.sized(table, options)?;
        self.groups(table, &options, &Layout::default()).await
    }

    /// With the size of files that the table itself asks for, if it does: files that are written as small as one setting says and
    /// looked at by another would be written anew for ever.
    pub(crate) fn sized(&self, table: &LoadedTable, options: &RewriteOptions) -> Result<RewriteOptions> {
        let given = WriteOptions {
            target_file_size_bytes: options.target_file_size_bytes,
            ..self.options().write.clone()
        };
        let sized = given.of_properties(table.metadata.properties())?;
        Ok(reachable(&RewriteOptions {
            target_file_size_bytes: sized.target_file_size_bytes,
            ..options.clone()
        }))
    }

    async fn groups(
        &self,
        table: &LoadedTable,
        options: &RewriteOptions,
        layout: &Layout,
    ) -> Result<Vec<RewriteGroup>> {
        let snapshot_id = match &layout.branch {
            Some((_, snapshot_id)) => Some(*snapshot_id),
            None => table.metadata.current_snapshot_id(),
        };
        let scan = Scan::new(self.store(), &table.metadata)
            .snapshot(snapshot_id)
            .filter(layout.filter.as_ref());
        let files = scan.with_deletes().plan().await?;
        // Whoever asks: what is written anew lies in this table's location, and nobody could tell whose rows it was made of.
        let folders = folders_outside(table.metadata.location(), files.iter().flat_map(ScanFile::paths));
        require_own(&**self.catalog(), &table.name, &folders).await?;
        Ok(plan_rewrite(files, options))
    }

    /// Writes a table's small files anew, group by group. Nothing but the layout changes: a group whose rows would not be as
    /// many as before is not committed, and one that others changed meanwhile is left to the next time. Writers that only append
    /// are not disturbed.
    pub async fn compact(
        &self,
        runner: &dyn PlanRunner,
        name: &TableName,
        options: &RewriteOptions,
    ) -> Result<Compaction> {
        let table = self.load(name).await?;
        let options = self.sized(&table, options)?;
        self.lay_out(runner, &table, &options, &Layout::default()).await
    }

    /// The same for the files of a condition, with rows in an order. Each group is sorted for itself. New files are as large as the
    /// options say, whatever the table says.
    pub async fn lay_out(
        &self,
        runner: &dyn PlanRunner,
        table: &LoadedTable,
        options: &RewriteOptions,
        layout: &Layout,
    ) -> Result<Compaction> {
        let options = &reachable(options);
        let mut outcome = Compaction::default();
        for group in self.groups(table, options, layout).await? {
            self.rewrite(runner, table, group, options, layout, &mut outcome)
                .await?;
        }
        Ok(outcome)
    }

    async fn rewrite(
        &self,
        runner: &dyn PlanRunner,
        table: &LoadedTable,
        group: RewriteGroup,
        options: &RewriteOptions,
        layout: &Layout,
        outcome: &mut Compaction,
    ) -> Result<()> {
        let rows = self.rows_of(table, &group).await?;
        let removed: Vec<String> = group.files.iter().map(|file| file.path.clone()).collect();
        let job = JobId(self.rng().uuid_v7(self.clock().now_ms()));
        let added = match rows {
            // All of its rows are gone: the files just leave.
            0 => Vec::new(),
            _ => {
                let bytes = options.target_file_size_bytes;
                self.written(runner, job, table, group.clone(), bytes, layout).await?
            }
        };
        let written: u64 = added.iter().map(|added| added.file.record_count()).sum();
        if written != rows {
            drop_files(self.store(), &added).await;
            return Err(EngineError::RowsLost {
                table: table.name.clone(),
                before: rows,
                after: written,
            });
        }
        fail_point::pass("maintenance.files_written");
        let change = Change::replace(removed, added.clone())
            .of_table(table.metadata.uuid())
            .of_schema(table.metadata.current_schema())
            .of_job(job);
        let change = match &layout.branch {
            Some((branch, snapshot_id)) => change.read_at(Some(*snapshot_id)).on_branch_that_is_there(branch),
            None => change.read_at(table.metadata.current_snapshot_id()),
        };
        // The next commit of whoever it is gives these rows ids, which the new files would not have: left to the next time then.
        let of_v3 = table.metadata.format_version() == FormatVersion::V3;
        let change = match of_v3 && group.files.iter().any(|file| file.first_row_id().is_none()) {
            true => change.exact_head(),
            false => change,
        };
        let catalog = self.catalog().as_ref();
        let committed = commit_change(catalog, self.store(), &table.name, &change, &CommitOptions::default()).await;
        fail_point::pass("maintenance.commit_answered");
        match committed {
            Ok(committed) => {
                outcome.groups += 1;
                outcome.deletes_removed += deletes_removed(&committed);
                outcome.files_removed += group.files.len();
                outcome.files_added += added.len();
                outcome.bytes_removed += group.bytes;
                outcome.rows += rows;
                Ok(())
            }
            Err(TableError::Conflict { reason, .. }) => {
                tracing::info!(table = %table.name, reason, "files are not compacted now");
                outcome.conflicts += 1;
                outcome.files_failed += group.files.len();
                drop_files(self.store(), &added).await;
                Ok(())
            }
            // It may be in the table: the files stay.
            Err(error @ TableError::UnknownOutcome { .. }) => Err(error.into()),
            Err(error) => {
                drop_files(self.store(), &added).await;
                Err(error.into())
            }
        }
    }

    async fn rows_of(&self, table: &LoadedTable, group: &RewriteGroup) -> Result<u64> {
        let mut rows = 0;
        for file in &group.files {
            let gone = match FileDeletes::of(file, &table.metadata)? {
                Some(deletes) => deletes.mask(self.store()).await?.deleted(file.record_count),
                None => 0,
            };
            rows += file.record_count.saturating_sub(gone);
        }
        Ok(rows)
    }

    async fn written(
        &self,
        runner: &dyn PlanRunner,
        job: JobId,
        table: &LoadedTable,
        group: RewriteGroup,
        target_file_size_bytes: u64,
        layout: &Layout,
    ) -> Result<Vec<Added>> {
        let session = self.session(Class::Batch, &SessionOptions::default());
        let small = group.bytes <= target_file_size_bytes;
        let distribution = match small || layout.order.is_some() {
            true => Distribution::Single,
            false => Distribution::ByPartition,
        };
        // From format 3 on a row keeps its id wherever it goes.
        let (rows, target) = match table.metadata.format_version() {
            FormatVersion::V3 => {
                let extended = lineage::with_lineage(table)?;
                (lineage::rows(self, &extended, group.files)?, extended)
            }
            FormatVersion::V1 | FormatVersion::V2 => {
                let provider = provider_as_source(self.files_provider(table, group.files)?);
                (LogicalPlanBuilder::scan("small_files", provider, None)?, table.clone())
            }
        };
        // What is written in the table's own order is sorted by who writes it, and said to be.
        let (rows, order) = match &layout.order {
            Some(order) if order.is_of(&table.metadata) => (rows, Order::OfTable),
            Some(order) => (rows.sort(order.sorts())?, Order::AsPlanned),
            None => (rows, Order::AsPlanned),
        };
        let request = WriteRequest {
            job,
            input: rows.build()?,
            target,
            distribution,
            order,
            target_file_size_bytes: Some(target_file_size_bytes),
            deadline: Some(GROUP_DEADLINE),
        };
        self.write_with(runner, &session, request).await
    }
}

/// Delete files that left the table with a commit, by its own count.
fn deletes_removed(committed: &Committed) -> u64 {
    let snapshot = committed.table.metadata.snapshot_by_id(committed.snapshot_id);
    let told = snapshot.and_then(|snapshot| snapshot.summary().additional_properties.get("removed-delete-files"));
    told.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The options with a size that files can have.
pub(crate) fn reachable(options: &RewriteOptions) -> RewriteOptions {
    RewriteOptions {
        target_file_size_bytes: options.target_file_size_bytes.min(FILE_BYTES_MAX),
        ..options.clone()
    }
}

#[cfg(test)]
mod tests;
