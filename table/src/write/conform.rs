//! Brings a batch to the table's schema: columns by name, nested ones too, cast where the types differ.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields, Float32Type, Float64Type, SchemaRef,
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
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *scale > 0 =>
        {
            // 9.5 has one digit before its point, and 10 has two.
            let before = precision.saturating_sub(scale.unsigned_abs()).saturating_add(1);
            let whole = DataType::Decimal128(before.min(DECIMAL128_MAX_PRECISION), 0);
            cast_with_options(column, &whole, &strict())?
        }
        DataType::Dictionary(_, of) => rounded(&cast_with_options(column, of, &strict())?)?,
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
