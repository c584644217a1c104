//! Writes the metadata files of one commit attempt and remembers them, so that a lost attempt can be swept up.

use std::sync::Arc;

use iceberg::io::{FileWrite, MemoryStorage, OutputFile, Storage};
use iceberg::spec::{
    FormatVersion, ManifestContentType, ManifestFile, ManifestListWriter, ManifestStatus, ManifestWriter,
    ManifestWriterBuilder, PartitionSpec, Schema, SchemaRef, StructType, TableMetadata,
};

use super::{Entry, header, with_widened_partition};
use crate::change::Added;
use crate::digest;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::foreign::lies_in;

pub(crate) struct MetadataWriter<'a> {
    store: &'a FileStore,
    table: &'a TableMetadata,
    snapshot_id: i64,
    /// The format library writes here; our store takes the finished bytes, so that they are durable and never overwrite.
    scratch: Arc<dyn Storage>,
    written: Vec<String>,
}

impl<'a> MetadataWriter<'a> {
    pub(crate) fn new(store: &'a FileStore, table: &'a TableMetadata, snapshot_id: i64) -> Self {
        Self {
            store,
            table,
            snapshot_id,
            scratch: Arc::new(MemoryStorage::new()),
            written: Vec::new(),
        }
    }

    pub(crate) fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    /// Whether a file lies in the table's location, as those do that are written here.
    pub(crate) fn owns(&self, path: &str) -> bool {
        lies_in(path, self.table.location().trim_end_matches('/'))
    }

    /// Every file written so far, also when a later step failed.
    pub(crate) fn into_written(self) -> Vec<String> {
        self.written
    }

    pub(crate) async fn manifest(
        &mut self,
        content: ManifestContentType,
        spec_id: i32,
        added: &[Added],
        existing: &[Arc<Entry>],
        deleted: &[Arc<Entry>],
    ) -> Result<ManifestFile> {
        let stem = format!("{}-m{}", self.fresh_name(), self.written.len());
        let path = self.path(&stem);
        let fault = || TableError::metadata(format!("write manifest {path}"));
        let partition_type = self.partition_type(spec_id)?;
        let as_now = |old: &Entry| with_widened_partition(old.file.whole().into_owned(), spec_id, &partition_type);
        let mut writer = self.open(content, spec_id, &path)?;
        for new in added {
            // What deletes rows of older files is of their partitions, as they were written.
            let file = with_widened_partition(new.file.clone(), spec_id, &partition_type)?;
            // A negative number means: inherit the one of the commit.
            writer.add_file(file, -1).map_err(fault())?;
        }
        for old in existing {
            writer
                .add_existing_file(as_now(old)?, old.snapshot_id, old.sequence, Some(old.file_sequence))
                .map_err(fault())?;
        }
        for old in deleted {
            writer
                .add_delete_file(as_now(old)?, old.sequence, Some(old.file_sequence))
                .map_err(fault())?;
        }
        let mut manifest = writer.write_manifest_file().await.map_err(fault())?;
        let (path, file_bytes) = self.publish(&stem).await?;
        manifest.manifest_path.clone_from(&path);
        manifest.manifest_length = i64::try_from(file_bytes).unwrap_or(i64::MAX);
        // The next append folds this manifest in: it need not be read and parsed again. Format 3 gives row ids only when the
        // list is written, so there it must be.
        if self.table.format_version() == FormatVersion::V2 {
            let entries = self.entries(spec_id, added, existing, deleted);
            self.store.manifests().keep(&path, &entries).await;
        }
        Ok(manifest)
    }

    /// What reading the manifest will answer once it is committed. If it is not, nobody ever reads it.
    fn entries(
        &self,
        spec_id: i32,
        added: &[Added],
        existing: &[Arc<Entry>],
        deleted: &[Arc<Entry>],
    ) -> Arc<[Arc<Entry>]> {
        let sequence = self.table.last_sequence_number() + 1;
        let added = added.iter().map(|new| Entry {
            status: ManifestStatus::Added,
            file: new.file.clone().into(),
            spec_id,
            snapshot_id: self.snapshot_id,
            sequence,
            file_sequence: sequence,
        });
        let existing = existing.iter().map(|old| Entry {
            status: ManifestStatus::Existing,
            ..old.as_ref().clone()
        });
        let deleted = deleted.iter().map(|old| Entry {
            status: ManifestStatus::Deleted,
            snapshot_id: self.snapshot_id,
            ..old.as_ref().clone()
        });
        added.chain(existing).chain(deleted).map(Arc::new).collect()
    }

    /// Writes the manifest list; answers its path and, for format 3, how many row ids it handed out.
    pub(crate) async fn list(
        &mut self,
        manifests: Vec<ManifestFile>,
        parent: Option<i64>,
        sequence: i64,
    ) -> Result<(String, u64)> {
        let stem = format!("snap-{}-0-{}", self.snapshot_id, self.fresh_name());
        let path = self.path(&stem);
        let fault = || TableError::metadata(format!("write manifest list {path}"));
        let output: Box<dyn FileWrite> = self.scratch.writer(&path).await.map_err(fault())?;
        let first_row_id = self.table.next_row_id();
        let mut writer = match self.table.format_version() {
            FormatVersion::V3 => ManifestListWriter::v3(output, self.snapshot_id, parent, sequence, Some(first_row_id)),
            FormatVersion::V1 => ManifestListWriter::v1(output, self.snapshot_id, parent),
            FormatVersion::V2 => ManifestListWriter::v2(output, self.snapshot_id, parent, sequence),
        };
        writer.add_manifests(manifests.into_iter()).map_err(fault())?;
        let handed_out = writer.next_row_id().map_or(0, |next| next.saturating_sub(first_row_id));
        writer.close().await.map_err(fault())?;
        let (path, _) = self.publish(&stem).await?;
        Ok((path, handed_out))
    }

    fn spec(&self, spec_id: i32) -> Result<&'a PartitionSpec> {
        let spec = self.table.partition_spec_by_id(spec_id).map(AsRef::as_ref);
        spec.ok_or_else(|| TableError::damaged(format!("no partition spec {spec_id}")))
    }

    /// The types of a partition's values in a manifest that is written now.
    fn partition_type(&self, spec_id: i32) -> Result<StructType> {
        let spec = self.spec(spec_id)?;
        let found = spec.partition_type(schema_for(self.table, spec)?.as_ref());
        found.map_err(TableError::metadata(format!(
            "find the types of partition spec {spec_id}"
        )))
    }

    fn open(&self, content: ManifestContentType, spec_id: i32, path: &str) -> Result<ManifestWriter> {
        let spec = self.spec(spec_id)?;
        let output = OutputFile::new(self.scratch.clone(), path.to_owned());
        let schema = schema_for(self.table, spec)?;
        let builder = ManifestWriterBuilder::new(output, Some(self.snapshot_id), schema, spec.clone());
        match (self.table.format_version(), content) {
            (FormatVersion::V2, ManifestContentType::Data) => Ok(builder.build_v2_data()),
            (FormatVersion::V2, ManifestContentType::Deletes) => Ok(builder.build_v2_deletes()),
            (FormatVersion::V3, ManifestContentType::Data) => Ok(builder.build_v3_data()),
            (FormatVersion::V3, ManifestContentType::Deletes) => Ok(builder.build_v3_deletes()),
            (FormatVersion::V1, ManifestContentType::Data) => Ok(builder.build_v1()),
            (FormatVersion::V1, ManifestContentType::Deletes) => Err(TableError::Unsupported {
                what: "deletes in a table of format version 1".into(),
            }),
        }
    }

    /// Puts what was written under a name that tells its digest; answers its path and its size.
    async fn publish(&mut self, stem: &str) -> Result<(String, usize)> {
        let scratch = self.path(stem);
        let fault = || TableError::metadata(format!("write {scratch}"));
        let bytes = self.scratch.read(&scratch).await.map_err(fault())?;
        self.scratch.delete(&scratch).await.map_err(fault())?;
        let bytes = header::revealed(bytes);
        let path = self.path(&digest::named(stem, "avro", &bytes));
        // Noted first: a write that failed may have left something.
        self.written.push(path.clone());
        let file_bytes = bytes.len();
        self.store.put_new(&path, bytes).await?;
        Ok((path, file_bytes))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/metadata/{name}", self.table.location().trim_end_matches('/'))
    }

    fn fresh_name(&self) -> uuid::Uuid {
        self.store.rng().uuid_v7(self.store.clock().now_ms())
    }
}

/// The current schema, unless it dropped a column that an old spec is made of: then the newest schema that still has it.
fn schema_for(table: &TableMetadata, spec: &PartitionSpec) -> Result<SchemaRef> {
    let mut schemas: Vec<&SchemaRef> = table.schemas_iter().collect();
    schemas.sort_by_key(|s| (s.schema_id() == table.current_schema_id(), s.schema_id()));
    let fits = schemas.into_iter().rev().find(|schema| binds(spec, schema));
    fits.cloned()
        .ok_or_else(|| TableError::damaged(format!("no schema fits partition spec {}", spec.spec_id())))
}

/// A manifest cannot be written with a schema that lost a source column of the spec.
fn binds(spec: &PartitionSpec, schema: &Schema) -> bool {
    spec.partition_type(schema).is_ok()
}
