//! The usual record: the same text as one that was decoded before, but for its values.
//!
//! Records of a topic differ in what their fields hold, hardly ever in which fields they have and in what order. So of a record
//! that was decoded by its names a template is kept: the bytes between its values, and the column of each value. A record in which
//! just these bytes stand, whatever stands between them, has the same names in the same order; its values are read straight into
//! the columns, and no name is looked at. All others, and those of which a value does not fit, are decoded by their names.
//!
//! The templates of a topic are a tree, as they begin alike: the record is compared once, and chooses its way where they part.
//!
//! Invariant: a record becomes the same row either way. What a value may decide besides its column is therefore part of the
//! template (that `before` is null), checked when all are read (the operation), or makes that none is learnt.

#[cfg(test)]
mod differential;
mod known;
mod learn;
#[cfg(test)]
mod mutated;
#[cfg(test)]
mod tests;
mod tree;

use super::cell::{self, Cell, Placeholder};
use super::group::Notes;
use super::groups::{Groups, Part};
use super::json::{Cursor, Literal, Scratch};
use super::kind::{Said, is_true, operation};
use super::wire::Wire;

pub(crate) use known::Templates;
pub(crate) use learn::{Shape, learn};

/// A record's template.
#[derive(Debug)]
pub(crate) struct Template {
    form: Form,
    steps: Vec<Step>,
}

/// Templates of the same form may be in one tree: equal texts mean equal columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Envelope,
    Unwrapped { side: usize },
    Key,
}

/// Bytes and what follows them.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    before: Literal,
    then: Then,
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    /// A value, within so many containers.
    Value { meaning: Meaning, around: usize },
    /// Nothing.
    End(End),
}

/// What a value is for.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Column(Target),
    Operation,
    Time,
    Deleted,
    Nothing,
}

/// The column of a value.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    part: Part,
    side: usize,
    column: usize,
    wire: Wire,
    /// What notes call it.
    name: String,
}

/// What is known of a record when all its values are read.
#[derive(Debug, PartialEq, Eq)]
struct End {
    /// The structs that are there, with their side.
    objects: Vec<(Part, usize)>,
    /// The operation of an envelope: others go another way.
    op: Option<&'static str>,
}

/// Where and how a record is written.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) groups: &'a mut Groups,
    pub(crate) row: usize,
    pub(crate) placeholder: &'a Placeholder,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) notes: &'a mut Notes,
}

impl Meaning {
    /// Reads a value; false if it goes another way.
    #[inline(always)]
    fn take(&self, cursor: &mut Cursor<'_>, around: usize, sink: &mut Sink<'_>, said: &mut Said) -> bool {
        let Some(document) = cursor.value(around, sink.scratch) else {
            return false;
        };
        let value = document.root();
        match self {
            Self::Column(_) if value.is_null() => {}
            Self::Column(target) => {
                let group = sink.groups.get_mut(target.part);
                let may_have_split = group.may_have_split();
                let column = group.column_mut(target.side, target.column);
                let Some(column) = column.filter(|column| column.len() <= sink.row) else {
                    return false;
                };
                column.pad_to(sink.row);
                match cell::push(column, &target.wire, value, sink.placeholder) {
                    Cell::Stored => {}
                    // It is left out of other columns, too.
                    Cell::Unavailable if may_have_split => return false,
                    // What is in the column stays: of a list or a struct that is all but what is lost.
                    loss @ (Cell::Unavailable | Cell::OutOfRange) if target.part == Part::Row => {
                        sink.notes.lost(loss, &target.name);
                    }
                    _ => return false,
                }
            }
            Self::Operation => match value.as_str().map(operation) {
                Some(None) => return false,
                op => said.op = op.flatten(),
            },
            Self::Time => said.ts_ms = value.as_i64(),
            Self::Deleted => said.deleted = is_true(value),
            Self::Nothing => {}
        }
        true
    }

    /// Takes back what it wrote.
    fn undo(&self, sink: &mut Sink<'_>) {
        if let Self::Column(target) = self
            && let Some(column) = sink.groups.get_mut(target.part).column_mut(target.side, target.column)
        {
            column.truncate(sink.row);
        }
    }
}

impl End {
    /// Whether the values make a record that is written as these are.
    fn admits(&self, form: Form, said: &Said) -> bool {
        // These three are written alike.
        let changed = |op| matches!(op, Some("c" | "r" | "u"));
        match form {
            Form::Envelope => self.op == said.op || (changed(self.op) && changed(said.op)),
            Form::Unwrapped { side } => side == said.side(),
            Form::Key => true,
        }
    }
}
