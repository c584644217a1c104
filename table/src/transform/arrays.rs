//! Partition transforms of whole columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int32Array, NullArray, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use iceberg::spec::Transform;

use super::hash::{bucket, bucket_decimal, bucket_long};
use super::{NANOS_PER_MICRO, Time, truncate_bytes, truncate_decimal, truncate_int, truncate_long, truncate_text};
use crate::error::{Result, TableError};

/// The transformed column, as long as the given one. Types are those of [`crate::schema::to_arrow`].
pub(crate) fn transform_array(transform: Transform, column: &ArrayRef) -> Result<ArrayRef> {
    let transformed = match transform {
        Transform::Identity => Some(column.clone()),
        Transform::Void => Some(Arc::new(NullArray::new(column.len())) as ArrayRef),
        Transform::Bucket(buckets) => bucketed(buckets, column).map(|a| Arc::new(a) as ArrayRef),
        Transform::Truncate(width) => truncated(width, column),
        Transform::Year | Transform::Month | Transform::Day | Transform::Hour => {
            since_epoch(transform, column).map(|a| Arc::new(a) as ArrayRef)
        }
        Transform::Unknown => None,
    };
    transformed.ok_or_else(|| TableError::Unsupported {
        what: format!("partition transform {transform} of {}", column.data_type()),
    })
}

fn bucketed(buckets: u32, column: &ArrayRef) -> Option<Int32Array> {
    let long = |value: i64| bucket_long(buckets, value);
    Some(match column.data_type() {
        DataType::Int32 => unary::<Int32Type>(column, |v| long(i64::from(v))),
        DataType::Date32 => unary::<Date32Type>(column, |v| long(i64::from(v))),
        DataType::Int64 => unary::<Int64Type>(column, long),
        DataType::Time64(TimeUnit::Microsecond) => unary::<Time64MicrosecondType>(column, long),
        DataType::Timestamp(TimeUnit::Microsecond, _) => unary::<TimestampMicrosecondType>(column, long),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            unary::<TimestampNanosecondType>(column, |v| long(v.div_euclid(NANOS_PER_MICRO)))
        }
        DataType::Decimal128(..) => unary::<Decimal128Type>(column, |v| bucket_decimal(buckets, v)),
        DataType::Utf8 => column
            .as_string::<i32>()
            .iter()
            .map(|v| v.map(|v| bucket(buckets, v.as_bytes())))
            .collect(),
        DataType::Binary => column
            .as_binary::<i32>()
            .iter()
            .map(|v| v.map(|v| bucket(buckets, v)))
            .collect(),
        DataType::FixedSizeBinary(_) => column
            .as_fixed_size_binary()
            .iter()
            .map(|v| v.map(|v| bucket(buckets, v)))
            .collect(),
        _ => return None,
    })
}

fn truncated(width: u32, column: &ArrayRef) -> Option<ArrayRef> {
    Some(match column.data_type() {
        DataType::Int32 => Arc::new(
            column
                .as_primitive::<Int32Type>()
                .unary::<_, Int32Type>(|v| truncate_int(v, width)),
        ),
        DataType::Int64 => Arc::new(
            column
                .as_primitive::<Int64Type>()
                .unary::<_, Int64Type>(|v| truncate_long(v, width)),
        ),
        DataType::Decimal128(..) => {
            let decimals = column.as_primitive::<Decimal128Type>();
            let values = decimals.unary::<_, Decimal128Type>(|v| truncate_decimal(v, width));
            Arc::new(values.with_data_type(column.data_type().clone()))
        }
        DataType::Utf8 => {
            let values = column
                .as_string::<i32>()
                .iter()
                .map(|v| v.map(|v| truncate_text(v, width)));
            Arc::new(values.collect::<StringArray>())
        }
        DataType::Binary => {
            let values = column
                .as_binary::<i32>()
                .iter()
                .map(|v| v.map(|v| truncate_bytes(v, width)));
            Arc::new(values.collect::<BinaryArray>())
        }
        _ => return None,
    })
}

fn since_epoch(transform: Transform, column: &ArrayRef) -> Option<Int32Array> {
    let count = |time: Time| time.since_epoch(transform);
    Some(match (column.data_type(), transform) {
        (DataType::Date32, Transform::Hour) => return None,
        (DataType::Date32, _) => optional::<Date32Type>(column, |v| count(Time::Days(v))),
        (DataType::Timestamp(TimeUnit::Microsecond, _), _) => {
            optional::<TimestampMicrosecondType>(column, |v| count(Time::Micros(v)))
        }
        (DataType::Timestamp(TimeUnit::Nanosecond, _), _) => {
            optional::<TimestampNanosecondType>(column, |v| count(Time::Micros(v.div_euclid(NANOS_PER_MICRO))))
        }
        _ => return None,
    })
}

fn unary<T: ArrowPrimitiveType>(column: &ArrayRef, of: impl Fn(T::Native) -> i32) -> Int32Array {
    column.as_primitive::<T>().unary(of)
}

fn optional<T: ArrowPrimitiveType>(column: &ArrayRef, of: impl Fn(T::Native) -> Option<i32>) -> Int32Array {
    column.as_primitive::<T>().unary_opt(of)
}
