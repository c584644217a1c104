//! A sum in which each value counts once.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{HashMap, Result, ScalarValue};
use datafusion::logical_expr::Accumulator;

use super::{Whole, told};

/// Of all rows, or of those in a window's frame.
#[derive(Debug)]
pub(super) struct Distinct<T: Whole> {
    sum: i128,
    /// In how many rows each value is.
    rows: HashMap<T::Native, u64>,
}

impl<T: Whole> Distinct<T> {
    pub(super) fn new() -> Self {
        Self {
            sum: 0,
            rows: HashMap::default(),
        }
    }

    fn put(&mut self, value: T::Native) {
        let rows = self.rows.entry(value).or_insert(0);
        *rows += 1;
        if *rows == 1 {
            self.sum += T::wide(value);
        }
    }

    fn take(&mut self, value: T::Native) {
        let Some(rows) = self.rows.get_mut(&value) else {
            return;
        };
        *rows -= 1;
        if *rows == 0 {
            self.rows.remove(&value);
            self.sum -= T::wide(value);
        }
    }
}

impl<T: Whole> Accumulator for Distinct<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for array in values {
            array
                .as_primitive::<T>()
                .iter()
                .flatten()
                .for_each(|value| self.put(value));
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for array in values {
            array
                .as_primitive::<T>()
                .iter()
                .flatten()
                .for_each(|value| self.take(value));
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in states {
            for values in state.as_list::<i32>().iter().flatten() {
                self.update_batch(&[values])?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = PrimitiveArray::<T>::from_iter_values(self.rows.keys().copied());
        let list = SingleRowListArrayBuilder::new(Arc::new(values));
        Ok(vec![list.build_list_scalar()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        told::<T>((!self.rows.is_empty()).then_some(self.sum))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.capacity() * size_of::<(T::Native, u64)>()
    }
}
