//! Column metrics of a data file, from the metadata that the Parquet writer hands back. Only NaN counts need the values.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use iceberg::spec::{DataFileBuilder, Datum, PrimitiveLiteral, PrimitiveType, Schema};
use parquet::basic::Type as Physical;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::metrics_mode::{MetricsMode, MetricsModes};
use crate::error::{Result, TableError};
use crate::schema::field_id;

#[derive(Debug, Default)]
struct Column {
    size: u64,
    values: u64,
    nulls: Option<u64>,
    lower: Option<Datum>,
    upper: Option<Datum>,
    /// A row group with values but without a bound makes the whole file's bound unknown.
    bounds_lost: bool,
}

/// Sets record count, counts, sizes, bounds and split offsets. `nans` comes from [`count_nans`].
pub(super) fn describe(
    builder: &mut DataFileBuilder,
    footer: &ParquetMetaData,
    schema: &Schema,
    modes: &MetricsModes,
    mut nans: HashMap<i32, u64>,
) -> Result<()> {
    nans.retain(|id, _| modes.mode(*id) != MetricsMode::None);
    let mut columns: HashMap<i32, Column> = HashMap::new();
    for chunk in footer.row_groups().iter().flat_map(|group| group.columns()) {
        let info = chunk.column_descr().self_type().get_basic_info();
        if info.has_id() {
            add_chunk(columns.entry(info.id()).or_default(), chunk, info.id(), schema)?;
        }
    }
    let counts = |of: fn(&Column) -> Option<u64>| -> HashMap<i32, u64> {
        let told = columns.iter().filter(|(id, _)| modes.mode(**id) != MetricsMode::None);
        told.filter_map(|(id, column)| Some((*id, of(column)?))).collect()
    };
    let bounds = |of: fn(&Column, usize) -> Option<Datum>| -> HashMap<i32, Datum> {
        let known = columns.iter().filter(|(_, column)| !column.bounds_lost);
        let told = known.filter_map(|(id, column)| match modes.mode(*id) {
            MetricsMode::None | MetricsMode::Counts => None,
            MetricsMode::Truncate(length) => Some((*id, of(column, length)?)),
            MetricsMode::Full => Some((*id, of(column, usize::MAX)?)),
        });
        told.collect()
    };
    let sizes = columns.iter().filter(|(id, _)| modes.mode(**id) != MetricsMode::None);
    let rows = u64::try_from(footer.file_metadata().num_rows())
        .map_err(|_| TableError::damaged("a Parquet file with a negative number of rows"))?;
    let starts = footer
        .row_groups()
        .iter()
        .filter_map(|group| group.columns().first())
        .map(start_of)
        .collect();
    builder
        .record_count(rows)
        .column_sizes(sizes.map(|(id, column)| (*id, column.size)).collect())
        .value_counts(counts(|column| column.nulls.map(|_| column.values)))
        .null_value_counts(counts(|column| column.nulls))
        .nan_value_counts(nans)
        .lower_bounds(bounds(|column, length| {
            Some(truncate_lower(column.lower.as_ref()?, length))
        }))
        .upper_bounds(bounds(|column, length| truncate_upper(column.upper.as_ref()?, length)))
        .split_offsets(Some(starts));
    Ok(())
}

fn add_chunk(column: &mut Column, chunk: &ColumnChunkMetaData, id: i32, schema: &Schema) -> Result<()> {
    column.size += chunk.compressed_size().unsigned_abs();
    // Inside lists and maps a "value" is an element, not a row: readers would prune wrongly by such counts and bounds.
    if chunk.column_descr().max_rep_level() > 0 {
        return Ok(());
    }
    let values = chunk.num_values().unsigned_abs();
    column.values += values;
    let Some(statistics) = chunk.statistics() else {
        column.bounds_lost = true;
        return Ok(());
    };
    let nulls = statistics.null_count_opt().unwrap_or(0);
    *column.nulls.get_or_insert(0) += nulls;
    let kind = schema
        .field_by_id(id)
        .and_then(|field| field.field_type.as_primitive_type().cloned());
    match (kind, statistics.min_bytes_opt(), statistics.max_bytes_opt()) {
        (Some(kind), Some(low), Some(high)) => {
            let (low, high) = (bound(chunk, &kind, low)?, bound(chunk, &kind, high)?);
            if column.lower.as_ref().is_none_or(|old| low < *old) {
                column.lower = Some(low);
            }
            if column.upper.as_ref().is_none_or(|old| high > *old) {
                column.upper = Some(high);
            }
        }
        // All null (or all NaN) has no bounds, and that is no loss; anything else is.
        _ => column.bounds_lost |= nulls < values,
    }
    Ok(())
}

/// Parquet's plain statistics bytes are Iceberg's single-value bytes, but for decimals, which Iceberg keeps as big-endian
/// two's complement.
fn bound(chunk: &ColumnChunkMetaData, kind: &PrimitiveType, bytes: &[u8]) -> Result<Datum> {
    let mut bytes = bytes.to_vec();
    let little_endian = matches!(chunk.column_type(), Physical::INT32 | Physical::INT64);
    if little_endian && matches!(kind, PrimitiveType::Decimal { .. }) {
        bytes.reverse();
    }
    Datum::try_from_bytes(&bytes, kind.clone()).map_err(TableError::metadata("read the bounds of a column"))
}

fn truncate_lower(value: &Datum, length: usize) -> Datum {
    if let Some(text) = text(value) {
        return Datum::string(text.chars().take(length).collect::<String>());
    }
    match binary(value) {
        Some(bytes) => Datum::binary(bytes.iter().copied().take(length)),
        None => value.clone(),
    }
}

/// An upper bound cut short must be raised in its last unit that can be raised; without one there is no bound at all.
fn truncate_upper(value: &Datum, length: usize) -> Option<Datum> {
    if let Some(text) = text(value) {
        return raised_text(text, length).map(Datum::string);
    }
    match binary(value) {
        Some(bytes) => raised_bytes(bytes, length).map(Datum::binary),
        None => Some(value.clone()),
    }
}

fn raised_text(text: &str, length: usize) -> Option<String> {
    if text.chars().count() <= length {
        return Some(text.to_owned());
    }
    let mut kept: Vec<char> = text.chars().take(length).collect();
    while let Some(last) = kept.pop() {
        // The code point after U+D7FF is U+E000: surrogates are not characters.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            kept.push(next);
            return Some(kept.into_iter().collect());
        }
    }
    None
}

fn raised_bytes(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let Some(cut) = bytes.get(..length).filter(|cut| cut.len() < bytes.len()) else {
        return Some(bytes.to_vec());
    };
    let mut kept = cut.to_vec();
    while let Some(last) = kept.pop() {
        if last < u8::MAX {
            kept.push(last + 1);
            return Some(kept);
        }
    }
    None
}

fn text(value: &Datum) -> Option<&str> {
    match value.literal() {
        PrimitiveLiteral::String(text) => Some(text),
        _ => None,
    }
}

/// `fixed` has the same literal as `binary` but must keep its length, hence the look at the type.
fn binary(value: &Datum) -> Option<&[u8]> {
    match (value.literal(), value.data_type()) {
        (PrimitiveLiteral::Binary(bytes), PrimitiveType::Binary) => Some(bytes),
        _ => None,
    }
}

fn start_of(chunk: &ColumnChunkMetaData) -> i64 {
    let data = chunk.data_page_offset();
    chunk
        .dictionary_page_offset()
        .map_or(data, |dictionary| dictionary.min(data))
}

/// Adds the NaN counts by field id, of float columns outside lists and maps.
pub(super) fn count_nans(batch: &RecordBatch, into: &mut HashMap<i32, u64>) {
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        count_in(field, column.as_ref(), into);
    }
}

fn count_in(field: &Field, column: &dyn Array, into: &mut HashMap<i32, u64>) {
    let count = match field.data_type() {
        DataType::Float32 => column
            .as_primitive::<Float32Type>()
            .iter()
            .flatten()
            .filter(|v| v.is_nan())
            .count(),
        DataType::Float64 => column
            .as_primitive::<Float64Type>()
            .iter()
            .flatten()
            .filter(|v| v.is_nan())
            .count(),
        DataType::Struct(fields) => {
            for (field, child) in fields.iter().zip(column.as_struct().columns()) {
                count_in(field, child.as_ref(), into);
            }
            return;
        }
        _ => return,
    };
    if let Some(id) = field_id(field) {
        *into.entry(id).or_default() += count as u64;
    }
}
