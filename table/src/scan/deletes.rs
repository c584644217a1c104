//! Which delete files may touch which data files.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{DataContentType, DataFileFormat, ManifestContentType, ManifestFile, Struct, TableMetadata};

use super::{DeleteFile, holds_live, reads_at_once};
use crate::error::Result;
use crate::file_store::FileStore;
use crate::manifest::{self, Entry, Lender, partition_key};

/// The delete files of a snapshot, by what they may touch: a table has many of them, and each data file asks.
pub(crate) struct Deletes {
    entries: Vec<Arc<Entry>>,
    /// Those that name the one data file that they touch, by their places among the entries.
    by_path: HashMap<String, Vec<usize>>,
    /// Those of one partition, by partition spec id and the key of its values.
    by_partition: HashMap<i32, HashMap<Struct, Vec<usize>>>,
    /// Those that touch every partition.
    everywhere: Vec<usize>,
}

impl Deletes {
    /// Those that these manifests list.
    pub(crate) async fn read(store: &FileStore, table: &TableMetadata, manifests: &[ManifestFile]) -> Result<Self> {
        let wanted: Vec<&ManifestFile> = manifests
            .iter()
            .filter(|m| holds_live(m, ManifestContentType::Deletes))
            .collect();
        let at_once = reads_at_once(wanted.iter().copied());
        let reads: Vec<_> = wanted.into_iter().map(|m| manifest::live(store, m)).collect();
        let found: Vec<Vec<Arc<Entry>>> = stream::iter(reads).buffered(at_once).try_collect().await?;
        Ok(Self::new(table, found.concat()))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of them.
    pub(crate) fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    pub(crate) fn new(table: &TableMetadata, entries: Vec<Arc<Entry>>) -> Self {
        let specs = table.partition_specs_iter().filter(|spec| spec.is_unpartitioned());
        let unpartitioned: HashSet<i32> = specs.map(|spec| spec.spec_id()).collect();
        let mut by_path: HashMap<String, Vec<usize>> = HashMap::new();
        let mut by_partition: HashMap<i32, HashMap<Struct, Vec<usize>>> = HashMap::new();
        let mut everywhere = Vec::new();
        for (place, delete) in entries.iter().enumerate() {
            let mut in_partition = || {
                let of_spec = by_partition.entry(delete.spec_id).or_default();
                let partition = partition_key(delete.file.partition());
                of_spec.entry(partition).or_default().push(place);
            };
            match delete.file.content_type() {
                DataContentType::PositionDeletes => match delete.file.referenced_data_file() {
                    Some(path) => by_path.entry(path).or_default().push(place),
                    None => in_partition(),
                },
                DataContentType::EqualityDeletes if unpartitioned.contains(&delete.spec_id) => everywhere.push(place),
                DataContentType::EqualityDeletes => in_partition(),
                DataContentType::Data => {}
            }
        }
        Self {
            entries,
            by_path,
            by_partition,
            everywhere,
        }
    }

    /// Those that may touch a data file by where both lie, whatever their ages: deletes that name it, and those of its partition spec and
    /// partition (equality deletes without one: of all).
    pub(crate) fn in_reach_of(&self, data: &Entry) -> Vec<&Arc<Entry>> {
        let of_path = self.by_path.get(data.file.file_path());
        let of_spec = self.by_partition.get(&data.spec_id);
        let of_partition = of_spec.and_then(|of_spec| of_spec.get(&partition_key(data.file.partition())));
        let places = [of_path, of_partition, Some(&self.everywhere)].into_iter().flatten();
        let mut places: Vec<usize> = places.flatten().copied().collect();
        places.sort_unstable();
        let found = places.into_iter().filter_map(|place| self.entries.get(place));
        found.collect()
    }

    /// Deletes in reach that are newer than the data. A deletion vector holds what position delete files said before it, so it stands
    /// for them (spec, "Scan Planning").
    pub(crate) fn of(&self, data: &Entry) -> Vec<DeleteFile> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut touching = self.in_reach_of(data);
        touching.retain(|delete| is_newer(delete, data));
        if touching.iter().any(|delete| is_vector(delete)) {
            touching
                .retain(|delete| is_vector(delete) || delete.file.content_type() == DataContentType::EqualityDeletes);
        }
        let described = touching.into_iter().map(|entry| DeleteFile {
            path: entry.file.file_path().to_owned(),
            content: entry.file.content_type(),
            sequence: entry.sequence,
            entry: Lender::new(entry.clone()),
        });
        described.collect()
    }
}

/// Rows may be deleted by position in the commit that brings them, by equality only later.
fn is_newer(delete: &Entry, data: &Entry) -> bool {
    match delete.file.content_type() {
        DataContentType::PositionDeletes => delete.sequence >= data.sequence,
        DataContentType::EqualityDeletes => delete.sequence > data.sequence,
        DataContentType::Data => false,
    }
}

fn is_vector(delete: &Entry) -> bool {
    delete.file.content_type() == DataContentType::PositionDeletes
        && delete.file.file_format() == DataFileFormat::Puffin
}
