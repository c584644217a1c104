//! The files being written: batches in, finished Parquet files out. Pure computation; whoever owns it moves the bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, SchemaRef as TableSchema, Struct};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, LogicalType, Type as Physical};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{SchemaDescriptor, Type};

use super::conform::conformed;
use super::metrics;
use super::metrics_mode::MetricsModes;
use super::options::{ParquetCodec, WriteOptions};
use super::partition::Splitter;
use super::run::WriteRun;
use crate::change::Added;
use crate::digest;
use crate::error::{Result, TableError};
use tidewater_core::{SharedClock, SharedRng};

/// Below so much memory a column in its first batch, a file has no dictionaries and is compressed with Snappy: the tables that
/// dictionaries are found with, and zstd's contexts, take some hundred kilobytes a column, which costs more than all the rest.
const SMALL_COLUMN_BYTES: usize = 64 << 10;

/// Row groups of a file: Parquet counts them in 15 bits, and who wants tiny ones gets more files.
const ROW_GROUPS_MAX: usize = 32_000;

/// A file that is ready to be put.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) location: String,
    pub(super) bytes: Bytes,
    pub(super) added: Added,
}

#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) schema: TableSchema,
    pub(super) arrow: SchemaRef,
    pub(super) splitter: Splitter,
    pub(super) modes: MetricsModes,
    pub(super) spec_id: i32,
    pub(super) sort_order_id: i32,
    pub(super) directory: String,
    pub(super) run: Option<WriteRun>,
    pub(super) options: WriteOptions,
    pub(super) clock: SharedClock,
    pub(super) rng: SharedRng,
    pub(super) open: BTreeMap<Vec<u8>, OpenFile>,
}

/// One file for each partition that rows have come for.
#[derive(Debug)]
pub(super) struct OpenFile {
    partition: Struct,
    writer: ArrowWriter<Vec<u8>>,
    nans: HashMap<i32, u64>,
}

impl OpenFile {
    /// What the file would be if it were closed now, and about what it holds in memory.
    fn size_bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    fn memory_bytes(&self) -> u64 {
        (self.writer.inner().capacity() + self.writer.memory_size()) as u64
    }
}

impl Encoder {
    /// Takes a batch in; answers the files it filled.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Finished>> {
        let mut finished = Vec::new();
        if batch.num_rows() == 0 {
            return Ok(finished);
        }
        let batch = conformed(batch, &self.arrow)?;
        for part in self.splitter.split(&batch)? {
            for rows in pieces(&part.rows, self.options.row_group_rows_max) {
                let mut file = match self.open.remove(&part.key) {
                    Some(file) => file,
                    None => self.begin(part.values.clone(), &rows)?,
                };
                metrics::count_nans(&rows, &mut file.nans);
                file.writer.write(&rows).map_err(TableError::encode("encode rows"))?;
                if self.is_full(&file) {
                    finished.push(self.finish(file)?);
                } else {
                    self.open.insert(part.key.clone(), file);
                }
            }
        }
        finished.extend(self.close_beyond(self.options.buffered_bytes_max)?);
        Ok(finished)
    }

    /// About what all open files hold in memory.
    pub(super) fn held_bytes(&self) -> u64 {
        self.open.values().map(OpenFile::memory_bytes).sum()
    }

    /// Finishes the largest files until the others hold no more than this.
    pub(super) fn close_beyond(&mut self, bytes_max: u64) -> Result<Vec<Finished>> {
        let mut finished = Vec::new();
        while self.held_bytes() > bytes_max {
            let largest = self
                .open
                .iter()
                .max_by_key(|(_, file)| file.memory_bytes())
                .map(|(key, _)| key.clone());
            match largest.and_then(|key| self.open.remove(&key)) {
                Some(file) => finished.push(self.finish(file)?),
                None => break,
            }
        }
        Ok(finished)
    }

    /// Finishes every open file.
    pub(super) fn close(&mut self) -> Result<Vec<Finished>> {
        std::mem::take(&mut self.open)
            .into_values()
            .map(|file| self.finish(file))
            .collect()
    }

    fn is_full(&self, file: &OpenFile) -> bool {
        file.size_bytes() >= self.options.target_file_size_bytes
            || file.writer.flushed_row_groups().len() >= ROW_GROUPS_MAX
    }

    fn begin(&self, partition: Struct, first: &RecordBatch) -> Result<OpenFile> {
        let fault = || TableError::encode("begin a Parquet file");
        let is_small = first.get_array_memory_size() / self.arrow.flattened_fields().len().max(1) < SMALL_COLUMN_BYTES;
        let compression = match self.options.codec {
            Some(codec) => codec.compression().map_err(fault())?,
            None if is_small => Compression::SNAPPY,
            None => ParquetCodec::Zstd(self.options.compression_level)
                .compression()
                .map_err(fault())?,
        };
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_dictionary_enabled(!is_small)
            .set_max_row_group_row_count(Some(self.options.row_group_rows_max))
            .set_max_row_group_bytes(self.options.row_group_bytes_max)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_created_by(concat!("tidewater ", env!("CARGO_PKG_VERSION")).into())
            .build();
        // The embedded Arrow schema would only repeat the Parquet one and tempt readers to trust it over the field ids.
        let mut options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        if let Some(marked) = with_uuids(&self.arrow, &self.schema)? {
            options = options.with_parquet_schema(marked);
        }
        let writer = ArrowWriter::try_new_with_options(Vec::new(), self.arrow.clone(), options).map_err(fault())?;
        Ok(OpenFile {
            partition,
            writer,
            nans: HashMap::new(),
        })
    }

    fn finish(&self, mut file: OpenFile) -> Result<Finished> {
        let footer = finished(&mut file.writer)?;
        let bytes = Bytes::from(std::mem::take(file.writer.inner_mut()));
        let id = self.rng.uuid_v7(self.clock.now_ms());
        let stem = self.run.map_or_else(|| id.to_string(), |run| run.stem(id));
        let name = digest::named_parquet(&stem, &footer, &bytes);
        let location = format!("{}/{name}", self.directory);
        let mut builder = DataFileBuilder::default();
        builder
            .content(DataContentType::Data)
            .file_format(DataFileFormat::Parquet)
            .file_path(location.clone())
            .file_size_in_bytes(bytes.len() as u64)
            .partition(file.partition)
            .partition_spec_id(self.spec_id);
        // 0 is "unsorted", which the specification writes as no order at all.
        if self.sort_order_id != 0 && self.options.sorted {
            builder.sort_order_id(self.sort_order_id);
        }
        metrics::describe(&mut builder, &footer, &self.schema, &self.modes, file.nans)?;
        let described = builder
            .build()
            .map_err(|error| TableError::damaged(format!("data file {location}: {error}")))?;
        Ok(Finished {
            added: Added::new(described, self.spec_id),
            location,
            bytes,
        })
    }
}

/// A batch cut so that none is more than a row group: the Parquet writer calls itself for each one that a batch fills.
fn pieces(batch: &RecordBatch, rows_max: usize) -> impl Iterator<Item = RecordBatch> {
    let (rows, rows_max) = (batch.num_rows(), rows_max.max(1));
    (0..rows)
        .step_by(rows_max)
        .map(move |start| batch.slice(start, rows_max.min(rows - start)))
}

/// Writes what is left, the checksums of all chunks, and the footer that tells them.
fn finished(writer: &mut ArrowWriter<Vec<u8>>) -> Result<ParquetMetaData> {
    let fault = || TableError::encode("finish a Parquet file");
    writer.flush().map_err(fault())?;
    writer.sync().map_err(TableError::encode("finish a Parquet file"))?;
    if let Some(checksums) = digest::of_chunks(writer.flushed_row_groups(), writer.inner()) {
        writer.append_key_value_metadata(checksums);
    }
    writer.finish().map_err(fault())
}

/// Parquet's own schema with UUID columns marked as such, which Arrow does only with a feature of its crates.
fn with_uuids(arrow: &SchemaRef, schema: &TableSchema) -> Result<Option<SchemaDescriptor>> {
    let uuids = schema
        .field_id_to_fields()
        .iter()
        .filter(|(_, field)| *field.field_type == iceberg::spec::Type::Primitive(iceberg::spec::PrimitiveType::Uuid));
    let ids: Vec<i32> = uuids.map(|(id, _)| *id).collect();
    if ids.is_empty() {
        return Ok(None);
    }
    let fault = || TableError::encode("make the Parquet schema");
    let plain = parquet::arrow::ArrowSchemaConverter::new()
        .convert(arrow)
        .map_err(fault())?;
    let marked = marked(plain.root_schema(), &ids).map_err(fault())?;
    Ok(Some(SchemaDescriptor::new(Arc::new(marked))))
}

fn marked(of: &Type, uuids: &[i32]) -> parquet::errors::Result<Type> {
    let info = of.get_basic_info();
    if of.is_primitive() {
        if !info.has_id() || !uuids.contains(&info.id()) {
            return Ok(of.clone());
        }
        return Type::primitive_type_builder(of.name(), Physical::FIXED_LEN_BYTE_ARRAY)
            .with_length(16)
            .with_repetition(info.repetition())
            .with_logical_type(Some(LogicalType::Uuid))
            .with_id(Some(info.id()))
            .build();
    }
    let fields = of.get_fields().iter().map(|field| Ok(Arc::new(marked(field, uuids)?)));
    let mut builder = Type::group_type_builder(of.name())
        .with_fields(fields.collect::<parquet::errors::Result<_>>()?)
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_id(info.has_id().then(|| info.id()));
    if info.has_repetition() {
        builder = builder.with_repetition(info.repetition());
    }
    builder.build()
}
