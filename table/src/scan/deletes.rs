//! Which delete files may touch which data files.

use std::collections::HashSet;
use std::sync::Arc;

use iceberg::spec::{DataContentType, DataFileFormat, TableMetadata};

use super::DeleteFile;
use crate::manifest::Entry;

pub(super) struct Deletes {
    entries: Vec<Arc<Entry>>,
    unpartitioned: HashSet<i32>,
}

impl Deletes {
    pub(super) fn new(table: &TableMetadata, entries: Vec<Arc<Entry>>) -> Self {
        let specs = table.partition_specs_iter().filter(|spec| spec.is_unpartitioned());
        Self {
            unpartitioned: specs.map(|spec| spec.spec_id()).collect(),
            entries,
        }
    }

    /// Deletes of the same partition (equality deletes without one: of all) that are newer than the data. A deletion vector holds
    /// all deleted positions of its file: position deletes beside it are of the past, and not to be read.
    pub(super) fn of(&self, data: &Entry) -> Vec<DeleteFile> {
        let touching = self.entries.iter().filter(|delete| self.touches(delete, data));
        let has_vector = touching.clone().any(|delete| is_vector(delete));
        let is_past = |delete: &Entry| {
            has_vector && delete.file.content_type() == DataContentType::PositionDeletes && !is_vector(delete)
        };
        let touching = touching.filter(|delete| !is_past(delete));
        let described = touching.map(|entry| DeleteFile {
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
