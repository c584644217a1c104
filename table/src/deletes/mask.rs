//! Rows of one data file that are gone, by position.

use std::ops::Range;

use roaring::RoaringTreemap;

/// Positions of deleted rows, from 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowMask {
    deleted: RoaringTreemap,
}

impl RowMask {
    /// Rows at these positions are gone too.
    pub fn extend_with(&mut self, positions: impl IntoIterator<Item = u64>) {
        self.deleted.extend(positions);
    }

    pub(super) fn extend(&mut self, deleted: RoaringTreemap) {
        self.deleted |= deleted;
    }

    pub(super) fn extend_from(&mut self, deleted: Option<&RoaringTreemap>) {
        if let Some(deleted) = deleted {
            self.deleted |= deleted;
        }
    }

    pub(super) fn delete(&mut self, position: u64) {
        self.deleted.insert(position);
    }

    pub(super) fn positions(&self) -> &RoaringTreemap {
        &self.deleted
    }

    /// The rows that either of them lacks.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.deleted |= &other.deleted;
        self
    }

    /// The rows that it lacks and the other one does not.
    #[must_use]
    pub(super) fn without(mut self, other: &Self) -> Self {
        self.deleted -= &other.deleted;
        self
    }

    /// Whether it lacks no row.
    pub(super) fn is_empty(&self) -> bool {
        self.deleted.is_empty()
    }

    /// Memory, in bytes.
    pub(super) fn size(&self) -> usize {
        self.deleted.serialized_size()
    }

    /// The positions, in order.
    pub fn gone(&self) -> impl Iterator<Item = u64> + '_ {
        self.deleted.iter()
    }

    /// Whether the row is gone.
    pub fn is_deleted(&self, position: u64) -> bool {
        self.deleted.contains(position)
    }

    /// How many of the first `rows` rows are gone. Positions beyond a file's end mean nothing.
    pub fn deleted(&self, rows: u64) -> u64 {
        match rows.checked_sub(1) {
            Some(last) => self.deleted.rank(last),
            None => 0,
        }
    }

    /// The ranges of the first `rows` rows that are there, in order; none is empty and none touches the next.
    pub fn kept(&self, rows: u64) -> Vec<Range<u64>> {
        let mut kept = Vec::new();
        let mut next = 0;
        for gone in self.deleted.iter().take_while(|gone| *gone < rows) {
            if next < gone {
                kept.push(next..gone);
            }
            next = gone + 1;
        }
        if next < rows {
            kept.push(next..rows);
        }
        kept
    }

    /// The ranges of the first `rows` rows that are gone, in order; none is empty and none touches the next.
    pub(super) fn lacked(&self, rows: u64) -> Vec<Range<u64>> {
        let mut lacked: Vec<Range<u64>> = Vec::new();
        for gone in self.deleted.iter().take_while(|gone| *gone < rows) {
            match lacked.last_mut() {
                Some(last) if last.end == gone => last.end = gone + 1,
                _ => lacked.push(gone..gone + 1),
            }
        }
        lacked
    }
}

impl FromIterator<u64> for RowMask {
    fn from_iter<I: IntoIterator<Item = u64>>(positions: I) -> Self {
        Self {
            deleted: positions.into_iter().collect(),
        }
    }
}
