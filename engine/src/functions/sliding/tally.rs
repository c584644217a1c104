//! What is kept of rows that were added up: as much as is needed to add more to it, at both ends.

use std::fmt::Debug;

use datafusion::arrow::array::{ArrayRef, Float64Array};
use datafusion::common::cast::as_float64_array;
use datafusion::common::{Result, internal_err};

/// Of rows; of none by default.
pub(crate) trait Tally: Debug + Clone + Copy + Default + Send + Sync + 'static {
    /// What is looked at of a row.
    type Row: Debug + Clone + Copy + Send + Sync + 'static;

    /// The rows that have no null, from the first to the last.
    fn each(values: &[ArrayRef], see: impl FnMut(Self::Row)) -> Result<()>;

    fn of(row: Self::Row) -> Self;

    /// Of these rows and those behind them.
    fn and(self, behind: Self) -> Self;
}

fn column(values: &[ArrayRef], at: usize) -> Result<&Float64Array> {
    match values.get(at) {
        Some(array) => as_float64_array(array),
        None => internal_err!("a function of more columns than {}", values.len()),
    }
}

fn each_number(values: &[ArrayRef], see: impl FnMut(f64)) -> Result<()> {
    column(values, 0)?.iter().flatten().for_each(see);
    Ok(())
}

/// A number that is none, or infinite, is nowhere near a mean.
fn distance(number: f64) -> f64 {
    match number.is_finite() {
        true => 0.0,
        false => f64::NAN,
    }
}

/// The sum of numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    count: f64,
    sum: f64,
}

impl Sums {
    /// Null of none.
    pub(crate) fn sum(self) -> Option<f64> {
        (self.count > 0.0).then_some(self.sum)
    }

    /// Null of none.
    pub(crate) fn mean(self) -> Option<f64> {
        (self.count > 0.0).then_some(self.sum / self.count)
    }
}

impl Tally for Sums {
    type Row = f64;

    fn each(values: &[ArrayRef], see: impl FnMut(f64)) -> Result<()> {
        each_number(values, see)
    }

    fn of(row: f64) -> Self {
        Self { count: 1.0, sum: row }
    }

    fn and(self, behind: Self) -> Self {
        Self {
            count: self.count + behind.count,
            sum: self.sum + behind.sum,
        }
    }
}

/// The mean of numbers, and the sum of the squares of how far they are from it: by Chan, Golub and LeVeque, as DataFusion puts them
/// together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    count: f64,
    pub(crate) mean: f64,
    pub(crate) squares: f64,
}

impl Moments {
    /// The variance of all; null of none.
    pub(crate) fn of_all(self) -> Option<f64> {
        (self.count > 0.0).then_some(self.squares / self.count)
    }

    /// The variance of a sample; null of less than two.
    pub(crate) fn of_sample(self) -> Option<f64> {
        (self.count > 1.0).then_some(self.squares / (self.count - 1.0))
    }
}

impl Tally for Moments {
    type Row = f64;

    fn each(values: &[ArrayRef], see: impl FnMut(f64)) -> Result<()> {
        each_number(values, see)
    }

    fn of(row: f64) -> Self {
        Self {
            count: 1.0,
            mean: row,
            squares: distance(row),
        }
    }

    fn and(self, behind: Self) -> Self {
        if self.count == 0.0 {
            return behind;
        }
        if behind.count == 0.0 {
            return self;
        }
        let count = self.count + behind.count;
        let apart = behind.mean - self.mean;
        let mean = match apart.is_finite() {
            true => self.mean + apart * behind.count / count,
            // An infinity is its own mean.
            false => self.mean * (self.count / count) + behind.mean * (behind.count / count),
        };
        Self {
            count,
            mean,
            squares: self.squares + behind.squares + apart * apart * self.count * behind.count / count,
        }
    }
}

/// Of pairs of numbers: of each number, and the sum of the products of how far both are from their means.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pairs {
    pub(crate) y: Moments,
    pub(crate) x: Moments,
    pub(crate) products: f64,
}

impl Pairs {
    /// The covariance of all; null of none.
    pub(crate) fn of_all(self) -> Option<f64> {
        (self.x.count > 0.0).then_some(self.products / self.x.count)
    }

    /// The covariance of a sample; null of less than two.
    pub(crate) fn of_sample(self) -> Option<f64> {
        (self.x.count > 1.0).then_some(self.products / (self.x.count - 1.0))
    }

    /// Null where one of the two is always the same.
    pub(crate) fn correlation(self) -> Option<f64> {
        let both = (self.x.squares * self.y.squares).sqrt();
        let both = match both.is_normal() {
            true => both,
            // Their product is too large or too small for the type.
            false => self.x.squares.sqrt() * self.y.squares.sqrt(),
        };
        (self.varies_in_x() && self.y.squares != 0.0).then_some(self.products / both)
    }

    /// The square of the correlation; null as it is.
    pub(crate) fn determination(self) -> Option<f64> {
        let found = self.products * self.products / (self.x.squares * self.y.squares);
        (self.varies_in_x() && self.y.squares != 0.0).then_some(found)
    }

    /// How the line of regression rises; null where it is upright.
    pub(crate) fn slope(self) -> Option<f64> {
        self.varies_in_x().then_some(self.products / self.x.squares)
    }

    /// Where the line of regression meets the axis; null where it is upright.
    pub(crate) fn intercept(self) -> Option<f64> {
        self.slope().map(|slope| self.y.mean - slope * self.x.mean)
    }

    /// One of the numbers that are kept; null of no pairs.
    pub(crate) fn kept(self, found: f64) -> Option<f64> {
        (self.x.count > 0.0).then_some(found)
    }

    fn varies_in_x(self) -> bool {
        self.x.count > 0.0 && self.x.squares != 0.0
    }
}

impl Tally for Pairs {
    type Row = (f64, f64);

    fn each(values: &[ArrayRef], mut see: impl FnMut((f64, f64))) -> Result<()> {
        let (y, x) = (column(values, 0)?, column(values, 1)?);
        for (y, x) in y.iter().zip(x.iter()) {
            if let (Some(y), Some(x)) = (y, x) {
                see((y, x));
            }
        }
        Ok(())
    }

    fn of((y, x): (f64, f64)) -> Self {
        Self {
            y: Moments::of(y),
            x: Moments::of(x),
            products: distance(y) + distance(x),
        }
    }

    fn and(self, behind: Self) -> Self {
        let (before, after) = (self.x.count, behind.x.count);
        let apart = match before > 0.0 && after > 0.0 {
            true => (behind.y.mean - self.y.mean) * (behind.x.mean - self.x.mean) * before * after / (before + after),
            false => 0.0,
        };
        Self {
            y: self.y.and(behind.y),
            x: self.x.and(behind.x),
            products: self.products + behind.products + apart,
        }
    }
}
