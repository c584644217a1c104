//! A write as it travels: what is written, and how its rows are to come. A plan that goes to executors has been optimised and needs the
//! latter no more; one that goes to the process that schedules is optimised there.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::common::{Result, not_impl_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::{Distribution, ExecutionPlan, PhysicalExpr};
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalExprNode;
use prost::Message;
use serde::{Deserialize, Serialize};
use tidewater_table::FileStore;

use super::damaged;
use crate::write::{IcebergWriteExec, WriteSpec};

/// A write, without its input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SentWrite<S> {
    spec: S,
    spread: Spread,
    /// Nothing: as the input has them.
    order: Vec<SortKey>,
}

/// How rows are to be spread over the tasks.
#[derive(Debug, Serialize, Deserialize)]
enum Spread {
    AsPlanned,
    Single,
    /// By these expressions.
    Keys(Vec<Vec<u8>>),
}

/// What each task's rows are to be sorted by.
#[derive(Debug, Serialize, Deserialize)]
struct SortKey {
    /// An expression.
    value: Vec<u8>,
    descending: bool,
    nulls_first: bool,
}

impl<'a> SentWrite<&'a WriteSpec> {
    /// Of an operator.
    pub(super) fn of(
        write: &'a IcebergWriteExec,
        codec: &dyn PhysicalExtensionCodec,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Self> {
        let bytes = |value: &Arc<dyn PhysicalExpr>| -> Result<Vec<u8>> {
            Ok(converter.physical_expr_to_proto(value, codec)?.encode_to_vec())
        };
        let spread = match write.required() {
            Distribution::UnspecifiedDistribution => Spread::AsPlanned,
            Distribution::SinglePartition => Spread::Single,
            Distribution::KeyPartitioned(keys) => Spread::Keys(keys.iter().map(bytes).collect::<Result<_>>()?),
            _ => return not_impl_err!("sending a write whose rows are spread otherwise"),
        };
        let order = write.order().into_iter().flat_map(|order| order.iter());
        let order = order.map(|key| {
            Ok(SortKey {
                value: bytes(&key.expr)?,
                descending: key.options.descending,
                nulls_first: key.options.nulls_first,
            })
        });
        Ok(Self {
            spec: write.spec().as_ref(),
            spread,
            order: order.collect::<Result<_>>()?,
        })
    }
}

impl SentWrite<WriteSpec> {
    /// The operator, above its input.
    pub(super) fn over(
        self,
        input: Arc<dyn ExecutionPlan>,
        store: FileStore,
        codec: &dyn PhysicalExtensionCodec,
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<IcebergWriteExec> {
        let columns = input.schema();
        let context = PhysicalPlanDecodeContext::new(context, codec);
        let value = |bytes: &Vec<u8>| -> Result<Arc<dyn PhysicalExpr>> {
            let node = PhysicalExprNode::decode(bytes.as_slice()).map_err(|error| damaged(error.to_string()))?;
            converter.proto_to_physical_expr(&node, &columns, &context)
        };
        let required = match &self.spread {
            Spread::AsPlanned => Distribution::UnspecifiedDistribution,
            Spread::Single => Distribution::SinglePartition,
            Spread::Keys(keys) => Distribution::KeyPartitioned(keys.iter().map(value).collect::<Result<_>>()?),
        };
        let order = self.order.iter().map(|key| {
            let options = SortOptions {
                descending: key.descending,
                nulls_first: key.nulls_first,
            };
            Ok(PhysicalSortExpr::new(value(&key.value)?, options))
        });
        let order = LexOrdering::new(order.collect::<Result<Vec<_>>>()?);
        let write = IcebergWriteExec::new(input, Arc::new(self.spec), store);
        Ok(write.with_required_distribution(required).with_required_order(order))
    }
}
