//! What a write's plan names as its target: it lowers to the write operator and cannot be read.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, DataFusionError, plan_err};
use datafusion::datasource::TableType;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, SortExpr};
use datafusion::physical_plan::{Distribution, ExecutionPlan};
use tidewater_table::FileStore;

use super::exec::{IcebergWriteExec, WriteSpec};
use super::order;
use crate::error::Result;
use crate::opaque::Opaque;

#[derive(Debug)]
pub(super) struct WriteTarget {
    store: FileStore,
    spec: Arc<WriteSpec>,
    schema: SchemaRef,
    spread: Spread,
    /// What each task sorts its rows by; nothing: as they come.
    sorts: Opaque<Vec<SortExpr>>,
}

/// How rows are to be spread over the tasks.
#[derive(Debug)]
pub(super) enum Spread {
    AsPlanned,
    Single,
    /// Rows for which these are equal go to the same task.
    Keys(Opaque<Vec<Expr>>),
}

impl WriteTarget {
    pub(super) fn new(store: FileStore, spec: WriteSpec, spread: Spread, sorts: Vec<SortExpr>) -> Result<Self> {
        let schema = tidewater_table::schema::to_arrow(spec.metadata().current_schema())?;
        Ok(Self {
            store,
            spec: Arc::new(spec),
            schema: schema.into(),
            spread,
            sorts: Opaque::new(sorts),
        })
    }
}

#[async_trait]
impl TableProvider for WriteTarget {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        plan_err!("the target of a write cannot be read")
    }

    async fn insert_into(
        &self,
        session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        _: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let required = match &self.spread {
            Spread::AsPlanned => Distribution::UnspecifiedDistribution,
            Spread::Single => Distribution::SinglePartition,
            Spread::Keys(keys) => {
                let columns = DFSchema::try_from(input.schema())?;
                let keys = keys
                    .iter()
                    .map(|key| session.create_physical_expr(key.clone(), &columns));
                Distribution::KeyPartitioned(keys.collect::<Result<_, _>>()?)
            }
        };
        let order = order::physical(&self.sorts, session, &input.schema())?;
        let write = IcebergWriteExec::new(input, self.spec.clone(), self.store.clone());
        let write = write.with_required_distribution(required);
        Ok(Arc::new(write.with_required_order(order)))
    }
}
