//! What is told of the floating-point numbers in a frame whose beginning moves. DataFusion 55.2 takes away what leaves: a NaN stays for
//! ever, and what a large number swallowed never comes back. Here nothing is taken away. The rows of a frame are a queue of two stacks: of
//! the first ones there is a tally of each with all behind it, so that the next is known when one leaves; of the others there is one
//! tally, and when the first ones are used up these take their place. So a row is added up twice, however large the frame is.

mod tally;

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::Accumulator;

pub(super) use self::tally::{Moments, Pairs, Sums, Tally};

/// What a frame is told as, of the tally of its rows.
pub(super) fn over<T: Tally>(told: fn(T) -> Option<f64>) -> Box<dyn Accumulator> {
    Box::new(Frame {
        rows: Rows::new(),
        told,
    })
}

/// Rows of which the first leave first.
#[derive(Debug)]
struct Rows<T: Tally> {
    /// Tallies of the first rows, each of a row and those of them that stand behind it. That of the first row comes last.
    front: Vec<T>,
    /// The rows behind them, in their order.
    back: Vec<T::Row>,
    /// Of the rows in `back`.
    behind: T,
}

impl<T: Tally> Rows<T> {
    fn new() -> Self {
        Self {
            front: Vec::new(),
            back: Vec::new(),
            behind: T::default(),
        }
    }

    fn enter(&mut self, row: T::Row) {
        self.behind = self.behind.and(T::of(row));
        self.back.push(row);
    }

    fn leave(&mut self) -> Result<()> {
        if self.front.is_empty() {
            self.turn();
        }
        match self.front.pop() {
            Some(_) => Ok(()),
            None => internal_err!("a row leaves a frame that has none"),
        }
    }

    fn turn(&mut self) {
        let mut tally = T::default();
        for row in self.back.drain(..).rev() {
            tally = T::of(row).and(tally);
            self.front.push(tally);
        }
        self.behind = T::default();
    }

    fn tally(&self) -> T {
        match self.front.last() {
            Some(front) => front.and(self.behind),
            None => self.behind,
        }
    }
}

#[derive(Debug)]
struct Frame<T: Tally> {
    rows: Rows<T>,
    told: fn(T) -> Option<f64>,
}

impl<T: Tally> Accumulator for Frame<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        T::each(values, |row| self.rows.enter(row))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut leaving = 0_usize;
        T::each(values, |_| leaving += 1)?;
        (0..leaving).try_for_each(|_| self.rows.leave())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        internal_err!("frames are not put together")
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("frames are not put together")
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64((self.told)(self.rows.tally())))
    }

    fn size(&self) -> usize {
        let front = self.rows.front.capacity() * size_of::<T>();
        let back = self.rows.back.capacity() * size_of::<T::Row>();
        size_of_val(self) + front + back
    }
}

#[cfg(test)]
mod tests;
