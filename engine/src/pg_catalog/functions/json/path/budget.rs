//! What following a path may cost. Nothing interrupts it, and what it finds is in nobody's account of memory: a short path can ask for
//! more of a small document than any machine does or holds (`$.**.**.**`, `$[*] ? ($[*] == $[*])`).

use std::cell::Cell;

use super::super::effort::Effort;
use super::item::Item;

/// Bytes of all that one call finds, far from what a column of texts holds.
const CALL_BYTES_MAX: usize = 512 << 20;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Budget {
    effort: Effort,
    call_bytes: Cell<usize>,
}

impl Budget {
    /// Of one call.
    pub(super) fn new() -> Self {
        Self {
            effort: Effort::new(),
            call_bytes: Cell::new(CALL_BYTES_MAX),
        }
    }

    /// Of so many steps for each document, and so many bytes of what is found.
    pub(super) fn of(document_steps_max: usize, call_bytes: usize) -> Self {
        Self {
            effort: Effort::of(document_steps_max),
            call_bytes: Cell::new(call_bytes),
        }
    }

    /// Another document of so many bytes comes.
    pub(super) fn next(&self, bytes: usize) {
        self.effort.next(bytes);
    }

    /// Takes so many steps, if they are left.
    pub(super) fn pay(&self, steps: usize) -> Result<(), String> {
        match self.effort.take(steps) {
            true => Ok(()),
            false => Err("a jsonpath that takes so many steps in a document is not supported".to_owned()),
        }
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
