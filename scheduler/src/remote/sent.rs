//! A plan on its way from the process that made it to the one that has it run.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ballista_core::extension::SessionConfigHelperExt;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use ballista_core::serde::protobuf::KeyValuePair;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::config::ConfigOptions;
use datafusion::datasource::{TableType, provider_as_source, source_as_provider};
use datafusion::execution::{SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::{AsExecutionPlan, PhysicalExtensionCodec};
use datafusion_proto::protobuf::PhysicalPlanNode;

use crate::error::{Result, SchedulerError};
use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;
use tidewater_engine::{Engine, EngineError, SentPositions};

/// Room for what is sent beside a plan.
const BESIDE_BYTES: usize = 1 << 20;

/// What the scan of a plan that was sent is called.
const NAME: &str = "sent";

/// A plan as it is sent, with the settings of its session.
pub(super) struct Packed {
    pub(super) settings: Vec<KeyValuePair>,
    pub(super) plan: Vec<u8>,
}

/// Plans a query for a cluster up to where the cluster's own planner begins: with none of the rules by which it is cut into stages, joins
/// are chosen and sorts are put in. Those follow where it runs, by what is known there, as for plans that were made there. Only scans that
/// tell positions get the form in which they can be sent.
pub(super) async fn pack(engine: &Engine, session: &SessionContext, plan: &LogicalPlan) -> Result<Packed> {
    let begun = Arc::new(Begun::default());
    let state = SessionStateBuilder::new_from_existing(session.state())
        .with_physical_optimizer_rules(vec![begun.clone()])
        .build();
    state.create_physical_plan(plan).await.map_err(not_planned)?;
    let physical = SentPositions.optimize(begun.take()?, state.config_options());
    let physical = physical.map_err(not_planned)?;
    if has_large_lists(&physical.schema()) {
        let reason = "it answers with large lists, which arrow-flight 59.3 takes for small ones".to_owned();
        return Err(SchedulerError::NotPlanned { reason });
    }
    let codec = codec(engine);
    let node = PhysicalPlanNode::try_from_physical_plan(physical, codec.as_ref()).map_err(not_planned)?;
    let mut plan = Vec::new();
    node.try_encode(&mut plan).map_err(not_planned)?;
    if plan.len() > GRPC_MESSAGE_BYTES_MAX - BESIDE_BYTES {
        return Err(SchedulerError::NotPlanned {
            reason: format!("the plan has {} bytes, more than a message may have", plan.len()),
        });
    }
    Ok(Packed {
        settings: session.copied_config().to_key_value_pairs(),
        plan,
    })
}

/// Takes plans as they are before any rule, and gives empty ones back: that a plan can be executed is asked when all rules have run, and
/// those that see to it, for joins of sorted sides, run where the plan is sent.
#[derive(Debug, Default)]
struct Begun(Mutex<Vec<Arc<dyn ExecutionPlan>>>);

impl Begun {
    fn plans(&self) -> MutexGuard<'_, Vec<Arc<dyn ExecutionPlan>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan, which has to be the only one: of one that was planned within it nothing but the empty one is left there.
    fn take(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let mut plans = self.plans();
        match (plans.pop(), plans.is_empty()) {
            (Some(plan), true) => Ok(plan),
            _ => Err(SchedulerError::NotPlanned {
                reason: "a part of it is planned for itself".to_owned(),
            }),
        }
    }
}

impl PhysicalOptimizerRule for Begun {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let nothing = Arc::new(EmptyExec::new(plan.schema()));
        self.plans().push(plan);
        Ok(nothing)
    }

    fn name(&self) -> &str {
        "Begun"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether there are any at any depth. Their schema would be sent as that of lists, whose offsets have half the bytes: other rows.
fn has_large_lists(schema: &Schema) -> bool {
    let fields = schema.flattened_fields();
    fields
        .iter()
        .any(|field| matches!(field.data_type(), DataType::LargeList(_)))
}

fn not_planned(error: DataFusionError) -> SchedulerError {
    SchedulerError::NotPlanned {
        reason: error.to_string(),
    }
}

fn codec(engine: &Engine) -> Arc<dyn PhysicalExtensionCodec> {
    engine.physical_codec(Arc::new(BallistaPhysicalExtensionCodec::default()))
}

/// A plan that was sent, in the form of a table: its scan is the plan, from which the cluster's planner goes on.
pub(crate) struct SentPlan {
    plan: Vec<u8>,
    codec: Arc<dyn PhysicalExtensionCodec>,
    /// Its columns as they are called.
    answer: SchemaRef,
    /// The same with a name of its own each, as columns of a table must have.
    columns: SchemaRef,
}

impl SentPlan {
    /// Reads a plan, in a session that can run it.
    pub(super) fn read(plan: Vec<u8>, engine: &Engine, context: &TaskContext) -> Result<Self, EngineError> {
        let codec = codec(engine);
        let answer = decoded(&plan, context, codec.as_ref())?.schema();
        let columns = answer.fields().iter().enumerate();
        let columns: Vec<Field> = columns
            .map(|(at, field)| field.as_ref().clone().with_name(format!("c{at}")))
            .collect();
        Ok(Self {
            plan,
            codec,
            answer,
            columns: Arc::new(Schema::new(columns)),
        })
    }

    /// Its scan.
    pub(super) fn into_scan(self) -> Result<LogicalPlan, EngineError> {
        Ok(LogicalPlanBuilder::scan(NAME, provider_as_source(Arc::new(self)), None)?.build()?)
    }

    /// The columns of a plan that was sent, as they are called; none of a plan that was made here.
    pub(crate) fn answer(plan: &LogicalPlan) -> Option<SchemaRef> {
        let LogicalPlan::TableScan(scan) = plan else {
            return None;
        };
        let provider = source_as_provider(&scan.source).ok()?;
        let sent = provider.downcast_ref::<Self>()?;
        Some(Arc::clone(&sent.answer))
    }
}

fn decoded(
    plan: &[u8],
    context: &TaskContext,
    codec: &dyn PhysicalExtensionCodec,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    PhysicalPlanNode::try_decode(plan)?.try_into_physical_plan(context, codec)
}

#[async_trait]
impl TableProvider for SentPlan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let all = projection.is_none_or(|columns| columns.iter().copied().eq(0..self.columns.fields().len()));
        if !all || !filters.is_empty() || limit.is_some() {
            let reason = "a part of it is asked for".to_owned();
            return Err(EngineError::PlanDamaged { reason }.into());
        }
        // Anew each time: a plan that has run has a memory.
        decoded(&self.plan, &session.task_ctx(), self.codec.as_ref())
    }
}

impl fmt::Debug for SentPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentPlan")
            .field("bytes", &self.plan.len())
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: large lists are found at any depth, and nothing else is taken for one. Method: one as such, one in a struct in a list, and lists.
    #[test]
    fn large_lists_are_found() {
        let of = |kind: DataType| has_large_lists(&Schema::new(vec![Field::new("c", kind, true)]));
        let item = Arc::new(Field::new_list_field(DataType::Int64, true));
        let large = DataType::LargeList(Arc::clone(&item));
        let within = DataType::Struct(vec![Field::new("l", large.clone(), true)].into());
        assert!(of(large));
        assert!(of(DataType::new_list(within, true)));
        assert!(!of(DataType::new_list(DataType::List(item), true)));
        assert!(!of(DataType::LargeUtf8));
    }
}
