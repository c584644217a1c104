//! Which delete files may touch which data files.

use std::collections::HashSet;
use std::sync::Arc;

use iceberg::spec::{DataContentType, DataFileFormat, ManifestContentType, ManifestFile, TableMetadata};

use super::{DeleteFile, holds_live};
use crate::error::Result;
use crate::file_store::FileStore;
use crate::manifest::{self, Entry};

/// The delete files of a snapshot.
pub(crate) struct Deletes {
    entries: Vec<Arc<Entry>>,
    unpartitioned: HashSet<i32>,
}

impl Deletes {
    /// Those that these manifests list.
    pub(crate) async fn read(store: &FileStore, table: &TableMetadata, manifests: &[ManifestFile]) -> Result<Self> {
        let mut found = Vec::new();
        for manifest in manifests.iter().filter(|m| holds_live(m, ManifestContentType::Deletes)) {
            found.extend(manifest::live(store, manifest).await?);
        }
        Ok(Self::new(table, found))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn new(table: &TableMetadata, entries: Vec<Arc<Entry>>) -> Self {
        let specs = table.partition_specs_iter().filter(|spec| spec.is_unpartitioned());
        Self {
            unpartitioned: specs.map(|spec| spec.spec_id()).collect(),
            entries,
        }
    }

    /// Deletes of the same partition (equality deletes without one: of all) that are newer than the data. A deletion vector
    /// holds what position delete files said before it, so it stands for them (spec, "Scan Planning").
    pub(crate) fn of(&self, data: &Entry) -> Vec<DeleteFile> {
        let mut touching: Vec<_> = self
            .entries
            .iter()
            .filter(|delete| self.touches(delete, data))
            .collect();
        if touching.iter().any(|delete| is_vector(delete)) {
            touching
                .retain(|delete| is_vector(delete) || delete.file.content_type() == DataContentType::EqualityDeletes);
        }
        let described = touching.into_iter().map(|entry| DeleteFile {
            path: entry.file.file_path().to_owned(),
            content: entry.file.content_type(),
            sequence: entry.sequence,
            entry: entry.clone(),
        });
        described.collect()
    }

    fn touches(&self, delete: &Entry, data: &Entry) -> bool {
        let same_partition = || delete.spec_id == data.spec_id && delete.file.partition() == data.file.partition();
        match delete.file.content_type() {
            DataContentType::PositionDeletes => {
                delete.sequence >= data.sequence
                    && match delete.file.referenced_data_file() {
                        Some(path) => path == data.file.file_path(),
                        None => same_partition(),
                    }
            }
            DataContentType::EqualityDeletes => {
                delete.sequence > data.sequence && (self.unpartitioned.contains(&delete.spec_id) || same_partition())
            }
            DataContentType::Data => false,
        }
    }
}

fn is_vector(delete: &Entry) -> bool {
    delete.file.content_type() == DataContentType::PositionDeletes
        && delete.file.file_format() == DataFileFormat::Puffin
}
