//! Which data files are better written anew as fewer, larger ones.
//!
//! Small files are merged in tiers: files of about the same size, once enough of them have gathered. So a row is written anew a
//! few times in its life, however many commits a table gets, where merging all small files each time would write the first ones
//! again with every commit.

use std::collections::HashMap;

use iceberg::spec::{DataContentType, Struct};

use crate::scan::ScanFile;

/// Files of the lowest tier are smaller than this: about what a commit of a busy second brings.
const LOWEST_TIER_BYTES: u64 = 128 << 10;

/// Each tier holds files this many times as large as the one below.
const TIER_FACTOR: u64 = 8;

/// How files are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewriteOptions {
    /// Size that files are to have. Files of three quarters of it are left alone.
    pub target_file_size_bytes: u64,
    /// So many files of one tier make a group.
    pub files_min: usize,
    /// Bytes of a group at most: what one job reads and writes.
    pub group_bytes_max: u64,
    /// Files of a group at most.
    pub group_files_max: usize,
    /// Merge whatever is small, from two files on, and not tier by tier: for an operator, or a partition that is done.
    pub everything: bool,
    /// Write files of any size anew: for another order of rows, or another compression.
    pub whole: bool,
}

impl Default for RewriteOptions {
    fn default() -> Self {
        Self {
            target_file_size_bytes: 128 << 20,
            files_min: 16,
            group_bytes_max: 512 << 20,
            group_files_max: 1_000,
            everything: false,
            whole: false,
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

/// The groups among the files of a snapshot (planned with their deletes), each of one partition, those with the most files
/// first. A file of which rows are gone is always worth it; what is large enough and whole is in no group.
pub fn plan_rewrite(files: Vec<ScanFile>, options: &RewriteOptions) -> Vec<RewriteGroup> {
    let mut tiers: HashMap<(i32, Struct, u32), Vec<ScanFile>> = HashMap::new();
    for file in files {
        let holed = is_holed(&file);
        if !holed && !options.whole && file.size_bytes >= options.target_file_size_bytes / 4 * 3 {
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
            (false, true) => 2,
            (false, false) => options.files_min.max(2),
        };
        groups.extend(
            cut(files, options)
                .into_iter()
                .filter(|group| group.files.len() >= files_min || group.files.iter().any(is_holed)),
        );
    }
    groups.sort_by(|a, b| (b.files.len(), &a.files[0].path).cmp(&(a.files.len(), &b.files[0].path)));
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
