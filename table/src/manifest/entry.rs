//! Entries of manifests, and what they say of files: as a writer described them, or packed as they were read.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use iceberg::spec::{DataContentType, DataFile, DataFileFormat, Datum, ManifestStatus, Struct};

use super::packed::{Metric, Packed, partition_bytes};

/// A pair in one of a file's maps takes about this much, its share of free places included.
const COUNT_BYTES: usize = 32;
const BOUND_BYTES: usize = 160;

/// A manifest entry with nothing left to inherit.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) status: ManifestStatus,
    pub(crate) file: Description,
    pub(crate) spec_id: i32,
    pub(crate) snapshot_id: i64,
    pub(crate) sequence: i64,
    pub(crate) file_sequence: i64,
}

impl Entry {
    pub(crate) fn is_live(&self) -> bool {
        self.status != ManifestStatus::Deleted
    }

    /// Memory that it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let heap = match &self.file {
            Description::Packed(packed) => packed.heap_bytes(),
            Description::Whole(file) => whole_bytes(file),
        };
        size_of::<Self>() + heap
    }
}

fn whole_bytes(file: &DataFile) -> usize {
    let counts = [
        file.column_sizes(),
        file.value_counts(),
        file.null_value_counts(),
        file.nan_value_counts(),
    ];
    let counts: usize = counts.iter().map(|counts| counts.len()).sum();
    let bounds = file.lower_bounds().len() + file.upper_bounds().len();
    let maps = counts * COUNT_BYTES + bounds * BOUND_BYTES;
    size_of::<DataFile>() + file.file_path().len() + partition_bytes(file.partition()) + maps
}

/// What is known of a file.
#[derive(Debug, Clone)]
pub(crate) enum Description {
    Whole(Box<DataFile>),
    Packed(Packed),
}

impl From<DataFile> for Description {
    fn from(file: DataFile) -> Self {
        Self::Whole(Box::new(file))
    }
}

impl Description {
    pub(crate) fn whole(&self) -> Cow<'_, DataFile> {
        match self {
            Self::Whole(file) => Cow::Borrowed(file),
            Self::Packed(packed) => Cow::Owned(packed.unpacked()),
        }
    }

    pub(crate) fn file_path(&self) -> &str {
        match self {
            Self::Whole(file) => file.file_path(),
            Self::Packed(packed) => packed.path(),
        }
    }

    pub(crate) fn content_type(&self) -> DataContentType {
        match self {
            Self::Whole(file) => file.content_type(),
            Self::Packed(packed) => packed.content,
        }
    }

    pub(crate) fn file_format(&self) -> DataFileFormat {
        match self {
            Self::Whole(file) => file.file_format(),
            Self::Packed(packed) => packed.format,
        }
    }

    pub(crate) fn partition(&self) -> &Struct {
        match self {
            Self::Whole(file) => file.partition(),
            Self::Packed(packed) => &packed.partition,
        }
    }

    pub(crate) fn record_count(&self) -> u64 {
        match self {
            Self::Whole(file) => file.record_count(),
            Self::Packed(packed) => packed.record_count,
        }
    }

    pub(crate) fn file_size_in_bytes(&self) -> u64 {
        match self {
            Self::Whole(file) => file.file_size_in_bytes(),
            Self::Packed(packed) => packed.size_bytes,
        }
    }

    pub(crate) fn first_row_id(&self) -> Option<i64> {
        match self {
            Self::Whole(file) => file.first_row_id(),
            Self::Packed(packed) => packed.first_row_id,
        }
    }

    pub(crate) fn referenced_data_file(&self) -> Option<String> {
        match self {
            Self::Whole(file) => file.referenced_data_file(),
            Self::Packed(packed) => packed.referenced_data_file(),
        }
    }

    pub(crate) fn content_offset(&self) -> Option<i64> {
        match self {
            Self::Whole(file) => file.content_offset(),
            Self::Packed(packed) => packed.content_offset(),
        }
    }

    pub(crate) fn content_size_in_bytes(&self) -> Option<i64> {
        match self {
            Self::Whole(file) => file.content_size_in_bytes(),
            Self::Packed(packed) => packed.content_size_in_bytes(),
        }
    }

    /// Gives the bytes of each column that has some, with its field id, as far as they are told.
    pub(crate) fn each_column_size(&self, mut each: impl FnMut(i32, u64)) {
        match self {
            Self::Whole(file) => {
                for (id, bytes) in file.column_sizes() {
                    each(*id, *bytes);
                }
            }
            Self::Packed(packed) => packed.each_count(Metric::ColumnSizes, each),
        }
    }

    pub(crate) fn value_count(&self, field_id: i32) -> Option<u64> {
        match self {
            Self::Whole(file) => file.value_counts().get(&field_id).copied(),
            Self::Packed(packed) => packed.count(Metric::Values, field_id),
        }
    }

    pub(crate) fn null_value_count(&self, field_id: i32) -> Option<u64> {
        match self {
            Self::Whole(file) => file.null_value_counts().get(&field_id).copied(),
            Self::Packed(packed) => packed.count(Metric::Nulls, field_id),
        }
    }

    pub(crate) fn nan_value_count(&self, field_id: i32) -> Option<u64> {
        match self {
            Self::Whole(file) => file.nan_value_counts().get(&field_id).copied(),
            Self::Packed(packed) => packed.count(Metric::Nans, field_id),
        }
    }

    pub(crate) fn split_offsets(&self) -> Option<Vec<i64>> {
        match self {
            Self::Whole(file) => file.split_offsets().map(<[i64]>::to_vec),
            Self::Packed(packed) => packed.split_offsets(),
        }
    }

    pub(crate) fn lower_bound(&self, field_id: i32) -> Option<Datum> {
        match self {
            Self::Whole(file) => file.lower_bounds().get(&field_id).cloned(),
            Self::Packed(packed) => packed.bound(Metric::Lower, field_id),
        }
    }

    pub(crate) fn upper_bound(&self, field_id: i32) -> Option<Datum> {
        match self {
            Self::Whole(file) => file.upper_bounds().get(&field_id).cloned(),
            Self::Packed(packed) => packed.bound(Metric::Upper, field_id),
        }
    }
}

/// An entry whose file can be lent out whole: it is unpacked when somebody first asks, and goes with whoever asked.
#[derive(Debug, Clone)]
pub(crate) struct Lender {
    entry: Arc<Entry>,
    unpacked: OnceLock<Box<DataFile>>,
}

impl Lender {
    pub(crate) fn new(entry: Arc<Entry>) -> Self {
        let unpacked = OnceLock::new();
        Self { entry, unpacked }
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    pub(crate) fn file(&self) -> &DataFile {
        match &self.entry.file {
            Description::Whole(file) => file,
            Description::Packed(packed) => self.unpacked.get_or_init(|| Box::new(packed.unpacked())),
        }
    }
}
