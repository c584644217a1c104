//! A list without what its table says of its elements. Lists of one table have the field ids of their elements in their type, those that
//! are written out have none, and an expression that is now one and now the other has a type that not all of its rows have.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::Array;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What it is called in statements that we write.
pub(crate) const NAME: &str = "plain_list";

/// The list with elements that nothing more is known of than their type, in rows. What is no list, or one of more than plain values, stays
/// of its type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PlainList(Signature);

impl PlainList {
    pub(super) fn new() -> Self {
        Self(Signature::any(1, Volatility::Immutable))
    }
}

/// The value, of which there is one in each row also where it is the same in all.
pub(crate) fn in_rows(value: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(PlainList::new())));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), vec![value]))
}

/// Whether a list is of plain values.
pub(crate) fn is_plain(kind: &DataType) -> bool {
    matches!(kind, DataType::List(element) if !element.data_type().is_nested())
}

fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::List(element) if is_plain(kind) => {
            DataType::List(Arc::new(element.as_ref().clone().with_metadata(HashMap::new())))
        }
        kind => kind.clone(),
    }
}

impl ScalarUDFImpl for PlainList {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds {
            [kind] => Ok(plain(kind)),
            _ => plan_err!("{NAME} takes one value"),
        }
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match given.arg_fields {
            [field] => {
                let kind = plain(field.data_type());
                Ok(Arc::new(field.as_ref().clone().with_data_type(kind)))
            }
            _ => plan_err!("{NAME} takes one value"),
        }
    }

    fn invoke_with_args(&self, given: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = given.args.as_slice() else {
            return plan_err!("{NAME} takes one value");
        };
        let values = value.to_array(given.number_rows)?;
        Ok(ColumnarValue::Array(cast(&values, &plain(values.data_type()))?))
    }
}
