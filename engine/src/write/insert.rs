//! `INSERT INTO`: the write operator with a commit above it, in this process only.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::{StreamExt, stream};
use tidewater_core::JobId;
use tidewater_table::{Change, CommitOptions, LoadedTable, WriteOptions, commit_change};

use super::exec::{IcebergWriteExec, WriteSpec};
use super::files_of;
use super::order::{self, TaskOrder};
use crate::engine::Parts;
use crate::error::{EngineError, Result};

/// The plan of an `INSERT`.
pub(crate) fn insert(
    parts: Arc<Parts>,
    session: &dyn Session,
    table: &LoadedTable,
    input: Arc<dyn ExecutionPlan>,
    op: InsertOp,
) -> Result<Arc<dyn ExecutionPlan>> {
    if op != InsertOp::Append {
        return Err(EngineError::Unsupported {
            what: format!("INSERT that replaces rows of {}", table.name),
        });
    }
    let job = JobId(parts.rng.uuid_v7(parts.clock.now_ms()));
    let order = TaskOrder::of(&table.metadata);
    let options = WriteOptions {
        sorted: order.whole,
        ..parts.write_options(table)?
    };
    let spec = WriteSpec::new(table, job, &options)?;
    let sorted = order::physical(&order.sorts, session, &input.schema())?;
    let write = IcebergWriteExec::new(input, Arc::new(spec), parts.store.clone()).with_required_order(sorted);
    let files = Arc::new(CoalescePartitionsExec::new(Arc::new(write)));
    Ok(Arc::new(AppendExec::new(files, parts, table.clone(), job)))
}

/// Commits the files its input lists and answers with the number of rows.
#[derive(Debug)]
struct AppendExec {
    files: Arc<dyn ExecutionPlan>,
    parts: Arc<Parts>,
    table: LoadedTable,
    job: JobId,
    properties: Arc<PlanProperties>,
}

impl AppendExec {
    fn new(files: Arc<dyn ExecutionPlan>, parts: Arc<Parts>, table: LoadedTable, job: JobId) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(count_schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            files,
            parts,
            table,
            job,
            properties: Arc::new(properties),
        }
    }
}

fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("count", DataType::UInt64, false)]))
}

impl DisplayAs for AppendExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppendExec: table={}, job={}", self.table.name, self.job)
    }
}

impl ExecutionPlan for AppendExec {
    fn name(&self) -> &str {
        "AppendExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.files]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        match (children.pop(), children.is_empty()) {
            (Some(files), true) => Ok(Arc::new(Self::new(
                files,
                self.parts.clone(),
                self.table.clone(),
                self.job,
            ))),
            _ => internal_err!("AppendExec has one input"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let files = self.files.execute(partition, context)?;
        let (parts, table, job) = (self.parts.clone(), self.table.clone(), self.job);
        let count = async move { Ok(append(files, &parts, &table, job).await?) };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            count_schema(),
            stream::once(count).boxed(),
        )))
    }
}

async fn append(
    mut files: SendableRecordBatchStream,
    parts: &Parts,
    table: &LoadedTable,
    job: JobId,
) -> Result<RecordBatch> {
    let mut added = Vec::new();
    while let Some(batch) = files.next().await {
        files_of(&batch?, table, &mut added)?;
    }
    let rows: u64 = added.iter().map(|added| added.file.record_count()).sum();
    if !added.is_empty() {
        let change = Change::append(added)
            .of_table(table.metadata.uuid())
            .of_schema(table.metadata.current_schema())
            .of_job(job);
        commit_change(
            parts.catalog.as_ref(),
            &parts.store,
            &table.name,
            &change,
            &CommitOptions::default(),
        )
        .await?;
    }
    let count = Arc::new(UInt64Array::from(vec![rows]));
    Ok(RecordBatch::try_new(count_schema(), vec![count]).map_err(DataFusionError::from)?)
}
