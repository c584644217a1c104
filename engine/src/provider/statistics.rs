//! What manifests tell about a scan's rows, for the optimiser.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use tidewater_table::iceberg::spec::{Datum, NestedFieldRef, PrimitiveLiteral, Schema, Type};

use super::alike::ToldFile;
use crate::field_ids::field_id;

/// Beyond this many bounds only rows and bytes are told: adding them up would take longer than it saves.
const BOUNDS_MAX: usize = 200_000;

/// Rows are exact where no file has row-level deletes, and so are nulls and the bounds of numbers and times where every file counts its
/// values: writers keep the least and the greatest value of them. Those of floating-point numbers are where every file tells that it
/// holds no NaN, but for zero. Everything else is a bound or an estimate. Of the columns that partitions `told` it is the partitions that
/// tell.
pub(super) fn of(files: &[ToldFile<'_>], told: &[usize], columns: &Schema, schema: &SchemaRef) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    let rows: u64 = files.iter().map(|of| of.file.record_count).sum();
    let bytes: u64 = files.iter().map(|of| of.file.size_bytes).sum();
    statistics.num_rows = usize::try_from(rows).map_or(Precision::Absent, Precision::Exact);
    statistics.total_byte_size = usize::try_from(bytes).map_or(Precision::Absent, Precision::Inexact);
    let fields = columns.as_struct().fields();
    if files.len().saturating_mul(fields.len()) > BOUNDS_MAX {
        return statistics;
    }
    for (index, field) in fields.iter().enumerate() {
        let Some(column) = statistics.column_statistics.get_mut(index) else {
            break;
        };
        let told = told.iter().position(|column| *column == index);
        let found = of_column(files, told, field, schema.field(index).data_type());
        *column = match files.iter().all(|of| is_of_its_rows(of, told, field.id)) {
            true => found,
            false => found.to_inexact(),
        };
    }
    statistics
}

/// Whether what is told of a column is of the file's own rows for sure. ClickHouse told of each file the nulls and the bounds of all files
/// of a commit, some of which may have left the table, and it counts no values; others count them without nulls.
fn is_of_its_rows(of: &ToldFile<'_>, told: Option<usize>, field_id: i32) -> bool {
    of.value(told).is_some() || of.file.value_count(field_id) == Some(of.file.record_count)
}

/// Field ids of floating-point columns of which every file tells that they hold no NaN.
pub(super) fn without_nan(files: &[ToldFile<'_>], schema: &SchemaRef) -> BTreeSet<i32> {
    let floats = schema.fields().iter().filter(|field| field.data_type().is_floating());
    let none = |id: &i32| {
        let tells = |of: &ToldFile<'_>| of.file.nan_value_count(*id) == Some(0);
        files.iter().all(tells)
    };
    floats.filter_map(|field| field_id(field)).filter(none).collect()
}

fn of_column(
    files: &[ToldFile<'_>],
    told: Option<usize>,
    field: &NestedFieldRef,
    data_type: &DataType,
) -> ColumnStatistics {
    let mut column = ColumnStatistics::new_unknown();
    if !matches!(&*field.field_type, Type::Primitive(_)) {
        return column;
    }
    let nulls = |of: &ToldFile<'_>| match of.value(told) {
        Some(value) if value.is_null() => Some(of.file.record_count),
        Some(_) => Some(0),
        // Some writers count those of all files of a commit.
        None => of
            .file
            .null_value_count(field.id)
            .filter(|nulls| *nulls <= of.file.record_count),
    };
    if let Some(count) = files.iter().map(nulls).sum::<Option<u64>>() {
        column.null_count = usize::try_from(count).map_or(Precision::Absent, Precision::Exact);
    }
    // A file of nulls only has no bounds, and needs none.
    let mut bounded = files
        .iter()
        .filter(|of| nulls(of) != Some(of.file.record_count))
        .peekable();
    if bounded.peek().is_none() {
        return column;
    }
    let mut range: Option<(ScalarValue, ScalarValue)> = None;
    let mut may_be_nan = false;
    for file in bounded {
        may_be_nan |= data_type.is_floating() && file.file.nan_value_count(field.id) != Some(0);
        let Some((lower, upper)) = bounds(file, told, field.id, data_type) else {
            return column;
        };
        range = Some(match range {
            None => (lower, upper),
            Some((least, greatest)) => (
                if lower < least { lower } else { least },
                if upper > greatest { upper } else { greatest },
            ),
        });
    }
    if let Some((least, greatest)) = range {
        let precision = |bound: ScalarValue| match data_type {
            // Bounds of strings may be cut short, and those of floats leave NaN out.
            DataType::Utf8 => Precision::Inexact(bound),
            _ if may_be_nan || is_bound_only(&bound) => Precision::Inexact(bound),
            _ => Precision::Exact(bound),
        };
        column.min_value = precision(least);
        column.max_value = precision(greatest);
    }
    column
}

/// Whether a bound does not tell the value itself: writers give a zero the sign with which it is a bound of both zeros. A NaN is none.
fn is_bound_only(bound: &ScalarValue) -> bool {
    match bound {
        ScalarValue::Float32(Some(value)) => *value == 0.0 || value.is_nan(),
        ScalarValue::Float64(Some(value)) => *value == 0.0 || value.is_nan(),
        _ => false,
    }
}

/// The least and the greatest value of a column in a file, NaN left aside.
fn bounds(
    of: &ToldFile<'_>,
    told: Option<usize>,
    field_id: i32,
    data_type: &DataType,
) -> Option<(ScalarValue, ScalarValue)> {
    match of.value(told) {
        // It may be NaN, which is no bound.
        Some(_) if data_type.is_floating() => None,
        Some(value) => Some((value.clone(), value.clone())),
        None => {
            let lower = scalar(&of.file.lower_bound(field_id)?, data_type)?;
            let upper = scalar(&of.file.upper_bound(field_id)?, data_type)?;
            // Of a writer that knows no order they bound nothing.
            (lower <= upper).then_some((lower, upper))
        }
    }
}

/// A bound as a value of the column's type; files written before a column was widened have bounds of the old type.
fn scalar(bound: &Datum, data_type: &DataType) -> Option<ScalarValue> {
    let value = match bound.literal() {
        PrimitiveLiteral::Boolean(v) => ScalarValue::Boolean(Some(*v)),
        PrimitiveLiteral::Int(v) => match data_type {
            DataType::Date32 => ScalarValue::Date32(Some(*v)),
            DataType::Int64 => ScalarValue::Int64(Some(i64::from(*v))),
            _ => ScalarValue::Int32(Some(*v)),
        },
        PrimitiveLiteral::Long(v) => match data_type {
            DataType::Int64 => ScalarValue::Int64(Some(*v)),
            DataType::Timestamp(..) | DataType::Time64(_) => ScalarValue::Int64(Some(*v)).cast_to(data_type).ok()?,
            _ => return None,
        },
        PrimitiveLiteral::Float(v) => match data_type {
            DataType::Float64 => ScalarValue::Float64(Some(f64::from(v.0))),
            _ => ScalarValue::Float32(Some(v.0)),
        },
        PrimitiveLiteral::Double(v) => ScalarValue::Float64(Some(v.0)),
        PrimitiveLiteral::String(v) => ScalarValue::Utf8(Some(v.clone())),
        PrimitiveLiteral::Int128(v) => match data_type {
            DataType::Decimal128(precision, scale) => ScalarValue::Decimal128(Some(*v), *precision, *scale),
            _ => return None,
        },
        _ => return None,
    };
    (value.data_type() == *data_type).then_some(value)
}

#[cfg(test)]
mod tests;
