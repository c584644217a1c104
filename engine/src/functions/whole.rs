//! `+`, `-` and `*` of whole numbers, and `-` before one, as functions that fail where the answer is too large for its type. The query
//! engine's operators wrap around, also where they are reckoned when a statement is planned.
//!
//! They take the operators' places after the columns of a statement are told and before anything is reckoned, and are called as these
//! were.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Plus,
    Minus,
    Times,
    Negated,
}

const OPERATIONS: [Operation; 4] = [Operation::Plus, Operation::Minus, Operation::Times, Operation::Negated];

impl Operation {
    fn of(operator: Operator) -> Option<Self> {
        OPERATIONS.into_iter().find(|known| known.operator() == Some(operator))
    }

    /// What it is written as between two numbers.
    fn operator(self) -> Option<Operator> {
        match self {
            Self::Plus => Some(Operator::Plus),
            Self::Minus => Some(Operator::Minus),
            Self::Times => Some(Operator::Multiply),
            Self::Negated => None,
        }
    }
}

/// An operation of whole numbers; null where a number is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Whole {
    operation: Operation,
    signature: Signature,
}

impl Whole {
    fn new(operation: Operation) -> Self {
        Self {
            operation,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn not_whole<T>(&self) -> Result<T> {
        plan_err!("{} takes whole numbers", self.name())
    }
}

fn known() -> &'static [Arc<ScalarUDF>; 4] {
    static KNOWN: LazyLock<[Arc<ScalarUDF>; 4]> =
        LazyLock::new(|| OPERATIONS.map(|operation| Arc::new(ScalarUDF::new_from_impl(Whole::new(operation)))));
    &KNOWN
}

/// The functions, as plans have them. They are known by their names wherever they travel.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    known().to_vec()
}

impl ScalarUDFImpl for Whole {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Plus => "int_plus",
            Operation::Minus => "int_minus",
            Operation::Times => "int_times",
            Operation::Negated => "int_negated",
        }
    }

    /// As columns of the operators are called.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match (self.operation.operator(), args) {
            (None, [value]) => Ok(format!("(- {})", value.schema_name())),
            (Some(operator), [left, right]) => Ok(format!("{} {operator} {}", left.schema_name(), right.schema_name())),
            _ => self.not_whole(),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        // A null has the type of what stands beside it.
        let other = kinds.iter().find(|kind| !kind.is_null()).unwrap_or(&DataType::Int64);
        let typed = kinds.iter().map(|kind| if kind.is_null() { other } else { kind });
        let typed: Vec<&DataType> = typed.collect();
        let coerced = match (self.operation.operator(), typed.as_slice()) {
            (None, [kind]) if kind.is_signed_integer() => vec![DataType::clone(kind)],
            (Some(operator), [left, right]) => {
                let (left, right) = BinaryTypeCoercer::new(left, &operator, right).get_input_types()?;
                vec![left, right]
            }
            _ => return self.not_whole(),
        };
        match coerced.iter().all(DataType::is_integer) {
            true => Ok(coerced),
            false => self.not_whole(),
        }
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds.first() {
            Some(kind) => Ok(kind.clone()),
            None => self.not_whole(),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let kinds: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&kinds)?, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    /// Any number of the type: one without a type cannot be compared with others.
    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        let mut kinds = inputs.iter().map(|input| input.data_type());
        Interval::make_unbounded(&kinds.find(|kind| !kind.is_null()).unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (self.operation, args.args.as_slice()) {
            (Operation::Plus, [left, right]) => apply(left, right, numeric::add),
            (Operation::Minus, [left, right]) => apply(left, right, numeric::sub),
            (Operation::Times, [left, right]) => apply(left, right, numeric::mul),
            (Operation::Negated, [ColumnarValue::Array(array)]) => {
                Ok(ColumnarValue::Array(numeric::neg(array.as_ref())?))
            }
            (Operation::Negated, [ColumnarValue::Scalar(value)]) => {
                let negated = numeric::neg(value.to_array()?.as_ref())?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(negated.as_ref(), 0)?))
            }
            _ => self.not_whole(),
        }
    }
}

/// Puts these functions in the places of the operators.
#[derive(Debug)]
pub(super) struct Checked;

impl FunctionRewrite for Checked {
    fn name(&self) -> &str {
        "whole_numbers_that_overflow"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Some(operation) = operation(&expr, schema) else {
            return Ok(Transformed::no(expr));
        };
        let arguments = match expr {
            Expr::BinaryExpr(BinaryExpr { left, right, .. }) => vec![*left, *right],
            Expr::Negative(value) => vec![*value],
            other => return Ok(Transformed::no(other)),
        };
        let function = Arc::clone(&known()[operation as usize]);
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
            function, arguments,
        ))))
    }
}

/// The operation that is written so, of whole numbers and with one as its answer.
fn operation(expr: &Expr, schema: &DFSchema) -> Option<Operation> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let operation = Operation::of(*op)?;
            let (left, right) = (left.get_type(schema).ok()?, right.get_type(schema).ok()?);
            if !left.is_integer() || !right.is_integer() {
                return None;
            }
            let answer = BinaryTypeCoercer::new(&left, op, &right).get_result_type();
            answer.is_ok_and(|answer| answer.is_integer()).then_some(operation)
        }
        Expr::Negative(value) => {
            let kind = value.get_type(schema).ok()?;
            kind.is_signed_integer().then_some(Operation::Negated)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
