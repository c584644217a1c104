//! Arrays of one dimension, as text and in binary.

use bytes::{Buf, Bytes};

/// More elements than a message can hold are no array.
const ITEMS_MAX: usize = 1 << 24;

/// The texts of the elements of `{a,"b c",NULL}`; `None` if it is no such text.
pub(super) fn items(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut characters = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(items);
    }
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = characters.next_if_eq(&'"').is_some();
        let mut item = String::new();
        // Up to what ends the element; a comma says that another one follows.
        let more = loop {
            match characters.next() {
                None if quoted => return None,
                None => break false,
                Some('"') if quoted => {
                    while characters.next_if(|c| c.is_whitespace()).is_some() {}
                    match characters.next() {
                        None => break false,
                        Some(',') => break true,
                        Some(_) => return None,
                    }
                }
                Some(',') if !quoted => break true,
                Some('{' | '}' | '"') if !quoted => return None,
                Some('\\') => item.push(characters.next()?),
                Some(character) => item.push(character),
            }
        };
        items.push(if quoted { Some(item) } else { plain(&item) });
        if !more {
            return Some(items);
        }
    }
}

fn plain(item: &str) -> Option<String> {
    let item = item.trim();
    match item.eq_ignore_ascii_case("null") {
        true => None,
        false => Some(item.to_owned()),
    }
}

/// The type of the elements and their bytes; `None` if it is no array of at most one dimension.
pub(super) fn from_binary(mut sent: Bytes) -> Option<(u32, Vec<Option<Bytes>>)> {
    let dimensions = sent.try_get_i32().ok()?;
    sent.try_get_i32().ok()?;
    let element = sent.try_get_u32().ok()?;
    if dimensions == 0 {
        return Some((element, Vec::new()));
    }
    let count = usize::try_from(sent.try_get_i32().ok()?).ok()?;
    sent.try_get_i32().ok()?;
    if dimensions != 1 || count > ITEMS_MAX || count * 4 > sent.len() {
        return None;
    }
    let items = (0..count).map(|_| match usize::try_from(sent.try_get_i32().ok()?) {
        Err(_) => Some(None),
        Ok(length) if length <= sent.len() => Some(Some(sent.split_to(length))),
        Ok(_) => None,
    });
    Some((element, items.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: elements are told apart as PostgreSQL does. Method: texts with quotes, escapes, nulls and spaces.
    #[test]
    fn elements_are_told_apart() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(items("{}"), Some(vec![]));
        assert_eq!(items("{a, b}"), Some(vec![some("a"), some("b")]));
        assert_eq!(
            items(r#"{"a,b","c\"d",""}"#),
            Some(vec![some("a,b"), some("c\"d"), some("")])
        );
        assert_eq!(items(r#"{NULL,"NULL",x}"#), Some(vec![None, some("NULL"), some("x")]));
        assert_eq!(items("{1,2,NULL}"), Some(vec![some("1"), some("2"), None]));
        assert_eq!(items("{{1},{2}}"), None);
        assert_eq!(items(r#"{"a}"#), None);
    }
}
