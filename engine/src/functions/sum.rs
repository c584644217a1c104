//! `sum` of whole numbers that fails where it grows too large for its type: DataFusion 55.2 wraps around, and a wrong sum looks as good
//! as a right one.

mod distinct;
mod running;

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, Expr, GroupsAccumulator, Operator,
    ReversedUDAF, SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

use self::distinct::Distinct;
use self::running::Running;
use super::sliding::{Sums, over};

/// Values of which the halves are added up at once: so many of them overflow no half.
const BLOCK: usize = 1 << 16;

/// Sums. In all but those of whole numbers, and of floating-point numbers in frames whose beginning moves, it is DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Sum {
    inner: Arc<AggregateUDF>,
}

impl Sum {
    pub(super) fn new() -> Self {
        Self { inner: sum_udaf() }
    }
}

/// A type of whole numbers that sums are of. What is on the way has 128 bits, so that only a sum can be too large.
trait Whole: ArrowPrimitiveType<Native: Eq + Hash> + std::fmt::Debug + Send + Sync {
    fn wide(value: Self::Native) -> i128;

    /// `None` where the type does not hold it.
    fn narrow(sum: i128) -> Option<Self::Native>;

    /// The sum of values, by their halves: adding up 128 bits takes several times as long.
    fn total(values: &[Self::Native]) -> i128;
}

impl Whole for Int64Type {
    fn wide(value: i64) -> i128 {
        i128::from(value)
    }

    fn narrow(sum: i128) -> Option<i64> {
        i64::try_from(sum).ok()
    }

    fn total(values: &[i64]) -> i128 {
        let blocks = values.chunks(BLOCK).map(|block| {
            let (high, low) = block.iter().fold((0_i64, 0_i64), |(high, low), &value| {
                (high + (value >> 32), low + (value & 0xffff_ffff))
            });
            (i128::from(high) << 32) + i128::from(low)
        });
        blocks.sum()
    }
}

impl Whole for UInt64Type {
    fn wide(value: u64) -> i128 {
        i128::from(value)
    }

    fn narrow(sum: i128) -> Option<u64> {
        u64::try_from(sum).ok()
    }

    fn total(values: &[u64]) -> i128 {
        let blocks = values.chunks(BLOCK).map(|block| {
            let (high, low) = block.iter().fold((0_u64, 0_u64), |(high, low), &value| {
                (high + (value >> 32), low + (value & 0xffff_ffff))
            });
            (i128::from(high) << 32) + i128::from(low)
        });
        blocks.sum()
    }
}

/// The sum of those that are not null.
fn total<T: Whole>(array: &PrimitiveArray<T>) -> i128 {
    let values: &[T::Native] = array.values();
    match array.nulls() {
        None => T::total(values),
        Some(nulls) => {
            let runs = nulls.valid_slices();
            runs.map(|(start, end)| T::total(&values[start..end])).sum()
        }
    }
}

/// The sum as a value of its type.
fn told<T: Whole>(sum: Option<i128>) -> Result<ScalarValue> {
    let sum = match sum {
        None => None,
        Some(sum) => match T::narrow(sum) {
            None => return too_large(),
            found => found,
        },
    };
    ScalarValue::new_primitive::<T>(sum, &T::DATA_TYPE)
}

fn too_large<R>() -> Result<R> {
    exec_err!("bigint out of range")
}

/// Sums of groups, of which one that grew too large ends them all.
struct Grouped {
    inner: Box<dyn GroupsAccumulator>,
    overflowed: Arc<AtomicBool>,
}

impl Grouped {
    fn of<T: Whole>() -> Self {
        let overflowed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&overflowed);
        let inner = PrimitiveGroupsAccumulator::<T, _>::new(&T::DATA_TYPE, move |sum, value| {
            match ArrowNativeTypeOp::add_checked(*sum, value) {
                Ok(found) => *sum = found,
                Err(_) => seen.store(true, Ordering::Relaxed),
            }
        });
        Self {
            inner: Box::new(inner),
            overflowed,
        }
    }

    fn check(&self) -> Result<()> {
        match self.overflowed.load(Ordering::Relaxed) {
            true => too_large(),
            false => Ok(()),
        }
    }
}

impl GroupsAccumulator for Grouped {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.inner.update_batch(values, groups, filter, count)?;
        self.check()
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.inner.merge_batch(values, groups, count)?;
        self.check()
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.inner.evaluate(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

impl AggregateUDFImpl for Sum {
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

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(match args.return_field.data_type() {
            DataType::Int64 if args.is_distinct => Box::new(Distinct::<Int64Type>::new()),
            DataType::Int64 => Box::new(Running::<Int64Type>::new()),
            DataType::UInt64 if args.is_distinct => Box::new(Distinct::<UInt64Type>::new()),
            DataType::UInt64 => Box::new(Running::<UInt64Type>::new()),
            _ => return self.inner.accumulator(args),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            // Both of them forget rows too.
            DataType::Int64 | DataType::UInt64 => self.accumulator(args),
            DataType::Float64 if !args.is_distinct => Ok(over::<Sums>(Sums::sum)),
            _ => self.inner.create_sliding_accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match args.return_field.data_type() {
            DataType::Int64 => Box::new(Grouped::of::<Int64Type>()),
            DataType::UInt64 => Box::new(Grouped::of::<UInt64Type>()),
            _ => return self.inner.create_groups_accumulator(args),
        })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_udf()
    }

    fn simplify_expr_op_literal(
        &self,
        call: &AggregateFunction,
        argument: &Expr,
        op: Operator,
        literal: &Expr,
        argument_is_left: bool,
    ) -> Result<Option<Expr>> {
        self.inner
            .simplify_expr_op_literal(call, argument, op, literal, argument_is_left)
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.value_from_stats(args)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

#[cfg(test)]
mod tests;
