//! Data files as others leave them: of what is not among their rows, ids of fields too, they tell nothing.

use datafusion::arrow::array::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use tidewater_table::Added;
use tidewater_table::iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Struct};

use super::Lake;

impl Lake {
    /// Commits a file of just these rows, of a partition of the table's first spec. Its name is that in the lake, without its ending.
    pub(crate) async fn leave(
        &self,
        table: &str,
        name: &str,
        partition: Struct,
        rows: &RecordBatch,
        properties: Option<WriterProperties>,
    ) {
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), properties).expect("a writer");
        writer.write(rows).expect("rows");
        let bytes = writer.into_inner().expect("a file");
        self.leave_file(table, name, partition, bytes, rows.num_rows()).await;
    }

    /// The same of a file that was written already.
    pub(crate) async fn leave_file(&self, table: &str, name: &str, partition: Struct, bytes: Vec<u8>, rows: usize) {
        let path = format!("memory://lake/{name}.parquet");
        let file = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_format(DataFileFormat::Parquet)
            .file_path(path.clone())
            .file_size_in_bytes(bytes.len() as u64)
            .record_count(rows as u64)
            .partition(partition)
            .partition_spec_id(0)
            .build()
            .expect("a description");
        self.store.put_new(&path, bytes.into()).await.expect("a put");
        self.commit(table, vec![Added::new(file, 0)]).await;
    }
}
