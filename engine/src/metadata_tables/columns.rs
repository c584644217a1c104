//! Columns of plain values.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, Int32Builder, Int64Array, Int64Builder, ListBuilder, MapBuilder,
    MapFieldNames, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::Fields;
use datafusion::common::DataFusionError;

use super::table::Column;
use crate::error::Result;

/// A column of 32-bit integers.
pub(super) fn ints<R>(
    name: &str,
    nullable: bool,
    value: impl Fn(&R) -> Option<i32> + Send + Sync + 'static,
) -> Result<Column<R>> {
    Column::new(name, nullable, move |rows| {
        Ok(Arc::new(rows.iter().map(&value).collect::<Int32Array>()))
    })
}

/// A column of 64-bit integers.
pub(super) fn longs<R>(
    name: &str,
    nullable: bool,
    value: impl Fn(&R) -> Option<i64> + Send + Sync + 'static,
) -> Result<Column<R>> {
    Column::new(name, nullable, move |rows| {
        Ok(Arc::new(rows.iter().map(&value).collect::<Int64Array>()))
    })
}

/// A column of numbers that Iceberg has as `long` and that are never negative.
pub(super) fn counts<R>(name: &str, value: impl Fn(&R) -> u64 + Send + Sync + 'static) -> Result<Column<R>> {
    longs(name, false, move |row| Some(long(value(row))))
}

/// The largest `long` for what is larger, which no file can be.
pub(super) fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A column of booleans.
pub(super) fn flags<R>(name: &str, value: impl Fn(&R) -> bool + Send + Sync + 'static) -> Result<Column<R>> {
    Column::new(name, false, move |rows| {
        Ok(Arc::new(
            rows.iter().map(|row| Some(value(row))).collect::<BooleanArray>(),
        ))
    })
}

/// A column of text.
pub(super) fn texts<R>(
    name: &str,
    nullable: bool,
    value: impl Fn(&R) -> Option<String> + Send + Sync + 'static,
) -> Result<Column<R>> {
    Column::new(name, nullable, move |rows| {
        Ok(Arc::new(rows.iter().map(&value).collect::<StringArray>()))
    })
}

/// A column of bytes.
pub(super) fn bytes<R>(name: &str, value: impl Fn(&R) -> Option<Vec<u8>> + Send + Sync + 'static) -> Result<Column<R>> {
    Column::new(name, true, move |rows| {
        Ok(Arc::new(rows.iter().map(&value).collect::<BinaryArray>()))
    })
}

/// A column of moments in UTC, from milliseconds.
pub(super) fn moments<R>(
    name: &str,
    nullable: bool,
    value: impl Fn(&R) -> Option<i64> + Send + Sync + 'static,
) -> Result<Column<R>> {
    Column::new(name, nullable, move |rows| {
        let values = rows.iter().map(|row| value(row).map(|ms| ms.saturating_mul(1_000)));
        let values: TimestampMicrosecondArray = values.collect();
        Ok(Arc::new(values.with_timezone("UTC")))
    })
}

/// A column of lists of 64-bit integers.
pub(super) fn long_lists<R>(
    name: &str,
    value: impl Fn(&R) -> Option<Vec<i64>> + Send + Sync + 'static,
) -> Result<Column<R>> {
    Column::new(name, true, move |rows| {
        let mut lists = ListBuilder::new(Int64Builder::new());
        for row in rows {
            lists.append_option(value(row).map(|values| values.into_iter().map(Some)));
        }
        Ok(Arc::new(lists.finish()))
    })
}

/// A column of lists of 32-bit integers.
pub(super) fn int_lists<R>(
    name: &str,
    value: impl Fn(&R) -> Option<Vec<i32>> + Send + Sync + 'static,
) -> Result<Column<R>> {
    Column::new(name, true, move |rows| {
        let mut lists = ListBuilder::new(Int32Builder::new());
        for row in rows {
            lists.append_option(value(row).map(|values| values.into_iter().map(Some)));
        }
        Ok(Arc::new(lists.finish()))
    })
}

/// A column of texts by text, in the order of the keys.
pub(super) fn text_maps<R>(
    name: &str,
    value: impl Fn(&R) -> Vec<(String, String)> + Send + Sync + 'static,
) -> Result<Column<R>> {
    Column::new(name, true, move |rows| {
        let mut maps = MapBuilder::new(Some(names()), StringBuilder::new(), StringBuilder::new());
        for row in rows {
            let mut entries = value(row);
            entries.sort();
            for (key, value) in entries {
                maps.keys().append_value(key);
                maps.values().append_value(value);
            }
            maps.append(true).map_err(DataFusionError::from)?;
        }
        Ok(Arc::new(maps.finish()))
    })
}

/// What Iceberg calls the parts of a map.
pub(super) fn names() -> MapFieldNames {
    MapFieldNames {
        entry: "key_value".into(),
        key: "key".into(),
        value: "value".into(),
    }
}

/// Columns as one.
pub(super) fn nested<R: 'static>(name: &str, columns: Vec<Column<R>>) -> Result<Column<R>> {
    let fields: Fields = columns.iter().map(|column| column.field().clone()).collect();
    Column::new(name, false, move |rows| {
        let arrays: Vec<ArrayRef> = columns
            .iter()
            .map(|column| column.values(rows))
            .collect::<Result<_>>()?;
        let array = StructArray::try_new_with_length(fields.clone(), arrays, None, rows.len());
        Ok(Arc::new(array.map_err(DataFusionError::from)?))
    })
}
