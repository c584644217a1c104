//! A table that shows some of its columns only.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use crate::provider::IcebergTable;

/// The columns at these places, of a table that has more.
struct Narrow {
    table: Arc<IcebergTable>,
    places: Vec<usize>,
    schema: SchemaRef,
}

/// The table with those of its columns whose field ids are `shown`.
pub(super) fn columns(table: Arc<IcebergTable>, shown: impl Fn(i32) -> bool) -> Arc<dyn TableProvider> {
    let all = table.schema();
    let fields = all.fields().iter().enumerate();
    let shown = fields.filter(|(_, field)| tidewater_table::schema::field_id(field).is_some_and(&shown));
    let (places, fields): (Vec<usize>, Vec<_>) = shown.map(|(place, field)| (place, Arc::clone(field))).unzip();
    Arc::new(Narrow {
        table,
        places,
        schema: Arc::new(Schema::new(fields)),
    })
}

#[async_trait]
impl TableProvider for Narrow {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let places = match projection {
            Some(wanted) => wanted.iter().filter_map(|at| self.places.get(*at).copied()).collect(),
            None => self.places.clone(),
        };
        // No filter is taken: each is evaluated above, on what is shown.
        self.table.scan(session, Some(&places), &[], None).await
    }
}

impl fmt::Debug for Narrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Narrow")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
