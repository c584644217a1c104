//! One data file or delete file.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use iceberg::spec::DataFileFormat;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::{Damage, Depth, Verified, damage_of, told};
use crate::deletes::{self, StoredParquet};
use crate::digest;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::Entry;

/// A file and all entries that name it: deletion vectors share one.
pub(super) async fn check_file(
    store: &FileStore,
    path: &str,
    entries: &[Arc<Entry>],
    depth: Depth,
) -> Result<Verified> {
    let mut found = Verified {
        files: 1,
        ..Verified::default()
    };
    let Some(first) = entries.first() else { return Ok(found) };
    let length = match store.size(path).await {
        Ok(length) => length,
        Err(error) => {
            found.add(path, None, damage_of(error)?);
            return Ok(found);
        }
    };
    let expected = first.file.file_size_in_bytes();
    if expected != length {
        found.add(
            path,
            None,
            Damage::Size {
                expected,
                found: length,
            },
        );
    }
    if digest::told(path).is_none() {
        found.without_digest = 1;
    }
    let bytes = match depth {
        Depth::Footers => None,
        Depth::Bytes => Some(store.get(path).await?),
    };
    if let Some(bytes) = &bytes {
        found.bytes = bytes.len() as u64;
    }
    let is_wrong = bytes
        .as_ref()
        .is_some_and(|bytes| digest::holds(path, bytes) == Some(false));
    match first.file.file_format() {
        DataFileFormat::Parquet => parquet(store, path, entries, bytes, is_wrong, length, &mut found).await?,
        DataFileFormat::Puffin => {
            if is_wrong {
                found.add(path, None, Damage::Digest);
            }
            vectors(store, path, entries, &mut found).await?;
        }
        // Nothing here reads them; that they are there and of their size is all that can be told.
        _ if is_wrong => found.add(path, None, Damage::Digest),
        _ => {}
    }
    Ok(found)
}

async fn parquet(
    store: &FileStore,
    path: &str,
    entries: &[Arc<Entry>],
    bytes: Option<Bytes>,
    is_wrong: bool,
    length: u64,
    found: &mut Verified,
) -> Result<()> {
    let (path_told, has_digest) = (path.to_owned(), digest::told(path).is_some());
    let footer = match bytes {
        // Decoding takes its time, and a reader of damaged bytes may give up on its own.
        Some(bytes) => {
            let task = tokio::task::spawn_blocking(move || {
                let mut found = Verified::default();
                let footer = look_into(&path_told, &bytes, has_digest, is_wrong, &mut found);
                (footer, found)
            });
            match task.await {
                Ok((footer, inner)) => {
                    found.merge(inner);
                    footer
                }
                Err(_) => {
                    found.add(path, None, Damage::Unreadable("its reader gave up".into()));
                    None
                }
            }
        }
        None => {
            let mut stored = StoredParquet::new(store, path, length);
            // A reader of damaged bytes may give up on its own.
            let read = AssertUnwindSafe(stored.get_metadata(None)).catch_unwind();
            match read.await {
                Ok(Ok(footer)) => Some(footer),
                Ok(Err(error)) => {
                    found.add(path, None, Damage::Unreadable(told(&error)));
                    None
                }
                Err(_) => {
                    found.add(path, None, Damage::Unreadable("its reader gave up".into()));
                    None
                }
            }
        }
    };
    if let Some(footer) = footer {
        let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
        let other = entries
            .iter()
            .map(|entry| entry.file.record_count())
            .find(|count| *count != rows);
        if let Some(expected) = other {
            found.add(path, None, Damage::Rows { expected, found: rows });
        }
    }
    Ok(())
}

/// The footer, if it can be read. Bytes that are not those that were written are searched for the columns that they belong to;
/// a file that has no digest is decoded column by column.
fn look_into(
    path: &str,
    bytes: &Bytes,
    has_digest: bool,
    is_wrong: bool,
    found: &mut Verified,
) -> Option<Arc<ParquetMetaData>> {
    let footer = match ParquetMetaDataReader::new().parse_and_finish(bytes) {
        Ok(footer) => Arc::new(footer),
        Err(error) => {
            if is_wrong {
                found.add(path, None, Damage::Digest);
            }
            found.add(path, None, Damage::Unreadable(told(&error)));
            return None;
        }
    };
    let changed = digest::changed_columns(path, &footer, bytes).unwrap_or_default();
    for column in &changed {
        found.add(path, Some(column.clone()), Damage::Digest);
    }
    if is_wrong && changed.is_empty() {
        // In the footer, in an index, or between the columns.
        found.add(path, None, Damage::Digest);
    }
    if !has_digest {
        for (column, reason) in undecodable(&footer, bytes) {
            found.add(path, Some(column), Damage::Unreadable(reason));
        }
    }
    Some(footer)
}

/// Columns at the top level: what is within a map cannot be read alone.
fn undecodable(footer: &Arc<ParquetMetaData>, bytes: &Bytes) -> Vec<(String, String)> {
    let schema = footer.file_metadata().schema_descr();
    let mut wrong = Vec::new();
    let prepared = ArrowReaderMetadata::try_new(Arc::clone(footer), ArrowReaderOptions::new());
    for (at, column) in schema.root_schema().get_fields().iter().enumerate() {
        let decoded = prepared.as_ref().map_err(told_parquet).and_then(|prepared| {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), prepared.clone());
            let reader = builder.with_projection(ProjectionMask::roots(schema, [at])).build();
            for batch in reader.map_err(|error| told(&error))? {
                batch.map_err(|error| told(&error))?;
            }
            Ok(())
        });
        if let Err(reason) = decoded {
            wrong.push((column.name().to_owned(), reason));
        }
    }
    wrong
}

fn told_parquet(error: &parquet::errors::ParquetError) -> String {
    told(error)
}

/// Deletion vectors carry a checksum of their own.
async fn vectors(store: &FileStore, path: &str, entries: &[Arc<Entry>], found: &mut Verified) -> Result<()> {
    for entry in entries {
        let file = &entry.file;
        let place = (file.content_offset(), file.content_size_in_bytes());
        let (Some(offset), Some(length)) = (
            place.0.and_then(|offset| u64::try_from(offset).ok()),
            place.1.and_then(|length| u64::try_from(length).ok()),
        ) else {
            found.add(path, None, Damage::Unreadable("its entry tells no place in it".into()));
            continue;
        };
        match deletes::read_vector(store, path, offset, length, file.record_count()).await {
            Ok(_) => {}
            Err(error @ (TableError::Store { .. } | TableError::StoreTimeout { .. })) => {
                // Beyond the end of a file that is too short, stores answer with an error of their own.
                match store.size(path).await? < offset.saturating_add(length) {
                    true => found.add(path, None, Damage::Unreadable("it is cut off".into())),
                    false => return Err(error),
                }
            }
            Err(error) => found.add(path, None, Damage::Unreadable(told(&error))),
        }
    }
    Ok(())
}
