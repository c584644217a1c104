//! Manifests and manifest lists: read with everything inherited, so that an entry can be written anywhere as it stands.

mod avro;
mod cache;
mod codec;
mod cut_texts;
mod decode;
mod entry;
mod header;
mod kind;
mod packed;
mod plain;
mod shape;
mod walk;
mod weight;
mod writer;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, Literal, Manifest, ManifestFile, ManifestList, ManifestStatus,
    PrimitiveLiteral, Snapshot, Struct, StructType, TableMetadata,
};

use self::avro::OrReason;
pub(crate) use self::cache::ManifestCache;
pub(crate) use self::entry::{Description, Entry, Lender};
pub(crate) use self::packed::partition_bytes;
pub(crate) use self::plain::Holds;
pub(crate) use self::writer::MetadataWriter;
use crate::at_hand::Met;
use crate::digest;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::schema::widened;

/// Larger manifests take more than about a millisecond to parse, which is too long for a thread that others wait for.
const INLINE_PARSE_BYTES_MAX: usize = 16 << 10;

/// The manifests of a snapshot.
pub(crate) async fn list(
    store: &FileStore,
    table: &TableMetadata,
    snapshot: Option<&Snapshot>,
) -> Result<Vec<ManifestFile>> {
    match snapshot {
        Some(snapshot) => Ok(shared_list(store, table, snapshot).await?.to_vec()),
        None => Ok(Vec::new()),
    }
}

/// The same, shared with whoever else reads them.
pub(crate) async fn shared_list(
    store: &FileStore,
    table: &TableMetadata,
    snapshot: &Snapshot,
) -> Result<Arc<[ManifestFile]>> {
    let location = snapshot.manifest_list();
    if let Some(known) = store.manifests().known_list(location).await {
        store.tell(|at_hand| at_hand.list(location, Met::Kept));
        return Ok(known);
    }
    store.tell(|at_hand| at_hand.list(location, Met::Read));
    let bytes = store.get(location).await?;
    digest::check_whole(location, &bytes)?;
    let manifests: Arc<[ManifestFile]> = parse_list(table, location, &bytes)?.into();
    store.manifests().keep_list(location, &manifests).await;
    Ok(manifests)
}

/// All entries of a manifest, deleted ones too; from the cache if it was read before.
pub(crate) async fn entries(store: &FileStore, manifest: &ManifestFile) -> Result<Arc<[Arc<Entry>]>> {
    if let Some(known) = store.manifests().known(&manifest.manifest_path).await
        && inherited(&known, manifest)
    {
        store.tell(|at_hand| at_hand.manifest(&manifest.manifest_path, Met::Kept));
        return Ok(known);
    }
    // Apart from the rest: a scan has thousands of these futures at once, most of which end above.
    Box::pin(read(store, manifest)).await
}

/// All entries of a manifest, read from its store.
async fn read(store: &FileStore, manifest: &ManifestFile) -> Result<Arc<[Arc<Entry>]>> {
    store.tell(|at_hand| at_hand.manifest(&manifest.manifest_path, Met::Read));
    if manifest.key_metadata.is_some() {
        return Err(TableError::Unsupported {
            what: format!("encrypted manifest {}", manifest.manifest_path),
        });
    }
    let bytes = store.get(&manifest.manifest_path).await?;
    digest::check_whole(&manifest.manifest_path, &bytes)?;
    let entries = match bytes.len() > INLINE_PARSE_BYTES_MAX {
        true => {
            let (store, manifest) = (store.clone(), manifest.clone());
            let task = tokio::task::spawn_blocking(move || decoded(&store, &manifest, &bytes));
            task.await.map_err(TableError::encode("read a manifest"))??
        }
        false => decoded(store, manifest, &bytes)?,
    };
    store.manifests().keep(&manifest.manifest_path, &entries).await;
    Ok(entries)
}

/// Only bytes that were compared with their digest are decoded here: what became of others is for the format's library to say, which
/// refuses more.
fn decoded(store: &FileStore, manifest: &ManifestFile, bytes: &[u8]) -> Result<Arc<[Arc<Entry>]>> {
    let is_compared = digest::told(&manifest.manifest_path).is_some();
    let entries = is_compared.then(|| decode::entries(store.manifests().shapes(), manifest, bytes));
    match entries.flatten() {
        Some(entries) => Ok(entries),
        None => parse(manifest, bytes),
    }
}

/// A catalog may have put the commit on another head than it was planned for: what was kept when the manifest was written has the
/// sequence number of that plan. And the first list of format 3 gives row ids to manifests of before it.
fn inherited(known: &[Arc<Entry>], manifest: &ManifestFile) -> bool {
    let mut data = known
        .iter()
        .filter(|entry| entry.is_live() && entry.file.content_type() == DataContentType::Data);
    if manifest.first_row_id.is_some() && data.any(|entry| entry.file.first_row_id().is_none()) {
        return false;
    }
    let mut added = known.iter().filter(|entry| entry.status == ManifestStatus::Added);
    added.all(|entry| entry.file_sequence == manifest.sequence_number)
}

/// The entries that are part of the snapshot.
pub(crate) async fn live(store: &FileStore, manifest: &ManifestFile) -> Result<Vec<Arc<Entry>>> {
    let entries = entries(store, manifest).await?;
    Ok(entries.iter().filter(|entry| entry.is_live()).cloned().collect())
}

/// The manifests of a list that was read already, whatever the cache holds.
pub(crate) fn parse_list(table: &TableMetadata, location: &str, bytes: &[u8]) -> Result<Vec<ManifestFile>> {
    let version = table.format_version();
    let list = unless_it_gives_up(location, bytes, Holds::Manifests, |plain| {
        ManifestList::parse_with_version(plain, version)
    })?;
    let list = list.map_err(TableError::metadata(format!("read manifest list {location}")))?;
    Ok(list.consume_entries().into_iter().collect())
}

/// All entries of a manifest that was read already, deleted ones too, by the format's own library.
pub(crate) fn parse(manifest: &ManifestFile, bytes: &[u8]) -> Result<Arc<[Arc<Entry>]>> {
    let path = &manifest.manifest_path;
    let parsed = unless_it_gives_up(path, bytes, Holds::Files, |plain| match by_the_library(plain) {
        Err(reason) => cut_texts::mended(plain).map_or(Err(reason), |mended| by_the_library(&mended)),
        parsed => parsed,
    })?;
    let parsed = parsed.map_err(TableError::metadata(format!("read manifest {path}")))?;
    let mut next_row_id = manifest.first_row_id;
    let mut found = Vec::with_capacity(parsed.entries().len());
    for entry in parsed.entries() {
        let mut file = entry.data_file().clone();
        // Row ids are handed out in the order of the entries, to live data files that have none of their own.
        if let (true, DataContentType::Data, None, Some(next)) =
            (entry.is_alive(), file.content_type(), file.first_row_id(), next_row_id)
        {
            next_row_id = Some(next + file.record_count());
            let first = i64::try_from(next).map_err(|_| TableError::damaged(format!("row id {next} in {path}")))?;
            file = with_first_row_id(&file, manifest.partition_spec_id, Some(first))?;
        }
        // What an entry does not say, it has from the manifest: all of it if it was added there, numbers of version 1 are 0.
        let inherits = entry.status() == ManifestStatus::Added || manifest.sequence_number == 0;
        let number = |own: Option<i64>| match own {
            Some(own) => Ok(own),
            None if inherits => Ok(manifest.sequence_number),
            None => Err(TableError::damaged(format!(
                "an entry of {path} has no sequence number"
            ))),
        };
        found.push(Arc::new(Entry {
            status: entry.status(),
            file: file.into(),
            spec_id: manifest.partition_spec_id,
            snapshot_id: entry.snapshot_id().unwrap_or(manifest.added_snapshot_id),
            sequence: number(entry.sequence_number())?,
            file_sequence: number(entry.file_sequence_number)?,
        }));
    }
    Ok(found.into())
}

fn by_the_library(plain: &[u8]) -> iceberg::Result<Manifest> {
    match header::hidden(plain) {
        Some(hidden) => Manifest::parse_avro(&hidden),
        None => Manifest::parse_avro(plain),
    }
}

/// The most that the Avro library makes room for at once, bytes or items. It is handed nothing that says more than is there, but of what
/// is there one text may be longer than any that a manifest has.
const ROOM_MAX: usize = 16 << 20;

/// Lets the Avro library read a file, without compression and within limits: files of others have no digest, and whoever may write files
/// may write any. It panics at names in a schema that are none (`Name::from`, apache-avro 0.21).
pub(crate) fn unless_it_gives_up<T>(
    location: &str,
    bytes: &[u8],
    holds: Holds,
    parse: impl FnOnce(&[u8]) -> T,
) -> Result<T> {
    apache_avro::util::max_allocation_bytes(ROOM_MAX);
    let read = || -> OrReason<T> {
        let plain = plain::plain(bytes, holds)?;
        Ok(parse(&plain[..]))
    };
    // Nothing that the parser has half done is looked at again.
    match std::panic::catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(parsed)) => Ok(parsed),
        Ok(Err(reason)) => Err(TableError::damaged(format!("{location} {reason}"))),
        Err(_) => Err(TableError::damaged(format!("the reader of {location} gave up"))),
    }
}

/// The file as its writer described it: it gets row ids from the commit that adds it.
pub(crate) fn without_first_row_id(file: &DataFile, spec_id: i32) -> Result<DataFile> {
    with_first_row_id(file, spec_id, None)
}

fn with_first_row_id(file: &DataFile, spec_id: i32, first_row_id: Option<i64>) -> Result<DataFile> {
    rebuilt(file, spec_id, file.partition().clone(), first_row_id)
}

/// The file in another partition.
pub(crate) fn with_partition(file: &DataFile, spec_id: i32, partition: Struct) -> Result<DataFile> {
    rebuilt(file, spec_id, partition, file.first_row_id())
}

/// The file with its partition's values as ones of these types: a column that the table is partitioned by may have been widened since.
fn with_widened_partition(file: DataFile, spec_id: i32, of: &StructType) -> Result<DataFile> {
    let values = file.partition().iter().zip(of.fields());
    let partition: Struct = values.map(|(value, field)| widened(value, &field.field_type)).collect();
    match partition.fields().len() != file.partition().fields().len() || partition == *file.partition() {
        true => Ok(file),
        false => with_partition(&file, spec_id, partition),
    }
}

/// A partition as a key, which is the same before a column is widened and after it.
pub fn partition_key(partition: &Struct) -> Struct {
    let widest = |value: Option<&Literal>| {
        Some(match value? {
            Literal::Primitive(PrimitiveLiteral::Int(number)) => Literal::long(i64::from(*number)),
            Literal::Primitive(PrimitiveLiteral::Float(number)) => Literal::double(f64::from(number.0)),
            other => other.clone(),
        })
    };
    partition.iter().map(widest).collect()
}

/// A `DataFile` cannot be changed from outside its crate, so it is built again, field by field.
fn rebuilt(file: &DataFile, spec_id: i32, partition: Struct, first_row_id: Option<i64>) -> Result<DataFile> {
    let mut builder = DataFileBuilder::default();
    builder
        .content(file.content_type())
        .file_path(file.file_path().to_owned())
        .file_format(file.file_format())
        .partition(partition)
        .partition_spec_id(spec_id)
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .column_sizes(file.column_sizes().clone())
        .value_counts(file.value_counts().clone())
        .null_value_counts(file.null_value_counts().clone())
        .nan_value_counts(file.nan_value_counts().clone())
        .lower_bounds(file.lower_bounds().clone())
        .upper_bounds(file.upper_bounds().clone())
        .key_metadata(file.key_metadata().map(<[u8]>::to_vec))
        .split_offsets(file.split_offsets().map(<[i64]>::to_vec))
        .equality_ids(file.equality_ids())
        .first_row_id(first_row_id)
        .referenced_data_file(file.referenced_data_file())
        .content_offset(file.content_offset())
        .content_size_in_bytes(file.content_size_in_bytes());
    if let Some(order) = file.sort_order_id() {
        builder.sort_order_id(order);
    }
    builder
        .build()
        .map_err(|error| TableError::damaged(format!("file {}: {error}", file.file_path())))
}
