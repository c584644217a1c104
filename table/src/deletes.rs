//! Row-level deletes: which rows of a data file are gone (Iceberg spec, "Row-level Deletes").
//!
//! [`FileDeletes`] names what a reader of one data file must apply and travels between processes; [`FileDeletes::mask`] reads it
//! and answers the rows by position, [`FileDeletes::kept`] those that are to be read. Deletes by equality become positions too, so
//! readers know one mechanism only.

mod cache;
mod columns;
mod equality;
mod mask;
mod positions;
mod reader;
#[cfg(test)]
mod tests;
mod told;
mod vector;
mod write;

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::ArrayRef;
use iceberg::spec::{DataContentType, DataFile, DataFileFormat, Schema, TableMetadata};
use serde::{Deserialize, Serialize};

pub(crate) use self::cache::DeleteCache;
pub(crate) use self::columns::{Places, Wanted, filled};
pub use self::mask::RowMask;
pub(crate) use self::reader::StoredParquet;
pub(crate) use self::vector::read as read_vector;
pub use self::write::write_deletes;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::scan::{DeleteFile, ScanFile};
use crate::schema::mapped_names;

/// A delete file is held in memory as a whole while it is read.
const DELETE_FILE_BYTES_MAX: u64 = 256 << 20;

/// What is gone from one data file, or which of its rows a change is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileDeletes {
    path: String,
    size_bytes: u64,
    record_count: u64,
    /// Behind all others at most one that is [`Delete::AllBut`].
    deletes: Vec<Delete>,
    /// What the file's partition tells of columns that deletes by value compare and the file may lack: one value each, by field id.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "told")]
    told: Vec<(i32, ArrayRef)>,
    /// What the columns that deletes by value compare are called in files without field ids, if the table maps names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    names: Option<Names>,
}

/// Names of columns in files without field ids, by field id.
type Names = BTreeMap<i32, Vec<String>>;

/// One file, or part of one, that deletes rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Delete {
    /// A deletion vector: a blob in a Puffin file.
    Vector {
        path: String,
        offset: u64,
        length: u64,
        rows: u64,
    },
    /// A Parquet file of paths and positions.
    Positions { path: String },
    /// A Parquet file of values: rows that have them are gone.
    Equality { path: String, columns: Box<Schema> },
    /// All rows but those that these delete are gone. A kind of its own, so that a process that does not know it reads nothing
    /// instead of too much.
    AllBut(Vec<Delete>),
}

impl FileDeletes {
    /// What must be applied to the file; `None` if all its rows are there. Refuses deletes that cannot be read.
    pub fn of(file: &ScanFile, table: &TableMetadata) -> Result<Option<Self>> {
        if file.is_whole() {
            return Ok(None);
        }
        let mut deletes = Delete::all(&file.deletes, table)?;
        if let Some(only) = &file.only {
            deletes.push(Delete::AllBut(Delete::all(only, table)?));
        }
        let compared = Delete::compared(&deletes);
        Ok(Some(Self {
            path: file.path.clone(),
            size_bytes: file.size_bytes,
            record_count: file.record_count,
            told: told::of(file, table, compared.iter().copied())?,
            names: names_of(table, &compared)?,
            deletes,
        }))
    }

    /// Location of the data file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Rows in the data file, before deletes.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Files that delete its rows.
    pub fn delete_files(&self) -> usize {
        let (deletes, only) = self.parts();
        deletes.len() + only.map_or(0, <[Delete]>::len)
    }

    /// The rows that are gone. Delete files and answers are remembered in the store's cache.
    ///
    /// # Errors
    /// [`TableError::Unsupported`] for a file of which a change means some rows only: [`Self::kept`] tells which.
    pub async fn mask(&self, store: &FileStore) -> Result<RowMask> {
        match self.parts() {
            (deletes, None) => self.deleted_by(store, deletes).await,
            (_, Some(_)) => Err(TableError::Unsupported {
                what: format!("naming the rows of {} that a change is not about", self.path),
            }),
        }
    }

    /// The rows to be read, as ranges in order; none is empty and none touches the next. Remembers as [`Self::mask`] does.
    pub async fn kept(&self, store: &FileStore) -> Result<Vec<Range<u64>>> {
        let (deletes, only) = self.parts();
        let Some(only) = only else {
            return Ok(self.deleted_by(store, deletes).await?.kept(self.record_count));
        };
        let meant = self.deleted_by(store, only).await?;
        // A delete by value touches many files and names rows of few: of the others nothing more need be known.
        if meant.is_empty() {
            return Ok(Vec::new());
        }
        let besides = self.deleted_by(store, deletes).await?;
        Ok(meant.without(&besides).lacked(self.record_count))
    }

    /// What deletes its rows, and what deletes the only ones that are meant.
    fn parts(&self) -> (&[Delete], Option<&[Delete]>) {
        match self.deletes.split_last() {
            Some((Delete::AllBut(only), deletes)) => (deletes, Some(only.as_slice())),
            _ => (self.deletes.as_slice(), None),
        }
    }

    async fn deleted_by(&self, store: &FileStore, deletes: &[Delete]) -> Result<RowMask> {
        let mut mask = RowMask::default();
        if deletes.is_empty() {
            return Ok(mask);
        }
        let key = self.cache_key(deletes);
        if let Some(known) = store.deletes().mask(&key).await {
            return Ok(known);
        }
        for delete in deletes {
            match delete {
                Delete::Vector {
                    path,
                    offset,
                    length,
                    rows,
                } => mask.extend(vector::read(store, path, *offset, *length, *rows).await?),
                Delete::Positions { path } => {
                    let positions = positions::read(store, path).await?;
                    mask.extend_from(positions.get(&self.path));
                }
                Delete::Equality { .. } | Delete::AllBut(_) => {}
            }
        }
        let by_value = deletes.iter().filter_map(|delete| match delete {
            Delete::Equality { path, columns } => Some((path.as_str(), columns.as_ref())),
            Delete::Vector { .. } | Delete::Positions { .. } | Delete::AllBut(_) => None,
        });
        let known = equality::Known {
            told: &self.told,
            names: self.names.as_ref(),
        };
        equality::apply(store, &self.path, self.size_bytes, known, by_value, &mut mask).await?;
        store.deletes().keep_mask(key, &mask).await;
        Ok(mask)
    }

    /// Files never change, so their names say everything, but for what columns are called in them.
    fn cache_key(&self, deletes: &[Delete]) -> String {
        let mut key = self.path.clone();
        if let Some(names) = &self.names {
            key.push_str(&format!("\n{names:?}"));
        }
        for delete in deletes {
            key.push('\n');
            match delete {
                Delete::Vector { path, offset, .. } => key.push_str(&format!("{offset} {path}")),
                Delete::Positions { path } | Delete::Equality { path, .. } => key.push_str(path),
                Delete::AllBut(_) => {}
            }
        }
        key
    }
}

/// What these columns are called in files without field ids, if the table maps names.
fn names_of(table: &TableMetadata, compared: &[&Schema]) -> Result<Option<Names>> {
    if compared.is_empty() {
        return Ok(None);
    }
    let Some(mapped) = mapped_names(table)? else {
        return Ok(None);
    };
    let columns = compared.iter().flat_map(|columns| columns.as_struct().fields());
    let names = columns.map(|column| (column.id, mapped.get(&column.id).cloned().unwrap_or_default()));
    Ok(Some(names.collect()))
}

/// The rows that a position delete file or a deletion vector deletes, by data file in the order of their paths; none for a file that
/// deletes by value. Refuses what cannot be read.
pub(crate) async fn positions(
    store: &FileStore,
    table: &TableMetadata,
    file: &DataFile,
) -> Result<Vec<(String, RowMask)>> {
    let mut found = Vec::new();
    match Delete::of(file, table)? {
        Delete::Vector {
            path,
            offset,
            length,
            rows,
        } => {
            let of = file.referenced_data_file();
            let of = of.ok_or_else(|| TableError::damaged(format!("deletion vector {path} is of no data file")))?;
            let mut mask = RowMask::default();
            mask.extend(vector::read(store, &path, offset, length, rows).await?);
            found.push((of, mask));
        }
        Delete::Positions { path } => {
            for (of, positions) in positions::read(store, &path).await?.iter() {
                let mut mask = RowMask::default();
                mask.extend_from(Some(positions));
                found.push((of.clone(), mask));
            }
        }
        Delete::Equality { .. } | Delete::AllBut(_) => {}
    }
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

impl Delete {
    fn all(files: &[DeleteFile], table: &TableMetadata) -> Result<Vec<Self>> {
        // Not unpacked within the file: lists of files are kept.
        let described = |file: &DeleteFile| Self::of(&file.description().whole(), table);
        files.iter().map(described).collect()
    }

    /// The columns that deletes by value compare.
    fn compared(deletes: &[Self]) -> Vec<&Schema> {
        let mut compared = Vec::new();
        for delete in deletes {
            match delete {
                Self::Equality { columns, .. } => compared.push(columns.as_ref()),
                Self::AllBut(only) => compared.extend(Self::compared(only)),
                Self::Vector { .. } | Self::Positions { .. } => {}
            }
        }
        compared
    }

    fn of(file: &DataFile, table: &TableMetadata) -> Result<Self> {
        let path = file.file_path().to_owned();
        let unsupported = |what: &str| TableError::Unsupported {
            what: format!("{what} ({path})"),
        };
        if file.key_metadata().is_some() {
            return Err(unsupported("an encrypted delete file"));
        }
        match (file.content_type(), file.file_format()) {
            (DataContentType::PositionDeletes, DataFileFormat::Puffin) => {
                let part = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
                match (part(file.content_offset()), part(file.content_size_in_bytes())) {
                    (Some(offset), Some(length)) => Ok(Self::Vector {
                        path,
                        offset,
                        length,
                        rows: file.record_count(),
                    }),
                    _ => Err(TableError::damaged(format!(
                        "deletion vector {path} has no offset or no size"
                    ))),
                }
            }
            (_, DataFileFormat::Parquet) if file.file_size_in_bytes() > DELETE_FILE_BYTES_MAX => {
                Err(unsupported("a delete file of more than 256 MiB"))
            }
            (DataContentType::PositionDeletes, DataFileFormat::Parquet) => Ok(Self::Positions { path }),
            (DataContentType::EqualityDeletes, DataFileFormat::Parquet) => {
                let ids = file.equality_ids().unwrap_or_default();
                let columns = Box::new(columns::of_equality(&ids, table, &path)?);
                Ok(Self::Equality { path, columns })
            }
            (_, format) => Err(unsupported(&format!("a delete file in the format {format}"))),
        }
    }
}
