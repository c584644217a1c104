//! How data files are written, and what the properties of their table say about it.

use std::collections::HashMap;

use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TableError};

const TARGET_FILE_SIZE: &str = "write.target-file-size-bytes";
const CODEC: &str = "write.parquet.compression-codec";
const LEVEL: &str = "write.parquet.compression-level";
const ROW_GROUP_BYTES: &str = "write.parquet.row-group-size-bytes";
/// PyIceberg's: the other writers have no limit of rows.
const ROW_GROUP_ROWS: &str = "write.parquet.row-group-limit";

const KEYS: &[&str] = &[TARGET_FILE_SIZE, CODEC, LEVEL, ROW_GROUP_BYTES, ROW_GROUP_ROWS];

/// What gzip has where nobody chooses, as everywhere.
const GZIP_LEVEL: u32 = 6;
/// What parquet's own writer has.
const BROTLI_LEVEL: u32 = 1;

/// How data files are written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// A file is closed once it is about this large.
    pub target_file_size_bytes: u64,
    /// Most rows of a row group.
    pub row_group_rows_max: usize,
    /// About the most bytes of a row group; `None`: only its rows are limited.
    pub row_group_bytes_max: Option<usize>,
    /// Memory for files that are not closed yet: beyond it the largest is closed early.
    pub buffered_bytes_max: u64,
    /// How all files are compressed; `None`: with zstd, and with Snappy where they are small.
    pub codec: Option<ParquetCodec>,
    /// zstd level, of files that are not small, where no codec is chosen.
    pub compression_level: i32,
    /// The rows come in the table's sort order, which the files may then claim.
    pub sorted: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            target_file_size_bytes: 128 << 20,
            row_group_rows_max: 1 << 20,
            row_group_bytes_max: None,
            buffered_bytes_max: 256 << 20,
            codec: None,
            compression_level: 1,
            sorted: false,
        }
    }
}

impl WriteOptions {
    /// As a table's properties say, and where they say nothing, as these are.
    ///
    /// # Errors
    /// [`TableError::Alteration`] for a property whose value is none: files that are written otherwise than somebody asked for would
    /// be noticed late.
    pub fn of_properties(&self, properties: &HashMap<String, String>) -> Result<Self> {
        let mut options = self.clone();
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(bytes) = number(properties, TARGET_FILE_SIZE)? {
            options.target_file_size_bytes = bytes;
        }
        if let Some(bytes) = number(properties, ROW_GROUP_BYTES)? {
            options.row_group_bytes_max = Some(size(bytes));
        }
        if let Some(rows) = number(properties, ROW_GROUP_ROWS)? {
            options.row_group_rows_max = size(rows);
        }
        let level = match properties.get(LEVEL) {
            Some(text) => match text.trim().parse::<i32>() {
                Ok(level) => Some(level),
                Err(_) => return Err(refused(LEVEL, text, "it is no whole number")),
            },
            None => None,
        };
        match (properties.get(CODEC), level) {
            (Some(name), _) => options.codec = Some(ParquetCodec::parse(name, level, self.compression_level)?),
            (None, Some(level)) => {
                ParquetCodec::parse("zstd", Some(level), level)?;
                options.compression_level = level;
            }
            (None, None) => {}
        }
        Ok(options)
    }
}

/// Refuses properties that a table with those of `before` is to get, if none of its files could be written then. Properties that are
/// about something else are let through whatever `before` has: another engine may have set it.
///
/// # Errors
/// Those of [`WriteOptions::of_properties`].
pub fn check_write_properties(before: &HashMap<String, String>, set: &HashMap<String, String>) -> Result<()> {
    if !set.keys().any(|key| KEYS.contains(&key.as_str())) {
        return Ok(());
    }
    let mut after = before.clone();
    after.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
    WriteOptions::default().of_properties(&after).map(|_| ())
}

/// A way to compress Parquet files, with its level if it has levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParquetCodec {
    /// Not at all.
    Uncompressed,
    /// Quick, and not small.
    Snappy,
    /// LZ4's blocks as they are, which Parquet calls `LZ4_RAW`: its older `LZ4` is deprecated, as readers disagree on it.
    Lz4,
    /// Known to every reader.
    Gzip(u32),
    /// Small, and slow to write.
    Brotli(u32),
    /// Small and quick.
    Zstd(i32),
}

impl ParquetCodec {
    /// As Iceberg names it. Levels of codecs that have none are not looked at, as other engines do not.
    fn parse(name: &str, level: Option<i32>, zstd_level: i32) -> Result<Self> {
        // A level below zero is none of theirs, and neither is what stands for it.
        let unsigned = |usual: u32| level.map_or(usual, |level| u32::try_from(level).unwrap_or(u32::MAX));
        let codec = match name.trim().to_ascii_lowercase().as_str() {
            "zstd" => Self::Zstd(level.unwrap_or(zstd_level)),
            "gzip" => Self::Gzip(unsigned(GZIP_LEVEL)),
            "brotli" => Self::Brotli(unsigned(BROTLI_LEVEL)),
            "snappy" => Self::Snappy,
            "lz4" | "lz4_raw" => Self::Lz4,
            "uncompressed" | "none" => Self::Uncompressed,
            _ => {
                let reason = "there are zstd, gzip, snappy, lz4, brotli and uncompressed";
                return Err(refused(CODEC, name, reason));
            }
        };
        match codec.compression() {
            Ok(_) => Ok(codec),
            Err(_) => {
                let level = level.unwrap_or(zstd_level).to_string();
                Err(refused(LEVEL, &level, &format!("{} has no such level", name.trim())))
            }
        }
    }

    /// As the Parquet writer has it.
    ///
    /// # Errors
    /// For a level that the codec does not have.
    pub(super) fn compression(self) -> parquet::errors::Result<Compression> {
        Ok(match self {
            Self::Uncompressed => Compression::UNCOMPRESSED,
            Self::Snappy => Compression::SNAPPY,
            Self::Lz4 => Compression::LZ4_RAW,
            Self::Gzip(level) => Compression::GZIP(GzipLevel::try_new(level)?),
            Self::Brotli(level) => Compression::BROTLI(BrotliLevel::try_new(level)?),
            Self::Zstd(level) => Compression::ZSTD(ZstdLevel::try_new(level)?),
        })
    }
}

/// Nothing if it is not said.
fn number(properties: &HashMap<String, String>, key: &str) -> Result<Option<u64>> {
    let Some(text) = properties.get(key) else {
        return Ok(None);
    };
    match text.trim().parse::<u64>() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(refused(key, text, "it is no whole number above 0")),
    }
}

fn refused(key: &str, value: &str, reason: &str) -> TableError {
    TableError::Alteration {
        what: format!("table property {key} = '{value}'"),
        reason: reason.into(),
        advice: format!(
            "set it to what it can be, or let the default hold: ALTER TABLE … UNSET TBLPROPERTIES ('{key}')"
        ),
    }
}

#[cfg(test)]
mod tests;
