//! Plans that go to another process and back before they run, as those of models do that run on executors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execute_stream;
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use datafusion_proto::physical_plan::DefaultPhysicalExtensionCodec;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidewater_engine::{
    Engine, EngineError, PlanOutput, PlanRequest, PlanRunner, Route, SentPositions, restore_scans, text_views,
};

/// What a scan that tells positions is called on its way.
const TELLS_POSITIONS: &str = "PositionsExec";

/// Runs plans after they went to another process and back.
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

    async fn start(&self, request: PlanRequest) -> Result<PlanOutput, EngineError> {
        let plan = request.session.state().create_physical_plan(&request.plan).await?;
        let sent = SentPositions.optimize(plan, &ConfigOptions::new())?;
        sent.apply(|node| {
            if node.name() == TELLS_POSITIONS {
                self.positions.fetch_add(1, Ordering::Relaxed);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let context = request.session.task_ctx();
        let codec = self.engine.physical_codec(Arc::new(DefaultPhysicalExtensionCodec {}));
        let bytes = physical_plan_to_bytes_with_extension_codec(sent, codec.as_ref())?;
        let decoded = physical_plan_from_bytes_with_extension_codec(&bytes, &context, codec.as_ref())?;
        let arrived = text_views(restore_scans(decoded, &self.engine.runtime_env())?)?;
        let stream = execute_stream(arrived, context)?;
        Ok(PlanOutput {
            schema: stream.schema(),
            stream,
            route: Route::cluster("it travelled"),
            attempt: 1,
        })
    }
}

impl PlanRunner for Journeys {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        self.start(request).boxed()
    }
}
