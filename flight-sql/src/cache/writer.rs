//! What keys are made of: pieces of which each tells its length, so that no two lists of pieces are the same bytes.

use std::fmt::Debug;
use std::time::Duration;

use tidewater_engine::TableState;

use super::Bypass;

/// Pieces of a statement in bytes: generated ones are as large, and looking at them costs as much as running others.
const BYTES_MAX: usize = 1 << 20;

/// Expressions and nodes in each other: a recursion takes of the stack, and a statement of a person is far flatter.
const DEPTH_MAX: usize = 150;

/// Takes pieces down.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Of tables that bear older rows.
    snapshots: Vec<u8>,
    tables: Vec<(TableState, Duration)>,
    depth: usize,
    #[cfg(test)]
    forgets_snapshots: bool,
}

/// A statement, taken down.
pub(super) struct Written {
    /// All but the snapshots of tables that bear older rows. It tells how many of them follow.
    pub(super) bytes: Vec<u8>,
    pub(super) snapshots: Vec<u8>,
    /// These tables, and how old the rows of each may be.
    pub(super) tables: Vec<(TableState, Duration)>,
}

impl Writer {
    /// One whose keys are wrong, for the test that shows that tests would tell.
    #[cfg(test)]
    pub(super) fn forgetting_snapshots() -> Self {
        Self {
            forgets_snapshots: true,
            ..Self::default()
        }
    }

    /// Which snapshot of a table is read.
    pub(super) fn snapshot(&mut self, write: impl FnOnce(&mut Self)) {
        #[cfg(test)]
        if self.forgets_snapshots {
            return;
        }
        write(self);
    }

    /// The same of a table that bears rows which are so much older.
    pub(super) fn borne(&mut self, state: &TableState, allowed: Duration, write: impl FnOnce(&mut Self)) {
        self.tables.push((state.clone(), allowed));
        std::mem::swap(&mut self.bytes, &mut self.snapshots);
        self.snapshot(write);
        std::mem::swap(&mut self.bytes, &mut self.snapshots);
    }

    /// A word of ours that tells which pieces follow.
    pub(super) fn tag(&mut self, word: &'static str) {
        self.text(word);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.piece(text.as_bytes());
    }

    pub(super) fn piece(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// A value whose `Debug` is derived and tells all of it.
    pub(super) fn debug(&mut self, value: &impl Debug) {
        self.text(&format!("{value:?}"));
    }

    pub(super) fn number(&mut self, number: i64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// How many of something follow.
    pub(super) fn count(&mut self, count: usize) {
        self.number(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.bytes.push(u8::from(flag));
    }

    /// Something that may be missing.
    pub(super) fn maybe<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> Result<(), Bypass>,
    ) -> Result<(), Bypass> {
        self.flag(value.is_some());
        match value {
            Some(value) => write(self, value),
            None => Ok(()),
        }
    }

    /// Several of a kind.
    pub(super) fn list<T>(
        &mut self,
        values: &[T],
        mut write: impl FnMut(&mut Self, &T) -> Result<(), Bypass>,
    ) -> Result<(), Bypass> {
        self.count(values.len());
        values.iter().try_for_each(|value| write(self, value))
    }

    /// One level deeper.
    pub(super) fn inside(&mut self, write: impl FnOnce(&mut Self) -> Result<(), Bypass>) -> Result<(), Bypass> {
        if self.depth >= DEPTH_MAX || self.bytes.len() > BYTES_MAX {
            return Err(Bypass::Huge);
        }
        self.depth += 1;
        let written = write(self);
        self.depth -= 1;
        written
    }

    pub(super) fn finish(self) -> Written {
        Written {
            bytes: self.bytes,
            snapshots: self.snapshots,
            tables: self.tables,
        }
    }
}
