use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::Float64Array;
use tidewater_core::{Rng, SeededRng};

use super::*;

/// Rows that a frame has at most.
const WIDEST: usize = 120;

/// Rows from one number that is none, or is infinite, to the next: frames are without them most of the time.
const ENDLESS_EACH: usize = 500;

/// What may be lost of the size of what is added up.
const LOSS: f64 = 1e-12;

fn below(rng: &SeededRng, limit: u64) -> usize {
    usize::try_from(rng.below(limit)).expect("a small number")
}

/// Moves a frame over rows until none is left: tells what enters, what leaves, and what is in the frame then.
fn moved(rng: &SeededRng, rows: usize, mut look: impl FnMut(Range<usize>, Range<usize>, Range<usize>)) {
    let mut frame = 0..0;
    while frame.start < rows {
        let end = (frame.end + below(rng, 6)).min(rows);
        let start = (frame.start + below(rng, 5)).max(end.saturating_sub(WIDEST)).min(end);
        look(frame.end..end, frame.start..start, start..end);
        frame = start..end;
    }
}

/// Numbers of up to so many digits, some of them null, and one in many without an end.
fn numbers(rng: &SeededRng, rows: usize, digits: u64) -> Vec<Option<f64>> {
    (0..rows)
        .map(|row| match row % ENDLESS_EACH {
            100 => Some([f64::NAN, f64::INFINITY, f64::NEG_INFINITY][row / ENDLESS_EACH % 3]),
            _ if rng.below(10) == 0 => None,
            _ => {
                let digits = i32::try_from(rng.below(digits)).expect("a small number");
                Some((rng.below(2001) as f64 - 1000.0) / 8.0 * 10_f64.powi(digits))
            }
        })
        .collect()
}

fn column(rows: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(rows.to_vec()))
}

/// Whether a frame tells what is wanted, but for what is lost in adding up numbers of this size.
fn tells(frame: &mut Box<dyn Accumulator>, wanted: Option<f64>, size: f64) -> bool {
    let told = frame.evaluate().expect("an answer");
    let ScalarValue::Float64(told) = told else {
        return false;
    };
    match (told, wanted) {
        (None, None) => true,
        (Some(told), Some(wanted)) if wanted.is_finite() => (told - wanted).abs() <= size * LOSS,
        (Some(told), Some(wanted)) if wanted.is_nan() => told.is_nan(),
        (Some(told), Some(wanted)) => told == wanted,
        _ => false,
    }
}

fn total(rows: impl Iterator<Item = f64>) -> f64 {
    rows.sum()
}

// Goal: sums and means are those of the frame, whatever was in it before. Method: random frames over numbers of 20 sizes, nulls, NaN and
// both infinities; each frame is added up anew, and what may be lost is a part of what is in it.
#[test]
fn sums_are_of_the_frame_alone() {
    let rng = SeededRng::new(23);
    let rows = numbers(&rng, 6000, 20);
    let (mut sum, mut mean) = (over::<Sums>(Sums::sum), over::<Sums>(Sums::mean));
    let (mut finite, mut endless) = (0, 0);
    moved(&rng, rows.len(), |entering, leaving, frame| {
        for told in [&mut sum, &mut mean] {
            told.update_batch(&[column(&rows[entering.clone()])]).expect("rows");
            told.retract_batch(&[column(&rows[leaving.clone()])]).expect("rows");
        }
        let known: Vec<f64> = rows[frame.clone()].iter().flatten().copied().collect();
        let found = total(known.iter().copied());
        let size = total(known.iter().map(|row| row.abs()));
        let count = known.len() as f64;
        let some = !known.is_empty();
        assert!(tells(&mut sum, some.then_some(found), size), "{frame:?}: {found}");
        assert!(
            tells(&mut mean, some.then_some(found / count), size / count),
            "{frame:?}: {found}"
        );
        match found.is_finite() {
            true => finite += 1,
            false => endless += 1,
        }
    });
    assert!(finite > 0 && endless > 0, "{finite} frames, and {endless} with more");
}

// Goal: variances and covariances are those of the frame, whatever was in it before. Method: as for sums, with numbers of 8 sizes; those of
// a frame are reckoned from its means.
#[test]
fn variances_are_of_the_frame_alone() {
    let rng = SeededRng::new(24);
    let (y, x) = (numbers(&rng, 6000, 8), numbers(&rng, 6000, 8));
    let mut all = over::<Moments>(Moments::of_all);
    let mut sample = over::<Moments>(Moments::of_sample);
    let mut together = over::<Pairs>(Pairs::of_all);
    let mut together_in_sample = over::<Pairs>(Pairs::of_sample);
    let mut mean = over::<Pairs>(|rows| rows.kept(rows.x.mean));
    let (mut finite, mut endless) = (0, 0);
    moved(&rng, y.len(), |entering, leaving, frame| {
        for told in [&mut all, &mut sample, &mut together, &mut together_in_sample, &mut mean] {
            let columns = |rows: &Range<usize>| [column(&y[rows.clone()]), column(&x[rows.clone()])];
            told.update_batch(&columns(&entering)).expect("rows");
            told.retract_batch(&columns(&leaving)).expect("rows");
        }
        let known: Vec<f64> = y[frame.clone()].iter().flatten().copied().collect();
        let count = known.len() as f64;
        let middle = total(known.iter().copied()) / count;
        let squares = total(known.iter().map(|row| (row - middle) * (row - middle)));
        let size = total(known.iter().map(|row| row * row));
        let wanted = (count > 0.0).then_some(squares / count);
        assert!(tells(&mut all, wanted, size / count), "{frame:?}: {wanted:?}");
        let wanted = (count > 1.0).then_some(squares / (count - 1.0));
        assert!(
            tells(&mut sample, wanted, size / (count - 1.0)),
            "{frame:?}: {wanted:?}"
        );
        match squares.is_finite() {
            true => finite += 1,
            false => endless += 1,
        }

        let known: Vec<(f64, f64)> = y[frame.clone()]
            .iter()
            .zip(&x[frame.clone()])
            .filter_map(|(y, x)| y.zip(*x))
            .collect();
        let count = known.len() as f64;
        let middle_y = total(known.iter().map(|(y, _)| *y)) / count;
        let middle_x = total(known.iter().map(|(_, x)| *x)) / count;
        let products = total(known.iter().map(|(y, x)| (y - middle_y) * (x - middle_x)));
        let size_y = total(known.iter().map(|(y, _)| y * y));
        let size_x = total(known.iter().map(|(_, x)| x * x));
        let size = (size_y * size_x).sqrt();
        let wanted = (count > 0.0).then_some(products / count);
        assert!(tells(&mut together, wanted, size / count), "{frame:?}: {wanted:?}");
        let wanted = (count > 1.0).then_some(products / (count - 1.0));
        assert!(
            tells(&mut together_in_sample, wanted, size / (count - 1.0)),
            "{frame:?}: {wanted:?}"
        );
        let size = total(known.iter().map(|(_, x)| x.abs()));
        let wanted = (count > 0.0).then_some(middle_x);
        assert!(tells(&mut mean, wanted, size / count), "{frame:?}: {wanted:?}");
    });
    assert!(finite > 0 && endless > 0, "{finite} frames, and {endless} with more");
}

// Goal: equal numbers have no variance at all, and no line goes through them. Method: a number that no binary fraction is, in frames of all
// sizes.
#[test]
fn equal_numbers_do_not_vary() {
    let rng = SeededRng::new(25);
    let rows = vec![Some(0.1); 500];
    let mut all = over::<Moments>(Moments::of_all);
    let mut slope = over::<Pairs>(Pairs::slope);
    moved(&rng, rows.len(), |entering, leaving, frame| {
        for told in [&mut all, &mut slope] {
            let columns = |of: &Range<usize>| [column(&rows[of.clone()]), column(&rows[of.clone()])];
            told.update_batch(&columns(&entering)).expect("rows");
            told.retract_batch(&columns(&leaving)).expect("rows");
        }
        let wanted = (!frame.is_empty()).then_some(0.0);
        assert!(tells(&mut all, wanted, 0.0), "{frame:?}");
        assert!(tells(&mut slope, None, 0.0), "{frame:?}");
    });
}

// Goal: what a frame holds is charged, and nothing leaves that is not there. Method: rows that enter, and more that leave.
#[test]
fn rows_are_counted() {
    let mut sum = over::<Sums>(Sums::sum);
    let before = sum.size();
    let rows = vec![Some(1.0); 1000];
    sum.update_batch(&[column(&rows)]).expect("rows");
    assert!(sum.size() >= before + 8 * rows.len(), "{}", sum.size());
    sum.retract_batch(&[column(&rows[..999])]).expect("rows");
    assert!(tells(&mut sum, Some(1.0), 0.0));
    assert!(sum.retract_batch(&[column(&rows[..2])]).is_err());
}
