//! `min` and `max` of floating-point numbers by groups, which DataFusion 55.2 compares by `<`: there a NaN takes the place of what
//! was found, and gives it to the next number (<https://github.com/apache/datafusion/issues/24432>). Here NaN is larger than every
//! number, as it is without groups, in sorts, and in PostgreSQL. Those of intervals go by their lengths.

use std::sync::Arc;

use datafusion::arrow::array::{ArrowNativeTypeOp, ArrowPrimitiveType};
use datafusion::arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type, IntervalUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, SetMonotonicity,
    Signature, StatisticsArgs,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

use super::longest::Longest;

/// One of the two. In all but intervals and groups of floating-point numbers it is DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Extreme {
    inner: Arc<AggregateUDF>,
    largest: bool,
}

impl Extreme {
    pub(super) fn largest() -> Self {
        Self {
            inner: max_udaf(),
            largest: true,
        }
    }

    pub(super) fn smallest() -> Self {
        Self {
            inner: min_udaf(),
            largest: false,
        }
    }

    fn by_total_order<T: ArrowPrimitiveType + Send>(&self, data_type: &DataType) -> Box<dyn GroupsAccumulator> {
        match self.largest {
            true => Box::new(
                PrimitiveGroupsAccumulator::<T, _>::new(data_type, |found, value| {
                    if value.is_gt(*found) {
                        *found = value;
                    }
                })
                .with_starting_value(T::Native::MIN_TOTAL_ORDER),
            ),
            false => Box::new(
                PrimitiveGroupsAccumulator::<T, _>::new(data_type, |found, value| {
                    if value.is_lt(*found) {
                        *found = value;
                    }
                })
                .with_starting_value(T::Native::MAX_TOTAL_ORDER),
            ),
        }
    }
}

impl AggregateUDFImpl for Extreme {
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

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            DataType::Interval(IntervalUnit::MonthDayNano) => Ok(Box::new(Longest::new(self.largest))),
            _ => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = args.return_field.data_type();
        Ok(match data_type {
            DataType::Float16 => self.by_total_order::<Float16Type>(data_type),
            DataType::Float32 => self.by_total_order::<Float32Type>(data_type),
            DataType::Float64 => self.by_total_order::<Float64Type>(data_type),
            _ => return self.inner.create_groups_accumulator(args),
        })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    /// Backwards, a frame that only grows becomes one that loses rows, in which intervals are compared part by part.
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::NotSupported
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    /// Those of intervals were put together part by part.
    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        match args.return_type {
            DataType::Interval(_) => None,
            _ => self.inner.value_from_stats(args),
        }
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: NaN is larger than every number in groups as it is without. Method: a group in which NaN comes first, one in which it comes
    // last, one of nothing else and one without, of both types; the same by a window and by each group alone.
    #[tokio::test]
    async fn nan_is_the_largest_in_groups() {
        let lake = Lake::new();
        for kind in ["double", "real"] {
            let rows = format!(
                "(SELECT k, CAST(t AS {kind}) AS f FROM (VALUES (1, 'NaN'), (1, '1'), (2, '1'), (2, 'NaN'), (3, 'NaN'), \
                 (4, '-Infinity'), (4, 'Infinity'), (5, NULL)) AS v (k, t)) AS t"
            );
            let grouped = format!("SELECT k, max(f), min(f) FROM {rows} GROUP BY k ORDER BY k");
            let wanted = ["1,NaN,1.0", "2,NaN,1.0", "3,NaN,NaN", "4,inf,-inf", "5,,"];
            assert_eq!(lake.lines(&grouped).await, wanted, "{kind}");
            for (line, k) in wanted.iter().zip(1..) {
                let alone = format!("SELECT {k}, max(f), min(f) FROM {rows} WHERE k = {k}");
                assert_eq!(lake.lines(&alone).await, [*line], "{kind}");
            }
        }
    }

    // Goal: the longest interval is the longest also where another window goes the opposite way. Method: both orders, of intervals whose
    // parts and lengths say otherwise; the answers by hand.
    #[tokio::test]
    async fn the_longest_in_both_orders() {
        let lake = Lake::new();
        let sql = "SELECT id, max(d) OVER (ORDER BY id) = INTERVAL '35 days', max(d) OVER (ORDER BY id DESC) = INTERVAL '35 days' \
                   FROM (VALUES (1, INTERVAL '35 days'), (2, INTERVAL '1 month'), (3, INTERVAL '1 day')) AS v (id, d)";
        assert_eq!(lake.lines(sql).await, ["1,true,true", "2,true,false", "3,true,false"]);
    }
}
