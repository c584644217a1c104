//! The fields of a line: where each begins and ends.
//!
//! What stands in a payload is for the decoder to judge, which reads every byte of it anyway. Here brackets are counted and texts
//! passed over, no more.

use std::borrow::Cow;

use crate::decode::special;

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

    fn step(&mut self) -> Option<Option<(Cow<'a, str>, &'a [u8])>> {
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
        Some(Some((name, self.value()?)))
    }

    /// The end of the object, behind which nothing may stand.
    fn finish(&mut self) -> Option<Option<(Cow<'a, str>, &'a [u8])>> {
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
            b'{' | b'[' => container_end(self.text, self.at)?,
            _ => scalar_end(self.text, self.at)?,
        };
        let value = self.text.get(self.at..end);
        self.at = end;
        value
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(Cow<'a, str>, &'a [u8]), NoObject>;

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

/// The place behind the quote that ends a text.
fn text_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = special(text, at);
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => return None,
        }
    }
}

/// The place behind the bracket that closes the one at `at`.
fn container_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = text_end(text, at + 1)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

fn scalar_end(text: &[u8], begin: usize) -> Option<usize> {
    let length = text
        .get(begin..)?
        .iter()
        .position(|byte| matches!(byte, b',' | b'}' | b']' | b':' | b'"' | b' ' | b'\t' | b'\r' | b'\n'));
    let end = length.map_or(text.len(), |length| begin + length);
    (end > begin).then_some(end)
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

        // Goal: no bytes make it panic or run on for ever. Method: bytes that matter to it.
        #[test]
        fn any_bytes(text in prop::collection::vec(prop::sample::select(b"{}[]\",:\\a1 \xff".to_vec()), 0..40)) {
            prop_assert!(Fields::of(&text).count() <= text.len() + 1);
        }
    }
}
