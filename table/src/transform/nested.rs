//! Fields within structs.

use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::buffer::NullBuffer;

use crate::error::{Result, TableError};

/// The field of a struct at this place: null where the struct is, whatever lies beneath.
pub(crate) fn child(outer: &ArrayRef, place: usize) -> Result<ArrayRef> {
    let lost = || TableError::damaged("a field is not in its column");
    let outer = outer.as_struct_opt().ok_or_else(lost)?;
    let child = outer.columns().get(place).ok_or_else(lost)?;
    let nulls = NullBuffer::union(outer.nulls(), child.nulls());
    let data = child
        .to_data()
        .into_builder()
        .nulls(nulls)
        .build()
        .map_err(TableError::encode("mask a column"))?;
    Ok(make_array(data))
}
