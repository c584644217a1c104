//! Where values end: brackets are counted and texts passed over, no more; and not even that where a schema stands that was passed
//! over before.

use bytes::Bytes;

use crate::decode::special;

/// An object within payloads that was seen before, and how long it was. Where its bytes stand again its end is known: what follows
/// cannot change it.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Bytes);

impl Known {
    /// Shorter objects are passed over as fast as they are compared.
    const BYTES_MIN: usize = 512;

    fn end(&self, text: &[u8], at: usize) -> Option<usize> {
        let stands = !self.0.is_empty() && text.get(at..)?.starts_with(&self.0);
        stands.then(|| at + self.0.len())
    }

    fn learn(&mut self, object: &[u8]) {
        if object.len() >= Self::BYTES_MIN {
            self.0 = Bytes::copy_from_slice(object);
        }
    }
}

/// The place behind the quote that ends a text.
pub(super) fn text_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = special(text, at);
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => return None,
        }
    }
}

/// The place behind the bracket that closes the object at `at`, the value of whose first field begins at `first` and may be an
/// object that is known.
pub(super) fn object_end(text: &[u8], at: usize, first: Option<usize>, known: &mut Known) -> Option<usize> {
    let Some(first) = first.filter(|first| text.get(*first) == Some(&b'{')) else {
        return container_end(text, at, 0);
    };
    let end = match known.end(text, first) {
        Some(end) => end,
        None => {
            let end = container_end(text, first, 0)?;
            known.learn(text.get(first..end)?);
            end
        }
    };
    container_end(text, end, 1)
}

/// The place behind the bracket that closes the one at `at`, or so many that were opened before it.
pub(super) fn container_end(text: &[u8], mut at: usize, mut depth: usize) -> Option<usize> {
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

/// The place behind a number or a word.
pub(super) fn scalar_end(text: &[u8], begin: usize) -> Option<usize> {
    let length = text
        .get(begin..)?
        .iter()
        .position(|byte| matches!(byte, b',' | b'}' | b']' | b':' | b'"' | b' ' | b'\t' | b'\r' | b'\n'));
    let end = length.map_or(text.len(), |length| begin + length);
    (end > begin).then_some(end)
}
