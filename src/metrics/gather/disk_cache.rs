//! The cache of remote files on the local disk, of processes that have one.

use tidewater_table::DiskCacheFigures;

use super::Group;

/// What it has counted, and what it holds.
pub(super) fn groups(figures: &DiskCacheFigures) -> Vec<Group> {
    let counted = [
        (
            "tidewater_disk_cache_hits",
            "Blocks read without asking the store",
            figures.hits,
        ),
        (
            "tidewater_disk_cache_hit_bytes",
            "Bytes read without asking the store",
            figures.hit_bytes,
        ),
        (
            "tidewater_disk_cache_misses",
            "Blocks asked of the store",
            figures.misses,
        ),
        (
            "tidewater_disk_cache_miss_bytes",
            "Bytes asked of the store",
            figures.miss_bytes,
        ),
        (
            "tidewater_disk_cache_joined",
            "Waits for what others had asked the store already",
            figures.joined,
        ),
        (
            "tidewater_disk_cache_damaged",
            "Blocks that were changed on the disk, and read from the store instead",
            figures.damaged,
        ),
        (
            "tidewater_disk_cache_evicted",
            "Blocks removed to make room",
            figures.evicted,
        ),
        (
            "tidewater_disk_cache_unkept",
            "Blocks that the disk had no time or no room for",
            figures.unkept,
        ),
        (
            "tidewater_disk_cache_errors",
            "Times that the disk failed or had lost a block",
            figures.errors,
        ),
    ];
    let held = [
        (
            "tidewater_disk_cache_bytes",
            "Disk that the blocks take",
            figures.held_bytes,
        ),
        (
            "tidewater_disk_cache_blocks",
            "Blocks that are kept",
            figures.held_blocks,
        ),
        (
            "tidewater_disk_cache_off",
            "Whether it is out of use for a while because the disk failed",
            u64::from(figures.is_off),
        ),
    ];
    let counted = counted.into_iter().map(|figure| group(figure, true));
    counted
        .chain(held.into_iter().map(|figure| group(figure, false)))
        .collect()
}

fn group((name, help, value): (&str, &'static str, u64), counts: bool) -> Group {
    Group {
        name: name.to_owned(),
        help,
        counts,
        values: vec![(None, i64::try_from(value).unwrap_or(i64::MAX))],
    }
}
