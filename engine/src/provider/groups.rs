//! Files spread over the partitions of a scan.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;
use tidewater_table::{FileStore, ScanFile};

use crate::error::Result;

/// A partition with less than this costs more to start than it saves.
const GROUP_BYTES_MIN: u64 = 4 << 20;

/// Small files cost a round trip each, whatever their size: so many of them make a partition worth while.
const GROUP_FILES_MIN: usize = 16;

/// Larger files are cut, so that one does not keep one core busy while the others wait. Row groups are not cut.
const PIECE_BYTES_MAX: u64 = 64 << 20;

/// The files of one object store, in groups of about the same size.
pub(super) struct StoreGroups {
    pub(super) store: ObjectStoreUrl,
    pub(super) groups: Vec<FileGroup>,
    pub(super) files: Vec<ScanFile>,
}

/// Spreads files over at most `partitions_max` groups, largest piece first, each into the group that has the fewest bytes.
/// A cluster never splits a group, so the groups are all the parallelism a scan gets there. Where they are `named`, the path
/// that the table knows a file by goes with it, as a value of its rows.
pub(super) fn spread(
    store: &FileStore,
    files: Vec<ScanFile>,
    partitions_max: usize,
    named: bool,
) -> Result<Vec<StoreGroups>> {
    let mut stores: BTreeMap<String, Vec<(Path, ScanFile)>> = BTreeMap::new();
    for file in files {
        let (base, _, path) = store.object_store(&file.path)?;
        stores.entry(base.into()).or_default().push((path, file));
    }
    let mut spread = Vec::with_capacity(stores.len());
    for (base, files) in stores {
        let wholes = files.iter().map(|(path, file)| {
            let mut whole = whole(path.clone(), file.size_bytes);
            if named {
                whole.partition_values = vec![ScalarValue::from(file.path.as_str())];
            }
            whole
        });
        spread.push(StoreGroups {
            store: ObjectStoreUrl::parse(base)?,
            groups: pack(wholes.collect(), partitions_max),
            files: files.into_iter().map(|(_, file)| file).collect(),
        });
    }
    Ok(spread)
}

fn pack(files: Vec<PartitionedFile>, partitions_max: usize) -> Vec<FileGroup> {
    let bytes: u64 = files.iter().map(PartitionedFile::effective_size).sum();
    let by_bytes = usize::try_from(bytes / GROUP_BYTES_MIN).unwrap_or(usize::MAX);
    let worth = by_bytes.max(files.len() / GROUP_FILES_MIN);
    let mut pieces: Vec<PartitionedFile> = files.into_iter().flat_map(cut).collect();
    // The path breaks ties, so that the same files always make the same plan.
    pieces.sort_by_cached_key(|piece| {
        (
            Reverse(piece.effective_size()),
            piece.path().to_string(),
            piece.range().0,
        )
    });
    let count = worth.clamp(1, partitions_max.max(1)).min(pieces.len().max(1));
    let mut bins: Vec<(u64, Vec<PartitionedFile>)> = Vec::new();
    bins.resize_with(count, Default::default);
    for piece in pieces {
        let smallest = bins.iter_mut().min_by_key(|(bytes, files)| (*bytes, files.len()));
        if let Some((bytes, files)) = smallest {
            *bytes += piece.effective_size();
            files.push(piece);
        }
    }
    bins.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
}

fn whole(location: Path, size: u64) -> PartitionedFile {
    PartitionedFile::new_from_meta(ObjectMeta {
        location,
        // Always the same: data files never change, and the footer cache compares it.
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size,
        e_tag: None,
        version: None,
    })
}

fn cut(whole: PartitionedFile) -> Vec<PartitionedFile> {
    let size = whole.effective_size();
    let pieces = size.div_ceil(PIECE_BYTES_MAX);
    if pieces <= 1 {
        return vec![whole];
    }
    let length = size.div_ceil(pieces);
    let piece = |index: u64| {
        let start = i64::try_from(index * length).unwrap_or(i64::MAX);
        let end = i64::try_from(((index + 1) * length).min(size)).unwrap_or(i64::MAX);
        whole.clone().with_range(start, end)
    };
    (0..pieces).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> PartitionedFile {
        whole(Path::from(name), size)
    }

    // Goal: every byte is read exactly once. Method: files of many sizes, ranges added up by file.
    #[test]
    fn pieces_cover_their_files() {
        let sizes = [
            1,
            PIECE_BYTES_MAX - 1,
            PIECE_BYTES_MAX,
            PIECE_BYTES_MAX + 1,
            5 * PIECE_BYTES_MAX + 7,
        ];
        for partitions in [1, 2, 7, 100] {
            let files = sizes
                .iter()
                .enumerate()
                .map(|(i, size)| file(&format!("f{i}"), *size))
                .collect();
            let groups = pack(files, partitions);
            assert!(groups.len() <= partitions);
            for (i, size) in sizes.iter().enumerate() {
                let mut ranges: Vec<(u64, u64)> = groups
                    .iter()
                    .flat_map(|group| group.files())
                    .filter(|piece| piece.path().as_ref() == format!("f{i}"))
                    .map(PartitionedFile::range)
                    .collect();
                ranges.sort_unstable();
                let mut end = 0;
                for (from, to) in ranges {
                    assert_eq!(from, end);
                    end = to;
                }
                assert_eq!(end, *size);
            }
        }
    }

    // Goal: few small files make one partition, many make several. Method: count the groups.
    #[test]
    fn small_files_share_a_partition() {
        let few = (0..5).map(|i| file(&format!("f{i}"), 1_000)).collect();
        assert_eq!(pack(few, 8).len(), 1);
        let many = (0..100).map(|i| file(&format!("f{i}"), 1_000)).collect();
        assert_eq!(pack(many, 4).len(), 4);
    }
}
