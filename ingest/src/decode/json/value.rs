//! Looking at a document.

use super::token::{Kind, Token};
use super::{Scratch, number};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonType {
    Null,
    Boolean,
    Number,
    String,
    Object,
    Array,
}

/// A parsed text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Document<'a> {
    text: &'a str,
    unescaped: &'a str,
    tokens: &'a [Token],
    root: Token,
}

impl<'a> Document<'a> {
    /// What was parsed last with this scratch, from this text.
    pub(crate) fn new(text: &'a str, scratch: &'a Scratch) -> Self {
        Self {
            text,
            unescaped: &scratch.unescaped,
            tokens: &scratch.tokens,
            root: scratch.tokens.first().copied().unwrap_or(Token::NULL),
        }
    }

    /// The value of this token, from this text or this scratch.
    #[inline(always)]
    pub(super) fn of_token(text: &'a str, scratch: &'a Scratch, root: Token) -> Self {
        Self {
            text,
            unescaped: &scratch.unescaped,
            tokens: &scratch.tokens,
            root,
        }
    }

    /// The text, if it is all of the document.
    pub(crate) fn whole(&self) -> Option<&'a str> {
        let first = self.tokens.first()?;
        (*first == self.root).then_some(self.text)
    }

    /// What it takes as text, without a schema that is known.
    pub(crate) fn size_bytes(&self) -> usize {
        self.text.len()
    }

    /// The outermost value.
    pub(crate) fn root(&'a self) -> Value<'a> {
        Value {
            document: self,
            token: self.root,
        }
    }

    /// The document that is the value of this field; null without one.
    pub(crate) fn of_field(mut self, name: &str) -> Self {
        self.root = self.root().get(name).map_or(Token::NULL, |value| value.token);
        self
    }

    #[inline(always)]
    fn text_of(&'a self, token: Token) -> Option<&'a str> {
        let text = match token.kind() {
            Kind::Text => self.text,
            Kind::Unescaped => self.unescaped,
            _ => return None,
        };
        text.get(token.first()..token.after())
    }
}

/// A value of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a> {
    document: &'a Document<'a>,
    token: Token,
}

impl<'a> Value<'a> {
    pub(crate) fn get_type(self) -> JsonType {
        match self.token.kind() {
            Kind::Null => JsonType::Null,
            Kind::False | Kind::True => JsonType::Boolean,
            Kind::Integer | Kind::Number => JsonType::Number,
            Kind::Text | Kind::Unescaped => JsonType::String,
            Kind::Object => JsonType::Object,
            Kind::Array => JsonType::Array,
        }
    }

    #[inline]
    pub(crate) fn is_null(self) -> bool {
        self.token.is(Kind::Null)
    }

    pub(crate) fn as_bool(self) -> Option<bool> {
        match self.token.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// An integer of 64 bits; none for numbers with a point or an exponent, whatever their value.
    #[inline]
    pub(crate) fn as_i64(self) -> Option<i64> {
        let token = self.token.is(Kind::Integer).then_some(self.token)?;
        Some(number::integer(self.document.text.as_bytes(), token.first()))
    }

    /// Likewise without a sign.
    pub(crate) fn as_u64(self) -> Option<u64> {
        match self.as_i64() {
            Some(value) => u64::try_from(value).ok(),
            None => self.as_number()?.parse().ok(),
        }
    }

    /// Any number, rounded to the nearest double.
    #[expect(clippy::cast_precision_loss, reason = "that is what rounding to the nearest is")]
    pub(crate) fn as_f64(self) -> Option<f64> {
        match self.as_i64() {
            Some(value) => Some(value as f64),
            None => number::float(self.as_number()?),
        }
    }

    /// A number that is no integer of 64 bits, as it is written.
    pub(crate) fn as_number(self) -> Option<&'a str> {
        let token = self.token.is(Kind::Number).then_some(self.token)?;
        self.document.text.get(token.first()..token.after())
    }

    /// Whether this is a number that has a point or an exponent, or is beyond 64 bits.
    pub(crate) fn is_float(self) -> bool {
        self.token.is(Kind::Number) && self.as_u64().is_none()
    }

    /// Whether this is such a number, and with no more digits than tell doubles apart.
    pub(crate) fn fits_double(self) -> bool {
        self.is_float() && self.as_number().is_some_and(number::has_digits_of_double)
    }

    /// A text, without escapes.
    #[inline(always)]
    pub(crate) fn as_str(self) -> Option<&'a str> {
        self.document.text_of(self.token)
    }

    pub(crate) fn as_object(self) -> Option<Object<'a>> {
        self.is_object().then(|| Object(Range::within(self)))
    }

    /// The items of an array.
    pub(crate) fn as_array(self) -> Option<Items<'a>> {
        self.is_array().then(|| Items(Range::within(self)))
    }

    pub(crate) fn is_object(self) -> bool {
        self.token.is(Kind::Object)
    }

    pub(crate) fn is_array(self) -> bool {
        self.token.is(Kind::Array)
    }

    /// The first field of that name, if this is an object with one.
    pub(crate) fn get(self, name: &str) -> Option<Value<'a>> {
        self.as_object()?.get(name)
    }
}

/// Values between two places.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    document: &'a Document<'a>,
    at: usize,
    after: usize,
}

impl<'a> Range<'a> {
    fn within(container: Value<'a>) -> Self {
        Self {
            document: container.document,
            at: container.token.first(),
            after: container.token.after(),
        }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<Token> {
        if self.at >= self.after {
            return None;
        }
        let token = *self.document.tokens.get(self.at)?;
        self.at = match token.kind() {
            Kind::Object | Kind::Array => token.after(),
            _ => self.at + 1,
        };
        Some(token)
    }
}

/// Fields in the order of the text; a name may stand twice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a>(Range<'a>);

impl<'a> Object<'a> {
    pub(crate) fn iter(self) -> Fields<'a> {
        Fields(self.0)
    }

    /// The first field of that name.
    pub(crate) fn get(self, name: &str) -> Option<Value<'a>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(crate) fn len(self) -> usize {
        self.iter().count()
    }
}

/// The fields of an object.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a>(Range<'a>);

impl Fields<'_> {
    /// Those before `rest`, which begins within them.
    pub(crate) fn up_to(mut self, rest: &Self) -> Self {
        self.0.after = rest.0.at;
        self
    }

    /// No field at all.
    pub(crate) fn none(mut self) -> Self {
        self.0.after = self.0.at;
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.at >= self.0.after
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Value<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let document = self.0.document;
        let name = document.text_of(self.0.next()?)?;
        let token = self.0.next()?;
        Some((name, Value { document, token }))
    }
}

/// The items of an array.
#[derive(Debug, Clone)]
pub(crate) struct Items<'a>(Range<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let document = self.0.document;
        let token = self.0.next()?;
        Some(Value { document, token })
    }
}
