//! Digests of the files that are written here, so that a changed bit is told from a right one: of the whole file in its name, for a
//! data file also of what follows its rows, and of each column chunk in its footer.
//!
//! The name is the one place that every table format keeps to the letter wherever an entry goes, and that costs nothing to find.
//! [`Tail`] and [`ChunkChecksums`] are for readers of parts. The catalog names its metadata files with [`named_metadata`], and compares
//! them with [`check_whole`].

mod chunks;
mod tail;

use parquet::file::metadata::{KeyValue, ParquetMetaData, RowGroupMetaData};

pub use self::chunks::{Chunk, ChunkChecksums};
pub use self::tail::Tail;
use crate::error::{Result, TableError};

/// Between a file's own name and its digest.
const MARK: &str = "-b3";

/// The same in the name of a metadata file, where others name a codec: they look for the version before the first dash, some for a UUID of
/// 36 characters behind it, and all for this end.
const METADATA_MARK: &str = ".b3";
const METADATA_END: &str = ".metadata.json";

/// Hexadecimal digits in a name: 64 bits of BLAKE3. A flip goes unseen once in 1.8e19 times, and an entry grows by 19 bytes.
const DIGITS: usize = 16;

/// Footer key of the chunks' checksums: CRC-32 of each, eight digits, by row group and column in the order of the file.
const CHUNKS_KEY: &str = "tidewater.chunk-crc32";

/// The name of a file with these bytes.
pub(crate) fn named(stem: &str, extension: &str, bytes: &[u8]) -> String {
    format!("{stem}{MARK}{}.{extension}", digest(bytes))
}

/// The name of a data file: how long its tail is and the tail's digest stand before the digest of the whole.
pub(crate) fn named_parquet(stem: &str, footer: &ParquetMetaData, bytes: &[u8]) -> String {
    match tail::of(footer, bytes) {
        Some(tail) => named(&format!("{stem}{}", tail::mark(tail)), "parquet", bytes),
        None => named(stem, "parquet", bytes),
    }
}

/// The name of a metadata file with these bytes, in the form `<version>-<uuid>.b3<digest>.metadata.json`; `stem` is what stands before the
/// first dot.
pub fn named_metadata(stem: &str, bytes: &[u8]) -> String {
    format!("{stem}{METADATA_MARK}{}{METADATA_END}", digest(bytes))
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().chars().take(DIGITS).collect()
}

/// Whether a file has the bytes that its name tells; `None` if the name tells nothing.
pub(crate) fn holds(location: &str, bytes: &[u8]) -> Option<bool> {
    told(location).map(|told| told == digest(bytes))
}

/// Refuses bytes of a whole file that are not those that its name tells; names of other engines tell nothing.
///
/// # Errors
/// [`TableError::BytesChanged`].
pub fn check_whole(location: &str, bytes: &[u8]) -> Result<()> {
    match holds(location, bytes) {
        Some(false) => Err(TableError::BytesChanged { what: location.into() }),
        Some(true) | None => Ok(()),
    }
}

/// The digest in a name.
pub(crate) fn told(location: &str) -> Option<&str> {
    Some(split(location)?.1)
}

/// A name's stem and the digest that it tells of the whole file.
fn split(location: &str) -> Option<(&str, &str)> {
    let name = location.rsplit('/').next()?;
    let (stem, digits) = match name.strip_suffix(METADATA_END) {
        Some(stem) => stem.rsplit_once(METADATA_MARK)?,
        None => name.rsplit_once('.')?.0.rsplit_once(MARK)?,
    };
    is_digest(digits).then_some((stem, digits))
}

fn is_digest(digits: &str) -> bool {
    digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
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
pub(crate) fn changed_columns(location: &str, footer: &ParquetMetaData, bytes: &[u8]) -> Option<Vec<String>> {
    let checksums = ChunkChecksums::told(location, footer)?;
    let mut changed = Vec::new();
    for chunk in checksums.chunks() {
        let range = chunk.range();
        let found = slice(bytes, (range.start, range.end - range.start));
        let column = chunk.column(footer);
        if !found.is_some_and(|bytes| chunk.holds(bytes)) && !changed.contains(&column) {
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

    // Goal: a data file's name tells its tail, and names of before, of other engines and of damaged lengths tell none. Method: a file
    // of this crate's writer, and names by hand.
    #[test]
    fn names_of_data_files_tell_their_tails() {
        let tail = b"index and footer";
        let name = named(
            &format!("0199-x{}", tail::mark(tail)),
            "parquet",
            b"rows, index and footer",
        );
        let told = Tail::told(&name).expect("a tail");
        assert_eq!(told.bytes, 16);
        told.check(&name, tail).expect("these bytes");
        told.check(&name, b"index and footeR").expect_err("other bytes");
        told.check(&name, b"x").expect_err("too few bytes");
        assert_eq!(holds(&name, b"rows, index and footer"), Some(true));
        for other in [
            "s3://x/0199-x-b30123456789abcdef.parquet",
            "s3://x/0199-x-tzz-0123456789abcdef-b30123456789abcdef.parquet",
            "s3://x/0199-x-t10-0123456789-b30123456789abcdef.parquet",
            "s3://x/0199-x-t10-0123456789abcdef.parquet",
        ] {
            assert!(Tail::told(other).is_none(), "{other}");
        }
    }

    // Goal: names of metadata files tell their bytes, keep the form that other clients parse, and those of before and of others tell
    // nothing. Method: a name that is made here, taken apart as PyIceberg and Trino do; and names by hand.
    #[test]
    fn names_of_metadata_files_tell_their_bytes() {
        let uuid = "0199e6b3-7c1f-7b32-b3aa-0123456789ab";
        let name = named_metadata(&format!("00012-{uuid}"), b"{}");
        let location = format!("s3://x/metadata/{name}");
        assert_eq!(holds(&location, b"{}"), Some(true));
        assert_eq!(holds(&location, b"{ }"), Some(false));
        let (version, rest) = name.split_once('-').expect("a version");
        let (id, rest) = rest.split_at(36);
        let codec = rest.strip_suffix(".metadata.json").expect("their end");
        assert_eq!((version, id), ("00012", uuid));
        let word = codec.strip_prefix('.').expect("one word");
        assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{codec}");
        for other in [
            format!("s3://x/00012-{uuid}.metadata.json"),
            format!("s3://x/00012-{uuid}.gz.metadata.json"),
            format!("s3://x/00012-{uuid}.b3.metadata.json"),
            format!("s3://x/00012-{uuid}-b30123456789abcdef.metadata.json"),
            format!("s3://x/{name}.gz"),
            format!("s3://x/{name}/1.metadata.json"),
            "s3://x/v3.metadata.json".to_owned(),
        ] {
            assert_eq!(told(&other), None, "{other}");
        }
    }

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
