//! Iceberg's single values as the query engine has them.

use datafusion::arrow::array::{ArrayRef, new_empty_array};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use tidewater_table::iceberg::spec::PrimitiveLiteral;

use crate::error::Result;

/// The value as one of this type; null if it cannot be one. Values that were written before a column was widened have the old
/// type.
pub(super) fn scalar(value: Option<&PrimitiveLiteral>, data_type: &DataType) -> Result<ScalarValue> {
    let null = || ScalarValue::try_new_null(data_type);
    let Some(value) = value else {
        return Ok(null()?);
    };
    let plain = match (value, data_type) {
        (PrimitiveLiteral::Boolean(v), _) => ScalarValue::Boolean(Some(*v)),
        (PrimitiveLiteral::Int(v), DataType::Date32) => ScalarValue::Date32(Some(*v)),
        (PrimitiveLiteral::Int(v), _) => ScalarValue::Int32(Some(*v)),
        (PrimitiveLiteral::Long(v), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            ScalarValue::TimestampMicrosecond(Some(*v), zone.clone())
        }
        (PrimitiveLiteral::Long(v), DataType::Timestamp(TimeUnit::Nanosecond, zone)) => {
            ScalarValue::TimestampNanosecond(Some(*v), zone.clone())
        }
        (PrimitiveLiteral::Long(v), DataType::Time64(_)) => ScalarValue::Time64Microsecond(Some(*v)),
        (PrimitiveLiteral::Long(v), _) => ScalarValue::Int64(Some(*v)),
        (PrimitiveLiteral::Float(v), _) => ScalarValue::Float32(Some(v.0)),
        (PrimitiveLiteral::Double(v), _) => ScalarValue::Float64(Some(v.0)),
        (PrimitiveLiteral::String(v), _) => ScalarValue::Utf8(Some(v.clone())),
        (PrimitiveLiteral::Int128(v), DataType::Decimal128(precision, scale)) => {
            ScalarValue::Decimal128(Some(*v), *precision, *scale)
        }
        (PrimitiveLiteral::UInt128(v), DataType::FixedSizeBinary(16)) => {
            ScalarValue::FixedSizeBinary(16, Some(v.to_be_bytes().to_vec()))
        }
        (PrimitiveLiteral::Binary(v), DataType::FixedSizeBinary(length)) => {
            ScalarValue::FixedSizeBinary(*length, Some(v.clone()))
        }
        (PrimitiveLiteral::Binary(v), _) => ScalarValue::Binary(Some(v.clone())),
        _ => return Ok(null()?),
    };
    match plain.data_type() == *data_type {
        true => Ok(plain),
        false => Ok(plain.cast_to(data_type).or_else(|_| null())?),
    }
}

/// Values of one type as an array.
pub(super) fn array(values: Vec<ScalarValue>, data_type: &DataType) -> Result<ArrayRef> {
    match values.is_empty() {
        true => Ok(new_empty_array(data_type)),
        false => Ok(ScalarValue::iter_to_array(values)?),
    }
}
