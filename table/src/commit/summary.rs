//! The snapshot summary: what this commit changed, and the totals carried on from the parent.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{DataContentType, DataFile, DataFileFormat, Snapshot, Struct};

#[derive(Debug, Default)]
struct Side {
    data_files: u64,
    records: u64,
    bytes: u64,
    delete_files: u64,
    position_files: u64,
    vectors: u64,
    equality_files: u64,
    positions: u64,
    equalities: u64,
}

impl Side {
    fn of(files: &[&DataFile]) -> Self {
        let mut side = Self::default();
        for file in files {
            // Many deletion vectors share one Puffin file: only the blob counts.
            side.bytes += file
                .content_size_in_bytes()
                .map_or_else(|| file.file_size_in_bytes(), i64::unsigned_abs);
            match (file.content_type(), file.file_format()) {
                (DataContentType::Data, _) => {
                    side.data_files += 1;
                    side.records += file.record_count();
                }
                (DataContentType::PositionDeletes, format) => {
                    side.delete_files += 1;
                    side.positions += file.record_count();
                    match format {
                        DataFileFormat::Puffin => side.vectors += 1,
                        _ => side.position_files += 1,
                    }
                }
                (DataContentType::EqualityDeletes, _) => {
                    side.delete_files += 1;
                    side.equality_files += 1;
                    side.equalities += file.record_count();
                }
            }
        }
        side
    }
}

pub(super) fn build(
    parent: Option<&Snapshot>,
    added: &[&DataFile],
    removed: &[&DataFile],
    extra: &HashMap<String, String>,
) -> HashMap<String, String> {
    let (plus, minus) = (Side::of(added), Side::of(removed));
    let mut summary = extra.clone();
    for (name, value) in [
        ("added-data-files", plus.data_files),
        ("deleted-data-files", minus.data_files),
        ("added-records", plus.records),
        ("deleted-records", minus.records),
        ("added-files-size", plus.bytes),
        ("removed-files-size", minus.bytes),
        ("added-delete-files", plus.delete_files),
        ("removed-delete-files", minus.delete_files),
        ("added-position-delete-files", plus.position_files),
        ("removed-position-delete-files", minus.position_files),
        ("added-dvs", plus.vectors),
        ("removed-dvs", minus.vectors),
        ("added-equality-delete-files", plus.equality_files),
        ("removed-equality-delete-files", minus.equality_files),
        ("added-position-deletes", plus.positions),
        ("removed-position-deletes", minus.positions),
        ("added-equality-deletes", plus.equalities),
        ("removed-equality-deletes", minus.equalities),
    ] {
        if value > 0 {
            summary.insert(name.into(), value.to_string());
        }
    }
    let partitions: HashSet<&Struct> = added.iter().chain(removed).map(|file| file.partition()).collect();
    summary.insert("changed-partition-count".into(), partitions.len().to_string());
    for (name, plus, minus) in [
        ("total-data-files", plus.data_files, minus.data_files),
        ("total-records", plus.records, minus.records),
        ("total-files-size", plus.bytes, minus.bytes),
        ("total-delete-files", plus.delete_files, minus.delete_files),
        ("total-position-deletes", plus.positions, minus.positions),
        ("total-equality-deletes", plus.equalities, minus.equalities),
    ] {
        // A parent without the total leaves it unknown for ever; the first snapshot starts from nothing.
        let before = match parent {
            Some(parent) => parent
                .summary()
                .additional_properties
                .get(name)
                .and_then(|v| v.parse::<u64>().ok()),
            None => Some(0),
        };
        if let Some(total) = before.and_then(|before| (before + plus).checked_sub(minus)) {
            summary.insert(name.into(), total.to_string());
        }
    }
    summary
}
