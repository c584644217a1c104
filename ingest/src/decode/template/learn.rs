//! A template of a record that was just decoded by its names.

use std::collections::HashSet;

use crate::decode::group::Plan;
use crate::decode::groups::{AFTER, BEFORE, Part, ValuePlans};
use crate::decode::json::{Cursor, Literal, Scratch};
use crate::decode::kind::{About, Said, about};

use super::tree::{STEPS_MAX, TEXT_BYTES_MAX};
use super::{End, Form, Meaning, Step, Target, Template, Then};

/// Fields that an unwrapped row must have: fewer could also be a heartbeat, or a schema and its payload.
const ROW_FIELDS_MIN: usize = 4;

/// What a record was, and the plans by which it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    Envelope { op: &'static str, plans: &'a ValuePlans },
    Unwrapped { side: usize, plans: &'a ValuePlans },
    Key(&'a Plan),
}

impl<'a> Shape<'a> {
    pub(crate) fn of_value(said: &Said, plans: &'a ValuePlans) -> Self {
        match said.op {
            Some(op) if said.enveloped => Self::Envelope { op, plans },
            _ => Self::Unwrapped {
                side: said.side(),
                plans,
            },
        }
    }
}

/// The template of a text. None for a text whose like may become something else, and for rare ones, which are not worth it.
pub(crate) fn learn(text: &str, shape: Shape<'_>) -> Option<Template> {
    let mut draft = Draft {
        cursor: Cursor::new(text),
        scratch: Scratch::default(),
        begin: 0,
        text_bytes: 0,
        steps: Vec::new(),
        objects: Vec::new(),
    };
    let (form, op) = match shape {
        Shape::Envelope { op, plans } => {
            draft.object(|draft, name| draft.envelope_field(plans, name))?;
            let before = draft.objects.iter().position(|object| *object == (Part::Row, BEFORE));
            let after = draft.objects.iter().position(|object| *object == (Part::Row, AFTER));
            // Left-out values are told of `before` first. A delete without it needs a key.
            let usual = after.is_none() || before < after;
            (usual && (op != "d" || before.is_some())).then_some(())?;
            (Form::Envelope, Some(op))
        }
        Shape::Unwrapped { side, plans } => {
            draft.objects.push((Part::Row, side));
            let fields = draft.object(|draft, name| draft.row_field(side, plans, name))?;
            (fields >= ROW_FIELDS_MIN).then_some(())?;
            (Form::Unwrapped { side }, None)
        }
        Shape::Key(plan) => {
            draft.objects.push((Part::Key, 0));
            draft.object(|draft, name| match name {
                // A schema may stand beside it.
                "payload" => None,
                _ => draft.column(Part::Key, 0, plan, name, 1),
            })?;
            (Form::Key, None)
        }
    };
    let objects = std::mem::take(&mut draft.objects);
    draft.step(draft.cursor.rest(draft.begin), Then::End(End { objects, op }))?;
    Some(Template {
        form,
        steps: draft.steps,
    })
}

/// A template under construction. All steps answer none where there is to be no template.
struct Draft<'a> {
    cursor: Cursor<'a>,
    scratch: Scratch,
    /// Where the last value ended.
    begin: usize,
    /// Of the steps so far.
    text_bytes: usize,
    steps: Vec<Step>,
    objects: Vec<(Part, usize)>,
}

impl<'a> Draft<'a> {
    /// Reads the object here, and answers how many fields it has. None if a name stands twice: one of both may be an error.
    fn object(&mut self, mut field: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<usize> {
        self.cursor.pass_word(b"{").then_some(())?;
        let mut names = HashSet::new();
        if self.cursor.pass_word(b"}") {
            return Some(0);
        }
        loop {
            let name = self.cursor.pass_name()?;
            names.insert(name).then_some(())?;
            field(self, name)?;
            if !self.cursor.pass_word(b",") {
                self.cursor.pass_word(b"}").then_some(())?;
                return Some(names.len());
            }
        }
    }

    fn envelope_field(&mut self, plans: &ValuePlans, name: &str) -> Option<()> {
        let (part, side, plan) = match name {
            "before" => (Part::Row, BEFORE, &plans.row),
            "after" => (Part::Row, AFTER, &plans.row),
            "source" => (Part::Source, 0, &plans.source),
            "transaction" => (Part::Transaction, 0, &plans.transaction),
            "message" => (Part::Message, 0, &plans.message),
            "op" => return self.value(Meaning::Operation, 1),
            "ts_ms" => return self.value(Meaning::Time, 1),
            _ if tells_control(name) => return None,
            _ => return self.value(Meaning::Nothing, 1),
        };
        if self.cursor.pass_word(b"null") {
            return Some(());
        }
        self.objects.push((part, side));
        self.object(|draft, name| draft.column(part, side, plan, name, 2))?;
        Some(())
    }

    fn row_field(&mut self, side: usize, plans: &ValuePlans, name: &str) -> Option<()> {
        match about(name) {
            Some(About::Deleted) => self.value(Meaning::Deleted, 1),
            Some(About::Operation) => self.value(Meaning::Operation, 1),
            Some(About::Time) => self.value(Meaning::Time, 1),
            Some(About::Source(name)) => {
                let object = (Part::Source, 0);
                if !self.objects.contains(&object) {
                    self.objects.push(object);
                }
                self.column(Part::Source, 0, &plans.source, name, 1)
            }
            // With these it may be an envelope, or no row at all.
            None if name == "op" || tells_control(name) => None,
            None => self.column(Part::Row, side, &plans.row, name, 1),
        }
    }

    fn column(&mut self, part: Part, side: usize, plan: &Plan, name: &str, around: usize) -> Option<()> {
        let (wire, column) = plan.known(name)?;
        let Some(column) = column else {
            // The column is made when it is first needed: until then there is nothing but null.
            return self.cursor.pass_word(b"null").then_some(());
        };
        let of_before = around > 1 && (part, side) == (Part::Row, BEFORE);
        let target = Target {
            part,
            side,
            column,
            wire: wire.clone(),
            name: if of_before {
                format!("before.{name}")
            } else {
                name.to_owned()
            },
        };
        self.value(Meaning::Column(target), around)
    }

    /// A step over the value here, and what stands before it.
    fn value(&mut self, meaning: Meaning, around: usize) -> Option<()> {
        let before = self.cursor.since(self.begin);
        self.cursor.value(around, &mut self.scratch)?;
        self.begin = self.cursor.at();
        self.step(before, Then::Value { meaning, around })
    }

    /// None beyond the size of a tree, so that it costs no more than that.
    fn step(&mut self, before: &'a [u8], then: Then) -> Option<()> {
        self.text_bytes += before.len();
        (self.steps.len() < STEPS_MAX && self.text_bytes <= TEXT_BYTES_MAX).then_some(())?;
        self.steps.push(Step {
            before: Literal::new(before),
            then,
        });
        Some(())
    }
}

/// Fields by which records are told that Debezium writes about itself.
fn tells_control(name: &str) -> bool {
    matches!(name, "event_count" | "data_collections" | "ddl" | "tableChanges")
}
