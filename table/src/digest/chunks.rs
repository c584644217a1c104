//! Checksums of the column chunks of a Parquet file, for those who read it in parts.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::CHUNKS_KEY;

/// Hexadecimal digits of one checksum.
const DIGITS: usize = 8;

/// The column chunks of one file in the order of their bytes.
#[derive(Debug)]
pub struct ChunkChecksums {
    chunks: Box<[Chunk]>,
}

/// One column of one row group.
#[derive(Debug)]
pub struct Chunk {
    start: u64,
    end: u64,
    crc32: u32,
    column: usize,
    was_compared: AtomicBool,
}

impl ChunkChecksums {
    /// What the footer of a file tells; `None` if it does not tell of all chunks, or if the file's name is not one that is made here:
    /// other engines do not tell, or copy what a footer told of other bytes.
    pub fn told(location: &str, footer: &ParquetMetaData) -> Option<Self> {
        super::told(location)?;
        let told = footer.file_metadata().key_value_metadata()?;
        let told = told.iter().find(|pair| pair.key == CHUNKS_KEY)?.value.as_deref()?;
        let groups = footer.row_groups();
        let columns = groups.iter().map(RowGroupMetaData::num_columns).sum::<usize>();
        if told.len() != columns * DIGITS || !told.is_ascii() {
            return None;
        }
        let columns = groups.iter().flat_map(|group| group.columns().iter().enumerate());
        let chunks = columns.enumerate().map(|(at, (column, chunk))| {
            let (start, length) = chunk.byte_range();
            Some(Chunk {
                start,
                end: start.checked_add(length)?,
                crc32: u32::from_str_radix(told.get(at * DIGITS..(at + 1) * DIGITS)?, 16).ok()?,
                column,
                was_compared: AtomicBool::new(false),
            })
        });
        let mut chunks = chunks.collect::<Option<Vec<Chunk>>>()?;
        chunks.sort_by_key(|chunk| chunk.start);
        Some(Self { chunks: chunks.into() })
    }

    /// All of them.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The chunk that these bytes of the file are of, all of them; `None` for indexes and footers.
    pub fn holding(&self, range: &Range<u64>) -> Option<&Chunk> {
        let after = self.chunks.partition_point(|chunk| chunk.start <= range.start);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        (range.end <= chunk.end && range.start < chunk.end).then_some(chunk)
    }

    /// Memory that this takes.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.chunks)
    }
}

impl Chunk {
    /// Its bytes in the file.
    pub fn range(&self) -> Range<u64> {
        self.start..self.end
    }

    /// The column's path in a file's schema.
    pub fn column(&self, footer: &ParquetMetaData) -> String {
        let schema = footer.file_metadata().schema_descr();
        schema.column(self.column).path().string()
    }

    /// Whether these are the bytes that were written.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let holds = crc32fast::hash(bytes) == self.crc32;
        if holds {
            self.was_compared.store(true, Ordering::Relaxed);
        }
        holds
    }

    /// Whether its bytes were found to be right before, so that parts of it can be read alone.
    pub fn was_compared(&self) -> bool {
        self.was_compared.load(Ordering::Relaxed)
    }
}
