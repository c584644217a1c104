//! A function of arrays, as the query engine wants it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, new_empty_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable as _, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility, cast as cast_expr,
};
use datafusion::scalar::ScalarValue;

use crate::pg_catalog::{TYPE_KEY, shown};

type Call = Arc<dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync>;
type Returns = Arc<dyn Fn(&[DataType]) -> Result<DataType> + Send + Sync>;
type ReturnsOf = Arc<dyn Fn(&[DataType], &[Option<&ScalarValue>]) -> Result<DataType> + Send + Sync>;
type Plain = Arc<dyn Fn(&DataType) -> Option<DataType> + Send + Sync>;

/// A function.
#[derive(Clone)]
pub(super) struct Native {
    name: String,
    arguments: (usize, usize),
    returns: Returns,
    /// The type where constants among the arguments have a say in it.
    returns_of: Option<ReturnsOf>,
    /// The type to which it is a plain cast of such an argument.
    plain: Option<Plain>,
    signature: Signature,
    call: Call,
    /// What PostgreSQL calls the type of its answer, where the Arrow type does not tell.
    called: Option<&'static str>,
    /// Whether it is given the texts that arguments of PostgreSQL's own types show as.
    of_shown: bool,
    /// What it answers depends on the session it was made for.
    pub(super) of_session: bool,
}

impl Native {
    /// Of so many arguments at least and at most, whatever their types.
    pub(super) fn new(
        name: &str,
        arguments: (usize, usize),
        returns: DataType,
        call: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            arguments,
            returns: Arc::new(move |_| Ok(returns.clone())),
            returns_of: None,
            plain: None,
            signature: signature(Volatility::Immutable),
            call: Arc::new(call),
            called: None,
            of_shown: false,
            of_session: false,
        }
    }

    /// With a type that its arguments' types lead to.
    pub(super) fn returning(
        mut self,
        returns: impl Fn(&[DataType]) -> Result<DataType> + Send + Sync + 'static,
    ) -> Self {
        self.returns = Arc::new(returns);
        self
    }

    /// With a type that constants among its arguments have a say in.
    pub(super) fn returning_of(
        mut self,
        returns: impl Fn(&[DataType], &[Option<&ScalarValue>]) -> Result<DataType> + Send + Sync + 'static,
    ) -> Self {
        self.returns_of = Some(Arc::new(returns));
        self
    }

    /// Of arguments of some types it is a plain cast, which the planner knows more about.
    pub(super) fn plain_cast(mut self, of: impl Fn(&DataType) -> Option<DataType> + Send + Sync + 'static) -> Self {
        self.plain = Some(Arc::new(of));
        self
    }

    /// With an answer of one of PostgreSQL's own types ([`TYPE_KEY`]).
    pub(super) fn called(mut self, name: &'static str) -> Self {
        self.called = Some(name);
        self
    }

    /// Of what clients are shown: the number of a function is its name.
    pub(super) fn of_shown(mut self) -> Self {
        self.of_shown = true;
        self
    }

    /// Of one session only.
    pub(super) fn of_session(mut self) -> Self {
        self.of_session = true;
        self
    }

    /// Asked again for each row.
    pub(super) fn volatile(mut self) -> Self {
        self.signature = signature(Volatility::Volatile);
        self
    }

    /// Of texts, row by row; null where one of them is null.
    pub(super) fn of_texts(
        name: &str,
        arguments: (usize, usize),
        call: impl Fn(&[&str]) -> Result<Option<String>> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, arguments, DataType::Utf8, move |arrays, rows| {
            let columns = arrays.iter().map(texts).collect::<Result<Vec<_>>>()?;
            let mut found = Vec::with_capacity(rows);
            for row in 0..rows {
                let values: Option<Vec<&str>> = columns.iter().map(|column| text(column, row)).collect();
                found.push(match values {
                    Some(values) => call(&values)?,
                    None => None,
                });
            }
            Ok(Arc::new(StringArray::from(found)))
        })
    }

    /// The same answer whatever the arguments.
    pub(super) fn constant(name: &str, value: ScalarValue) -> Self {
        let returns = value.data_type();
        Self::new(name, (0, 8), returns, move |_, rows| value.to_array_of_size(rows))
    }

    pub(super) fn into_function(self) -> ScalarUDF {
        ScalarUDF::new_from_impl(self)
    }
}

fn signature(volatility: Volatility) -> Signature {
    Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], volatility)
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Native {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Native {}

impl Hash for Native {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Native {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let (least, most) = self.arguments;
        if !(least..=most).contains(&arguments.len()) {
            return plan_err!(
                "No function matches the given name and argument types: {} of {} arguments",
                self.name,
                arguments.len()
            );
        }
        (self.returns)(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = arguments.arg_fields.iter().map(|of| of.data_type().clone()).collect();
        let mut returns = self.return_type(&types)?;
        if let Some(of) = &self.returns_of {
            returns = of(&types, arguments.scalar_arguments)?;
        }
        let called = self.called.map(|name| (TYPE_KEY.to_owned(), name.to_owned()));
        let field = Field::new(&self.name, returns, true);
        Ok(Arc::new(field.with_metadata(called.into_iter().collect())))
    }

    fn simplify(&self, mut arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if let (Some(plain), [argument]) = (&self.plain, arguments.as_slice())
            && !(self.of_shown && has_own_type(argument, info)?)
            && let Some(to) = plain(&info.get_data_type(argument)?)
            && let Some(argument) = arguments.pop()
        {
            return Ok(ExprSimplifyResult::Simplified(cast_expr(argument, to)));
        }
        Ok(ExprSimplifyResult::Original(arguments))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = arguments
            .args
            .iter()
            .all(|value| matches!(value, ColumnarValue::Scalar(_)));
        // Of constants the answer is one.
        let rows = if scalar && !arguments.args.is_empty() {
            1
        } else {
            arguments.number_rows
        };
        // Of no rows a constant among the arguments, which has a say in the type, is not known.
        if !scalar && rows == 0 {
            let kind = arguments.return_field.data_type();
            return Ok(ColumnarValue::Array(new_empty_array(kind)));
        }
        let arrays = arguments.args.iter().zip(&arguments.arg_fields).map(|(value, field)| {
            let array = value.to_array(rows)?;
            match (self.of_shown, field.metadata().get(TYPE_KEY)) {
                (true, Some(called)) => shown_as(called, array),
                _ => Ok(array),
            }
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let found = (self.call)(&arrays, rows)?;
        match scalar && !arguments.args.is_empty() {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?)),
            false => Ok(ColumnarValue::Array(found)),
        }
    }
}

/// Whether the values are of one of PostgreSQL's own types.
fn has_own_type(argument: &Expr, info: &SimplifyContext) -> Result<bool> {
    let (_, field) = argument.to_field(info.schema().as_ref())?;
    Ok(field.metadata().contains_key(TYPE_KEY))
}

/// The texts that values of one of PostgreSQL's own types show as.
fn shown_as(called: &str, array: ArrayRef) -> Result<ArrayRef> {
    let rows = 0..array.len();
    Ok(match called {
        "regproc" | "regtype" => {
            let oids = numbers(&array)?;
            let name = |oid: i64| shown::named(called, oid);
            strings(rows.map(|row| number(&oids, row).map(name)))
        }
        "int2vector" | "oidvector" => match array.as_list_opt::<i32>() {
            Some(lists) => {
                let vector = |row| -> Result<Option<String>> {
                    if lists.is_null(row) {
                        return Ok(None);
                    }
                    let items = texts(&lists.value(row))?;
                    let items: Vec<&str> = (0..items.len()).filter_map(|at| text(&items, at)).collect();
                    Ok(Some(items.join(" ")))
                };
                strings(rows.map(vector).collect::<Result<Vec<_>>>()?.into_iter())
            }
            None => array,
        },
        _ => array,
    })
}

/// Values as texts.
pub(super) fn texts(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(array, &DataType::Utf8)?)
}

/// One of the texts; none for a null.
pub(super) fn text(texts: &ArrayRef, row: usize) -> Option<&str> {
    let texts = texts.as_string_opt::<i32>()?;
    (!texts.is_null(row)).then(|| texts.value(row))
}

/// Values as whole numbers; a text that is none is null.
pub(super) fn numbers(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(array, &DataType::Int64)?)
}

/// One of the numbers; none for a null.
pub(super) fn number(numbers: &ArrayRef, row: usize) -> Option<i64> {
    let numbers = numbers.as_primitive_opt::<Int64Type>()?;
    (!numbers.is_null(row)).then(|| numbers.value(row))
}

/// One of the arguments, of which there may be too few.
pub(super) fn argument(arrays: &[ArrayRef], at: usize) -> Result<&ArrayRef> {
    match arrays.get(at) {
        Some(array) => Ok(array),
        None => exec_err!("argument {at} is missing"),
    }
}

/// Truths for rows.
pub(super) fn truths(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(values.collect::<BooleanArray>())
}

/// Numbers for rows.
pub(super) fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

/// Texts for rows.
pub(super) fn strings(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}
