//! How large values are. What arrow tells of an array is what it holds on to, which for a slice is all that it was cut from.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch};
use datafusion::arrow::datatypes::DataType;

/// Bytes of what has no size of its own here.
const OTHER: usize = 16;

/// Bytes of the rows of a batch.
pub fn of_batch(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .fold(0, |sum, column| sum.saturating_add(of_array(column)))
}

/// Halves rows until each part has no more than these bytes, unless it is one row. Rows need not be alike, so each part is looked at; and
/// only its own rows, as a part of what an aggregate gives, or of what came in one message, holds on to all of it.
pub fn halve(batch: RecordBatch, bytes_max: usize, parts: &mut Vec<RecordBatch>) {
    let rows = batch.num_rows();
    if rows <= 1 || of_batch(&batch) <= bytes_max {
        parts.push(batch);
        return;
    }
    let half = rows / 2;
    halve(batch.slice(0, half), bytes_max, parts);
    halve(batch.slice(half, rows - half), bytes_max, parts);
}

/// Bytes of the values of an array.
pub(crate) fn of_array(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Utf8 => text_bytes(array.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => text_bytes(array.as_string::<i64>().value_offsets()),
        DataType::Binary => text_bytes(array.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => text_bytes(array.as_binary::<i64>().value_offsets()),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            list_bytes(lists.value_offsets(), lists.values())
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            list_bytes(lists.value_offsets(), lists.values())
        }
        DataType::Map(..) => {
            let maps = array.as_map();
            let entries: ArrayRef = Arc::new(maps.entries().clone());
            list_bytes(maps.value_offsets(), &entries)
        }
        DataType::FixedSizeList(..) => of_array(array.as_fixed_size_list().values()),
        DataType::FixedSizeBinary(width) => array.len().saturating_mul(usize::try_from(*width).unwrap_or(OTHER)),
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            columns.fold(0, |sum, column| sum.saturating_add(of_array(column)))
        }
        kind => array.len().saturating_mul(kind.primitive_width().unwrap_or(OTHER)),
    }
}

fn span<O: OffsetSizeTrait>(offsets: &[O]) -> (usize, usize) {
    let first = offsets.first().map_or(0, |offset| offset.as_usize());
    let last = offsets.last().map_or(0, |offset| offset.as_usize());
    (first, last.saturating_sub(first))
}

fn text_bytes<O: OffsetSizeTrait>(offsets: &[O]) -> usize {
    let (_, length) = span(offsets);
    length.saturating_add(size_of_val(offsets))
}

fn list_bytes<O: OffsetSizeTrait>(offsets: &[O], values: &ArrayRef) -> usize {
    let (first, length) = span(offsets);
    of_array(&values.slice(first, length)).saturating_add(size_of_val(offsets))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        FixedSizeBinaryArray, FixedSizeListArray, Int64Array, Int64Builder, ListArray, MapBuilder, StringArray,
    };
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    // Goal: a slice is as large as its own rows. Method: ten rows of many, of each kind, beside the same ten alone.
    #[test]
    fn slices_count_their_own() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
            (0..10_000).map(|n| format!("text {n:05}")),
        ));
        let lists = (0..10_000).map(|n| Some(vec![Some(n); 3]));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let threes = (0..10_000).map(|n| Some(vec![Some(n); 3]));
        let threes: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(threes, 3));
        let wide = std::iter::repeat_n([7_u8; 100], 10_000);
        let wide: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(wide).expect("of one width"));
        let mut maps = MapBuilder::new(None, Int64Builder::new(), Int64Builder::new());
        for n in 0..10_000 {
            maps.keys().append_value(n);
            maps.values().append_value(n);
            maps.append(true).expect("a value for each key");
        }
        let maps: ArrayRef = Arc::new(maps.finish());
        for (array, bytes) in [
            (numbers, 80),
            (texts, 10 * 10 + 11 * 4),
            (lists, 10 * 3 * 8 + 11 * 4),
            (threes, 10 * 3 * 8),
            (wide, 10 * 100),
            (maps, 10 * 2 * 8 + 11 * 4),
        ] {
            assert_eq!(of_array(&array.slice(5_000, 10)), bytes, "{}", array.data_type());
        }
    }
}
