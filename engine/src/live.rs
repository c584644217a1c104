//! Tables whose rows are made in the moment in which a statement asks for them: what a process knows of itself.

mod files;
mod times;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use tidewater_core::TableName;

pub use self::files::{Batches, LiveFiles};
pub use self::times::Times;
use crate::error::Result;
use crate::warnings::Warnings;

/// Where the rows come from.
#[async_trait]
pub trait LiveRows: fmt::Debug + Send + Sync {
    /// The columns, the same every time.
    fn schema(&self) -> SchemaRef;

    /// All rows as they are now: few enough to be held in memory. What is missing from them is warned of.
    async fn rows(&self, warnings: &Warnings) -> Result<RecordBatch>;
}

#[derive(Debug)]
enum Source {
    Rows(Arc<dyn LiveRows>),
    Files(Arc<dyn LiveFiles>),
}

/// A table over such rows. Statements that name it run in this process.
#[derive(Debug)]
pub struct LiveTable {
    name: TableName,
    source: Source,
}

impl LiveTable {
    /// Over these rows.
    pub fn new(name: TableName, rows: impl LiveRows + 'static) -> Self {
        let source = Source::Rows(Arc::new(rows));
        Self { name, source }
    }

    /// Over rows that are read from files.
    pub fn of_files(name: TableName, files: impl LiveFiles + 'static) -> Self {
        let source = Source::Files(Arc::new(files));
        Self { name, source }
    }

    /// The name by which it is granted, whatever a statement calls it.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// Whether its rows are in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.source, Source::Rows(_))
    }
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        match &self.source {
            Source::Rows(rows) => rows.schema(),
            Source::Files(files) => files.schema(),
        }
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let supported = |filter: &&Expr| match &self.source {
            // Rows are filtered above the scan all the same.
            Source::Files(files) if Times::said_by(filter, files.time()).is_some() => {
                TableProviderFilterPushDown::Inexact
            }
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(supported).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let rows = match &self.source {
            Source::Rows(rows) => rows,
            Source::Files(files) => {
                let times = Times::said_by_all(filters, files.time());
                return files::scan(files, times, projection, limit);
            }
        };
        let asked = session.config().get_extension::<Warnings>();
        let warnings = asked.clone().unwrap_or_default();
        let batch = rows.rows(&warnings).await?;
        if asked.is_none() {
            for warning in warnings.told() {
                tracing::warn!(
                    warning,
                    "rows are missing from a statement whose client is told no warnings"
                );
            }
        }
        Ok(MemorySourceConfig::try_new_exec(
            &[vec![batch]],
            rows.schema(),
            projection.cloned(),
        )?)
    }
}
