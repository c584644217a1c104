//! Plans that go to another process and back before they run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use datafusion_proto::physical_plan::DefaultPhysicalExtensionCodec;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::Result;
use crate::provider::PositionsExec;
use crate::runner::{PlanOutput, PlanRequest, PlanRunner, Route};
use crate::{Engine, KeptHere, SentPositions, restore_scans, text_views};

/// What becomes of a plan on its way to an executor.
pub(super) fn arrived(
    engine: &Engine,
    plan: Arc<dyn ExecutionPlan>,
    context: &TaskContext,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = SentPositions.optimize(plan, &ConfigOptions::new())?;
    let codec = engine.physical_codec(Arc::new(DefaultPhysicalExtensionCodec {}));
    let bytes = physical_plan_to_bytes_with_extension_codec(plan, codec.as_ref())?;
    let decoded = physical_plan_from_bytes_with_extension_codec(&bytes, context, codec.as_ref())?;
    Ok(text_views(restore_scans(decoded, &engine.runtime_env())?)?)
}

/// Runs plans after they went to another process and back, but for those that are kept here.
#[derive(Debug)]
pub(crate) struct Journeys {
    engine: Engine,
    positions: AtomicUsize,
}

impl Journeys {
    pub(crate) fn of(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            positions: AtomicUsize::new(0),
        }
    }

    /// How many scans that tell positions have travelled.
    pub(crate) fn positions(&self) -> usize {
        self.positions.load(Ordering::Relaxed)
    }

    async fn start(&self, request: PlanRequest) -> Result<PlanOutput> {
        if KeptHere::of(&request.session).is_some() {
            return self.engine.local_runner().run(request).await;
        }
        let plan = request.session.state().create_physical_plan(&request.plan).await?;
        let sent = SentPositions.optimize(plan, &ConfigOptions::new())?;
        sent.apply(|node| {
            if node.downcast_ref::<PositionsExec>().is_some() {
                self.positions.fetch_add(1, Ordering::Relaxed);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let context = request.session.task_ctx();
        let stream = execute_stream(arrived(&self.engine, sent, &context)?, context)?;
        Ok(PlanOutput {
            schema: stream.schema(),
            stream,
            route: Route::cluster("it travelled"),
            attempt: 1,
        })
    }
}

impl PlanRunner for Journeys {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput>> {
        self.start(request).boxed()
    }
}
