//! Partition transforms of single values. The format library transforms arrays of another Arrow version, and panics on dates
//! far away; these work on any value.

mod arrays;
mod hash;
mod nested;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType, Transform};

pub(crate) use self::arrays::transform_array;
use self::hash::{bucket, bucket_decimal, bucket_long};
pub(crate) use self::nested::child;
use crate::error::{Result, TableError};

const MICROS_PER_HOUR: i64 = 3_600_000_000;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
const NANOS_PER_MICRO: i64 = 1_000;

/// What rows are partitioned or sorted by: the transformed values of a column, or of the field within it that these names lead to, as
/// many as the column has. Types are those of [`crate::schema::to_arrow`].
///
/// # Errors
/// [`TableError::Unsupported`] for a transform that does not take such values, [`TableError::Damaged`] for a field that is not there.
pub fn transformed(transform: Transform, column: &ArrayRef, path: &[&str]) -> Result<ArrayRef> {
    let mut column = column.clone();
    for name in path {
        let place = match column.data_type() {
            DataType::Struct(fields) => fields.find(name).map(|(place, _)| place),
            _ => None,
        };
        let place = place.ok_or_else(|| TableError::damaged(format!("there is no field {name:?} in its column")))?;
        column = child(&column, place)?;
    }
    transform_array(transform, &column)
}

/// The transformed value; `None` if the transform does not take such a value.
pub(crate) fn transform_value(transform: Transform, value: &Datum) -> Option<Datum> {
    match (transform, value.data_type(), value.literal()) {
        (Transform::Identity, ..) => Some(value.clone()),
        (Transform::Bucket(buckets), kind, literal) => Some(Datum::int(bucket_of(buckets, kind, literal)?)),
        (Transform::Truncate(width), kind, literal) => truncated(width, kind, literal),
        (Transform::Year | Transform::Month | Transform::Day | Transform::Hour, kind, literal) => {
            let time = Time::of(kind, literal)?;
            Some(Datum::int(time.since_epoch(transform)?))
        }
        (Transform::Void | Transform::Unknown, ..) => None,
    }
}

fn bucket_of(buckets: u32, kind: &PrimitiveType, literal: &PrimitiveLiteral) -> Option<i32> {
    Some(match literal {
        PrimitiveLiteral::Int(value) => bucket_long(buckets, i64::from(*value)),
        PrimitiveLiteral::Long(value) if is_nanos(kind) => bucket_long(buckets, value.div_euclid(NANOS_PER_MICRO)),
        PrimitiveLiteral::Long(value) => bucket_long(buckets, *value),
        PrimitiveLiteral::Int128(value) => bucket_decimal(buckets, *value),
        PrimitiveLiteral::String(value) => bucket(buckets, value.as_bytes()),
        PrimitiveLiteral::Binary(value) => bucket(buckets, value),
        PrimitiveLiteral::UInt128(value) => bucket(buckets, &value.to_be_bytes()),
        _ => return None,
    })
}

fn truncated(width: u32, kind: &PrimitiveType, literal: &PrimitiveLiteral) -> Option<Datum> {
    Some(match (kind, literal) {
        (PrimitiveType::Int, PrimitiveLiteral::Int(value)) => Datum::int(truncate_int(*value, width)),
        (PrimitiveType::Long, PrimitiveLiteral::Long(value)) => Datum::long(truncate_long(*value, width)),
        (PrimitiveType::Decimal { .. }, PrimitiveLiteral::Int128(value)) => {
            let bytes = truncate_decimal(*value, width).to_be_bytes();
            Datum::try_from_bytes(&bytes, kind.clone()).ok()?
        }
        (PrimitiveType::String, PrimitiveLiteral::String(value)) => Datum::string(truncate_text(value, width)),
        (PrimitiveType::Binary, PrimitiveLiteral::Binary(value)) => {
            Datum::binary(truncate_bytes(value, width).iter().copied())
        }
        _ => return None,
    })
}

fn truncate_int(value: i32, width: u32) -> i32 {
    // A width beyond i32 is taken modulo 2^32 by no one; the result of the wide computation wraps as the narrow one would.
    truncate_long(i64::from(value), width) as i32
}

fn truncate_long(value: i64, width: u32) -> i64 {
    value.wrapping_sub(value.rem_euclid(i64::from(width.max(1))))
}

fn truncate_decimal(value: i128, width: u32) -> i128 {
    value.wrapping_sub(value.rem_euclid(i128::from(width.max(1))))
}

fn truncate_text(value: &str, width: u32) -> &str {
    match value.char_indices().nth(width as usize) {
        Some((end, _)) => value.get(..end).unwrap_or(value),
        None => value,
    }
}

fn truncate_bytes(value: &[u8], width: u32) -> &[u8] {
    value.get(..width as usize).unwrap_or(value)
}

fn is_nanos(kind: &PrimitiveType) -> bool {
    matches!(kind, PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs)
}

/// A moment that has a year, a month and so on.
#[derive(Debug, Clone, Copy)]
enum Time {
    Days(i32),
    Micros(i64),
}

impl Time {
    fn of(kind: &PrimitiveType, literal: &PrimitiveLiteral) -> Option<Self> {
        match (kind, literal) {
            (PrimitiveType::Date, PrimitiveLiteral::Int(days)) => Some(Self::Days(*days)),
            (PrimitiveType::Timestamp | PrimitiveType::Timestamptz, PrimitiveLiteral::Long(micros)) => {
                Some(Self::Micros(*micros))
            }
            (kind, PrimitiveLiteral::Long(nanos)) if is_nanos(kind) => {
                Some(Self::Micros(nanos.div_euclid(NANOS_PER_MICRO)))
            }
            _ => None,
        }
    }

    /// Years, months, days or hours since 1970, rounded down. A date has no hours. What does not fit into the 32 bits that
    /// Iceberg has for it is the nearest that does: then order is kept, and pruning right.
    fn since_epoch(self, transform: Transform) -> Option<i32> {
        let days = match self {
            Self::Days(days) => i64::from(days),
            Self::Micros(micros) => micros.div_euclid(MICROS_PER_DAY),
        };
        let (year, month) = civil(days);
        let count = match (transform, self) {
            (Transform::Year, _) => year - 1970,
            (Transform::Month, _) => (year - 1970) * 12 + month - 1,
            (Transform::Day, _) => days,
            (Transform::Hour, Self::Micros(micros)) => micros.div_euclid(MICROS_PER_HOUR),
            _ => return None,
        };
        i32::try_from(count.clamp(i64::from(i32::MIN), i64::from(i32::MAX))).ok()
    }
}

/// Year and month (from 1) of a day since 1970-01-01 in the proleptic Gregorian calendar, counted in eras of 400 years that
/// begin on the first of March.
fn civil(days: i64) -> (i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    const EPOCH_FROM_ERA: i64 = 719_468;
    let shifted = days + EPOCH_FROM_ERA;
    let (era, day_of_era) = (shifted.div_euclid(DAYS_PER_ERA), shifted.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month)
}

#[cfg(test)]
mod tests;
