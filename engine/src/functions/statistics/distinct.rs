//! Statistics in which each number, or each pair of numbers, counts once.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::common::cast::as_float64_array;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{HashMap, Result, ScalarValue, internal_err};
use datafusion::logical_expr::Accumulator;

use super::Told;
use crate::functions::sliding::{Moments, Pairs, Tally};

/// The bits of a pair, or of a number and nothing.
type Row = [u64; 2];

/// Of all rows, or of those in a window's frame.
#[derive(Debug)]
pub(super) struct Distinct {
    told: Told,
    /// How often each is there. Rows with a null are not.
    rows: HashMap<Row, u64>,
}

impl Distinct {
    pub(super) fn new(told: Told) -> Self {
        Self {
            told,
            rows: HashMap::default(),
        }
    }

    fn each(&mut self, values: &[ArrayRef], see: fn(&mut HashMap<Row, u64>, Row)) -> Result<()> {
        match values {
            [numbers] => {
                for number in as_float64_array(numbers)?.iter().flatten() {
                    see(&mut self.rows, [bits(number), 0]);
                }
            }
            [first, second] => {
                for pair in as_float64_array(first)?.iter().zip(as_float64_array(second)?) {
                    if let (Some(first), Some(second)) = pair {
                        see(&mut self.rows, [bits(first), bits(second)]);
                    }
                }
            }
            other => return internal_err!("statistics of {} columns", other.len()),
        }
        Ok(())
    }

    /// In an order that is always the same, so that the last digits are.
    fn sorted(&self) -> Vec<[f64; 2]> {
        let mut rows: Vec<Row> = self.rows.keys().copied().collect();
        rows.sort_unstable();
        rows.into_iter().map(|row| row.map(f64::from_bits)).collect()
    }
}

/// Numbers that are equal have the same.
fn bits(number: f64) -> u64 {
    match number {
        number if number.is_nan() => f64::NAN.to_bits(),
        0.0 => 0,
        number => number.to_bits(),
    }
}

fn put(rows: &mut HashMap<Row, u64>, row: Row) {
    *rows.entry(row).or_insert(0) += 1;
}

fn take(rows: &mut HashMap<Row, u64>, row: Row) {
    match rows.get_mut(&row) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            rows.remove(&row);
        }
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(values, put)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(values, take)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |state| state.len());
        for row in 0..rows {
            let columns = states.iter().map(|state| state.as_list::<i32>().value(row));
            self.update_batch(&columns.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let rows = self.sorted();
        let column = |at: usize| {
            let numbers = rows.iter().filter_map(|row| row.get(at).copied());
            let list = SingleRowListArrayBuilder::new(Arc::new(Float64Array::from_iter_values(numbers)));
            list.build_list_scalar()
        };
        Ok((0..self.told.columns()).map(column).collect())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let rows = self.sorted().into_iter();
        Ok(match self.told {
            Told::OfNumbers(told) => {
                let tally = rows.fold(Moments::default(), |tally, [number, _]| tally.and(Moments::of(number)));
                ScalarValue::Float64(told(tally))
            }
            Told::OfPairs(told) => {
                let tally = rows.fold(Pairs::default(), |tally, [y, x]| tally.and(Pairs::of((y, x))));
                ScalarValue::Float64(told(tally))
            }
            Told::Count => ScalarValue::UInt64(u64::try_from(rows.len()).ok()),
        })
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.capacity() * size_of::<(Row, u64)>()
    }
}
