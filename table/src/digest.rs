//! Digests of the files that are written here, so that a changed bit is told from a right one: of the whole file in its name,
//! of each column chunk in the footer of a Parquet file.
//!
//! The name is the one place that every table format keeps to the letter wherever an entry goes, and that costs nothing to find.

use parquet::file::metadata::{KeyValue, ParquetMetaData, RowGroupMetaData};

use crate::error::{Result, TableError};

/// Between a file's own name and its digest.
const MARK: &str = "-b3";

/// Hexadecimal digits in a name: 64 bits of BLAKE3. A flip goes unseen once in 1.8e19 times, and an entry grows by 19 bytes.
const DIGITS: usize = 16;

/// Footer key of the chunks' checksums: CRC-32 of each, eight digits, by row group and column in the order of the file.
const CHUNKS_KEY: &str = "tidewater.chunk-crc32";

/// The name of a file with these bytes.
pub(crate) fn named(stem: &str, extension: &str, bytes: &[u8]) -> String {
    format!("{stem}{MARK}{}.{extension}", digest(bytes))
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().chars().take(DIGITS).collect()
}

/// Whether a file has the bytes that its name tells; `None` if the name tells nothing.
pub(crate) fn holds(location: &str, bytes: &[u8]) -> Option<bool> {
    told(location).map(|told| told == digest(bytes))
}

/// Refuses bytes that are not those that the name tells.
pub(crate) fn check(location: &str, bytes: &[u8]) -> Result<()> {
    match holds(location, bytes) {
        Some(false) => Err(TableError::damaged(format!(
            "{location} has other bytes than were written"
        ))),
        Some(true) | None => Ok(()),
    }
}

/// The digest in a name.
pub(crate) fn told(location: &str) -> Option<&str> {
    let name = location.rsplit('/').next()?;
    let (stem, _) = name.rsplit_once('.')?;
    let (_, digits) = stem.rsplit_once(MARK)?;
    let is_digest = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(digits)
}

/// What the footer is to say of the row groups that are written.
pub(crate) fn of_chunks(groups: &[RowGroupMetaData], bytes: &[u8]) -> Option<KeyValue> {
    let mut digits = String::new();
    for chunk in groups.iter().flat_map(RowGroupMetaData::columns) {
        digits += &format!("{:08x}", crc32fast::hash(slice(bytes, chunk.byte_range())?));
    }
    Some(KeyValue::new(CHUNKS_KEY.to_owned(), digits))
}

/// The columns whose bytes are not those that were written; `None` if the footer does not tell of all of them.
pub(crate) fn changed_columns(footer: &ParquetMetaData, bytes: &[u8]) -> Option<Vec<String>> {
    let said = footer.file_metadata().key_value_metadata()?;
    let said = said.iter().find(|pair| pair.key == CHUNKS_KEY)?.value.as_deref()?;
    let chunks: Vec<_> = footer.row_groups().iter().flat_map(RowGroupMetaData::columns).collect();
    if said.len() != chunks.len() * 8 || !said.is_ascii() {
        return None;
    }
    let mut changed = Vec::new();
    for (at, chunk) in chunks.into_iter().enumerate() {
        let told = said.get(at * 8..at * 8 + 8)?;
        let found = slice(bytes, chunk.byte_range()).map(|bytes| format!("{:08x}", crc32fast::hash(bytes)));
        let column = chunk.column_descr().path().string();
        if found.as_deref() != Some(told) && !changed.contains(&column) {
            changed.push(column);
        }
    }
    Some(changed)
}

fn slice(bytes: &[u8], (start, length): (u64, u64)) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: only names that were made here tell a digest. Method: names of other engines, and of this one.
    #[test]
    fn names_tell_their_bytes() {
        let name = format!("file:///a/{}", named("0199-x", "parquet", b"abc"));
        assert_eq!(holds(&name, b"abc"), Some(true));
        assert_eq!(holds(&name, b"abd"), Some(false));
        for other in [
            "s3://x/00000-0-0199e6b3-7c1f-7b32-b3aa-0123456789ab.parquet",
            "s3://x/a-b3.parquet",
            "s3://x/a-b3xyz4567890123456.parquet",
            "s3://x/a-b30123456789abcdef/data.parquet",
        ] {
            assert_eq!(told(other), None, "{other}");
        }
    }
}
