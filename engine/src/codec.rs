//! Ships our operators; everything else is left to another codec.

mod sent_write;

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};
use datafusion::physical_expr_common::physical_expr::proto_decode::PhysicalExprDecodeCtx;
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidewater_table::{FileDeletes, FileStore};

use self::sent_write::SentWrite;
use crate::deletes::RowDeletesExec;
use crate::error::EngineError;
use crate::provider::{PositionsExec, received};
use crate::session::outer_sides::UntoldExec;
use crate::write::{IcebergWriteExec, WriteSpec};

/// Other codecs take whatever is valid protobuf for theirs, so ours must not be valid: no protobuf message starts with a
/// zero byte, for there is no field number 0.
const WRITE_MAGIC: &[u8] = b"\0tidewater:write:2\0";
const DELETES_MAGIC: &[u8] = b"\0tidewater:deletes:1\0";
const POSITIONS_MAGIC: &[u8] = b"\0tidewater:positions:1\0";
const UNTOLD_MAGIC: &[u8] = b"\0tidewater:untold:1\0";

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

fn damaged(reason: String) -> DataFusionError {
    EngineError::PlanDamaged { reason }.into()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| damaged(error.to_string()))
}

fn append(buf: &mut Vec<u8>, magic: &[u8], what: &impl Serialize) -> Result<()> {
    buf.extend_from_slice(magic);
    serde_json::to_writer(buf, what).map_err(|error| damaged(error.to_string()))
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = || match inputs {
            [input] => Ok(input.clone()),
            _ => Err(damaged(format!("an operator has one input, not {}", inputs.len()))),
        };
        if let Some(body) = buf.strip_prefix(WRITE_MAGIC) {
            let sent: SentWrite<WriteSpec> = read(body)?;
            let write = sent.over(input()?, self.store.clone(), self, context, converter)?;
            return Ok(Arc::new(write));
        }
        if let Some(body) = buf.strip_prefix(DELETES_MAGIC) {
            let deletes: Vec<FileDeletes> = read(body)?;
            return Ok(Arc::new(RowDeletesExec::new(
                input()?,
                Arc::new(deletes),
                self.store.clone(),
            )));
        }
        if buf == POSITIONS_MAGIC {
            return received(&input()?);
        }
        if buf == UNTOLD_MAGIC {
            return Ok(Arc::new(UntoldExec::new(input()?)));
        }
        self.inner.try_decode(buf, inputs, context, converter)
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(write) = node.downcast_ref::<IcebergWriteExec>() {
            return append(buf, WRITE_MAGIC, &SentWrite::of(write, self, converter)?);
        }
        if let Some(deletes) = node.downcast_ref::<RowDeletesExec>() {
            return append(buf, DELETES_MAGIC, deletes.deletes().as_ref());
        }
        if node.downcast_ref::<PositionsExec>().is_some() {
            buf.extend_from_slice(POSITIONS_MAGIC);
            return Ok(());
        }
        if node.downcast_ref::<UntoldExec>().is_some() {
            buf.extend_from_slice(UNTOLD_MAGIC);
            return Ok(());
        }
        self.inner.try_encode(node, buf, converter)
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
