//! `array_fill`: an array of one value.

use std::iter::repeat_n;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err, not_impl_err, plan_err};

use super::native::{Native, argument, number, numbers};

/// Elements that the arrays of a batch of rows may have together: what is beyond is a slip, and would be held in memory at once.
const ELEMENTS_MAX: usize = 1 << 24;

pub(super) fn all() -> Vec<Native> {
    vec![
        Native::new("array_fill", (2, 2), DataType::Null, |arrays, rows| {
            filled(argument(arrays, 0)?, argument(arrays, 1)?, rows)
        })
        .returning(|types| match types {
            [of, DataType::List(length)] if length.data_type().is_integer() || length.data_type().is_null() => {
                Ok(DataType::new_list(of.clone(), true))
            }
            _ => plan_err!("No function matches: array_fill takes an element and an array of lengths"),
        }),
    ]
}

/// Each row's element as often as its lengths say, of which there is one.
fn filled(elements: &ArrayRef, lengths: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    let Some(lengths) = lengths.as_list_opt::<i32>() else {
        return exec_err!("array_fill takes an array of lengths");
    };
    let (mut places, mut counts) = (Vec::new(), Vec::with_capacity(rows));
    for row in 0..rows {
        if lengths.is_null(row) {
            return exec_err!("dimension array or low bound array cannot be null");
        }
        let lengths = numbers(&lengths.value(row))?;
        let length = match lengths.len() {
            0 => 0,
            1 => match number(&lengths, 0) {
                Some(length) => length,
                None => return exec_err!("dimension values cannot be null"),
            },
            dimensions => return not_impl_err!("array_fill of {dimensions} dimensions"),
        };
        let count = usize::try_from(length).ok();
        let Some(count) = count.filter(|count| places.len() + count <= ELEMENTS_MAX) else {
            return exec_err!("array size out of range: {length}");
        };
        places.extend(repeat_n(u32::try_from(row).unwrap_or(u32::MAX), count));
        counts.push(count);
    }
    let items = take(elements, &UInt32Array::from(places), None)?;
    let item = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let found = ListArray::try_new(item, OffsetBuffer::from_lengths(counts), items, None)?;
    Ok(Arc::new(found))
}
