//! Moments as functions reckon with them: instants and what clocks show, in microseconds since 1970.

use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;

/// Where instants are counted from.
pub(super) const UTC: &str = "+00:00";

pub(super) const DAY_US: i64 = 86_400_000_000;

/// The type of what clocks show.
pub(super) fn plain() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// The type of instants.
pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// Moments in microseconds since 1970, and whether they are instants.
pub(super) fn moments(array: &ArrayRef) -> Result<(ArrayRef, bool)> {
    let zoned = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    let wanted = if zoned { instant() } else { plain() };
    Ok((cast(array, &wanted)?, zoned))
}

/// The zone that the type of these instants tells; none of clocks.
pub(super) fn zone_of(array: &ArrayRef) -> Option<Tz> {
    match array.data_type() {
        DataType::Timestamp(_, Some(name)) => Tz::from_str(name).ok(),
        _ => None,
    }
}

/// What clocks of a zone show at an instant, in microseconds.
pub(super) fn clock(zone: Option<Tz>, micros: i64) -> i64 {
    micros + zone.map_or(0, |zone| i64::from(offset_at(zone, micros)) * 1_000_000)
}

/// One of these moments.
pub(super) fn moment(array: &ArrayRef, row: usize) -> Option<i64> {
    let array = array.as_primitive_opt::<TimestampMicrosecondType>()?;
    (!array.is_null(row)).then(|| array.value(row))
}

pub(super) fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|at| at.naive_utc())
}

/// Seconds east of Greenwich that clocks of a zone show at an instant.
pub(super) fn offset_at(zone: Tz, micros: i64) -> i32 {
    naive(micros).map_or(0, |at| zone.offset_from_utc_datetime(&at).fix().local_minus_utc())
}
