//! Values that become instants or clocks of a zone.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, lit};

use crate::pg_catalog;
use crate::session::ZONE;

/// A value of this type as clocks of the zone show it where it is an instant, and what it says where it is a text.
pub(crate) fn clock_of(value: Expr, of: &DataType, zone: &str) -> Result<Expr> {
    match of {
        DataType::Timestamp(_, Some(_)) if zone != ZONE => at_zone(zone, value),
        of if is_text(of) => instant_of(value, of, ZONE),
        _ => Ok(value),
    }
}

/// A value of this type as an instant: told by clocks of the zone where it is none.
pub(crate) fn instant_of(value: Expr, of: &DataType, zone: &str) -> Result<Expr> {
    let told = match is_clock(of) && zone != ZONE {
        true => at_zone(zone, moment(value, of))?,
        false if is_text(of) => pg_catalog::instant_of_text(value, lit(zone))?,
        false => value,
    };
    Ok(cast(
        told,
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into())),
    ))
}

/// What clocks and calendars of a zone tell.
pub(super) fn is_clock(of: &DataType) -> bool {
    matches!(of, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64)
}

pub(super) fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A day as the moment with which it begins.
pub(super) fn moment(value: Expr, of: &DataType) -> Expr {
    match of {
        DataType::Timestamp(..) => value,
        _ => cast(value, DataType::Timestamp(TimeUnit::Microsecond, None)),
    }
}

/// `timezone(zone, value)`.
pub(super) fn at_zone(zone: &str, value: Expr) -> Result<Expr> {
    pg_catalog::at_zone(lit(zone), value)
}

pub(super) fn cast(value: Expr, to: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(value), to))
}
