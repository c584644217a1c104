//! The fields of a line: where each begins and ends.
//!
//! What stands in a payload is for the decoder to judge, which reads every byte of it anyway.

use std::borrow::Cow;

use super::ends::{Known, container_end, object_end, scalar_end, text_end};
use crate::decode::special;

/// A field's name and its value as it stands.
pub(super) type Field<'a> = (Cow<'a, str>, &'a [u8]);

/// Fields of an object, in order. After a broken one nothing follows.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    text: &'a [u8],
    at: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Within,
    End,
}

/// The text is no object, as far as it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoObject;

impl<'a> Fields<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            state: State::Begin,
        }
    }

    fn step(&mut self) -> Option<Option<Field<'a>>> {
        let Some(name) = self.step_to_value()? else {
            return Some(None);
        };
        Some(Some((name, self.value()?)))
    }

    /// The next field's name; its value begins where it ends up.
    fn step_to_value(&mut self) -> Option<Option<Cow<'a, str>>> {
        if self.state == State::Begin {
            self.take(b'{')?;
            if self.peek()? == b'}' {
                return self.finish();
            }
        } else {
            match self.peek()? {
                b',' => self.take(b',')?,
                _ => return self.finish(),
            }
        }
        self.state = State::Within;
        self.peek()?;
        let name = self.value()?;
        let name = text_of(name)?;
        self.take(b':')?;
        self.peek()?;
        Some(Some(name))
    }

    /// The next field's name; none at the end. Its value has to be taken next.
    pub(super) fn name(&mut self) -> Result<Option<Cow<'a, str>>, NoObject> {
        if self.state == State::End {
            return Ok(None);
        }
        self.step_to_value().ok_or(NoObject)
    }

    /// The value of the field whose name was taken.
    pub(super) fn plain_value(&mut self) -> Result<&'a [u8], NoObject> {
        self.value().ok_or(NoObject)
    }

    /// The same where the value is an object: its first field. None if it is null.
    pub(super) fn first_of_value(&mut self, known: &mut Known) -> Result<Option<Field<'a>>, NoObject> {
        self.first_within(known).ok_or(NoObject)
    }

    fn first_within(&mut self, known: &mut Known) -> Option<Option<Field<'a>>> {
        if self.text.get(self.at)? != &b'{' {
            return (self.value()? == b"null").then_some(None);
        }
        self.take(b'{')?;
        self.peek()?;
        let name = text_of(self.value()?)?;
        self.take(b':')?;
        let first = match self.peek()? {
            b'{' => {
                let first = Fields::of(self.text.get(self.at..)?).begin_of_first();
                let end = object_end(self.text, self.at, first.map(|begin| self.at + begin), known)?;
                let object = self.text.get(self.at..end)?;
                self.at = end;
                object
            }
            _ => self.value()?,
        };
        while self.peek()? == b',' {
            self.take(b',')?;
            self.peek()?;
            text_of(self.value()?)?;
            self.take(b':')?;
            self.peek()?;
            self.value()?;
        }
        self.take(b'}')?;
        Some(Some((name, first)))
    }

    /// Where the first field's value begins.
    fn begin_of_first(mut self) -> Option<usize> {
        self.step_to_value()??;
        Some(self.at)
    }

    /// The end of the object, behind which nothing may stand.
    fn finish<T>(&mut self) -> Option<Option<T>> {
        self.take(b'}')?;
        self.state = State::End;
        self.peek().is_none().then_some(None)
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// The value that begins here.
    fn value(&mut self) -> Option<&'a [u8]> {
        let end = match self.text.get(self.at)? {
            b'"' => text_end(self.text, self.at + 1)?,
            b'{' | b'[' => container_end(self.text, self.at, 0)?,
            _ => scalar_end(self.text, self.at)?,
        };
        let value = self.text.get(self.at..end);
        self.at = end;
        value
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, NoObject>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::End {
            return None;
        }
        let Some(field) = self.step() else {
            self.state = State::End;
            return Some(Err(NoObject));
        };
        field.map(Ok)
    }
}

/// What a text stands for, with its quotes given.
pub(super) fn text_of(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if special(inner, 0) == inner.len() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    sonic_rs::from_slice::<String>(quoted).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Result<Vec<(String, Vec<u8>)>, NoObject> {
        Fields::of(text)
            .map(|field| field.map(|(name, value)| (name.into_owned(), value.to_vec())))
            .collect()
    }

    // Goal: what is no object is told. Method: broken ones.
    #[test]
    fn broken_objects() {
        for text in [
            "",
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{\"a\":[1}",
            "{a:1}",
            "{\"a\":\"",
            "{\"a\":\"\\\"}",
            "{,}",
            "{}}",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(read(b" { } "), Ok(Vec::new()));
    }

    proptest! {
        // Goal: fields are those of a real parser. Method: random objects, with blanks and without.
        #[test]
        fn fields_are_found(
            of in prop::collection::btree_map(".{0,6}", (".{0,6}", any::<i64>(), any::<bool>()), 0..5), pretty in any::<bool>()
        ) {
            let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
            let text = write(&of).expect("JSON");
            let found = read(text.as_bytes()).expect("an object");
            prop_assert_eq!(found.len(), of.len());
            for ((name, value), (key, expected)) in found.iter().zip(&of) {
                prop_assert_eq!(name, key);
                let value: (String, i64, bool) = serde_json::from_slice(value).expect("JSON");
                prop_assert_eq!(&value, expected);
            }
        }

        // Goal: payloads end where a parser says, whatever was known before. Method: lines with a long first object, which is there
        // again, changed, or missing.
        #[test]
        fn known_objects_change_nothing(
            schemas in prop::collection::vec(prop::collection::vec("[a-z{}\"\\\\]{0,40}", 0..40), 1..4),
            rows in prop::collection::vec((any::<prop::sample::Index>(), "[a-z{}\"]{0,9}", any::<bool>()), 1..8),
        ) {
            let mut known = Known::default();
            for (schema, row, payload) in rows {
                let schema = serde_json::json!({"fields": schema.get(&schemas)});
                let mut json = serde_json::json!({"schema": schema});
                if payload {
                    json["payload"] = serde_json::json!({"a": row, "b": {}});
                }
                let line = serde_json::json!({"value": {"json": json}}).to_string();
                let mut fields = Fields::of(line.as_bytes());
                let name = fields.name().expect("an object");
                prop_assert_eq!(name.as_deref(), Some("value"));
                let (name, value) = fields.first_of_value(&mut known).expect("an object").expect("a payload");
                prop_assert_eq!(&*name, "json");
                let found: serde_json::Value = serde_json::from_slice(value).expect("JSON");
                prop_assert_eq!(found, json);
                prop_assert_eq!(fields.name(), Ok(None));
            }
        }

        // Goal: no bytes make it panic or run on for ever. Method: bytes that matter to it.
        #[test]
        fn any_bytes(text in prop::collection::vec(prop::sample::select(b"{}[]\",:\\a1 \xff".to_vec()), 0..40)) {
            prop_assert!(Fields::of(&text).count() <= text.len() + 1);
            let mut known = Known::default();
            let mut fields = Fields::of(&text);
            while let Ok(Some(_)) = fields.name() {
                if fields.first_of_value(&mut known).is_err() {
                    break;
                }
            }
        }
    }
}
