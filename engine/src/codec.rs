//! Ships our operators; everything else is left to another codec.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};
use datafusion::physical_expr_common::physical_expr::proto_decode::PhysicalExprDecodeCtx;
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use tidewater_table::FileStore;

use crate::error::EngineError;
use crate::write::{IcebergWriteExec, WriteSpec};

/// Other codecs take whatever is valid protobuf for theirs, so ours must not be valid: no protobuf message starts with a
/// zero byte, for there is no field number 0.
const WRITE_MAGIC: &[u8] = b"\0tidewater:write:1\0";

/// Made by [`crate::Engine::physical_codec`].
#[derive(Debug)]
pub struct Codec {
    inner: Arc<dyn PhysicalExtensionCodec>,
    store: FileStore,
}

impl Codec {
    pub(crate) fn new(inner: Arc<dyn PhysicalExtensionCodec>, store: FileStore) -> Self {
        Self { inner, store }
    }
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(body) = buf.strip_prefix(WRITE_MAGIC) else {
            return self.inner.try_decode(buf, inputs, context, converter);
        };
        let damaged = |reason: String| DataFusionError::from(EngineError::PlanDamaged { reason });
        let [input] = inputs else {
            return Err(damaged(format!("a write has one input, not {}", inputs.len())));
        };
        let spec: WriteSpec = serde_json::from_slice(body).map_err(|error| damaged(error.to_string()))?;
        Ok(Arc::new(IcebergWriteExec::new(
            input.clone(),
            Arc::new(spec),
            self.store.clone(),
        )))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(write) = node.downcast_ref::<IcebergWriteExec>() else {
            return self.inner.try_encode(node, buf, converter);
        };
        buf.extend_from_slice(WRITE_MAGIC);
        serde_json::to_writer(buf, write.spec().as_ref()).map_err(|error| {
            EngineError::PlanDamaged {
                reason: error.to_string(),
            }
            .into()
        })
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        self.inner.try_decode_udf(name, buf)
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_udf(node, buf)
    }

    fn try_decode_higher_order_function(&self, name: &str, buf: &[u8]) -> Result<Arc<HigherOrderUDF>> {
        self.inner.try_decode_higher_order_function(name, buf)
    }

    fn try_encode_higher_order_function(&self, node: &HigherOrderUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_higher_order_function(node, buf)
    }

    fn try_decode_expr(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn PhysicalExpr>],
        context: &PhysicalExprDecodeCtx<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        self.inner.try_decode_expr(buf, inputs, context)
    }

    fn try_encode_expr(
        &self,
        node: &Arc<dyn PhysicalExpr>,
        buf: &mut Vec<u8>,
        context: &PhysicalExprEncodeCtx<'_>,
    ) -> Result<()> {
        self.inner.try_encode_expr(node, buf, context)
    }

    fn try_decode_udaf(&self, name: &str, buf: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.inner.try_decode_udaf(name, buf)
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_udaf(node, buf)
    }

    fn try_decode_udwf(&self, name: &str, buf: &[u8]) -> Result<Arc<WindowUDF>> {
        self.inner.try_decode_udwf(name, buf)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_udwf(node, buf)
    }
}
