//! Tables whose rows are made in the moment in which a statement asks for them: what a process knows of itself.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

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

/// A table over such rows. Statements that name it run in this process.
#[derive(Debug)]
pub struct LiveTable(Arc<dyn LiveRows>);

impl LiveTable {
    /// Over these rows.
    pub fn new(rows: impl LiveRows + 'static) -> Self {
        Self(Arc::new(rows))
    }
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let asked = session.config().get_extension::<Warnings>();
        let warnings = asked.clone().unwrap_or_default();
        let rows = self.0.rows(&warnings).await?;
        if asked.is_none() {
            for warning in warnings.told() {
                tracing::warn!(
                    warning,
                    "rows are missing from a statement whose client is told no warnings"
                );
            }
        }
        Ok(MemorySourceConfig::try_new_exec(
            &[vec![rows]],
            self.schema(),
            projection.cloned(),
        )?)
    }
}
