//! A metadata table with the table that it tells of: whatever a statement calls it, that is whose it is.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use tidewater_core::TableName;
use tidewater_table::LoadedTable;
use uuid::Uuid;

/// Metadata of one table, as rows.
#[derive(Debug)]
pub struct PartOf {
    table: TableName,
    uuid: Uuid,
    rows: Arc<dyn TableProvider>,
}

impl PartOf {
    /// These rows tell of `table`.
    pub(super) fn provider(table: &LoadedTable, rows: Arc<dyn TableProvider>) -> Arc<dyn TableProvider> {
        Arc::new(Self {
            table: table.name.clone(),
            uuid: table.metadata.uuid(),
            rows,
        })
    }

    /// The table that it tells of.
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// That table's uuid.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }
}

#[async_trait]
impl TableProvider for PartOf {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn table_type(&self) -> TableType {
        self.rows.table_type()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.rows.scan(session, projection, filters, limit).await
    }
}
