//! A table that shows some of its columns only.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, DataFusionError};
use datafusion::datasource::TableType;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;

use crate::provider::IcebergTable;

/// The columns at these places, of a table that has more.
pub struct Narrow {
    table: Arc<dyn TableProvider>,
    places: Vec<usize>,
    schema: SchemaRef,
}

/// The table with those of its columns whose field ids are `shown`.
pub(super) fn columns(table: Arc<dyn TableProvider>, shown: impl Fn(i32) -> bool) -> Arc<dyn TableProvider> {
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

impl Narrow {
    /// The table whose columns they are; none where it is a plan.
    pub fn table(&self) -> Option<&IcebergTable> {
        self.table.downcast_ref()
    }

    /// Whether the column with this field id is one of them.
    pub(crate) fn shows(&self, field: i32) -> bool {
        let fields = self.schema.fields().iter();
        fields
            .filter_map(|shown| tidewater_table::schema::field_id(shown))
            .any(|id| id == field)
    }
}

#[async_trait]
impl TableProvider for Narrow {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    // What is left of a table by a policy is a plan, and is seen to as one.
    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        let all = self.table.get_logical_plan()?.into_owned();
        let places = self.places.iter();
        let shown: Vec<Expr> = places
            .map(|place| Expr::Column(Column::from(all.schema().qualified_field(*place))))
            .collect();
        let plan = LogicalPlanBuilder::new(all).project(shown).ok()?.build().ok()?;
        Some(Cow::Owned(plan))
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
