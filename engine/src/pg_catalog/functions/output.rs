//! Values as texts: what `CAST(x AS text)`, `concat` and `format` make of them.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result;

use super::moments::{offset_at, zone_of};
use super::native::{Native, argument, strings, text, texts};
use super::zones::zone;
use crate::pg_catalog::shown;

pub(super) fn all() -> Vec<Native> {
    vec![
        // A truth is `true` in a cast and `t` wherever it is put out.
        native("pg_text", ["true", "false"])
            .of_shown()
            .plain_cast(|of| spelled_alike(of).then_some(DataType::Utf8)),
        native("pg_output", ["t", "f"])
            .of_shown()
            .plain_cast(|of| (spelled_alike(of) && *of != DataType::Boolean).then_some(DataType::Utf8)),
    ]
}

/// Whether the query engine writes values of a type as PostgreSQL does.
fn spelled_alike(of: &DataType) -> bool {
    of.is_integer()
        || of.is_string()
        || matches!(
            of,
            DataType::Boolean | DataType::Null | DataType::Date32 | DataType::Decimal128(..) | DataType::Decimal256(..)
        )
}

/// Of a value, and of the zone in which instants are shown, which is that of their type if it is not told.
fn native(name: &str, truths: [&'static str; 2]) -> Native {
    Native::new(name, (1, 2), DataType::Utf8, move |arrays, rows| {
        let values = argument(arrays, 0)?;
        let zones = arrays.get(1).map(texts).transpose()?;
        let named = zones.as_ref().filter(|_| rows > 0).and_then(|zones| text(zones, 0));
        let shown = written(values, named, truths)?;
        Ok(strings((0..rows).map(|row| shown.get(row).cloned().flatten())))
    })
}

/// The values of an array as texts.
pub(super) fn written(array: &ArrayRef, named: Option<&str>, truths: [&str; 2]) -> Result<Vec<Option<String>>> {
    let each = |write: &dyn Fn(usize, &mut String)| {
        let rows = (0..array.len()).map(|row| {
            (!array.is_null(row)).then(|| {
                let mut out = String::new();
                write(row, &mut out);
                out
            })
        });
        rows.collect::<Vec<_>>()
    };
    Ok(match array.data_type() {
        // Which does not say of its values that they are null.
        DataType::Null => vec![None; array.len()],
        DataType::Boolean => {
            let values = array.as_boolean();
            each(&|row, out| out.push_str(if values.value(row) { truths[0] } else { truths[1] }))
        }
        DataType::Float16 | DataType::Float32 => {
            let values = cast(array, &DataType::Float32)?;
            let values = values.as_primitive::<Float32Type>();
            each(&|row, out| shown::float4(values.value(row), out))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            each(&|row, out| shown::float8(values.value(row), out))
        }
        DataType::Date32 | DataType::Date64 => {
            let values = cast(array, &DataType::Date32)?;
            let values = values.as_primitive::<Date32Type>();
            each(&|row, out| shown::date(values.value(row), out))
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let values = cast(array, &DataType::Time64(TimeUnit::Microsecond))?;
            let values = values.as_primitive::<Time64MicrosecondType>();
            each(&|row, out| shown::time(values.value(row), out))
        }
        DataType::Timestamp(_, tz) => {
            let values = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, tz.clone()))?;
            let values = values.as_primitive::<TimestampMicrosecondType>();
            let zone = named.and_then(zone).or_else(|| zone_of(array));
            each(&|row, out| {
                let at = values.value(row);
                match (tz, zone) {
                    (None, _) => shown::timestamp(at, out),
                    (_, Some(zone)) => shown::instant(at, offset_at(zone, at), out),
                    _ => shown::instant(at, 0, out),
                }
            })
        }
        DataType::Interval(_) | DataType::Duration(_) => {
            let values = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            let values = values.as_primitive::<IntervalMonthDayNanoType>();
            each(&|row, out| {
                let span = values.value(row);
                shown::interval(span.months, span.days, span.nanoseconds / 1000, out);
            })
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            let values = cast(array, &DataType::Binary)?;
            let values = values.as_binary::<i32>();
            each(&|row, out| shown::bytes(values.value(row), out))
        }
        DataType::FixedSizeBinary(length) => {
            let uuid = *length == 16;
            let values = array.as_any().downcast_ref::<FixedSizeBinaryArray>();
            each(&|row, out| {
                let bytes = values.map_or(&[][..], |values| values.value(row));
                match uuid {
                    true => shown::uuid(bytes, out),
                    false => shown::bytes(bytes, out),
                }
            })
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => lists(array, named)?,
        _ => {
            let values = texts(array)?;
            let values: &StringArray = values.as_string::<i32>();
            each(&|row, out| out.push_str(values.value(row)))
        }
    })
}

/// `{1,NULL,"a b"}`, and lists in lists without quotes.
fn lists(array: &ArrayRef, named: Option<&str>) -> Result<Vec<Option<String>>> {
    let lists = match array.data_type() {
        DataType::FixedSizeList(item, _) | DataType::LargeList(item) => cast(array, &DataType::List(Arc::clone(item)))?,
        _ => Arc::clone(array),
    };
    let lists = lists.as_list::<i32>();
    let nested = matches!(lists.value_type(), DataType::List(_) | DataType::LargeList(_));
    let mut found = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        if lists.is_null(row) {
            found.push(None);
            continue;
        }
        let items = written(&lists.value(row), named, ["t", "f"])?
            .into_iter()
            .map(|item| match item {
                None => "NULL".to_owned(),
                Some(item) if !nested && shown::needs_quotes(item.as_bytes()) => {
                    format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))
                }
                Some(item) => item,
            });
        found.push(Some(format!("{{{}}}", items.collect::<Vec<_>>().join(","))));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{BooleanArray, Float64Array, TimestampMicrosecondArray};

    use super::*;

    // Goal: values become the texts that PostgreSQL 15 makes of them. Method: what it said for each of these.
    #[test]
    fn values_become_texts() {
        let moments: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_719_830_096_789_000]));
        let instants: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![1_719_830_096_789_000]).with_timezone("+00:00"));
        for (array, zone, wanted) in [
            (Arc::clone(&moments), None, "2024-07-01 10:34:56.789"),
            (Arc::clone(&instants), None, "2024-07-01 10:34:56.789+00"),
            (instants, Some("Europe/Berlin"), "2024-07-01 12:34:56.789+02"),
            (Arc::new(Float64Array::from(vec![1e20])) as ArrayRef, None, "1e+20"),
            (Arc::new(BooleanArray::from(vec![true])) as ArrayRef, None, "true"),
        ] {
            assert_eq!(
                written(&array, zone, ["true", "false"]).expect("texts"),
                [Some(wanted.to_owned())]
            );
        }
    }
}
