//! A table whose rows are read when a statement is planned, and whose columns are made only if they are asked for.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::Result;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

type Values<R> = Box<dyn Fn(&[R]) -> Result<ArrayRef> + Send + Sync>;

/// A column made of rows.
pub(super) struct Column<R> {
    field: Field,
    values: Values<R>,
}

impl<R> Column<R> {
    /// Its type is that of the values.
    pub(super) fn new(
        name: &str,
        nullable: bool,
        values: impl Fn(&[R]) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Result<Self> {
        let data_type = values(&[])?.data_type().clone();
        Ok(Self {
            field: Field::new(name, data_type, nullable),
            values: Box::new(values),
        })
    }

    pub(super) fn field(&self) -> &Field {
        &self.field
    }

    pub(super) fn values(&self, rows: &[R]) -> Result<ArrayRef> {
        (self.values)(rows)
    }
}

/// Where rows come from.
#[async_trait]
pub(super) trait Source<R>: fmt::Debug + Send + Sync {
    /// All rows, or the first ones if no more are needed.
    async fn rows(&self, limit: Option<usize>) -> Result<Vec<R>>;
}

/// Rows that are known already.
#[derive(Debug)]
pub(super) struct Known<R>(pub(super) Vec<R>);

#[async_trait]
impl<R: fmt::Debug + Clone + Send + Sync> Source<R> for Known<R> {
    async fn rows(&self, _: Option<usize>) -> Result<Vec<R>> {
        Ok(self.0.clone())
    }
}

/// One metadata table.
pub(super) struct MetadataTable<R> {
    schema: SchemaRef,
    columns: Vec<Column<R>>,
    source: Box<dyn Source<R>>,
}

impl<R: fmt::Debug + Send + Sync + 'static> MetadataTable<R> {
    pub(super) fn provider(columns: Vec<Column<R>>, source: impl Source<R> + 'static) -> Arc<dyn TableProvider> {
        let fields: Vec<Field> = columns.iter().map(|column| column.field.clone()).collect();
        Arc::new(Self {
            schema: Arc::new(Schema::new(fields)),
            columns,
            source: Box::new(source),
        })
    }

    fn batch(&self, rows: &[R], schema: &SchemaRef, projection: &[usize]) -> Result<RecordBatch> {
        let wanted = projection.iter().filter_map(|index| self.columns.get(*index));
        let arrays: Vec<ArrayRef> = wanted.map(|column| (column.values)(rows)).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options);
        Ok(batch.map_err(DataFusionError::from)?)
    }
}

#[async_trait]
impl<R: fmt::Debug + Send + Sync + 'static> TableProvider for MetadataTable<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let projection = projection.unwrap_or(&all);
        let schema = Arc::new(self.schema.project(projection)?);
        let mut rows = self.source.rows(limit).await?;
        rows.truncate(limit.unwrap_or(usize::MAX));
        let batches = rows
            .chunks(BATCH_ROWS)
            .map(|rows| self.batch(rows, &schema, projection));
        let batches = batches.collect::<Result<Vec<_>>>()?;
        Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
    }
}

impl<R> fmt::Debug for MetadataTable<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataTable")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
