//! Functions of rows in an order, in the order that they are asked for. DataFusion 55.2 saves a sort where rows come in the opposite order: it
//! lets a window go over them backwards, or lets an aggregate be filled from its end.
//!
//! - That `lead`, `lag` and `nth_value` go backwards is known to the plan alone: datafusion-proto does not send it, and executors would go
//!   forwards (`first_value` and `last_value` change places instead, which is sent).
//! - Of `array_agg` and `string_agg` over a window it is not known at all: what they gather would be turned round, wherever it is.
//! - Of both with `DISTINCT` it is known, and not heeded.
//! - Of `bool_and`, `bool_or`, `bit_and` and `bit_or` a frame that only grows becomes one that loses rows, which they cannot do.
//!
//! `array_agg` without `DISTINCT` and without a window stays DataFusion's, which turns it round rightly.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::bit_and_or_xor::{bit_and_udaf, bit_or_udaf};
use datafusion::functions_aggregate::bool_and_or::{bool_and_udaf, bool_or_udaf};
use datafusion::functions_aggregate::string_agg::string_agg_udaf;
use datafusion::functions_window::lead_lag::{lag_udwf, lead_udwf};
use datafusion::functions_window::nth_value::nth_value_udwf;
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, ExpressionArgs, PartitionEvaluatorArgs, StateFieldsArgs,
    WindowUDFFieldArgs,
};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, PartitionEvaluator,
    ReversedUDAF, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

/// Functions that look so many rows ahead or back, whatever the frame.
const LOOKING_BY_ROWS: [&str; 2] = ["lag", "lead"];

/// Those of windows only, under DataFusion's names.
pub(super) fn windows() -> Vec<Arc<WindowUDF>> {
    let all = [lag_udwf(), lead_udwf(), nth_value_udwf()];
    all.into_iter()
        .map(|inner| Arc::new(WindowUDF::new_from_impl(Looking { inner })))
        .collect()
}

/// Those of groups too, under DataFusion's names.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let all = [
        array_agg_udaf(),
        string_agg_udaf(),
        bool_and_udaf(),
        bool_or_udaf(),
        bit_and_udaf(),
        bit_or_udaf(),
    ];
    all.into_iter()
        .map(|inner| Arc::new(AggregateUDF::new_from_impl(Gathering { inner })))
        .collect()
}

/// Looks at another row of its partition or frame.
///
/// How far it looks ahead (`limit_effect`) is left untold: DataFusion's do not know of `lag` of so many rows less than none, nor that nulls
/// are skipped, and a limit behind the window would keep rows away that they look at.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Looking {
    inner: Arc<WindowUDF>,
}

impl WindowUDFImpl for Looking {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let several = args.input_exprs().get(1).is_some_and(|rows| !is_one(rows));
        let skips_nulls = args.ignore_nulls() && several && LOOKING_BY_ROWS.contains(&self.inner.name());
        let inner = self.inner.partition_evaluator_factory(args)?;
        let looks_back = inner.is_causal();
        if skips_nulls && !looks_back {
            return Ok(Box::new(Whole { inner }));
        }
        Ok(inner)
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        self.inner.field(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        ReversedUDWF::NotSupported
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

fn is_one(rows: &Arc<dyn PhysicalExpr>) -> bool {
    let rows = rows.downcast_ref::<Literal>();
    rows.is_some_and(|rows| *rows.value() == ScalarValue::Int64(Some(1)))
}

/// Looks at all rows of a partition at once. Row by row, DataFusion's `lead` of several rows that skips nulls forgets to look behind a null,
/// and gives none where there is one. `lag`, and `lead` of one row, do not: they keep no more rows than they look at.
#[derive(Debug)]
struct Whole {
    inner: Box<dyn PartitionEvaluator>,
}

impl PartitionEvaluator for Whole {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        self.inner.evaluate_all(values, rows)
    }
}

/// Gathers rows.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Gathering {
    inner: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Gathering {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    /// Whatever the order of its input, it sorts what it gathers. The planner says that rows come in order also where they come in the
    /// opposite one, trusting that the function was turned round before.
    fn with_beneficial_ordering(self: Arc<Self>, _: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    /// Windows are not asked. Of what is not turned round the planner has no rows sorted: `array_agg` would compare them itself, value by
    /// value, and structs and lists of lists among the keys wrongly. The others need no rows in order, or sort them whatever comes.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        if self.inner.order_sensitivity() != AggregateOrderSensitivity::SoftRequirement {
            return None;
        }
        let inner = Arc::clone(&self.inner);
        Some(Box::new(move |mut call, _| {
            if !call.params.distinct {
                call.func = Arc::clone(&inner);
            }
            Ok(Expr::AggregateFunction(call))
        }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::NotSupported
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

#[cfg(test)]
mod tests;
