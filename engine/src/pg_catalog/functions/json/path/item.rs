//! What a path leads to: a part of a document, or what was made of one.

use std::rc::Rc;
use std::slice;

use super::super::value::{Json, Kind, quote};
use super::budget::Budget;
use super::number::{Number, OVERFLOW};

/// Bytes of a text that are compared, or read as a number, in about a step.
const TEXT_STEP_BYTES: usize = 256;

/// A value, which is as cheap to copy as a plain one.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Null,
    Truth(bool),
    Number(Number),
    Text(Rc<str>),
    Array(Rc<[Item]>),
    Object(Rc<Object>),
}

/// The fields of an object in the order that `jsonb` has them, and a number that no other object has.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) id: i64,
    pub(super) fields: Vec<(String, Item)>,
}

impl Item {
    /// A document in the one form of `jsonb`; objects are counted on from `id`. An error where numbers have too many digits.
    pub(super) fn of(json: &Json<'_>, id: &mut i64, budget: &Budget) -> Result<Self, String> {
        Ok(match &json.kind {
            Kind::Null => Self::Null,
            Kind::Truth(truth) => Self::Truth(*truth),
            Kind::Number => {
                let number = Number::parse(json.text).ok_or(OVERFLOW)?;
                budget.pay(number.cost())?;
                Self::Number(number)
            }
            Kind::Text(text) => Self::Text(text.as_str().into()),
            Kind::Array(items) => {
                let items = items.iter().map(|item| Self::of(item, id, budget));
                Self::Array(items.collect::<Result<Vec<_>, _>>()?.into())
            }
            Kind::Object(fields) => {
                let own = *id;
                *id += 1;
                let fields = fields
                    .iter()
                    .map(|(name, value)| Ok::<_, String>((name.clone(), Self::of(value, id, budget)?)));
                Self::Object(Rc::new(Object {
                    id: own,
                    fields: fields.collect::<Result<Vec<_>, _>>()?,
                }))
            }
        })
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Truth(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// How many steps more than one a step from it counts for.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Number(number) => number.cost(),
            Self::Text(text) => text.len() / TEXT_STEP_BYTES,
            _ => 0,
        }
    }

    /// Whether others lie in it, or could.
    pub(super) fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// The values that lie in it, in their order.
    pub(super) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Array(items) => items.iter().collect(),
            Self::Object(object) => object.fields.iter().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        }
    }

    /// The elements of an array; of anything else, itself.
    pub(super) fn elements(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            other => slice::from_ref(other),
        }
    }

    /// As `jsonb` writes it.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Truth(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::Text(text) => quote(text, out),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(object) => {
                out.push('{');
                for (at, (name, value)) in object.fields.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    quote(name, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}
