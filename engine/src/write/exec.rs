//! The write operator: each task writes its partitions to data files and answers with one row for each file.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tidewater_core::{JobId, TableName};
use tidewater_table::iceberg::spec::TableMetadata;
use tidewater_table::{Added, DataFileWriter, FileStore, LoadedTable, ParquetCodec, WriteOptions, WriteRun};

use super::memory::FileMemory;
use crate::error::{EngineError, Result};

/// The column that describes a data file, as [`Added::to_json`] does.
pub(super) const DATA_FILE: &str = "data_file";

/// Parts of a table's metadata that writers do not need and that may be large.
const NEEDLESS: &[&str] = &[
    "snapshots",
    "snapshot-log",
    "metadata-log",
    "refs",
    "current-snapshot-id",
    "statistics",
    "partition-statistics",
];

/// What tasks must know to write: the same in every process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriteSpec {
    name: TableName,
    job: JobId,
    metadata: Arc<TableMetadata>,
    target_file_size_bytes: u64,
    row_group_rows_max: usize,
    buffered_bytes_max: u64,
    compression_level: i32,
    // What a process of another version does not send is as it was before there was a choice.
    #[serde(default)]
    row_group_bytes_max: Option<usize>,
    #[serde(default)]
    codec: Option<ParquetCodec>,
    #[serde(default)]
    sorted: bool,
    /// Files are to have the size that they were asked for, however little memory there is.
    #[serde(default)]
    sized: bool,
    #[serde(default)]
    run: Option<WriteRun>,
}

impl WriteSpec {
    /// For this state of a table, without its history.
    pub fn new(table: &LoadedTable, job: JobId, options: &WriteOptions) -> Result<Self> {
        let damaged = |error: serde_json::Error| EngineError::PlanDamaged {
            reason: format!("metadata of {}: {error}", table.name),
        };
        let mut metadata = serde_json::to_value(table.metadata.as_ref()).map_err(damaged)?;
        if let Some(parts) = metadata.as_object_mut() {
            parts.retain(|key, _| !NEEDLESS.contains(&key.as_str()));
        }
        Ok(Self {
            name: table.name.clone(),
            job,
            metadata: Arc::new(serde_json::from_value(metadata).map_err(damaged)?),
            target_file_size_bytes: options.target_file_size_bytes,
            row_group_rows_max: options.row_group_rows_max,
            buffered_bytes_max: options.buffered_bytes_max,
            compression_level: options.compression_level,
            row_group_bytes_max: options.row_group_bytes_max,
            codec: options.codec,
            sorted: options.sorted,
            sized: false,
            run: None,
        })
    }

    /// Files are not closed early where memory is short.
    #[must_use]
    pub(super) fn with_files_of_their_size(mut self) -> Self {
        self.sized = true;
        self
    }

    /// As this run, of which the names of the files tell.
    #[must_use]
    pub fn of_run(self, run: WriteRun) -> Self {
        Self { run: Some(run), ..self }
    }

    /// The table.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// The job.
    pub fn job(&self) -> JobId {
        self.job
    }

    pub(super) fn metadata(&self) -> &TableMetadata {
        &self.metadata
    }

    fn options(&self) -> WriteOptions {
        WriteOptions {
            target_file_size_bytes: self.target_file_size_bytes,
            row_group_rows_max: self.row_group_rows_max,
            buffered_bytes_max: self.buffered_bytes_max,
            compression_level: self.compression_level,
            row_group_bytes_max: self.row_group_bytes_max,
            codec: self.codec,
            sorted: self.sorted,
        }
    }
}

/// Writes its input to data files. It commits nothing, and a task that runs twice writes two sets of files, of which the
/// coordinator lists one.
#[derive(Debug)]
pub struct IcebergWriteExec {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<WriteSpec>,
    store: FileStore,
    /// Asked of the optimiser.
    required: Distribution,
    /// Likewise; `None`: the input's own.
    order: Option<LexOrdering>,
    properties: Arc<PlanProperties>,
}

impl IcebergWriteExec {
    /// Above `input`, whose columns are the table's.
    pub fn new(input: Arc<dyn ExecutionPlan>, spec: Arc<WriteSpec>, store: FileStore) -> Self {
        // As many as the input has now: a cluster cuts the scan below down to one task's files, and this has to follow.
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Self::answer_schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            input,
            spec,
            store,
            required: Distribution::UnspecifiedDistribution,
            order: None,
            properties: Arc::new(properties),
        }
    }

    /// Asks for rows to be spread like this.
    #[must_use]
    pub fn with_required_distribution(mut self, required: Distribution) -> Self {
        self.required = required;
        self
    }

    /// Asks for each task's rows in this order.
    #[must_use]
    pub fn with_required_order(mut self, order: Option<LexOrdering>) -> Self {
        self.order = order;
        self
    }

    /// How rows are to be spread.
    pub(crate) fn required(&self) -> &Distribution {
        &self.required
    }

    /// The order that is asked for; none: the input's own.
    pub(crate) fn order(&self) -> Option<&LexOrdering> {
        self.order.as_ref()
    }

    /// One row for each data file.
    pub fn answer_schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(DATA_FILE, DataType::Utf8, false),
            Field::new("record_count", DataType::UInt64, false),
            Field::new("size_bytes", DataType::UInt64, false),
        ]))
    }

    /// What is written.
    pub fn spec(&self) -> &Arc<WriteSpec> {
        &self.spec
    }
}

impl DisplayAs for IcebergWriteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IcebergWriteExec: table={}, job={}", self.spec.name, self.spec.job)
    }
}

impl ExecutionPlan for IcebergWriteExec {
    fn name(&self) -> &str {
        "IcebergWriteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![self.required.clone()]
    }

    // Rows that come in an order are written in it: without this the planner would let the sort go. An order that is asked for the
    // planner brings about, by a sort that spills.
    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let order = self.order.as_ref().or_else(|| self.input.output_ordering());
        vec![order.map(|order| OrderingRequirements::from(order.clone()))]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        // More tasks make more files; who wants them says so by a distribution.
        vec![false]
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
            (Some(input), true) => {
                let write = Self::new(input, self.spec.clone(), self.store.clone());
                let write = write.with_required_distribution(self.required.clone());
                Ok(Arc::new(write.with_required_order(self.order.clone())))
            }
            _ => internal_err!("IcebergWriteExec has one input"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let memory = FileMemory::new(context.memory_pool(), &self.spec.options(), self.spec.sized);
        let input = self.input.execute(partition, context)?;
        let (store, spec) = (self.store.clone(), self.spec.clone());
        let answer = async move { Ok(write_files(input, store, &spec, memory).await?) };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream::once(answer).boxed(),
        )))
    }
}

/// The memory is counted until all files are durable, or nobody waits for them.
pub(super) async fn write_files(
    mut input: SendableRecordBatchStream,
    store: FileStore,
    spec: &WriteSpec,
    memory: FileMemory,
) -> Result<RecordBatch> {
    let mut writer = DataFileWriter::new(store, &spec.metadata, spec.options())?;
    if let Some(run) = spec.run {
        writer = writer.of_run(run);
    }
    while let Some(batch) = input.next().await {
        let written = match batch {
            Ok(batch) => take(&mut writer, batch, &memory).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = written {
            // A write that was ended holds nothing while its files are removed, however many there are.
            drop((input, memory));
            // The files are in no snapshot; if they cannot be removed now, orphan cleanup will.
            if let Err(left) = writer.abort().await {
                tracing::warn!(table = %spec.name, error = %left, "data files of a failed write were left behind");
            }
            return Err(error);
        }
    }
    answer(&writer.close().await?, spec)
}

async fn take(writer: &mut DataFileWriter, batch: RecordBatch, memory: &FileMemory) -> Result<()> {
    writer.write(batch).await?;
    memory.follow(writer).await
}

fn answer(added: &[Added], spec: &WriteSpec) -> Result<RecordBatch> {
    let described = added.iter().map(|added| added.to_json(&spec.metadata));
    let described = described.collect::<Result<Vec<String>, _>>()?;
    let rows = added.iter().map(|added| added.file.record_count());
    let sizes = added.iter().map(|added| added.file.file_size_in_bytes());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(described)),
        Arc::new(UInt64Array::from_iter_values(rows)),
        Arc::new(UInt64Array::from_iter_values(sizes)),
    ];
    Ok(RecordBatch::try_new(IcebergWriteExec::answer_schema(), columns).map_err(DataFusionError::from)?)
}
