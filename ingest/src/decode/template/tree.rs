//! Templates that begin alike, as one tree.

use super::{Form, Sink, Step, Template, Then};
use crate::decode::group::Notes;
use crate::decode::json::Cursor;
use crate::decode::kind::Said;

/// Steps of a tree: a few templates of a table with as many columns as a table may have. With more it begins anew.
pub(super) const STEPS_MAX: usize = 4096;

/// Bytes of the texts of a tree, likewise: blanks and the names of fields that no column has may be megabytes of a record.
pub(super) const TEXT_BYTES_MAX: usize = 1 << 20;

/// Steps that may stand in one place: each is looked at until one fits. With more it begins anew.
const OTHERS_MAX: usize = 16;

/// The templates of one form and schema.
#[derive(Debug)]
pub(super) struct Tree {
    form: Form,
    nodes: Vec<Node>,
    first: Option<usize>,
    text_bytes: usize,
    /// There are too many steps in one place.
    crowded: bool,
}

/// A step, and where it goes on.
#[derive(Debug)]
struct Node {
    step: Step,
    /// What comes behind it.
    next: Option<usize>,
    /// What may stand in its place.
    other: Option<usize>,
}

impl Tree {
    pub(super) fn new(form: Form) -> Self {
        Self {
            form,
            nodes: Vec::new(),
            first: None,
            text_bytes: 0,
            crowded: false,
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Steps, and the bytes of their texts.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        let texts = self.nodes.iter().map(|node| node.step.before.size_bytes());
        (self.nodes.len(), texts.sum())
    }

    /// Adds a template. Where it parts from others it is looked at before them: columns are made when they are first needed, so
    /// that the newest template of a text has the most of them.
    pub(super) fn add(&mut self, template: Template) {
        let text_bytes: usize = template.steps.iter().map(|step| step.before.size_bytes()).sum();
        let full = self.nodes.len() + template.steps.len() > STEPS_MAX || self.text_bytes + text_bytes > TEXT_BYTES_MAX;
        if self.crowded || full {
            *self = Self::new(self.form);
        }
        let mut behind = None;
        for step in template.steps {
            let first = self.behind(behind);
            let (mut known, mut others) = (first, 0);
            while let Some(node) = known.and_then(|at| self.nodes.get(at)).filter(|node| node.step != step) {
                known = node.other;
                others += 1;
            }
            self.crowded |= others > OTHERS_MAX;
            let here = known.unwrap_or_else(|| {
                self.text_bytes += step.before.size_bytes();
                self.nodes.push(Node {
                    step,
                    next: None,
                    other: first,
                });
                let here = self.nodes.len() - 1;
                match behind.and_then(|at: usize| self.nodes.get_mut(at)) {
                    Some(node) => node.next = Some(here),
                    None => self.first = Some(here),
                }
                here
            });
            behind = Some(here);
        }
    }

    /// The first step behind a node, or of all.
    fn behind(&self, node: Option<usize>) -> Option<usize> {
        match node {
            Some(at) => self.nodes.get(at)?.next,
            None => self.first,
        }
    }

    /// Writes a record, if it is of a template.
    #[inline]
    pub(super) fn write(&self, text: &str, sink: &mut Sink<'_>) -> Option<Said> {
        let mut cursor = Cursor::new(text);
        let mut said = Said {
            enveloped: self.form == Form::Envelope,
            ..Said::default()
        };
        let mut at = self.first;
        let mut last = None;
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            if !cursor.pass(&node.step.before) {
                at = node.other;
                continue;
            }
            last = at;
            match &node.step.then {
                Then::Value { meaning, around } => {
                    if !meaning.take(&mut cursor, *around, sink, &mut said) {
                        break;
                    }
                }
                Then::End(end) => {
                    if !(cursor.is_at_end() && end.admits(self.form, &said)) {
                        break;
                    }
                    for (part, side) in &end.objects {
                        sink.groups.get_mut(*part).mark(*side, sink.row);
                    }
                    return Some(said);
                }
            }
            at = node.next;
        }
        self.undo(text, last, sink);
        None
    }

    /// Takes back what was written on the same way up to the step `last`.
    #[cold]
    fn undo(&self, text: &str, last: Option<usize>, sink: &mut Sink<'_>) {
        let mut cursor = Cursor::new(text);
        let mut at = self.first.filter(|_| last.is_some());
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            if !cursor.pass(&node.step.before) {
                at = node.other;
                continue;
            }
            let Then::Value { meaning, around } = &node.step.then else {
                break;
            };
            meaning.undo(sink);
            if at == last || cursor.value(*around, sink.scratch).is_none() {
                break;
            }
            at = node.next;
        }
        *sink.notes = Notes::default();
    }
}
