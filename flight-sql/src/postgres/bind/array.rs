//! Arrays of one dimension in binary.

use bytes::{Buf, Bytes};

/// More elements than a message can hold are no array.
const ITEMS_MAX: usize = 1 << 24;

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
