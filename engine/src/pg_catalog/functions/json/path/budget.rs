//! What following a path may cost. Nothing interrupts it, and what it finds is in nobody's account of memory: a short path can ask for
//! more of a small document than any machine does or holds (`$.**.**.**`, `$[*] ? ($[*] == $[*])`).

use std::cell::Cell;

use super::item::Item;

/// Steps for one document, which take about a second.
const DOCUMENT_STEPS_MAX: usize = 10_000_000;

/// Steps more for each of its bytes: a long one may be looked through more than once.
const BYTE_STEPS: usize = 16;

/// Steps for all documents of one call.
const CALL_STEPS_MAX: usize = 1_000_000_000;

/// Bytes of all that one call finds, far from what a column of texts holds.
const CALL_BYTES_MAX: usize = 512 << 20;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Budget {
    /// What each document gets, whatever its length.
    document_steps_max: usize,
    document_steps: Cell<usize>,
    call_steps: Cell<usize>,
    call_bytes: Cell<usize>,
}

impl Budget {
    /// Of one call.
    pub(super) fn new() -> Self {
        Self::of(DOCUMENT_STEPS_MAX, CALL_BYTES_MAX)
    }

    /// Of so many steps for each document, and so many bytes of what is found.
    pub(super) fn of(document_steps_max: usize, call_bytes: usize) -> Self {
        Self {
            document_steps_max,
            document_steps: Cell::new(document_steps_max),
            call_steps: Cell::new(CALL_STEPS_MAX),
            call_bytes: Cell::new(call_bytes),
        }
    }

    /// Another document of so many bytes comes.
    pub(super) fn next(&self, bytes: usize) {
        let more = bytes.saturating_mul(BYTE_STEPS);
        self.document_steps.set(self.document_steps_max.saturating_add(more));
    }

    /// Takes so many steps, if they are left.
    pub(super) fn pay(&self, steps: usize) -> Result<(), String> {
        for left in [&self.document_steps, &self.call_steps] {
            match left.get().checked_sub(steps) {
                Some(rest) => left.set(rest),
                None => return Err("a jsonpath that takes so many steps in a document is not supported".to_owned()),
            }
        }
        Ok(())
    }

    /// Writes an item as `jsonb` does, if there is room for it.
    pub(super) fn write(&self, item: &Item, out: &mut String) -> Result<(), String> {
        let before = out.len();
        item.write(out);
        match self.call_bytes.get().checked_sub(out.len() - before) {
            Some(rest) => {
                self.call_bytes.set(rest);
                Ok(())
            }
            None => Err("a jsonpath that finds so much in a document is not supported".to_owned()),
        }
    }
}
