//! Writing what deletes rows: a position delete file for each data file, or in format 3 a deletion vector for each, all in one
//! Puffin file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use iceberg::io::{MemoryStorage, OutputFile, Storage};
use iceberg::puffin::{Blob, CompressionCodec, DELETION_VECTOR_V1, PuffinWriter};
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, NestedField, PrimitiveType,
    Schema, TableMetadata, Type,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::mask::RowMask;
use super::positions::{FILE_PATH_ID, POS_ID};
use super::vector;
use crate::change::Added;
use crate::digest;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::scan::ScanFile;
use crate::schema::to_arrow;

/// A Puffin file begins with its magic; blobs follow without anything between them (Puffin spec, "File structure").
const PUFFIN_MAGIC_BYTES: u64 = 4;

/// Writes delete files that say which rows of these data files are gone, everything that was gone before included. For
/// [`crate::Change::row_delta`]. Nothing is visible before that is committed.
pub async fn write_deletes(
    store: &FileStore,
    table: &TableMetadata,
    deletes: &[(ScanFile, RowMask)],
) -> Result<Vec<Added>> {
    let writer = Writer {
        store,
        directory: crate::write::directory(table),
    };
    match table.format_version() {
        FormatVersion::V1 => Err(TableError::Unsupported {
            what: "row deletes in a table of format version 1".into(),
        }),
        FormatVersion::V2 => writer.position_files(deletes).await,
        FormatVersion::V3 => writer.vectors(deletes).await,
    }
}

struct Writer<'a> {
    store: &'a FileStore,
    directory: String,
}

impl Writer<'_> {
    fn path(&self, extension: &str, bytes: &[u8]) -> String {
        let id = self.store.rng().uuid_v7(self.store.clock().now_ms());
        let name = digest::named(&format!("{id}-deletes"), extension, bytes);
        format!("{}/{name}", self.directory)
    }

    async fn position_files(&self, deletes: &[(ScanFile, RowMask)]) -> Result<Vec<Added>> {
        let mut added = Vec::with_capacity(deletes.len());
        for (file, mask) in deletes {
            let fault = TableError::encode(format!("write deletes of {}", file.path));
            let bytes = position_file(&file.path, mask).map_err(fault)?;
            let path = self.path("parquet", &bytes);
            let bound = HashMap::from([(FILE_PATH_ID, Datum::string(&file.path))]);
            let described = describe(file, mask, |builder| {
                builder
                    .file_path(path.clone())
                    .file_format(DataFileFormat::Parquet)
                    .file_size_in_bytes(bytes.len() as u64)
                    // Both the same: that is how readers of format 2 see that it is about one file.
                    .lower_bounds(bound.clone())
                    .upper_bounds(bound);
            })?;
            self.store.put_new(&path, bytes).await?;
            added.push(described);
        }
        Ok(added)
    }

    async fn vectors(&self, deletes: &[(ScanFile, RowMask)]) -> Result<Vec<Added>> {
        const SCRATCH: &str = "memory:/deletes.puffin";
        let fault = || TableError::metadata("write deletion vectors");
        let scratch: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let output = OutputFile::new(scratch.clone(), SCRATCH.to_owned());
        let mut writer = PuffinWriter::new(&output, HashMap::new(), false)
            .await
            .map_err(fault())?;
        let mut offset = PUFFIN_MAGIC_BYTES;
        let mut places = Vec::with_capacity(deletes.len());
        for (file, mask) in deletes {
            let data = vector::encode(mask.positions()).map_err(TableError::encode("write deletion vectors"))?;
            places.push((offset, data.len() as u64));
            offset += data.len() as u64;
            let properties = HashMap::from([
                ("referenced-data-file".to_owned(), file.path.clone()),
                ("cardinality".to_owned(), mask.positions().len().to_string()),
            ]);
            let blob = Blob::builder()
                .r#type(DELETION_VECTOR_V1.to_owned())
                .fields(vec![POS_ID])
                // Unknown while the vector is written (Puffin spec, `deletion-vector-v1`).
                .snapshot_id(-1)
                .sequence_number(-1)
                .data(data)
                .properties(properties)
                .build();
            writer.add(blob, CompressionCodec::None).await.map_err(fault())?;
        }
        writer.close().await.map_err(fault())?;
        let bytes = scratch.read(SCRATCH).await.map_err(fault())?;
        let size = bytes.len() as u64;
        let path = self.path("puffin", &bytes);
        self.store.put_new(&path, bytes).await?;
        let described = deletes.iter().zip(places).map(|((file, mask), (offset, length))| {
            describe(file, mask, |builder| {
                builder
                    .file_path(path.clone())
                    .file_format(DataFileFormat::Puffin)
                    .file_size_in_bytes(size)
                    .content_offset(i64::try_from(offset).ok())
                    .content_size_in_bytes(i64::try_from(length).ok());
            })
        });
        described.collect()
    }
}

/// What both kinds of file have in common.
fn describe(file: &ScanFile, mask: &RowMask, rest: impl FnOnce(&mut DataFileBuilder)) -> Result<Added> {
    let mut builder = DataFileBuilder::default();
    builder
        .content(DataContentType::PositionDeletes)
        .partition(file.partition.clone())
        .partition_spec_id(file.spec_id)
        .record_count(mask.positions().len())
        .referenced_data_file(Some(file.path.clone()));
    rest(&mut builder);
    let described: DataFile = builder
        .build()
        .map_err(|error| TableError::damaged(format!("deletes of {}: {error}", file.path)))?;
    Ok(Added::new(described, file.spec_id))
}

fn position_file(data_file: &str, mask: &RowMask) -> parquet::errors::Result<Bytes> {
    let required = |id, name: &str, of| NestedField::required(id, name, Type::Primitive(of)).into();
    let fields = [
        required(FILE_PATH_ID, "file_path", PrimitiveType::String),
        required(POS_ID, "pos", PrimitiveType::Long),
    ];
    let schema = Schema::builder().with_fields(fields).build();
    let arrow = schema.map_err(|error| parquet::errors::ParquetError::External(Box::new(error)));
    let arrow = to_arrow(&arrow?).map_err(|error| parquet::errors::ParquetError::External(Box::new(error)))?;
    let schema = Arc::new(arrow);
    let positions = mask.positions().iter().map(|position| position.cast_signed());
    let positions = Int64Array::from_iter_values(positions);
    let paths = StringArray::from_iter_values(std::iter::repeat_n(data_file, positions.len()));
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(paths), Arc::new(positions)])?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?.into())
}
