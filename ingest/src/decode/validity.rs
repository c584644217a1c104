//! Which rows of a column hold something: a bit a row, once there is a null.

use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// Unlike Arrow's builder it is small enough to be compiled into the loop over a record's fields.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    rows: usize,
    /// None as long as every row holds something. Bits behind the last row are zero.
    words: Option<Vec<u64>>,
}

impl Validity {
    /// Rows so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// One more row that holds something.
    #[inline]
    pub(crate) fn push(&mut self) {
        if let Some(words) = &mut self.words {
            let bit = 1 << (self.rows % BITS);
            match words.get_mut(self.rows / BITS) {
                Some(word) => *word |= bit,
                None => words.push(bit),
            }
        }
        self.rows += 1;
    }

    /// More rows, all null.
    pub(crate) fn push_nulls(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let words = self.words.get_or_insert_with(|| full(self.rows));
        self.rows += count;
        words.resize(self.rows.div_ceil(BITS), 0);
    }

    /// Forgets rows from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if rows >= self.rows {
            return;
        }
        self.rows = rows;
        if let Some(words) = &mut self.words {
            words.truncate(rows.div_ceil(BITS));
            if let Some(last) = words.last_mut().filter(|_| !rows.is_multiple_of(BITS)) {
                *last &= (1 << (rows % BITS)) - 1;
            }
        }
    }

    /// Whether a row holds something.
    pub(crate) fn is_valid(&self, row: usize) -> bool {
        let set = |words: &Vec<u64>| words.get(row / BITS).is_some_and(|word| word >> (row % BITS) & 1 == 1);
        row < self.rows && self.words.as_ref().is_none_or(set)
    }

    /// Whether any row holds something.
    pub(crate) fn any(&self) -> bool {
        match &self.words {
            Some(words) => words.iter().any(|word| *word != 0),
            None => self.rows > 0,
        }
    }

    /// As Arrow has it; none if every row holds something.
    pub(crate) fn finish(self) -> Option<NullBuffer> {
        let words: Vec<u64> = self.words?.into_iter().map(u64::to_le).collect();
        Some(NullBuffer::new(BooleanBuffer::new(
            Buffer::from_vec(words),
            0,
            self.rows,
        )))
    }
}

/// Words of which the first `rows` bits are set.
fn full(rows: usize) -> Vec<u64> {
    let mut words = vec![u64::MAX; rows / BITS];
    if !rows.is_multiple_of(BITS) {
        words.push((1 << (rows % BITS)) - 1);
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Goal: rows are what was pushed, whatever was forgotten in between. Method: random steps against a list of booleans.
        #[test]
        fn is_a_list_of_booleans(steps in prop::collection::vec((0..3_u8, 0..150_usize), 0..24)) {
            let (mut validity, mut model) = (Validity::default(), Vec::new());
            for (kind, count) in steps {
                match kind {
                    0 => {
                        (0..count).for_each(|_| validity.push());
                        model.resize(model.len() + count, true);
                    }
                    1 => {
                        validity.push_nulls(count);
                        model.resize(model.len() + count, false);
                    }
                    _ => {
                        let kept = model.len().saturating_sub(count);
                        validity.truncate(kept);
                        model.truncate(kept);
                    }
                }
                prop_assert_eq!(validity.len(), model.len());
                prop_assert_eq!(validity.any(), model.contains(&true));
            }
            prop_assert!((0..model.len() + 2).all(|row| validity.is_valid(row) == model.get(row).is_some_and(|valid| *valid)));
            let finished = validity.finish();
            let valid = |row| finished.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            prop_assert!((0..model.len()).all(|row| Some(&valid(row)) == model.get(row)));
        }
    }
}
