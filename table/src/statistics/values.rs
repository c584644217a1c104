//! Values as the bytes that stand for them in metadata (Iceberg spec, "Binary single-value serialization").

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType, TimestampNanosecondType, ToByteSlice,
};

use crate::error::{Result, TableError};

/// Hands over each value that is kept and not null.
pub(super) fn each(column: &ArrayRef, kept: &[bool], take: &mut dyn FnMut(&[u8])) -> Result<()> {
    match column.data_type() {
        DataType::Boolean => booleans(column.as_boolean(), kept, take),
        DataType::Int32 => numbers::<Int32Type>(column, kept, take),
        DataType::Int64 => numbers::<Int64Type>(column, kept, take),
        DataType::Float32 => numbers::<Float32Type>(column, kept, take),
        DataType::Float64 => numbers::<Float64Type>(column, kept, take),
        DataType::Date32 => numbers::<Date32Type>(column, kept, take),
        DataType::Time64(TimeUnit::Microsecond) => numbers::<Time64MicrosecondType>(column, kept, take),
        DataType::Timestamp(TimeUnit::Microsecond, _) => numbers::<TimestampMicrosecondType>(column, kept, take),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => numbers::<TimestampNanosecondType>(column, kept, take),
        DataType::Decimal128(..) => decimals(column.as_primitive(), kept, take),
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            rows(values, kept).for_each(|row| take(values.value(row).as_bytes()));
        }
        DataType::LargeUtf8 => {
            let values = column.as_string::<i64>();
            rows(values, kept).for_each(|row| take(values.value(row).as_bytes()));
        }
        DataType::Binary => {
            let values = column.as_binary::<i32>();
            rows(values, kept).for_each(|row| take(values.value(row)));
        }
        DataType::LargeBinary => {
            let values = column.as_binary::<i64>();
            rows(values, kept).for_each(|row| take(values.value(row)));
        }
        DataType::FixedSizeBinary(_) => {
            let values = column.as_fixed_size_binary();
            rows(values, kept).for_each(|row| take(values.value(row)));
        }
        other => {
            return Err(TableError::Unsupported {
                what: format!("statistics of values of type {other}"),
            });
        }
    }
    Ok(())
}

fn rows<'a>(values: &'a dyn Array, kept: &'a [bool]) -> impl Iterator<Item = usize> + 'a {
    let told = kept
        .iter()
        .enumerate()
        .filter(|(row, kept)| **kept && values.is_valid(*row));
    told.map(|(row, _)| row)
}

/// Little-endian, as in memory.
fn numbers<T: ArrowPrimitiveType>(column: &ArrayRef, kept: &[bool], take: &mut dyn FnMut(&[u8])) {
    let values = column.as_primitive::<T>();
    rows(values, kept).for_each(|row| take(values.value(row).to_byte_slice()));
}

fn booleans(values: &BooleanArray, kept: &[bool], take: &mut dyn FnMut(&[u8])) {
    rows(values, kept).for_each(|row| take(&[u8::from(values.value(row))]));
}

/// Big-endian, in as few bytes as the number fits in.
fn decimals(values: &Decimal128Array, kept: &[bool], take: &mut dyn FnMut(&[u8])) {
    for row in rows(values, kept) {
        let bytes = values.value(row).to_be_bytes();
        let sign = if values.value(row) < 0 { 0xff } else { 0 };
        let is_spare = |at: usize| {
            let next = bytes.get(at + 1).copied();
            bytes.get(at) == Some(&sign) && next.is_some_and(|next| (next & 0x80) == (sign & 0x80))
        };
        let first = (0..bytes.len() - 1)
            .find(|at| !is_spare(*at))
            .unwrap_or(bytes.len() - 1);
        take(bytes.get(first..).unwrap_or_default());
    }
}
