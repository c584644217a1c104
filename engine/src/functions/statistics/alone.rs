//! A number that is none, or infinite, is nowhere near its own mean. DataFusion 55.2 says that one alone does not vary, and that the
//! correlation with such numbers is not known; PostgreSQL says NaN, as both do of more of them.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;

/// DataFusion's variance or deviation of all rows, or its correlation, of which the squares are kept.
#[derive(Debug)]
pub(super) struct Alone(pub(super) Box<dyn Accumulator>);

impl Accumulator for Alone {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        use ScalarValue::Float64;
        let nowhere = match self.0.state()?.as_slice() {
            // Count, mean, squares.
            [_, _, Float64(Some(squares))] => squares.is_nan(),
            // Count, then mean and squares of either side, products. Null where one of the two is always the same.
            [_, _, Float64(Some(one)), _, Float64(Some(other)), _] => {
                (one.is_nan() || other.is_nan()) && *one != 0.0 && *other != 0.0
            }
            _ => false,
        };
        match nowhere {
            true => Ok(Float64(Some(f64::NAN))),
            false => self.0.evaluate(),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }
}
