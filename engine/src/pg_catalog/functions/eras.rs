//! Moments cut to decades, centuries and millennia, which the query engine does not know.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use datafusion::arrow::array::{Array, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err, plan_err};

use super::moments::{clock, moments, naive, zone_of};
use super::native::{Native, argument};
use super::zones::moved;

pub(super) fn all() -> Vec<Native> {
    vec![
        cut("pg_trunc_decade", |year| year / 10 * 10),
        cut("pg_trunc_century", |year| (year + 99) / 100 * 100 - 99),
        cut("pg_trunc_millennium", |year| (year + 999) / 1000 * 1000 - 999),
    ]
}

/// To the first day of the year that a year belongs to, as clocks of the moment's zone show it. The years before the first are refused.
fn cut(name: &str, first: fn(i32) -> i32) -> Native {
    Native::new(name, (1, 1), DataType::Null, move |arrays, rows| {
        let array = argument(arrays, 0)?;
        let (zone, (values, zoned)) = (zone_of(array), moments(array)?);
        let values = values.as_primitive::<TimestampMicrosecondType>();
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            if values.is_null(row) {
                found.push(None);
                continue;
            }
            let year = naive(clock(zone, values.value(row))).map(|at| at.year());
            let day = year.filter(|year| *year > 0).and_then(|year| match first(year) {
                // The decade of the first nine years begins before them.
                0 => None,
                year => NaiveDate::from_ymd_opt(year, 1, 1),
            });
            let midnight = day.and_then(|day| day.and_hms_opt(0, 0, 0));
            let Some(midnight) = midnight.map(|at| at.and_utc().timestamp_micros()) else {
                return exec_err!("timestamp out of range");
            };
            found.push(match (zoned, zone) {
                (true, Some(zone)) => moved(midnight, zone, false),
                _ => Some(midnight),
            });
        }
        let found = TimestampMicrosecondArray::from(found);
        Ok(match array.data_type() {
            DataType::Timestamp(_, Some(zone)) => Arc::new(found.with_timezone(Arc::clone(zone))),
            _ => Arc::new(found),
        })
    })
    .returning(returned)
}

fn returned(types: &[DataType]) -> Result<DataType> {
    match types {
        [DataType::Timestamp(_, zone)] => Ok(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
        [DataType::Date32 | DataType::Date64 | DataType::Null] => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        _ => plan_err!("No function matches the given name and argument types: date_trunc"),
    }
}
