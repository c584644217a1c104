//! What the header of a manifest says of the entries behind it. It is the same in all manifests of a table that were written with
//! one schema, and takes longer to understand than a few entries do: it is looked at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use iceberg::metadata_columns::get_metadata_field;
use iceberg::spec::{FormatVersion, ManifestMetadata, PrimitiveType, SchemaRef, StructType};

use super::avro::File;
use super::header;
use super::kind::Kind;
use super::weight;

/// Headers that are remembered: each is some kilobytes, and a table has few that are in use.
const SHAPES_MAX: usize = 64;

/// A part of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Status,
    Snapshot,
    Sequence,
    FileSequence,
    File,
    Content,
    Path,
    Format,
    Partition,
    Records,
    Size,
    ColumnSizes,
    Values,
    Nulls,
    Nans,
    Lower,
    Upper,
    Key,
    Splits,
    EqualityIds,
    SortOrder,
    FirstRow,
    Referenced,
    Offset,
    Length,
    /// Nothing that is known here.
    Other,
}

/// How a part is stored.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) part: Part,
    /// The branch of a union that stands for null; `None` for what is always there.
    pub(super) null: Option<i64>,
    pub(super) kind: Kind,
}

/// A partition value.
#[derive(Debug)]
pub(super) struct PartitionValue {
    pub(super) null: Option<i64>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(crate) struct Shape {
    /// Of an entry.
    pub(super) entry: Vec<Field>,
    /// Of the file within it.
    pub(super) file: Vec<Field>,
    pub(super) partition: Vec<PartitionValue>,
    pub(super) spec_id: i32,
    schema: SchemaRef,
}

/// Those that were met.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    known: Mutex<HashMap<blake3::Hash, Option<Arc<Shape>>>>,
}

impl Shapes {
    /// Of the manifest with these bytes; `None` where the format's library has to read it.
    pub(super) fn of(&self, file: &File<'_>, bytes: &[u8]) -> Option<Arc<Shape>> {
        let key = key(file);
        if let Some(known) = self.lock().get(&key) {
            return known.clone();
        }
        let found = Shape::of(file, bytes).map(Arc::new);
        let mut known = self.lock();
        if known.len() >= SHAPES_MAX {
            known.clear();
        }
        known.insert(key, found.clone());
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<blake3::Hash, Option<Arc<Shape>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writers keep the entries of a header in any order.
fn key(file: &File<'_>) -> blake3::Hash {
    let mut entries = file.header.clone();
    entries.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for part in entries.iter().flat_map(|(name, value)| [name, value]) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

impl Shape {
    /// `None` where only the format's library reads such a manifest.
    pub(super) fn of(file: &File<'_>, bytes: &[u8]) -> Option<Self> {
        let schema = weight::avro_schema(file).ok()?;
        weight::check_table_schema(file).ok()?;
        let metadata = match header::hidden(bytes) {
            Some(hidden) => metadata(&File::open(&hidden)?)?,
            None => metadata(file)?,
        };
        // Format 1 has other entries.
        if metadata.format_version == FormatVersion::V1 {
            return None;
        }
        let partition_type = metadata.partition_spec.partition_type(&metadata.schema).ok()?;
        let Kind::Record(entry) = Kind::of(&schema)? else {
            return None;
        };
        let (_, of_file) = entry.iter().find(|(name, _)| name == "data_file")?;
        let Kind::Record(of_file) = of_file.clone() else {
            return None;
        };
        let (_, partition) = of_file.iter().find(|(name, _)| name == "partition")?;
        let partition = partition_values(partition, &partition_type)?;
        let entry = fields(entry, entry_part, &[Part::Status, Part::File])?;
        let always = [
            Part::Content,
            Part::Path,
            Part::Format,
            Part::Partition,
            Part::Records,
            Part::Size,
        ];
        Some(Self {
            entry,
            file: fields(of_file, file_part, &always)?,
            partition,
            spec_id: metadata.partition_spec.spec_id(),
            schema: metadata.schema,
        })
    }

    /// The type of a column's bounds: none for a column that the schema lost, `None` for one that has no bounds.
    pub(super) fn bounds_of(&self, field_id: i32) -> Option<Option<&PrimitiveType>> {
        let field = self
            .schema
            .field_by_id(field_id)
            .or_else(|| get_metadata_field(field_id).ok());
        match field {
            Some(field) => Some(Some(field.field_type.as_primitive_type()?)),
            None => Some(None),
        }
    }
}

fn metadata(file: &File<'_>) -> Option<ManifestMetadata> {
    let entries = file.header.iter();
    let owned = entries.map(|(name, value)| Some((String::from_utf8(name.to_vec()).ok()?, value.to_vec())));
    ManifestMetadata::parse(&owned.collect::<Option<_>>()?).ok()
}

/// What is always there must be, and everything that is known must be of the type that the format gives it.
fn fields(named: Vec<(String, Kind)>, part: fn(&str) -> Part, always: &[Part]) -> Option<Vec<Field>> {
    let mut found = Vec::with_capacity(named.len());
    for (name, kind) in named {
        let part = part(&name);
        let twice = |known: &Field| part != Part::Other && known.part == part;
        if found.iter().any(twice) {
            return None;
        }
        let (null, kind) = if part == Part::Other {
            (None, kind)
        } else {
            split(kind)?
        };
        if (null.is_some() && always.contains(&part)) || !part.fits(&kind) {
            return None;
        }
        found.push(Field { part, null, kind });
    }
    let has = |part: &Part| found.iter().any(|field| field.part == *part);
    always.iter().all(has).then_some(found)
}

/// Null, or a value.
fn split(kind: Kind) -> Option<(Option<i64>, Kind)> {
    let Kind::Union(branches) = kind else {
        return Some((None, kind));
    };
    match <[Kind; 2]>::try_from(branches).ok()? {
        [Kind::Null, kind] if kind != Kind::Null => Some((Some(0), kind)),
        [kind, Kind::Null] => Some((Some(1), kind)),
        _ => None,
    }
}

fn partition_values(kind: &Kind, partition_type: &StructType) -> Option<Vec<PartitionValue>> {
    let Kind::Record(named) = kind else { return None };
    if named.len() != partition_type.fields().len() {
        return None;
    }
    let values = named.iter().zip(partition_type.fields()).map(|((name, kind), field)| {
        let (null, kind) = split(kind.clone())?;
        let fits = match field.field_type.as_primitive_type()? {
            PrimitiveType::Boolean => kind == Kind::Boolean,
            PrimitiveType::Int | PrimitiveType::Date => kind == Kind::Int,
            PrimitiveType::Long | PrimitiveType::Timestamp | PrimitiveType::Timestamptz => kind == Kind::Long,
            PrimitiveType::String => kind == Kind::Text,
            _ => false,
        };
        (fits && *name == field.name).then_some(PartitionValue { null, kind })
    });
    values.collect()
}

fn entry_part(name: &str) -> Part {
    match name {
        "status" => Part::Status,
        "snapshot_id" => Part::Snapshot,
        "sequence_number" => Part::Sequence,
        "file_sequence_number" => Part::FileSequence,
        "data_file" => Part::File,
        _ => Part::Other,
    }
}

fn file_part(name: &str) -> Part {
    match name {
        "content" => Part::Content,
        "file_path" => Part::Path,
        "file_format" => Part::Format,
        "partition" => Part::Partition,
        "record_count" => Part::Records,
        "file_size_in_bytes" => Part::Size,
        "column_sizes" => Part::ColumnSizes,
        "value_counts" => Part::Values,
        "null_value_counts" => Part::Nulls,
        "nan_value_counts" => Part::Nans,
        "lower_bounds" => Part::Lower,
        "upper_bounds" => Part::Upper,
        "key_metadata" => Part::Key,
        "split_offsets" => Part::Splits,
        "equality_ids" => Part::EqualityIds,
        "sort_order_id" => Part::SortOrder,
        "first_row_id" => Part::FirstRow,
        "referenced_data_file" => Part::Referenced,
        "content_offset" => Part::Offset,
        "content_size_in_bytes" => Part::Length,
        _ => Part::Other,
    }
}

impl Part {
    fn fits(self, kind: &Kind) -> bool {
        match self {
            Self::Status | Self::Content | Self::SortOrder => *kind == Kind::Int,
            Self::Snapshot
            | Self::Sequence
            | Self::FileSequence
            | Self::Records
            | Self::Size
            | Self::FirstRow
            | Self::Offset
            | Self::Length => *kind == Kind::Long,
            Self::Path | Self::Format | Self::Referenced => *kind == Kind::Text,
            Self::Key => *kind == Kind::Bytes,
            Self::Splits => *kind == Kind::Array(Box::new(Kind::Long)),
            Self::EqualityIds => *kind == Kind::Array(Box::new(Kind::Int)),
            Self::ColumnSizes | Self::Values | Self::Nulls | Self::Nans => *kind == by_column(Kind::Long),
            Self::Lower | Self::Upper => *kind == by_column(Kind::Bytes),
            Self::File | Self::Partition => matches!(kind, Kind::Record(_)),
            Self::Other => true,
        }
    }
}

/// Maps whose keys are no texts are lists of pairs.
fn by_column(value: Kind) -> Kind {
    let pair = [("key", Kind::Int), ("value", value)].map(|(name, kind)| (name.to_owned(), kind));
    Kind::Array(Box::new(Kind::Record(pair.into())))
}
