//! Reading files of which some rows are gone: which they are is found out where the scan runs, just before it does.

mod counted;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::path::Path;
use datafusion::parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use tidewater_table::{FileDeletes, FileStore};
use tokio::sync::OnceCell;

use self::counted::Counted;
use crate::error::EngineError;

/// What the selected rows are called where memory runs out.
const DELETED_ROWS: &str = "deleted rows";

/// Masks made at the same time: hides a store's latency.
const MASKS_AT_ONCE: usize = 8;

/// Above a scan of Parquet files: leaves the deleted rows of each file out, and of a file that a change is about all others. It makes
/// no row of its own and hides nothing but its scan's statistics, which count deleted rows.
#[derive(Debug)]
pub struct RowDeletesExec {
    scan: Arc<dyn ExecutionPlan>,
    deletes: Arc<Vec<FileDeletes>>,
    store: FileStore,
    /// The scan with the rows selected, once the first partition has asked for it.
    selected: Arc<OnceCell<Selected>>,
}

/// A scan that reads only the rows that are there.
#[derive(Debug)]
struct Selected {
    scan: Arc<dyn ExecutionPlan>,
    /// Memory that tells which they are, by partition.
    bytes: Vec<usize>,
}

impl RowDeletesExec {
    /// Above `scan`, which must be a `DataSourceExec` of Parquet files. Files that `deletes` does not name are read whole.
    pub fn new(scan: Arc<dyn ExecutionPlan>, deletes: Arc<Vec<FileDeletes>>, store: FileStore) -> Self {
        Self {
            scan,
            deletes,
            store,
            selected: Arc::default(),
        }
    }

    /// What is deleted, by data file.
    pub fn deletes(&self) -> &Arc<Vec<FileDeletes>> {
        &self.deletes
    }

    fn over(&self, scan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(scan, self.deletes.clone(), self.store.clone()))
    }
}

impl DisplayAs for RowDeletesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delete_files: usize = self.deletes.iter().map(FileDeletes::delete_files).sum();
        write!(
            f,
            "RowDeletesExec: files={}, deletes={delete_files}",
            self.deletes.len()
        )
    }
}

impl ExecutionPlan for RowDeletesExec {
    fn name(&self) -> &str {
        "RowDeletesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.scan]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        // Nothing may come between it and its scan.
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(scan), true) => Ok(self.over(scan)),
            _ => internal_err!("RowDeletesExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (scan, deletes, store) = (self.scan.clone(), self.deletes.clone(), self.store.clone());
        let selected = self.selected.clone();
        // Of each stream, not of the plan: others may keep that for its metrics.
        let memory = MemoryConsumer::new(DELETED_ROWS).register(context.memory_pool());
        let rows = async move {
            let found = selected.get_or_try_init(|| select(scan, &deletes, &store)).await?;
            let bytes = found.bytes.get(partition).copied().unwrap_or_default();
            let rows = found.scan.execute(partition, context)?;
            Ok::<_, DataFusionError>(Counted::new(rows, memory, bytes))
        };
        let schema: SchemaRef = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            schema,
            stream::once(rows).try_flatten(),
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.selected.get()?.scan.metrics()
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, counted: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(match counted {
            [counted] => Arc::new(Statistics::clone(counted).to_inexact()),
            _ => Arc::new(Statistics::new_unknown(&self.schema())),
        })
    }

    fn supports_limit_pushdown(&self) -> bool {
        // A limit of the scan counts rows that are there.
        true
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(self.over(self.scan.with_fetch(limit)?))
    }

    fn fetch(&self) -> Option<usize> {
        self.scan.fetch()
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }
}

/// The same scan, reading only the rows that are there.
async fn select(scan: Arc<dyn ExecutionPlan>, deletes: &[FileDeletes], store: &FileStore) -> Result<Selected> {
    // On an executor, what ends a scan that nobody waits for stands between.
    if let [input] = scan.children().as_slice() {
        let selected = Box::pin(select(Arc::clone(input), deletes, store)).await?;
        let properties = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        return Ok(Selected {
            scan: scan.replace_children(vec![selected.scan], properties)?,
            bytes: selected.bytes,
        });
    }
    let Some((config, _)) = scan
        .downcast_ref::<DataSourceExec>()
        .and_then(|scan| scan.downcast_to_file_source::<ParquetSource>())
    else {
        // Going on without the deletes would show rows that are gone.
        let reason = format!("row deletes above {} instead of a scan of Parquet files", scan.name());
        return Err(EngineError::PlanDamaged { reason }.into());
    };
    let wanted: Vec<&Path> = config
        .file_groups
        .iter()
        .flat_map(FileGroup::files)
        .map(|file| file.path())
        .collect();
    let mut named = HashMap::with_capacity(deletes.len());
    for delete in deletes {
        let (_, _, path) = store.object_store(delete.path()).map_err(EngineError::from)?;
        // A task of a cluster has some of the files only.
        if wanted.contains(&&path) {
            named.insert(path, delete);
        }
    }
    let reads: Vec<_> = named
        .into_iter()
        .map(|(path, delete)| selection(path, delete, store))
        .collect();
    let selections: HashMap<Path, (ParquetRowSelection, usize)> = stream::iter(reads)
        .buffer_unordered(MASKS_AT_ONCE)
        .try_collect()
        .await?;
    let groups = config.file_groups.iter().map(|group| {
        let files = group.files().iter().map(|file| match selections.get(file.path()) {
            Some((selection, _)) => file.clone().with_extension(selection.clone()),
            None => file.clone(),
        });
        FileGroup::new(files.collect())
    });
    let groups = groups.collect();
    let bytes = config.file_groups.iter().map(|group| {
        let found = group.files().iter().filter_map(|file| selections.get(file.path()));
        found.fold(0_usize, |sum, (_, bytes)| sum.saturating_add(*bytes))
    });
    let bytes = bytes.collect();
    let config: FileScanConfig = FileScanConfigBuilder::from(config.clone())
        .with_file_groups(groups)
        .build();
    Ok(Selected {
        scan: DataSourceExec::from_data_source(config),
        bytes,
    })
}

async fn selection(
    path: Path,
    delete: &FileDeletes,
    store: &FileStore,
) -> Result<(Path, (ParquetRowSelection, usize)), DataFusionError> {
    let kept = delete.kept(store).await.map_err(EngineError::from)?;
    let rows = delete.record_count();
    let too_many = |_| EngineError::PlanDamaged {
        reason: format!("{} has {rows} rows", delete.path()),
    };
    let total = usize::try_from(rows).map_err(too_many)?;
    // Each range that is kept lies between two gaps.
    let ranges = kept.len().saturating_mul(2).saturating_add(1);
    // Positions are below the total, which fits.
    let kept = kept.into_iter().map(|kept| kept.start as usize..kept.end as usize);
    let selection = RowSelection::from_consecutive_ranges(kept, total);
    let bytes = ranges.saturating_mul(size_of::<RowSelector>());
    Ok((path, (ParquetRowSelection::new(selection), bytes)))
}
