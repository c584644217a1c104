//! A path as it was written: what it begins with, its steps, and the conditions of its filters.

use super::item::Item;
use super::pattern::Pattern;

/// A path and its mode.
#[derive(Debug)]
pub(super) struct Path {
    /// Whether what is not there is an error.
    pub(super) strict: bool,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// `$`
    Root,
    /// `@`
    Current,
    /// `last`
    Last,
    Constant(Item),
    Variable(String),
    /// What the steps lead to from a value that has none itself.
    Steps(Box<Self>, Vec<Step>),
    Signed {
        negative: bool,
        of: Box<Self>,
    },
    Reckoned(Box<Self>, Operator, Box<Self>),
    /// A condition as a value; null where it is not known.
    Truth(Box<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Plus,
    Minus,
    Times,
    By,
    Rest,
}

impl Operator {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::By => "/",
            Self::Rest => "%",
        }
    }
}

#[derive(Debug)]
pub(super) enum Step {
    Member(String),
    AnyMember,
    /// Single elements, and some from one to another.
    Elements(Vec<(Value, Option<Value>)>),
    AnyElement,
    /// What lies so deep; [`DEEPEST`] is as deep as there is something.
    Descendants {
        first: u32,
        last: u32,
    },
    Filter(Condition),
    Method(Method),
}

/// `last` as a depth.
pub(super) const DEEPEST: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Type,
    Size,
    Double,
    Ceiling,
    Floor,
    Abs,
    KeyValue,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Size => "size",
            Self::Double => "double",
            Self::Ceiling => "ceiling",
            Self::Floor => "floor",
            Self::Abs => "abs",
            Self::KeyValue => "keyvalue",
        }
    }

    pub(super) fn called(name: &str) -> Option<Self> {
        [
            Self::Type,
            Self::Size,
            Self::Double,
            Self::Ceiling,
            Self::Floor,
            Self::Abs,
            Self::KeyValue,
        ]
        .into_iter()
        .find(|method| method.name().eq_ignore_ascii_case(name))
    }
}

#[derive(Debug)]
pub(super) enum Condition {
    Compared(Value, Comparison, Value),
    StartsWith(Value, Value),
    Like(Value, Pattern),
    Exists(Value),
    Not(Box<Self>),
    Unknown(Box<Self>),
    Both(Box<Self>, Box<Self>),
    Either(Box<Self>, Box<Self>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
