//! Explanations for whom grants bind tell files by their names alone: folders that other engines make of partitions (`mrn=123/`) tell
//! values, which may be those of a column that whoever asks may not read.
//!
//! Paths are not cut out of the text: what a statement writes itself stands there too, and whether that is cut would tell which folders
//! there are. What is only planned is planned with names, and what runs is shown by a plan beside it.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::object_store::path::Path;
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, replace_children_if_necessary,
};
use datafusion::prelude::SessionConfig;

use crate::judge;

/// The plans of a session are shown and never run, and tell files by their names.
struct NamesOnly;

/// Lets this state, which makes the plan and is nobody else's, make one that tells names, if it is only explained to somebody whom grants
/// bind.
pub(crate) fn plan_with_names(state: &mut SessionState, plan: &LogicalPlan) {
    if matches!(plan, LogicalPlan::Explain(_)) && judge::binds(state.config()) {
        state.config_mut().set_extension(Arc::new(NamesOnly));
    }
}

/// The files of a scan as a session with this configuration plans them.
pub(crate) fn planned(config: &SessionConfig, groups: Vec<FileGroup>) -> Vec<FileGroup> {
    match config.get_extension::<NamesOnly>() {
        Some(_) => named(&groups),
        None => groups,
    }
}

/// The plan of an `EXPLAIN ANALYZE`, which shows names beside the figures of what runs.
pub(crate) fn analyzed(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if plan.downcast_ref::<AnalyzeExec>().is_none() {
        return internal_err!("{} shows the files of what it runs", plan.name());
    }
    let shown = plan.children().into_iter().map(shown).collect();
    replace_children_if_necessary(plan, shown)
}

fn named(groups: &[FileGroup]) -> Vec<FileGroup> {
    let groups = groups.iter().map(|group| {
        let files = group.files().iter().map(|file| {
            let mut file = file.clone();
            let name = file.path().filename().unwrap_or_default();
            file.object_meta.location = Path::parse(name).unwrap_or_default();
            file
        });
        FileGroup::new(files.collect())
    });
    groups.collect()
}

fn shown(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let scan = plan.downcast_ref::<DataSourceExec>();
    let scan = scan.and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>());
    let shows: Arc<dyn ExecutionPlan> = match scan {
        Some(config) => {
            let groups = named(&config.file_groups);
            let config: FileScanConfig = FileScanConfigBuilder::from(config.clone())
                .with_file_groups(groups)
                .build();
            DataSourceExec::from_data_source(config)
        }
        None => Arc::clone(plan),
    };
    Arc::new(ShownExec {
        runs: Arc::clone(plan),
        shows,
        inputs: plan.children().into_iter().map(shown).collect(),
    })
}

/// Runs an operator, and shows it as another one.
#[derive(Debug)]
struct ShownExec {
    runs: Arc<dyn ExecutionPlan>,
    shows: Arc<dyn ExecutionPlan>,
    /// Those of the operator, as they are shown. What it runs on are its own.
    inputs: Vec<Arc<dyn ExecutionPlan>>,
}

impl DisplayAs for ShownExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shows.fmt_as(format, f)
    }
}

impl ExecutionPlan for ShownExec {
    fn name(&self) -> &str {
        self.runs.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.runs.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        internal_err!("a plan that is shown runs as it is")
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.runs.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let metrics = self.runs.metrics()?;
        // Those of scans bear the path of a file each.
        let labelled = metrics.iter().any(|metric| !metric.labels().is_empty());
        Some(if labelled { metrics.aggregate_by_name() } else { metrics })
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.runs.child_stats_requests(partition)
    }

    fn statistics_from_inputs(&self, counted: &[Arc<Statistics>], of: &StatisticsArgs) -> Result<Arc<Statistics>> {
        self.runs.statistics_from_inputs(counted, of)
    }
}
