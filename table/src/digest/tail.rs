//! What follows the rows of a Parquet file: page indexes and footer.

use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use crate::error::{Result, TableError};

/// Before the length of the tail, in hexadecimal digits, and its digest.
const MARK: &str = "-t";

/// What a data file's name tells of its last bytes. Whoever reads them needs no other request, and compares them before anything is
/// made of them: a parser of damaged bytes may take any amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail<'a> {
    /// How many of the file's last bytes it is.
    pub bytes: u64,
    digest: &'a str,
}

impl<'a> Tail<'a> {
    /// `None` for files of other engines, and for those that were written before names told it.
    pub fn told(location: &'a str) -> Option<Self> {
        let (stem, _) = super::split(location)?;
        let (_, told) = stem.rsplit_once(MARK)?;
        let (length, digest) = told.split_once('-')?;
        let bytes = u64::from_str_radix(length, 16).ok()?;
        super::is_digest(digest).then_some(Self { bytes, digest })
    }

    /// Refuses bytes that are not the tail that was written.
    ///
    /// # Errors
    /// [`TableError::BytesChanged`].
    pub fn check(&self, location: &str, bytes: &[u8]) -> Result<()> {
        if super::digest(bytes) == self.digest {
            return Ok(());
        }
        Err(TableError::BytesChanged {
            what: format!("the footer of {location}"),
        })
    }
}

/// What a name says of this tail.
pub(super) fn mark(tail: &[u8]) -> String {
    format!("{MARK}{:x}-{}", tail.len(), super::digest(tail))
}

/// The bytes behind the last column chunk.
pub(super) fn of<'a>(footer: &ParquetMetaData, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let chunks = footer.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let end = chunks.map(|chunk| {
        let (start, length) = chunk.byte_range();
        start.saturating_add(length)
    });
    bytes.get(usize::try_from(end.max().unwrap_or_default()).ok()?..)
}
