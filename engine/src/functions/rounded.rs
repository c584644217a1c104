//! What a cast to a whole number rounds first: the query engine's cast cuts off behind the point, and its optimiser compares a column
//! that is cast (`CAST(d AS int) = 5`) as if nothing were lost. Of decimals of 256 bits it takes the lowest ones.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::wide::strictly;

/// What it is called where plans are shown.
const NAME: &str = "rounded_whole";

/// A number without what is behind its point, as PostgreSQL rounds it: half goes away from zero in decimals, to the even one of two
/// neighbours in floating-point numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Rounded(Signature);

impl Rounded {
    pub(super) fn new() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

/// The value, rounded. The function is known by its name wherever plans travel.
pub(crate) fn rounded(value: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Rounded::new())));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), vec![value]))
}

/// Whether numbers of a type are rounded before a cast to a whole number: that would take what is behind the point, or be of other bits.
pub(crate) fn is_rounded_first(kind: &DataType) -> bool {
    match kind {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => *scale > 0,
        DataType::Decimal256(..) | DataType::Float32 | DataType::Float64 => true,
        _ => false,
    }
}

/// The type of a number that was rounded: a decimal may have one digit more before the point.
pub(super) fn whole(kind: &DataType) -> Result<DataType> {
    match kind {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if *scale > 0 =>
        {
            let before = precision.saturating_sub(scale.unsigned_abs()).saturating_add(1);
            Ok(DataType::Decimal128(before.min(DECIMAL128_MAX_PRECISION), 0))
        }
        DataType::Decimal256(..) => Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0)),
        kind if kind.is_numeric() => Ok(kind.clone()),
        _ => plan_err!("{NAME} takes a number"),
    }
}

/// Numbers, rounded. What has more digits then than [`whole`] has is an error.
pub(crate) fn rounded_values(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(match values.data_type() {
        DataType::Float32 => {
            let numbers = values.as_primitive::<Float32Type>();
            Arc::new(numbers.unary::<_, Float32Type>(f32::round_ties_even))
        }
        DataType::Float64 => {
            let numbers = values.as_primitive::<Float64Type>();
            Arc::new(numbers.unary::<_, Float64Type>(f64::round_ties_even))
        }
        // A cast to fewer digits rounds away from zero.
        kind => strictly(values, &whole(kind)?)?,
    })
}

impl ScalarUDFImpl for Rounded {
    fn name(&self) -> &str {
        NAME
    }

    /// As columns of the cast are called.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [value] => Ok(value.schema_name().to_string()),
            _ => plan_err!("{NAME} takes one number"),
        }
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        self.return_type(kinds)?;
        Ok(kinds.to_vec())
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds {
            [kind] => whole(kind),
            _ => plan_err!("{NAME} takes one number"),
        }
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match given.arg_fields {
            [field] => {
                let kind = whole(field.data_type())?;
                Ok(Arc::new(Field::new(NAME, kind, field.is_nullable())))
            }
            _ => plan_err!("{NAME} takes one number"),
        }
    }

    fn is_strict(&self) -> bool {
        true
    }

    /// Any number of the type: one without a type cannot be compared with others.
    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        match inputs {
            [input] => {
                let kind = input.data_type();
                Interval::make_unbounded(&whole(&kind).unwrap_or(kind))
            }
            _ => plan_err!("{NAME} takes one number"),
        }
    }

    fn invoke_with_args(&self, given: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match given.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(rounded_values(values)?)),
            [ColumnarValue::Scalar(value)] => {
                let found = rounded_values(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?))
            }
            _ => plan_err!("{NAME} takes one number"),
        }
    }
}
