//! Rows written to data files. Nothing here commits, except what `INSERT` ends with.

mod align;
mod arriving;
mod exec;
mod insert;
mod leftovers;
mod memory;
mod order;
mod target;
#[cfg(test)]
mod tests;
mod transform;

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, LogicalPlan, WriteOp};
use datafusion::prelude::{SessionContext, col};
use tidewater_core::JobId;
use tidewater_table::{Added, FileStore, LoadedTable, WriteOptions, WriteRun, discard};

use crate::engine::{Engine, Parts};
use crate::error::{EngineError, Result};
use crate::opaque::Opaque;
use crate::runner::{PlanRequest, PlanRunner};
use crate::session::{CATALOG, Class, zone_of};

pub(crate) use align::stored;
pub(crate) use arriving::Arriving;
pub use exec::{IcebergWriteExec, WriteSpec};
pub(crate) use insert::insert;
use leftovers::Leftovers;
pub(crate) use leftovers::SWEEPS_MAX;
pub(crate) use memory::FileMemory;
pub use order::Order;
use order::TaskOrder;
pub(crate) use order::{sort_value, table_order};
use target::{Spread, WriteTarget};
pub(crate) use transform::iceberg_transform;

/// How rows are spread over the tasks that write them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Distribution {
    /// As the plan leaves them.
    #[default]
    AsPlanned,
    /// One task, thus few files: for small results.
    Single,
    /// Rows with the same values of these columns (names of the target) go to the same task.
    Hash(Vec<String>),
    /// Rows of the same partition go to the same task: fewer files in tables with many partitions. An unpartitioned table,
    /// or one partitioned by functions that SQL does not have, is written as planned.
    ByPartition,
}

/// A write to be run.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    /// Names the run.
    pub job: JobId,
    /// The rows; columns are matched to the target's by name, and cast.
    pub input: LogicalPlan,
    /// The table, in the state whose columns and partitioning are written.
    pub target: LoadedTable,
    /// How rows are spread.
    pub distribution: Distribution,
    /// How they lie in the files of each task.
    pub order: Order,
    /// Size at which a file is closed, however little memory there is; `None`: as the table says, or else the engine's options, and
    /// earlier where memory is short.
    pub target_file_size_bytes: Option<u64>,
    /// Time it may take.
    pub deadline: Option<Duration>,
}

/// Removes files that no snapshot will have. Those that cannot be removed now are found by maintenance later; whoever asked hears why the
/// statement failed, not of them.
pub(crate) async fn drop_files(store: &FileStore, added: &[Added]) {
    if let Err(error) = discard(store, added).await {
        tracing::debug!(%error, files = added.len(), "files of a failed statement stay behind");
    }
}

impl Engine {
    /// Writes the rows of `input` to data files for `target` and describes them. The caller commits them, with the job's id.
    pub async fn write(
        &self,
        runner: &dyn PlanRunner,
        job: JobId,
        session: &SessionContext,
        input: LogicalPlan,
        target: &LoadedTable,
    ) -> Result<Vec<Added>> {
        let request = WriteRequest {
            job,
            input,
            target: target.clone(),
            distribution: Distribution::AsPlanned,
            order: Order::OfTable,
            target_file_size_bytes: None,
            deadline: None,
        };
        self.write_with(runner, session, request).await
    }

    /// [`Self::write`] with a say in how rows are spread, and a deadline. Files of attempts that were lost are gone when it answers; when
    /// it fails or nobody waits for it any more, those of the whole run go soon after.
    pub async fn write_with(
        &self,
        runner: &dyn PlanRunner,
        session: &SessionContext,
        request: WriteRequest,
    ) -> Result<Vec<Added>> {
        let target = request.target.clone();
        let settings = session.copied_config();
        let run = WriteRun::new(&self.parts.rng);
        let plan = self.write_plan(&request, run, zone_of(settings.options()))?;
        let leftovers = Leftovers::new(&self.parts, &target, run);
        let output = runner
            .run(PlanRequest {
                job: request.job,
                session: session.clone(),
                plan,
                class: Class::Batch,
                deadline: request.deadline,
            })
            .await?;
        let attempt = output.attempt;
        let mut added = Vec::new();
        for batch in output.collect().await? {
            files_of(&batch, &target, &mut added)?;
        }
        leftovers.answered(&added, attempt).await;
        Ok(added)
    }

    fn write_plan(&self, request: &WriteRequest, run: WriteRun, zone: &str) -> Result<LogicalPlan> {
        let order = match request.order {
            Order::OfTable => TaskOrder::of(&request.target.metadata),
            Order::AsPlanned => TaskOrder::default(),
        };
        let options = self.parts.write_options(&request.target)?;
        let options = WriteOptions {
            target_file_size_bytes: request.target_file_size_bytes.unwrap_or(options.target_file_size_bytes),
            // Whoever asks for files of a size has to get them: smaller ones would be merged again and again.
            buffered_bytes_max: match request.target_file_size_bytes {
                Some(bytes) => options.buffered_bytes_max.max(bytes.saturating_mul(2)),
                None => options.buffered_bytes_max,
            },
            sorted: order.whole,
            ..options
        };
        let spec = WriteSpec::new(&request.target, request.job, &options)?.of_run(run);
        let spec = match request.target_file_size_bytes {
            Some(_) => spec.with_files_of_their_size(),
            None => spec,
        };
        let input = align::align(request.input.clone(), &request.target, zone)?;
        let target = WriteTarget::new(self.parts.store.clone(), spec, spread(request), order.sorts)?;
        let name = &request.target.name;
        let reference = TableReference::full(CATALOG, name.namespace().to_string(), name.name());
        Ok(LogicalPlan::Dml(DmlStatement::new(
            reference,
            provider_as_source(Arc::new(target)),
            WriteOp::Insert(InsertOp::Append),
            Arc::new(input),
        )))
    }
}

impl Parts {
    /// How the files of a table are written: as its properties say, and where they say nothing, as the engine was told.
    ///
    /// # Errors
    /// [`tidewater_table::TableError::Alteration`] for properties by which nothing can be written.
    pub(crate) fn write_options(&self, table: &LoadedTable) -> Result<WriteOptions> {
        Ok(self.options.write.of_properties(table.metadata.properties())?)
    }
}

fn spread(request: &WriteRequest) -> Spread {
    let keys = match &request.distribution {
        Distribution::AsPlanned => return Spread::AsPlanned,
        Distribution::Single => return Spread::Single,
        Distribution::Hash(columns) => columns.iter().map(|name| col(Column::from_name(name))).collect(),
        Distribution::ByPartition => align::partition_keys(&request.target),
    };
    if keys.is_empty() {
        Spread::AsPlanned
    } else {
        Spread::Keys(Opaque::new(keys))
    }
}

/// Reads the rows an [`IcebergWriteExec`] answers with.
fn files_of(batch: &RecordBatch, target: &LoadedTable, added: &mut Vec<Added>) -> Result<()> {
    let answer = |reason: &str| EngineError::WriteAnswer { reason: reason.into() };
    let column = batch
        .column_by_name(exec::DATA_FILE)
        .ok_or_else(|| answer("no column of data files"))?;
    let files = column
        .as_string_opt::<i32>()
        .ok_or_else(|| answer("data files are not text"))?;
    for file in files {
        let json = file.ok_or_else(|| answer("a data file is null"))?;
        added.push(Added::from_json(json, &target.metadata)?);
    }
    Ok(())
}
