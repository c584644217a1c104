//! Averages and rates in whole numbers, rounded half up: the gold models do the same arithmetic.

/// Share in hundredths: `(200 * part + whole) / (2 * whole)`. None of nothing.
pub(super) fn rate(part: usize, whole: usize) -> Option<i64> {
    scaled(part, whole, 100)
}

/// Share in units of `1 / scale`, rounded half up.
pub(super) fn scaled(part: usize, whole: usize, scale: i64) -> Option<i64> {
    let (part, whole) = (i64::try_from(part).ok()?, i64::try_from(whole).ok()?);
    (whole > 0).then(|| (2 * scale * part + whole) / (2 * whole))
}

/// Mean of whole numbers that are not negative, rounded half up. None of nothing.
pub(super) fn mean(numbers: &[i64]) -> Option<i64> {
    mean_scaled(numbers, 1)
}

/// Mean in units of `1 / scale`, rounded half up.
pub(super) fn mean_scaled(numbers: &[i64], scale: i64) -> Option<i64> {
    let count = i64::try_from(numbers.len()).ok()?;
    (count > 0).then(|| (2 * scale * numbers.iter().sum::<i64>() + count) / (2 * count))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: rounding is half up and nothing has no mean. Method: cases around the half.
    #[test]
    fn rounding_is_half_up() {
        assert_eq!(rate(1, 3), Some(33));
        assert_eq!(rate(2, 3), Some(67));
        assert_eq!(rate(1, 8), Some(13));
        assert_eq!(rate(0, 0), None);
        assert_eq!(mean(&[1, 2]), Some(2));
        assert_eq!(mean_scaled(&[4, 5, 5], 10), Some(47));
        assert_eq!(mean(&[]), None);
    }
}
