//! Procedures that tidy a table.

use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use tidewater_core::TableName;
use tidewater_table::{
    CommitOptions, Consumers, FileKind, Keep, LoadedTable, OrphanOptions, RewriteManifests, RewriteOptions,
    StatisticsOptions, compute_statistics, expire, find_orphans, remove_orphans, rewrite_manifests,
};

use super::super::Workshop;
use super::{Arguments, Procedure};
use crate::compaction::{Layout, RowOrder};
use crate::error::{EngineError, Result};
use crate::sql::{Name, name};

impl Workshop<'_> {
    /// The table that a procedure is about.
    pub(super) fn about(&self, arguments: &Arguments) -> Result<TableName> {
        let name: Name = name(&arguments.required("table")?)?;
        self.table_name(&name)
    }

    /// Small files become larger ones.
    pub(super) async fn rewrite_data_files(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let table = self.engine.load(&self.about(arguments)?).await?;
        let order = self.order(arguments, &table)?;
        let options = RewriteOptions {
            target_file_size_bytes: self.engine.options().write.target_file_size_bytes,
            everything: true,
            whole: order.is_some(),
            ..RewriteOptions::default()
        };
        let mut options = self.engine.sized(&table, &options)?;
        let filter = match arguments.text("where")? {
            Some(condition) => Some(self.reached(&table, &condition).await?),
            None => None,
        };
        for (key, value) in arguments.map("options")? {
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|_| EngineError::statement(format!("option {key:?} is no number")))
            };
            match key.as_str() {
                "target-file-size-bytes" => match number()? {
                    0 => return Err(EngineError::statement(format!("option {key:?} is to be 1 at least"))),
                    bytes => options.target_file_size_bytes = bytes,
                },
                "max-file-group-size-bytes" => options.group_bytes_max = number()?,
                "min-input-files" => options.files_min = usize::try_from(number()?).unwrap_or(usize::MAX),
                "rewrite-all" if value == "true" => options.whole = true,
                // Small files and deleted rows are always seen to, and every group is a commit of its own.
                "rewrite-all" | "partial-progress.enabled" | "delete-file-threshold" => {}
                other => return Err(EngineError::statement(format!("option {other:?} is not known"))),
            }
        }
        let layout = Layout { filter, order };
        let done = self.engine.lay_out(self.runner, &table, &options, &layout).await?;
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        procedure.numbers(&[
            count(done.files_removed),
            count(done.files_added),
            i64::try_from(done.bytes_removed).unwrap_or(i64::MAX),
            count(done.files_failed),
            i64::try_from(done.deletes_removed).unwrap_or(i64::MAX),
        ])
    }

    /// What `strategy` and `sort_order` ask for. An order says by itself that rows are to be sorted.
    fn order(&self, arguments: &Arguments, table: &LoadedTable) -> Result<Option<RowOrder>> {
        let strategy = arguments.text("strategy")?.map(|strategy| strategy.to_lowercase());
        let order = arguments.text("sort_order")?;
        match (strategy.as_deref(), order) {
            (None | Some("sort"), Some(order)) => RowOrder::parse(&order, &table.metadata).map(Some),
            (Some("sort"), None) => match RowOrder::of_table(&table.metadata)? {
                Some(order) => Ok(Some(order)),
                None => Err(EngineError::statement(format!(
                    "{} has no sort order: give sort_order => '…', or ALTER TABLE … WRITE ORDERED BY …",
                    table.name
                ))),
            },
            (None | Some("binpack"), None) => Ok(None),
            (Some("binpack"), Some(_)) => Err(EngineError::statement(
                "binpack has no sort_order: give strategy => 'sort'",
            )),
            (Some(other), _) => Err(EngineError::statement(format!(
                "there is no strategy {other:?}: there are binpack and sort"
            ))),
        }
    }

    /// Old snapshots leave, and the files that only they could reach. How many of them are removed at once is ours to say.
    pub(super) async fn expire_snapshots(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        let table = self.engine.load(&name).await?;
        let retain_last = arguments.integer("retain_last")?.unwrap_or(1);
        if retain_last < 1 {
            return Err(EngineError::statement(
                "expire_snapshots: argument \"retain_last\" is to be 1 at least",
            ));
        }
        let older_than = arguments.time_ms("older_than")?;
        let now_ms = self.engine.clock().now_ms();
        let older_than = older_than.unwrap_or(now_ms - FIVE_DAYS_MS);
        let catalog = self.engine.catalog();
        let consumers = Consumers::of(catalog.as_ref(), now_ms).await?;
        let newest = u32::try_from(retain_last)
            .unwrap_or(u32::MAX)
            .max(newer(&table, older_than))
            .max(consumers.need(&table.metadata));
        let keep = Keep {
            newest,
            now_ms: Some(now_ms),
        };
        let expired = expire(catalog.as_ref(), self.engine.store(), &name, keep).await?;
        let count = |kind: FileKind| {
            let of_kind = expired.files.values().filter(|of| **of == kind);
            i64::try_from(of_kind.count()).unwrap_or(i64::MAX)
        };
        procedure.numbers(&[
            count(FileKind::Data),
            count(FileKind::PositionDeletes),
            count(FileKind::EqualityDeletes),
            count(FileKind::Manifest),
            count(FileKind::ManifestList),
            count(FileKind::Statistics),
        ])
    }
}

impl Workshop<'_> {
    /// Files in a table's folder that nothing names go, once they are old enough for no writer to be at work on them.
    pub(super) async fn remove_orphan_files(
        &self,
        procedure: &Procedure,
        arguments: &Arguments,
    ) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        let now_ms = self.engine.clock().now_ms();
        let mut options = OrphanOptions {
            below: arguments.text("location")?,
            ..OrphanOptions::default()
        };
        if let Some(older_than) = arguments.time_ms("older_than")? {
            let age_ms = u64::try_from(now_ms.saturating_sub(older_than)).unwrap_or_default();
            options.older_than = Duration::from_millis(age_ms);
        }
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        let found = match arguments.truth("dry_run")?.unwrap_or(false) {
            true => find_orphans(catalog, store, &name, &options).await?,
            false => remove_orphans(catalog, store, &name, &options).await?,
        };
        procedure.texts(found.files.into_iter().map(|file| file.location).collect())
    }

    /// How many different values columns have is written beside a snapshot.
    pub(super) async fn compute_table_stats(
        &self,
        procedure: &Procedure,
        arguments: &Arguments,
    ) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        let options = StatisticsOptions {
            columns: arguments.texts("columns")?,
            snapshot_id: arguments.integer("snapshot_id")?,
        };
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        let computed = compute_statistics(catalog, store, &name, &options).await?;
        procedure.texts(computed.file.into_iter().map(|file| file.statistics_path).collect())
    }

    /// Manifests become fewer, each of few partitions.
    pub(super) async fn rewrite_manifests(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        let spec_id = arguments
            .integer("spec_id")?
            .map(|id| i32::try_from(id).unwrap_or(i32::MAX));
        let rewrite = RewriteManifests {
            spec_id,
            ..RewriteManifests::default()
        };
        let options = CommitOptions::default();
        let done = rewrite_manifests(catalog, store, &name, &rewrite, &options).await?;
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        procedure.numbers(&[count(done.replaced), count(done.created)])
    }
}

/// What Spark keeps if it is not told otherwise.
const FIVE_DAYS_MS: i64 = 5 * 24 * 60 * 60 * 1000;

/// Snapshots of the main branch from this time on.
fn newer(table: &LoadedTable, since_ms: i64) -> u32 {
    let (mut newer, mut count) = (0, 0);
    let mut at = table.metadata.current_snapshot();
    while let Some(snapshot) = at {
        count += 1;
        if snapshot.timestamp_ms() >= since_ms {
            newer = count;
        }
        at = snapshot
            .parent_snapshot_id()
            .and_then(|id| table.metadata.snapshot_by_id(id));
    }
    newer
}
