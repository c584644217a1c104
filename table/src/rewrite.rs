//! Which data files are better written anew as fewer, larger ones.
//!
//! Small files are merged in tiers: files of about the same size, once enough of them have gathered. So a row is written anew a
//! few times in its life, however many commits a table gets, where merging all small files each time would write the first ones
//! again with every commit.

use std::cmp::Ordering;
use std::collections::HashMap;

use iceberg::spec::{DataContentType, Struct};

use crate::scan::ScanFile;

/// Files of the lowest tier are smaller than this: about what a commit of a busy second brings.
const LOWEST_TIER_BYTES: u64 = 128 << 10;

/// Each tier holds files this many times as large as the one below.
const TIER_FACTOR: u64 = 8;

/// Which groups come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupOrder {
    /// Those of the most files.
    #[default]
    MostFiles,
    /// Those of the fewest files.
    FewestFiles,
    /// Those of the most bytes.
    MostBytes,
    /// Those of the fewest bytes.
    FewestBytes,
}

impl GroupOrder {
    fn compare(self, one: &RewriteGroup, other: &RewriteGroup) -> Ordering {
        match self {
            Self::MostFiles => other.files.len().cmp(&one.files.len()),
            Self::FewestFiles => one.files.len().cmp(&other.files.len()),
            Self::MostBytes => other.bytes.cmp(&one.bytes),
            Self::FewestBytes => one.bytes.cmp(&other.bytes),
        }
    }
}

/// How files are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewriteOptions {
    /// Size that files are to have.
    pub target_file_size_bytes: u64,
    /// Files of this size are left alone; of three quarters of the target if it is not said.
    pub small_below_bytes: Option<u64>,
    /// Larger files are written anew as several; however large they are, they are left alone if it is not said.
    pub large_above_bytes: Option<u64>,
    /// So many files of one tier make a group.
    pub files_min: usize,
    /// Bytes of a group at most: what one job reads and writes.
    pub group_bytes_max: u64,
    /// Files of a group at most.
    pub group_files_max: usize,
    /// Files of all groups together at most; as many as there are if it is not said.
    pub files_max: Option<usize>,
    /// Merge whatever is small, and not tier by tier: for an operator, or a partition that is done.
    pub everything: bool,
    /// So many files make a group with [`Self::everything`], two if fewer; or two that have more bytes together than a file is to have.
    pub everything_files_min: usize,
    /// Write files of any size anew: for another order of rows, or another compression.
    pub whole: bool,
    /// Which groups come first.
    pub first: GroupOrder,
}

impl Default for RewriteOptions {
    fn default() -> Self {
        Self {
            target_file_size_bytes: 128 << 20,
            small_below_bytes: None,
            large_above_bytes: None,
            files_min: 16,
            group_bytes_max: 512 << 20,
            group_files_max: 1_000,
            files_max: None,
            everything: false,
            everything_files_min: 2,
            whole: false,
            first: GroupOrder::default(),
        }
    }
}

/// Files of one partition that are written anew together.
#[derive(Debug, Clone)]
pub struct RewriteGroup {
    /// What leaves the table.
    pub files: Vec<ScanFile>,
    /// Their size.
    pub bytes: u64,
}

/// The groups among the files of a snapshot (planned with their deletes), each of one partition, in the order that is wanted. A file of
/// which rows are gone is always worth it, as is one that is too large; what is large enough and whole is in no group.
pub fn plan_rewrite(files: Vec<ScanFile>, options: &RewriteOptions) -> Vec<RewriteGroup> {
    let mut tiers: HashMap<(i32, Struct, u32), Vec<ScanFile>> = HashMap::new();
    let small_below = options
        .small_below_bytes
        .unwrap_or(options.target_file_size_bytes / 4 * 3);
    let is_large = |file: &ScanFile| options.large_above_bytes.is_some_and(|most| file.size_bytes > most);
    for file in files {
        let is_right = !is_holed(&file) && !is_large(&file) && file.size_bytes >= small_below;
        if is_right && !options.whole {
            continue;
        }
        let tier = if options.everything { 0 } else { tier(file.size_bytes) };
        let place = (file.spec_id, file.partition.clone(), tier);
        tiers.entry(place).or_default().push(file);
    }
    let mut groups = Vec::new();
    for mut files in tiers.into_values() {
        // Always the same groups for the same files: in the order in which they came.
        files.sort_by(|a, b| (a.sequence, &a.path).cmp(&(b.sequence, &b.path)));
        let files_min = match (options.whole, options.everything) {
            (true, _) => 1,
            (false, true) => options.everything_files_min.max(2),
            (false, false) => options.files_min.max(2),
        };
        let is_full = |group: &RewriteGroup| {
            options.everything && group.files.len() > 1 && group.bytes > options.target_file_size_bytes
        };
        groups.extend(cut(files, options).into_iter().filter(|group| {
            let is_enough = group.files.len() >= files_min || is_full(group);
            is_enough || group.files.iter().any(|file| is_holed(file) || is_large(file))
        }));
    }
    let path = |group: &RewriteGroup| group.files.first().map(|file| file.path.clone());
    groups.sort_by(|one, other| {
        let order = options.first.compare(one, other);
        order.then_with(|| path(one).cmp(&path(other)))
    });
    if let Some(mut left) = options.files_max {
        for group in &mut groups {
            group.files.truncate(left);
            group.bytes = group.files.iter().map(|file| file.size_bytes).sum();
            left -= group.files.len();
        }
        // What is left of the last one may be a single file that nothing is wrong with.
        groups.retain(|group| {
            let files_min = if options.whole { 1 } else { 2 };
            group.files.len() >= files_min || group.files.iter().any(|file| is_holed(file) || is_large(file))
        });
    }
    groups
}

/// Only deletes that name this file, or are by value and have been applied, are worth writing it anew for: those of the whole
/// partition may not touch it.
fn is_holed(file: &ScanFile) -> bool {
    file.deletes.iter().any(|delete| {
        delete.content == DataContentType::EqualityDeletes || delete.data_file().referenced_data_file().is_some()
    })
}

fn tier(bytes: u64) -> u32 {
    (bytes / LOWEST_TIER_BYTES)
        .checked_ilog(TIER_FACTOR)
        .map_or(0, |tier| tier + 1)
}

fn cut(files: Vec<ScanFile>, options: &RewriteOptions) -> Vec<RewriteGroup> {
    let mut groups: Vec<RewriteGroup> = Vec::new();
    for file in files {
        match groups.last_mut() {
            Some(group)
                if group.files.len() < options.group_files_max
                    && group.bytes + file.size_bytes <= options.group_bytes_max =>
            {
                group.bytes += file.size_bytes;
                group.files.push(file);
            }
            _ => groups.push(RewriteGroup {
                bytes: file.size_bytes,
                files: vec![file],
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests;
