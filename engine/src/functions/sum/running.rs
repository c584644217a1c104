//! A sum that rows are added to and taken from.

use std::marker::PhantomData;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;

use super::{Whole, told, total};

/// Of all rows, or of those in a window's frame.
#[derive(Debug)]
pub(super) struct Running<T: Whole> {
    sum: i128,
    /// Rows that are not null.
    count: usize,
    of: PhantomData<T>,
}

impl<T: Whole> Running<T> {
    pub(super) fn new() -> Self {
        Self {
            sum: 0,
            count: 0,
            of: PhantomData,
        }
    }
}

impl<T: Whole> Accumulator for Running<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for array in values {
            let array = array.as_primitive::<T>();
            self.sum += total(array);
            self.count += array.len() - array.null_count();
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for array in values {
            let array = array.as_primitive::<T>();
            self.sum -= total(array);
            self.count -= array.len() - array.null_count();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        told::<T>((self.count != 0).then_some(self.sum))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
