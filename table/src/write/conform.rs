//! Brings a batch to the table's schema: columns by name, nested ones too, cast where the types differ.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field, FieldRef, Fields, Float32Type, Float64Type,
    SchemaRef,
};
use arrow::util::display::FormatOptions;

use crate::error::{Result, TableError};
use crate::schema::{repeated, write_default};

/// The batch in the table's schema, as writers bring it there. Missing columns are what they are by default, or null; a column that the
/// table does not have is refused, for its values would be lost, and so is one that comes twice.
///
/// # Errors
/// [`TableError::Rows`] for columns and values that do not fit.
pub fn conformed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let given = batch.schema();
    let columns = by_name(given.fields(), batch.columns(), schema.fields(), batch.num_rows(), "")?;
    RecordBatch::try_new(schema.clone(), columns).map_err(|error| TableError::Rows {
        reason: error.to_string(),
    })
}

fn by_name(given: &Fields, columns: &[ArrayRef], wanted: &Fields, rows: usize, path: &str) -> Result<Vec<ArrayRef>> {
    if let Some(extra) = given
        .iter()
        .find(|field| !wanted.iter().any(|w| w.name() == field.name()))
    {
        return Err(refused(path, extra.name(), "the table has no such column"));
    }
    if let Some((_, twice)) = given
        .iter()
        .enumerate()
        .find(|(at, field)| given.iter().take(*at).any(|before| before.name() == field.name()))
    {
        return Err(refused(path, twice.name(), "it comes twice"));
    }
    let pick = |field: &FieldRef| match given.iter().position(|g| g.name() == field.name()) {
        Some(at) => match columns.get(at) {
            Some(column) => array(column, field, path),
            None => Err(refused(path, field.name(), "it has no values")),
        },
        None => match write_default(field)? {
            Some(value) => repeated(&value, rows),
            None if field.is_nullable() => Ok(new_null_array(field.data_type(), rows)),
            None => Err(refused(path, field.name(), "it is required and missing")),
        },
    };
    wanted.iter().map(pick).collect()
}

fn array(column: &ArrayRef, field: &Field, path: &str) -> Result<ArrayRef> {
    let here = if path.is_empty() {
        field.name().clone()
    } else {
        format!("{path}.{}", field.name())
    };
    let invalid = |error: arrow::error::ArrowError| TableError::Rows {
        reason: format!("column {here:?}: {error}"),
    };
    let conformed: ArrayRef = match (column.data_type(), field.data_type()) {
        (DataType::Struct(given), DataType::Struct(wanted)) => {
            let source = column.as_struct();
            let children = by_name(given, source.columns(), wanted, source.len(), &here)?;
            let nulls = source.nulls().cloned();
            let built = StructArray::try_new_with_length(wanted.clone(), children, nulls, source.len());
            Arc::new(built.map_err(invalid)?)
        }
        (DataType::List(_), DataType::List(element)) => {
            let source = column.as_list::<i32>();
            let values = array(source.values(), element, &here)?;
            let (offsets, nulls) = (source.offsets().clone(), source.nulls().cloned());
            Arc::new(ListArray::try_new(element.clone(), offsets, values, nulls).map_err(invalid)?)
        }
        // Other kinds of lists first become plain ones of their own element.
        (
            DataType::LargeList(element)
            | DataType::FixedSizeList(element, _)
            | DataType::ListView(element)
            | DataType::LargeListView(element),
            DataType::List(_),
        ) => array(
            &cast(column, &DataType::List(element.clone())).map_err(invalid)?,
            field,
            path,
        )?,
        // What stands once for many rows is first written out for each of them, where a cast would reach into it.
        (DataType::Dictionary(_, plain), wanted) if plain.is_nested() || wanted.is_integer() => {
            array(&cast(column, plain).map_err(invalid)?, field, path)?
        }
        (DataType::RunEndEncoded(_, plain), _) => {
            array(&cast(column, plain.data_type()).map_err(invalid)?, field, path)?
        }
        // A cast takes one of the types and makes nulls of all values of the others.
        (DataType::Union(..), _) => return Err(refused(path, field.name(), "its values are of several types")),
        (DataType::Map(..), DataType::Map(entries, sorted)) => Arc::new(map(column.as_map(), entries, *sorted, &here)?),
        (given, wanted) if given == wanted => column.clone(),
        (_, wanted) => cast(column, wanted).map_err(invalid)?,
    };
    if !field.is_nullable() && conformed.is_nullable() && conformed.logical_null_count() > 0 && path.is_empty() {
        return Err(refused(path, field.name(), "it is required and holds nulls"));
    }
    Ok(conformed)
}

/// Keys and values go by position: their names differ between writers.
fn map(source: &MapArray, entries: &FieldRef, sorted: bool, path: &str) -> Result<MapArray> {
    let invalid = |error: arrow::error::ArrowError| TableError::Rows {
        reason: format!("column {path:?}: {error}"),
    };
    let DataType::Struct(parts) = entries.data_type() else {
        return Err(refused(path, entries.name(), "a map without entries"));
    };
    let given = [source.keys().clone(), source.values().clone()];
    let columns = given
        .iter()
        .zip(parts.iter())
        .map(|(column, part)| array(column, part, path));
    let children = columns.collect::<Result<Vec<_>>>()?;
    let built = StructArray::try_new(parts.clone(), children, None).map_err(invalid)?;
    MapArray::try_new(
        entries.clone(),
        source.offsets().clone(),
        built,
        source.nulls().cloned(),
        sorted,
    )
    .map_err(invalid)
}

/// A value that does not fit is an error, never a null. What is behind the point of a number is rounded where a column has no place for it.
fn cast(column: &ArrayRef, wanted: &DataType) -> std::result::Result<ArrayRef, arrow::error::ArrowError> {
    match wanted.is_integer() {
        true => cast_with_options(&rounded(column)?, wanted, &strict()),
        false => cast_with_options(column, wanted, &strict()),
    }
}

/// Numbers without what is behind their point, which a cast would cut off. They are rounded as statements round them: half goes to the even
/// one of two neighbours in floating-point numbers, and away from zero in decimals.
fn rounded(column: &ArrayRef) -> std::result::Result<ArrayRef, arrow::error::ArrowError> {
    Ok(match column.data_type() {
        DataType::Float16 => rounded(&cast_with_options(column, &DataType::Float32, &strict())?)?,
        DataType::Float32 => Arc::new(
            column
                .as_primitive::<Float32Type>()
                .unary::<_, Float32Type>(f32::round_ties_even),
        ),
        DataType::Float64 => Arc::new(
            column
                .as_primitive::<Float64Type>()
                .unary::<_, Float64Type>(f64::round_ties_even),
        ),
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale)
            if *scale > 0 =>
        {
            cast_with_options(column, &DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0), &strict())?
        }
        // In two steps: where the type of a decimal says that it fits in fewer bytes, a cast panics at what does not, also behind a null.
        // And a cast to a whole number would take the lowest bits of one that is too large (arrow 59.3).
        DataType::Decimal256(..) => {
            let wide = cast_with_options(column, &DataType::Decimal256(DECIMAL256_MAX_PRECISION, 0), &strict())?;
            cast_with_options(&wide, &DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0), &strict())?
        }
        _ => column.clone(),
    })
}

fn strict() -> CastOptions<'static> {
    CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    }
}

fn refused(path: &str, name: &str, reason: &str) -> TableError {
    let dot = if path.is_empty() { "" } else { "." };
    TableError::Rows {
        reason: format!("column \"{path}{dot}{name}\": {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Decimal256Array, DictionaryArray, Float64Array, Int32Array, Int64Array, RunArray, StringArray, UnionArray,
    };
    use arrow::datatypes::{Int32Type, Int64Type, Schema, UnionFields, i256};

    use super::*;

    fn one(column: ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
        let batch = RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("a", wanted.clone(), true)]));
        Ok(conformed(&batch, &schema)?.column(0).clone())
    }

    fn wide(values: Vec<i256>, valid: Vec<bool>, scale: i8) -> ArrayRef {
        let decimals = Decimal256Array::new(values.into(), Some(valid.into()));
        Arc::new(decimals.with_precision_and_scale(40, scale).unwrap())
    }

    // Goal: numbers are rounded in whatever form they come, and none becomes another one or a null. Method: the same rows as they are, in
    // lists, in dictionaries and in runs; wide decimals, of which one has behind a null what has no place elsewhere, and one fits by its
    // lowest bits only; a union, of which a cast would keep one type.
    #[test]
    fn no_form_of_a_number_is_cut_off() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![2.5, -1.9]));
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![2, -2]));
        let parts = [Some(vec![Some(2.5), Some(-1.9)]), None];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(parts));
        let parts = [Some(vec![Some(2), Some(-2)]), None];
        let whole_lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(parts));
        let keyed = |of: &ArrayRef| -> ArrayRef {
            Arc::new(DictionaryArray::<Int32Type>::new(
                Int32Array::from(vec![0, 1]),
                of.clone(),
            ))
        };
        let in_runs = |of: &ArrayRef| -> ArrayRef {
            Arc::new(RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 2]), of.as_ref()).unwrap())
        };
        for (given, expected) in [
            (keyed(&floats), &whole),
            (in_runs(&floats), &whole),
            (keyed(&lists), &whole_lists),
            (in_runs(&lists), &whole_lists),
            (floats, &whole),
            (lists, &whole_lists),
        ] {
            let kind = given.data_type().clone();
            assert_eq!(&one(given, expected.data_type()).unwrap(), expected, "{kind}");
        }
        let rounded = one(
            wide(vec![i256::from_i128(25), i256::MAX], vec![true, false], 1),
            &DataType::Int64,
        )
        .unwrap();
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None]));
        assert_eq!(&rounded, &expected);

        let fields = [
            Field::new("whole", DataType::Int64, true),
            Field::new("text", DataType::Utf8, true),
        ];
        let children: Vec<ArrayRef> = vec![whole, Arc::new(StringArray::from(vec!["1", "2"]))];
        let fields = UnionFields::try_new([0, 1], fields).unwrap();
        let union = UnionArray::try_new(fields, vec![0_i8, 1].into(), None, children).unwrap();
        for lost in [
            wide(vec![i256::from_i128(1 << 64)], vec![true], 0),
            wide(vec![i256::from_i128(10 << 64)], vec![true], 1),
            Arc::new(union) as ArrayRef,
        ] {
            let kind = lost.data_type().clone();
            let outcome = one(lost, &DataType::Int64);
            assert!(matches!(outcome, Err(TableError::Rows { .. })), "{kind}");
        }
    }
}
