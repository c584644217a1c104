//! Bounds of columns in an order that is not the column's: some writers compare decimals as if they were texts, so that -1 is above every
//! positive number. What skips row groups and pages believes them (DataFusion 55.2), and rows between such bounds would be lost.

use std::cmp::Ordering;
use std::iter::once;

use datafusion::parquet::basic::{ConvertedType, LogicalType, SortOrder, Type as Physical};
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use datafusion::parquet::file::page_index::column_index::ColumnIndexMetaData;
use datafusion::parquet::file::statistics::Statistics;
use datafusion::parquet::schema::types::ColumnDescriptor;

/// The same metadata without such bounds, of the chunk and of its pages.
pub(super) fn without_misordered(metadata: ParquetMetaData) -> Result<ParquetMetaData> {
    let misordered = misordered(&metadata);
    if misordered.is_empty() {
        return Ok(metadata);
    }
    let mut whole = metadata.into_builder();
    let mut groups = whole.take_row_groups();
    let mut indexes = whole.take_column_index();
    for (group, column) in misordered {
        if let Some(chunk) = groups
            .get_mut(group)
            .and_then(|group| group.columns_mut().get_mut(column))
        {
            // Who read no indexes before would read this one now, by its place.
            let unbounded = chunk.clone().into_builder().clear_statistics();
            let unbounded = unbounded.set_column_index_offset(None).set_column_index_length(None);
            *chunk = unbounded.build()?;
        }
        let of_group = indexes.as_mut().and_then(|indexes| indexes.get_mut(group));
        if let Some(index) = of_group.and_then(|of_group| of_group.get_mut(column)) {
            *index = ColumnIndexMetaData::NONE;
        }
    }
    Ok(whole.set_row_groups(groups).set_column_index(indexes).build())
}

/// Row groups, and columns of them, whose bounds cannot be right.
fn misordered(metadata: &ParquetMetaData) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let indexes = metadata.column_index().and_then(|indexes| indexes.get(number));
        for (column, chunk) in group.columns().iter().enumerate() {
            let index = indexes.and_then(|indexes| indexes.get(column));
            if is_misordered(chunk) || index.is_some_and(|index| has_misordered(index, chunk.column_descr())) {
                found.push((number, column));
            }
        }
    }
    found
}

fn is_misordered(chunk: &ColumnChunkMetaData) -> bool {
    let column = chunk.column_descr();
    let Some(told) = chunk.statistics() else {
        // Its pages may have bounds all the same.
        return chunk.column_index_offset().is_some() && has_no_sure_order(column);
    };
    match told {
        Statistics::Boolean(of) => any(once(of.min_opt()), once(of.max_opt()), |low, high| *low && !*high),
        Statistics::Int32(of) => any(once(of.min_opt()), once(of.max_opt()), int32_above(column)),
        Statistics::Int64(of) => any(once(of.min_opt()), once(of.max_opt()), int64_above(column)),
        // Nothing goes by these.
        Statistics::Int96(_) => false,
        Statistics::Float(of) => any(once(of.min_opt()), once(of.max_opt()), no_float_order),
        Statistics::Double(of) => any(once(of.min_opt()), once(of.max_opt()), no_float_order),
        Statistics::ByteArray(_) | Statistics::FixedLenByteArray(_) => {
            let (low, high) = (told.min_bytes_opt(), told.max_bytes_opt());
            // Bounds in the fields of old are of bytes with a sign, whatever the column is.
            let of_old = told.is_min_max_deprecated() && (low.is_some() || high.is_some());
            of_old || any(once(low), once(high), bytes_above(column))
        }
    }
}

fn has_misordered(index: &ColumnIndexMetaData, column: &ColumnDescriptor) -> bool {
    match index {
        ColumnIndexMetaData::NONE | ColumnIndexMetaData::INT96(_) => false,
        ColumnIndexMetaData::BOOLEAN(of) => any(of.min_values_iter(), of.max_values_iter(), |low, high| *low && !*high),
        ColumnIndexMetaData::INT32(of) => any(of.min_values_iter(), of.max_values_iter(), int32_above(column)),
        ColumnIndexMetaData::INT64(of) => any(of.min_values_iter(), of.max_values_iter(), int64_above(column)),
        ColumnIndexMetaData::FLOAT(of) => any(of.min_values_iter(), of.max_values_iter(), no_float_order),
        ColumnIndexMetaData::DOUBLE(of) => any(of.min_values_iter(), of.max_values_iter(), no_float_order),
        ColumnIndexMetaData::BYTE_ARRAY(of) | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(of) => {
            any(of.min_values_iter(), of.max_values_iter(), bytes_above(column))
        }
    }
}

fn any<'a, T: ?Sized + 'a>(
    lows: impl Iterator<Item = Option<&'a T>>,
    highs: impl Iterator<Item = Option<&'a T>>,
    above: impl Fn(&T, &T) -> bool,
) -> bool {
    lows.zip(highs)
        .any(|(low, high)| low.zip(high).is_some_and(|(low, high)| above(low, high)))
}

fn int32_above(column: &ColumnDescriptor) -> impl Fn(&i32, &i32) -> bool {
    let unsigned = column.sort_order() == SortOrder::UNSIGNED;
    move |low, high| match unsigned {
        true => low.cast_unsigned() > high.cast_unsigned(),
        false => low > high,
    }
}

fn int64_above(column: &ColumnDescriptor) -> impl Fn(&i64, &i64) -> bool {
    let unsigned = column.sort_order() == SortOrder::UNSIGNED;
    move |low, high| match unsigned {
        true => low.cast_unsigned() > high.cast_unsigned(),
        false => low > high,
    }
}

/// Also where one of them is no number: values may lie on both sides of it.
fn no_float_order<T: PartialOrd>(low: &T, high: &T) -> bool {
    low.partial_cmp(high).is_none_or(Ordering::is_gt)
}

fn bytes_above(column: &ColumnDescriptor) -> impl Fn(&[u8], &[u8]) -> bool {
    let decimal = is_decimal(column);
    let length = match column.physical_type() {
        Physical::FIXED_LEN_BYTE_ARRAY => usize::try_from(column.type_length()).ok(),
        _ => None,
    };
    move |low, high| match (decimal, length) {
        (false, _) => low > high,
        (true, Some(length)) => low.len() != length || high.len() != length || sortable(low) > sortable(high),
        // In the order of texts 256 comes before 2, and where 1 is the lowest and 3 the highest number bounds that are wrong look right.
        (true, None) => true,
    }
}

/// Whether bounds may look right that are wrong, as those of decimals of few bytes may ([`bytes_above`]).
fn has_no_sure_order(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Physical::BYTE_ARRAY && is_decimal(column)
}

fn is_decimal(column: &ColumnDescriptor) -> bool {
    matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }))
        || column.converted_type() == ConvertedType::DECIMAL
}

/// A number with a sign, highest byte first, as what sorts among those of its length as it does.
fn sortable(number: &[u8]) -> Option<(u8, &[u8])> {
    let (first, rest) = number.split_first()?;
    Some((first ^ 0x80, rest))
}

#[cfg(test)]
mod tests;
