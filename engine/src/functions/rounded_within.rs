//! What casts of lists, structs and maps round first, where they have numbers and are to have whole ones: the query engine's cast cuts off
//! within them too.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::rounded::{is_rounded_first, rounded_values, whole};
use super::wide::strictly;

/// What it is called where plans are shown.
const NAME: &str = "rounded_within";

/// A value whose numbers are rounded where those of a second one, of which only the type counts, are whole. Only a function's name travels
/// with a plan: what it goes by has to be an argument.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RoundedWithin(Signature);

impl RoundedWithin {
    pub(super) fn new() -> Self {
        Self(Signature::any(2, Volatility::Immutable))
    }
}

/// The value, as a cast to a type is to have it.
///
/// # Errors
/// Types of which there is no null.
pub(crate) fn rounded_within(value: Expr, to: &DataType) -> Result<Expr> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(RoundedWithin::new())));
    let to = lit(ScalarValue::try_new_null(to)?);
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::clone(&FUNCTION),
        vec![value, to],
    )))
}

/// Whether a value is rounded so already.
pub(crate) fn is_rounded(value: &Expr) -> bool {
    matches!(value, Expr::ScalarFunction(function) if function.name() == NAME)
}

/// Whether a cast from one type to another is to round anything first.
pub(crate) fn rounds(of: &DataType, to: &DataType) -> bool {
    changed(of, to).is_some()
}

/// The type of a value that was rounded; `None` where nothing is.
fn changed(of: &DataType, to: &DataType) -> Option<DataType> {
    match (of, to) {
        (of, to) if to.is_integer() && is_rounded_first(of) => whole(of).ok(),
        (DataType::Dictionary(_, plain), to) => changed(plain, to),
        (DataType::RunEndEncoded(_, plain), to) => changed(plain.data_type(), to),
        (
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::FixedSizeList(element, _)
            | DataType::ListView(element)
            | DataType::LargeListView(element),
            DataType::List(wanted),
        ) => {
            let kind = changed(element.data_type(), wanted.data_type())?;
            Some(DataType::List(with_type(element, kind)))
        }
        (DataType::Struct(fields), DataType::Struct(wanted)) => {
            let by_name = |field: &FieldRef| wanted.find(field.name()).map(|(_, wanted)| wanted);
            Some(DataType::Struct(with_types(fields, fields.iter().map(by_name))?))
        }
        (DataType::Map(entries, sorted), DataType::Map(wanted, _)) => match (entries.data_type(), wanted.data_type()) {
            (DataType::Struct(fields), DataType::Struct(wanted)) => {
                let mut pairs = fields.iter().zip(wanted);
                if !pairs.all(|(field, wanted)| is_by_name(field.data_type(), wanted.data_type())) {
                    return None;
                }
                let kind = DataType::Struct(with_types(fields, wanted.iter().map(Some))?);
                Some(DataType::Map(with_type(entries, kind), *sorted))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether a cast within a map takes the fields of structs by their names. Where it misses one it goes by their places, and what is
/// rounded by its name would be another field.
fn is_by_name(of: &DataType, to: &DataType) -> bool {
    match (of, to) {
        (DataType::Dictionary(_, plain), to) => is_by_name(plain, to),
        (DataType::RunEndEncoded(_, plain), to) => is_by_name(plain.data_type(), to),
        (
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::FixedSizeList(element, _)
            | DataType::ListView(element)
            | DataType::LargeListView(element),
            DataType::List(wanted),
        ) => is_by_name(element.data_type(), wanted.data_type()),
        (DataType::Struct(fields), DataType::Struct(wanted)) => wanted.iter().all(|wanted| {
            let field = fields.find(wanted.name());
            field.is_some_and(|(_, field)| is_by_name(field.data_type(), wanted.data_type()))
        }),
        _ => true,
    }
}

fn with_type(field: &FieldRef, kind: DataType) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(kind))
}

/// The fields with the types that they are rounded to, each by the one that is wanted of it; `None` where nothing is rounded.
fn with_types<'a>(fields: &Fields, wanted: impl Iterator<Item = Option<&'a FieldRef>>) -> Option<Fields> {
    let mut found = false;
    let pairs = fields.iter().zip(wanted);
    let fields =
        pairs.map(
            |(field, wanted)| match wanted.and_then(|wanted| changed(field.data_type(), wanted.data_type())) {
                Some(kind) => {
                    found = true;
                    with_type(field, kind)
                }
                None => Arc::clone(field),
            },
        );
    let fields: Fields = fields.collect();
    found.then_some(fields)
}

fn brought(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let Some(kind) = changed(values.data_type(), to) else {
        return Ok(Arc::clone(values));
    };
    Ok(match (values.data_type(), to, &kind) {
        // What stands once for many rows is first written out for each of them.
        (DataType::Dictionary(_, plain), ..) => brought(&strictly(values, plain)?, to)?,
        (DataType::RunEndEncoded(_, plain), ..) => brought(&strictly(values, plain.data_type())?, to)?,
        (DataType::List(_), DataType::List(wanted), DataType::List(element)) => {
            let list = values.as_list::<i32>();
            let items = brought(list.values(), wanted.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::try_new(Arc::clone(element), offsets, items, nulls)?)
        }
        // Other kinds of lists first become plain ones of their own element.
        (
            DataType::LargeList(element)
            | DataType::FixedSizeList(element, _)
            | DataType::ListView(element)
            | DataType::LargeListView(element),
            ..,
        ) => brought(&strictly(values, &DataType::List(Arc::clone(element)))?, to)?,
        (DataType::Struct(given), DataType::Struct(wanted), DataType::Struct(fields)) => {
            let parts = values.as_struct();
            let columns = given.iter().zip(parts.columns());
            let columns = columns.map(|(field, column)| match wanted.find(field.name()) {
                Some((_, wanted)) => brought(column, wanted.data_type()),
                None => Ok(Arc::clone(column)),
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let nulls = parts.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                nulls,
                parts.len(),
            )?)
        }
        (DataType::Map(..), DataType::Map(wanted, _), DataType::Map(entries, sorted)) => {
            Arc::new(map(values.as_map(), wanted, entries, *sorted)?)
        }
        _ => rounded_values(values)?,
    })
}

/// Keys and values go by position: their names differ.
fn map(source: &MapArray, wanted: &FieldRef, entries: &FieldRef, sorted: bool) -> Result<MapArray> {
    let (DataType::Struct(wanted), DataType::Struct(fields)) = (wanted.data_type(), entries.data_type()) else {
        return plan_err!("{NAME} takes maps with entries");
    };
    let columns = source.entries().columns().iter().zip(wanted.iter());
    let columns = columns.map(|(column, wanted)| brought(column, wanted.data_type()));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let rounded = StructArray::try_new(fields.clone(), columns, source.entries().nulls().cloned())?;
    let (offsets, nulls) = (source.offsets().clone(), source.nulls().cloned());
    Ok(MapArray::try_new(Arc::clone(entries), offsets, rounded, nulls, sorted)?)
}

impl ScalarUDFImpl for RoundedWithin {
    fn name(&self) -> &str {
        NAME
    }

    /// As columns of the cast are called.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [value, _] => Ok(value.schema_name().to_string()),
            _ => plan_err!("{NAME} takes a value and one of another type"),
        }
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds {
            [of, to] => Ok(changed(of, to).unwrap_or_else(|| of.clone())),
            _ => plan_err!("{NAME} takes a value and one of another type"),
        }
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match given.arg_fields {
            [value, to] => Ok(match changed(value.data_type(), to.data_type()) {
                Some(kind) => with_type(value, kind),
                None => Arc::clone(value),
            }),
            _ => plan_err!("{NAME} takes a value and one of another type"),
        }
    }

    fn invoke_with_args(&self, given: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, to] = given.args.as_slice() else {
            return plan_err!("{NAME} takes a value and one of another type");
        };
        let values = value.to_array(given.number_rows)?;
        Ok(ColumnarValue::Array(brought(&values, &to.data_type())?))
    }
}

#[cfg(test)]
mod tests {
    use std::iter::once;

    use datafusion::arrow::array::{DictionaryArray, Float64Array, Int32Array, StringArray};
    use datafusion::arrow::datatypes::{Field, Float64Type, Int32Type};

    use super::*;

    fn floats(values: Vec<f64>) -> ArrayRef {
        Arc::new(Float64Array::from(values))
    }

    fn pair(left: ArrayRef, right: ArrayRef) -> ArrayRef {
        let fields = [("a", left), ("b", right)].map(|(name, column)| {
            let field = Field::new(name, column.data_type().clone(), true);
            (Arc::new(field), column)
        });
        Arc::new(StructArray::from(fields.to_vec()))
    }

    // Goal: numbers are rounded where they are to become whole ones, and nowhere else. Method: a list, a list that stands once for many
    // rows, and structs whose fields have another order, of which one part is to be whole and the other is not; then those in maps.
    #[test]
    fn whole_parts_are_rounded() {
        let list = |numbers: Vec<Option<f64>>| -> ArrayRef {
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(once(Some(numbers))))
        };
        let (given, wanted) = (
            list(vec![Some(2.5), None, Some(-1.75)]),
            list(vec![Some(2.0), None, Some(-2.0)]),
        );
        let whole = DataType::new_list(DataType::Int64, true);
        assert_eq!(&brought(&given, &whole).expect("numbers"), &wanted);
        let keyed = DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0]), given.clone());
        let keyed: ArrayRef = Arc::new(keyed);
        assert_eq!(&brought(&keyed, &whole).expect("numbers"), &wanted);
        assert_eq!(changed(keyed.data_type(), &whole).as_ref(), Some(wanted.data_type()));

        let rows = pair(floats(vec![1.75]), floats(vec![1.75]));
        let expected = pair(floats(vec![2.0]), floats(vec![1.75]));
        let fields = |parts: [(&str, DataType); 2]| {
            let parts = parts.map(|(name, of)| Field::new(name, of, true));
            DataType::Struct(Fields::from(parts.to_vec()))
        };
        let of_rows = fields([("b", DataType::Float64), ("a", DataType::Int32)]);
        assert_eq!(&brought(&rows, &of_rows).expect("rows"), &expected);

        // Within a map, a cast goes by the places of fields of which one has another name.
        let in_map = |value: &DataType| {
            let entries = fields([("key", DataType::Utf8), ("value", value.clone())]);
            DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
        };
        let other = fields([("b", DataType::Int32), ("c", DataType::Float64)]);
        assert!(rounds(&in_map(rows.data_type()), &in_map(&of_rows)));
        assert!(!rounds(&in_map(rows.data_type()), &in_map(&other)));
        for (of, to) in [
            (given.data_type(), given.data_type()),
            (rows.data_type(), rows.data_type()),
            (StringArray::from(vec!["1"]).data_type(), &DataType::Int64),
        ] {
            assert!(!rounds(of, to), "{of}");
        }
    }
}
