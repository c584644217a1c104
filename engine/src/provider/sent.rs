//! Scans that tell positions, on their way to executors.
//!
//! What datafusion-proto 55.2 sends of a scan has no place for a column that the reader makes. On its way the position stands among the
//! values that go with each file, as the last of them and without a meaning; where the plan is received, the reader makes it again. A node
//! above such a scan keeps whatever goes by the values of files, as filters do, away from it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics, internal_datafusion_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, replace_children_if_necessary,
};

use super::identity::HIDDEN_POSITION;
use crate::error::EngineError;

/// Stands where a position is made later.
const NO_POSITION: i64 = -1;

/// Puts scans that tell positions into the form in which they are sent. The last rule that pushes anything into scans has to have run.
#[derive(Debug)]
pub struct SentPositions;

impl PhysicalOptimizerRule for SentPositions {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan.transform_up(sent)?.data)
    }

    fn name(&self) -> &str {
        "SentPositions"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn sent(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some((config, source)) = parquet(&plan) else {
        return Ok(Transformed::no(plan));
    };
    let columns = source.table_schema();
    let made: &[FieldRef] = columns.virtual_columns();
    if made.is_empty() {
        return Ok(Transformed::no(plan));
    }
    let [position] = made else {
        return internal_err!("a scan makes more columns than can be sent");
    };
    if !is_position(position) {
        return internal_err!("a scan makes a column that cannot be sent");
    }
    let mut told: Vec<FieldRef> = columns.table_partition_cols().to_vec();
    told.push(Arc::clone(position));
    let columns = TableSchema::builder(Arc::clone(columns.file_schema()))
        .with_table_partition_cols(told)
        .build();
    let groups = config.file_groups.iter().map(|group| {
        let files = group.files().iter().map(|file| {
            let mut file = file.clone();
            file.partition_values.push(ScalarValue::Int64(Some(NO_POSITION)));
            file
        });
        FileGroup::new(files.collect())
    });
    let scan = over(config, source, columns, groups.collect())?;
    Ok(Transformed::yes(Arc::new(PositionsExec::new(scan))))
}

/// The scan below a [`PositionsExec`] as it runs.
pub(crate) fn received(scan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let [input] = scan.children().as_slice() {
        let input = received(input)?;
        return replace_children_if_necessary(Arc::clone(scan), vec![input]);
    }
    let Some((config, source)) = parquet(scan) else {
        return Err(damaged(format!(
            "positions of {} instead of a scan of Parquet files",
            scan.name()
        )));
    };
    let columns = source.table_schema();
    let (position, told) = match columns.table_partition_cols().split_last() {
        Some((position, told)) if is_position(position) => (Arc::clone(position), told.to_vec()),
        _ => return Err(damaged("a scan without a place for positions".to_owned())),
    };
    let columns = TableSchema::builder(Arc::clone(columns.file_schema()))
        .with_table_partition_cols(told)
        .with_virtual_columns(vec![position])
        .build();
    let mut groups = Vec::with_capacity(config.file_groups.len());
    for group in &config.file_groups {
        let mut files = group.files().to_vec();
        for file in &mut files {
            if file.partition_values.pop() != Some(ScalarValue::Int64(Some(NO_POSITION))) {
                return Err(damaged(format!("{} has no place for positions", file.path())));
            }
        }
        groups.push(FileGroup::new(files));
    }
    over(config, source, columns, groups)
}

fn is_position(field: &FieldRef) -> bool {
    field.name() == HIDDEN_POSITION && *field.data_type() == DataType::Int64
}

fn damaged(reason: String) -> DataFusionError {
    EngineError::PlanDamaged { reason }.into()
}

fn parquet(plan: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, &ParquetSource)> {
    plan.downcast_ref::<DataSourceExec>()?
        .downcast_to_file_source::<ParquetSource>()
}

/// The same scan of these files, whose columns are the same ones in the same order.
fn over(
    config: &FileScanConfig,
    source: &ParquetSource,
    columns: TableSchema,
    groups: Vec<FileGroup>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let projection = source.projection();
    let projection = projection.ok_or_else(|| internal_datafusion_err!("a Parquet scan without a projection"))?;
    // The schema of a source cannot be changed. What else there is to one is for sorts, none of which is pushed into a scan here.
    let mut scan = ParquetSource::new(columns).with_table_parquet_options(source.table_parquet_options().clone());
    if let Some(reader) = source.parquet_file_reader_factory() {
        scan = scan.with_parquet_file_reader_factory(Arc::clone(reader));
    }
    if let Some(pruning) = source.filter() {
        scan = scan.with_predicate(pruning);
    }
    let scan = scan
        .try_pushdown_projection(projection)?
        .ok_or_else(|| internal_datafusion_err!("a Parquet scan takes any projection of columns"))?;
    let config: FileScanConfig = FileScanConfigBuilder::from(config.clone())
        .with_source(scan)
        .with_file_groups(groups)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// Above a scan in the form in which it is sent: the scan as it is meant. Where a plan is received it gives way to that.
#[derive(Debug)]
pub(crate) struct PositionsExec {
    scan: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    /// The scan as it is meant, once a partition has asked for it. One for all of them: partitions of a scan take files from each other, so
    /// each of several scans would read all files.
    meant: OnceLock<Arc<dyn ExecutionPlan>>,
}

impl PositionsExec {
    fn new(scan: Arc<dyn ExecutionPlan>) -> Self {
        let properties = scan.properties().as_ref().clone();
        // What the scan says of the values that go with its files is not so.
        let nothing = EquivalenceProperties::new(scan.schema());
        Self {
            scan,
            properties: Arc::new(properties.with_eq_properties(nothing)),
            meant: OnceLock::new(),
        }
    }
}

impl DisplayAs for PositionsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PositionsExec")
    }
}

impl ExecutionPlan for PositionsExec {
    fn name(&self) -> &str {
        "PositionsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.scan]
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
            (Some(scan), true) => Ok(Arc::new(Self::new(scan))),
            _ => internal_err!("PositionsExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let meant = match self.meant.get() {
            Some(meant) => meant,
            None => {
                let meant = received(&self.scan)?;
                self.meant.get_or_init(|| meant)
            }
        };
        meant.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, counted: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match counted {
            [counted] => Ok(Arc::clone(counted)),
            _ => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }
}

#[cfg(test)]
mod tests;
