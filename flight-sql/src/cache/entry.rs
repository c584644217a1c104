//! A result that is kept: its rows, and nothing that they are only a part of.

use datafusion::arrow::array::{Array, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::error::ArrowError;

/// Memory of an entry besides its rows: its key, the lists that it stands in, the table that finds it.
const OVERHEAD_BYTES: usize = 512;

/// Memory of a batch, and of each of its columns, besides values.
const BATCH_BYTES: usize = 128;

/// All rows of a statement, in the batches that they are sent in.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Entry {
    pub(super) fn new(batches: Vec<RecordBatch>) -> Self {
        let bytes = batches.iter().map(weight).sum::<usize>() + OVERHEAD_BYTES;
        Self { batches, bytes }
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Memory that a batch takes.
pub(super) fn weight(batch: &RecordBatch) -> usize {
    batch.get_array_memory_size() + BATCH_BYTES * (batch.num_columns() + 1)
}

/// The same rows, in memory of their own where they are a part of more. An answer's batches are cut from larger ones.
pub(super) fn compact(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut needed = 0;
    for column in batch.columns() {
        needed += column.to_data().get_slice_memory_size()?;
    }
    if batch.get_array_memory_size() <= needed + needed / 4 + BATCH_BYTES * batch.num_columns() {
        return Ok(batch.clone());
    }
    let rows = u32::try_from(batch.num_rows()).map_err(|_| ArrowError::ArithmeticOverflow("rows".into()))?;
    take_record_batch(batch, &UInt32Array::from_iter_values(0..rows))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    // Goal: what is kept of a large batch takes memory for its own rows only, and is equal. Method: a few rows out of many.
    #[test]
    fn slices_are_copied() {
        let rows = 0..100_000_i64;
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from_iter_values(rows.clone())) as ArrayRef),
            (
                "t",
                Arc::new(StringArray::from_iter_values(rows.map(|n| format!("text {n}")))),
            ),
        ])
        .expect("rows");
        let part = batch.slice(500, 10);
        let compact = compact(&part).expect("a copy");
        assert_eq!(compact, part);
        assert!(
            weight(&part) > 1_000_000 && weight(&compact) < 4_000,
            "{}",
            weight(&compact)
        );
        let whole = super::compact(&compact).expect("as it is");
        assert_eq!(
            whole.column(0).to_data().buffers()[0].as_ptr(),
            compact.column(0).to_data().buffers()[0].as_ptr()
        );
    }
}
