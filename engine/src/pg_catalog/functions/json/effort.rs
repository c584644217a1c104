//! How long documents may be looked at: nothing interrupts it, and some questions take time that grows with the square of a document.

use std::cell::Cell;

/// Steps for one document, which take about a second.
const DOCUMENT_STEPS_MAX: usize = 10_000_000;

/// Steps more for each of its bytes: a long one may be looked through more than once.
const BYTE_STEPS: usize = 16;

/// Steps for all documents of one call.
const CALL_STEPS_MAX: usize = 1_000_000_000;

/// The steps that are left.
#[derive(Debug)]
pub(super) struct Effort {
    /// What each document gets, whatever its length.
    document_max: usize,
    document: Cell<usize>,
    call: Cell<usize>,
}

impl Effort {
    /// Of one call.
    pub(super) fn new() -> Self {
        Self::of(DOCUMENT_STEPS_MAX)
    }

    /// Of so many steps for each document.
    pub(super) fn of(document_max: usize) -> Self {
        Self {
            document_max,
            document: Cell::new(document_max),
            call: Cell::new(CALL_STEPS_MAX),
        }
    }

    /// Another document of so many bytes comes.
    pub(super) fn next(&self, bytes: usize) {
        let more = bytes.saturating_mul(BYTE_STEPS);
        self.document.set(self.document_max.saturating_add(more));
    }

    /// Takes so many steps; whether they were left.
    #[must_use]
    pub(super) fn take(&self, steps: usize) -> bool {
        for left in [&self.document, &self.call] {
            match left.get().checked_sub(steps) {
                Some(rest) => left.set(rest),
                None => return false,
            }
        }
        true
    }
}
