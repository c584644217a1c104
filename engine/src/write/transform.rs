//! Iceberg's transforms as a function of plans, so that rows are sorted by them wherever a plan runs.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use tidewater_table::iceberg::spec::Transform;

use crate::error::EngineError;

/// What it is called where plans are shown. It is for plans, not for statements.
const NAME: &str = "__iceberg_transform";

/// `__iceberg_transform('bucket[4]', column, 'field', …)`: the transformed values of a column, or of the field within it that the names
/// lead to.
pub(crate) fn iceberg_transform() -> ScalarUDF {
    ScalarUDF::new_from_impl(IcebergTransform {
        signature: Signature::variadic_any(Volatility::Immutable),
    })
}

/// The call of it.
pub(super) fn transformed(transform: Transform, column: Expr, path: &[&str]) -> Expr {
    let mut arguments = vec![lit(transform.to_string()), column];
    arguments.extend(path.iter().map(|name| lit(*name)));
    iceberg_transform().call(arguments)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct IcebergTransform {
    signature: Signature,
}

impl ScalarUDFImpl for IcebergTransform {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("what {NAME} answers is told by its transform too")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let scalar = |at: usize| args.scalar_arguments.get(at).copied().flatten();
        let transform = parsed(text(scalar(0))?)?;
        let Some(column) = args.arg_fields.get(1) else {
            return plan_err!("{NAME} has no column");
        };
        let mut of = column.data_type();
        for at in 2..args.arg_fields.len() {
            let name = text(scalar(at))?;
            let field = match of {
                DataType::Struct(fields) => fields.find(name).map(|(_, field)| field),
                _ => None,
            };
            let Some(field) = field else {
                return plan_err!("{of} has no field {name:?}");
            };
            of = field.data_type();
        }
        let returned = match transform {
            Transform::Identity | Transform::Truncate(_) => of.clone(),
            Transform::Bucket(_) | Transform::Year | Transform::Month | Transform::Day | Transform::Hour => {
                DataType::Int32
            }
            Transform::Void | Transform::Unknown => return plan_err!("{NAME} has no values of {transform}"),
        };
        Ok(Arc::new(Field::new(NAME, returned, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [transform, column, path @ ..] = args.args.as_slice() else {
            return internal_err!("{NAME} has no column");
        };
        let transform = parsed(text(scalar(transform))?)?;
        let path = path.iter().map(|name| text(scalar(name)));
        let path = path.collect::<Result<Vec<&str>>>()?;
        let column = column.to_array(args.number_rows)?;
        let values = tidewater_table::transformed(transform, &column, &path).map_err(EngineError::from)?;
        Ok(ColumnarValue::Array(values))
    }
}

fn scalar(value: &ColumnarValue) -> Option<&ScalarValue> {
    match value {
        ColumnarValue::Scalar(value) => Some(value),
        ColumnarValue::Array(_) => None,
    }
}

fn text(value: Option<&ScalarValue>) -> Result<&str> {
    match value.and_then(ScalarValue::try_as_str).flatten() {
        Some(text) => Ok(text),
        None => plan_err!("{NAME} takes its transform and the names of fields as literals"),
    }
}

fn parsed(text: &str) -> Result<Transform> {
    text.parse()
        .map_err(|error: tidewater_table::iceberg::Error| DataFusionError::External(Box::new(error)))
}
