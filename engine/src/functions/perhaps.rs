//! A value that may be missing, though its type says that it cannot: of a subquery without rows.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What it is called where plans are shown.
pub(crate) const NAME: &str = "perhaps";

/// The value as it is; what it is called with may be null whatever it says.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Perhaps(Signature);

impl Perhaps {
    pub(super) fn new() -> Self {
        Self(Signature::any(1, Volatility::Immutable))
    }
}

/// The function, as plans have it. It is known by its name wherever they travel.
pub(crate) fn function() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Perhaps::new())));
    Arc::clone(&FUNCTION)
}

impl ScalarUDFImpl for Perhaps {
    fn name(&self) -> &str {
        NAME
    }

    /// As the value is called: where it stands, it is the same column.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [value] => Ok(value.schema_name().to_string()),
            _ => plan_err!("{NAME} takes one value"),
        }
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds {
            [kind] => Ok(kind.clone()),
            _ => plan_err!("{NAME} takes one value"),
        }
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match given.arg_fields {
            [field] => Ok(Arc::new(field.as_ref().clone().with_nullable(true))),
            _ => plan_err!("{NAME} takes one value"),
        }
    }

    fn invoke_with_args(&self, given: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match <[ColumnarValue; 1]>::try_from(given.args) {
            Ok([value]) => Ok(value),
            Err(_) => plan_err!("{NAME} takes one value"),
        }
    }
}
