//! Files spread over the partitions of a scan.

use std::borrow::Cow;
use std::cmp::Reverse;

use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;
use tidewater_table::FileStore;

use super::alike::ToldFile;
use crate::error::Result;

/// A partition with less than this costs more to start than it saves.
const GROUP_BYTES_MIN: u64 = 4 << 20;

/// Small files cost a round trip each, whatever their size: so many of them make a partition worth while.
const GROUP_FILES_MIN: usize = 16;

/// Larger files are cut, so that one does not keep one core busy while the others wait. Row groups are not cut.
const PIECE_BYTES_MAX: u64 = 64 << 20;

/// The same while there are few files: no more than this many for each partition.
const FEW_BYTES_MAX: u64 = 8 << 20;
const FEW_FILES: usize = 4;

/// The files of one object store, in groups of about the same size.
pub(super) struct StoreGroups<'a> {
    pub(super) store: ObjectStoreUrl,
    pub(super) groups: Vec<FileGroup>,
    pub(super) files: Vec<ToldFile<'a>>,
}

/// A file, and its path within its store.
type Placed<'a> = (Path, ToldFile<'a>);

/// Spreads files over at most `partitions_max` groups, largest piece first, each into the group that has the fewest bytes.
/// A cluster never splits a group, so the groups are all the parallelism a scan gets there. What a file's partition tells goes with
/// it, and where files are `named`, the path that the table knows it by behind that, as one more value of its rows.
pub(super) fn spread<'a>(
    store: &FileStore,
    files: Vec<ToldFile<'a>>,
    partitions_max: usize,
    named: bool,
) -> Result<Vec<StoreGroups<'a>>> {
    let mut stores: Vec<(Cow<'static, str>, Vec<Placed<'a>>)> = Vec::new();
    for of in files {
        let (base, path) = store.place(&of.file.path)?;
        match stores.iter_mut().find(|(known, _)| *known == base) {
            Some((_, files)) => files.push((path, of)),
            None => {
                // One that cannot be opened is told now.
                store.store_at(&base)?;
                stores.push((base, vec![(path, of)]));
            }
        }
    }
    stores.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut spread = Vec::with_capacity(stores.len());
    for (base, files) in stores {
        let few = files.len() <= partitions_max.saturating_mul(FEW_FILES);
        let piece_max = if few { FEW_BYTES_MAX } else { PIECE_BYTES_MAX };
        // Pieces are large, so their files are put in order before there are any.
        let mut in_order: Vec<(Reverse<u64>, &Path, &ToldFile<'a>)> = files
            .iter()
            .map(|(path, of)| (Reverse(of.file.size_bytes), path, of))
            .collect();
        in_order.sort_by(|(one, path, _), (other, other_path, _)| one.cmp(other).then_with(|| path.cmp(other_path)));
        let mut pieces = Vec::with_capacity(files.len());
        for (_, path, of) in in_order {
            let file = of.file;
            let mut whole = whole(path.clone(), file.size_bytes);
            whole.partition_values.clone_from(&of.values);
            if named {
                whole.partition_values.push(ScalarValue::from(file.path.as_str()));
            }
            match file.size_bytes <= piece_max {
                true => pieces.push(whole),
                false => pieces.extend(cut(whole, &file.split_offsets(), piece_max)),
            }
        }
        spread.push(StoreGroups {
            store: ObjectStoreUrl::parse(base)?,
            groups: pack(pieces, files.len(), partitions_max),
            files: files.into_iter().map(|(_, of)| of).collect(),
        });
    }
    Ok(spread)
}

/// `pieces` of so many `files`.
fn pack(mut pieces: Vec<PartitionedFile>, files: usize, partitions_max: usize) -> Vec<FileGroup> {
    let bytes: u64 = pieces.iter().map(PartitionedFile::effective_size).sum();
    let by_bytes = usize::try_from(bytes / GROUP_BYTES_MIN).unwrap_or(usize::MAX);
    let worth = by_bytes.max(files / GROUP_FILES_MIN);
    // The path breaks ties, so that the same files always make the same plan.
    pieces.sort_by(|one, other| {
        let by_size = other.effective_size().cmp(&one.effective_size());
        let by_path = || one.path().cmp(other.path());
        by_size
            .then_with(by_path)
            .then_with(|| one.range().0.cmp(&other.range().0))
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

/// Between row groups, as far as it is known where these `begin`; else into equal parts. A row group is read with the part that it
/// begins in, so parts that are cut elsewhere are of unequal work, however equal their bytes.
fn cut(whole: PartitionedFile, begin: &[u64], piece_max: u64) -> Vec<PartitionedFile> {
    let size = whole.effective_size();
    let mut bounds = vec![0];
    if begin.is_empty() {
        let length = size.div_ceil(size.div_ceil(PIECE_BYTES_MAX).max(1));
        bounds.extend((1..).map(|index| index * length).take_while(|bound| *bound < size));
    }
    let mut last = 0;
    // As many row groups as a piece may hold, but one at least.
    let others = begin.iter().zip(begin.iter().skip(1).chain([&size])).skip(1);
    for (at, next) in others {
        if *at > last && next - last > piece_max {
            bounds.push(*at);
            last = *at;
        }
    }
    if bounds.len() == 1 {
        return vec![whole];
    }
    let ends = bounds.iter().skip(1).chain([&size]);
    let piece = |(start, end): (&u64, &u64)| {
        let [start, end] = [*start, *end].map(|bound| i64::try_from(bound).unwrap_or(i64::MAX));
        whole.clone().with_range(start, end)
    };
    bounds.iter().zip(ends).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> PartitionedFile {
        whole(Path::from(name), size)
    }

    /// Packs files that are cut wherever they may be.
    fn packed(files: Vec<PartitionedFile>, partitions: usize) -> Vec<FileGroup> {
        let count = files.len();
        let pieces = files.into_iter().flat_map(|file| cut(file, &[], FEW_BYTES_MAX));
        pack(pieces.collect(), count, partitions)
    }

    // Goal: row groups stay whole, pieces are no larger than they have to be, and each byte is in one. Method: beginnings of row
    // groups of random sizes, small and large, with and without what lies before the first.
    #[test]
    fn files_are_cut_between_row_groups() {
        let piece_max = 100;
        proptest::proptest!(|(first in 0_u64..8, lengths in proptest::collection::vec(1_u64..250, 1..40))| {
            let mut size = first;
            let begin: Vec<u64> = lengths.iter().map(|length| { size += length; size - length }).collect();
            let pieces: Vec<(u64, u64)> = cut(file("f", size), &begin, piece_max).iter().map(PartitionedFile::range).collect();
            let mut end = 0;
            for (from, to) in &pieces {
                proptest::prop_assert_eq!(*from, end);
                let groups = begin.iter().filter(|at| (*from..*to).contains(at)).count();
                proptest::prop_assert!(groups > 0, "a piece of no row group: {:?}", &pieces);
                proptest::prop_assert!(groups == 1 || to - from <= piece_max, "{:?} of {:?}", &pieces, &begin);
                end = *to;
            }
            proptest::prop_assert_eq!(end, size);
            let least = pieces.windows(2).filter(|two| two[1].1 - two[0].0 <= piece_max).count();
            proptest::prop_assert_eq!(least, 0, "two that could be one: {:?}", &pieces);
        });
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
            let groups = packed(files, partitions);
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
        assert_eq!(packed(few, 8).len(), 1);
        let many = (0..100).map(|i| file(&format!("f{i}"), 1_000)).collect();
        assert_eq!(packed(many, 4).len(), 4);
    }
}
