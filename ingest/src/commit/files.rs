//! Data files of one table, which is made or widened for them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{Committer, ownership};
use crate::error::{IngestError, Result};
use crate::layout::PARTITION_COLUMN;
use tidewater_core::TableName;
use tidewater_table::iceberg::spec::{Schema, SchemaRef, Transform, UnboundPartitionSpec};
use tidewater_table::marks::{DEAD_LETTERS_KEY, TOPIC_KEY};
use tidewater_table::schema::{LostDefaults, evolve, evolve_table, from_arrow};
use tidewater_table::{Added, DataFileWriter, LoadedTable, NewTable, TableError, WriteOptions};

/// Old metadata files that stay beside the current one: a table has a commit a second, and each leaves one behind.
const PREVIOUS_METADATA_MAX: &str = "20";

/// Rows for one table.
#[derive(Debug)]
pub(crate) struct TableRows {
    pub(crate) name: TableName,
    /// None for dead letters, which come from all topics.
    pub(crate) topic: Option<Arc<str>>,
    pub(crate) batch: RecordBatch,
    /// Where in the source's log the last row of each partition was, see [`crate::decode::TopicBuffer::last_lsn`].
    pub(crate) last_lsn: BTreeMap<i32, Option<i64>>,
}

/// Files of a table that are in no snapshot yet.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) table: LoadedTable,
    /// The table is yet to be made, by the commit of these files.
    pub(crate) staged: bool,
    pub(crate) added: Vec<Added>,
    /// What the files were written with.
    pub(crate) schema: SchemaRef,
}

pub(super) async fn write_files(committer: &Committer, rows: &TableRows) -> Result<Written> {
    let failed = |source: TableError| IngestError::Table {
        table: rows.name.to_string(),
        source: Box::new(source),
    };
    let wanted = from_arrow(&rows.batch.schema(), 1).map_err(failed)?;
    let (table, staged) = match load(committer, rows).await? {
        Some(table) => {
            let metadata = &table.metadata;
            let change = evolve(metadata.current_schema(), &wanted, metadata.last_column_id()).map_err(failed)?;
            let table = match change {
                None => table,
                Some(_) => {
                    let catalog = committer.log.as_ref();
                    let evolved = evolve_table(catalog_of(catalog), &committer.store, &rows.name, &wanted).await;
                    let evolved = evolved.map_err(failed)?;
                    // Another one may have come in its place.
                    ownership::check(catalog, &evolved, rows.topic.as_deref()).await?;
                    evolved
                }
            };
            (table, false)
        }
        None => (stage(committer, rows, wanted).await?, true),
    };
    let mut writer =
        DataFileWriter::new(committer.store.clone(), &table.metadata, WriteOptions::default()).map_err(failed)?;
    if let Err(error) = writer.write(rows.batch.clone()).await {
        abort(writer).await;
        return Err(failed(error));
    }
    let added = writer.close().await.map_err(failed)?;
    let schema = table.metadata.current_schema().clone();
    Ok(Written {
        table,
        staged,
        added,
        schema,
    })
}

fn catalog_of(log: &dyn crate::offset_log::OffsetLog) -> &dyn tidewater_table::Catalog {
    log
}

async fn abort(writer: DataFileWriter) {
    if let Err(error) = writer.abort().await {
        tracing::warn!(%error, "files of a failed write stay behind");
    }
}

/// The table, if it is there; an error if it is not for these rows.
async fn load(committer: &Committer, rows: &TableRows) -> Result<Option<LoadedTable>> {
    let loaded = committer.log.load_table(&rows.name).await;
    let loaded = loaded.map_err(|source| IngestError::Catalog {
        action: "load a table",
        source,
    })?;
    if let Some(table) = &loaded {
        ownership::check(committer.log.as_ref(), table, rows.topic.as_deref()).await?;
    }
    Ok(loaded)
}

async fn stage(committer: &Committer, rows: &TableRows, schema: Schema) -> Result<LoadedTable> {
    let catalog_failed = |source| IngestError::Catalog {
        action: "stage a table",
        source,
    };
    committer
        .log
        .create_namespace(rows.name.namespace())
        .await
        .map_err(catalog_failed)?;
    let mut table = NewTable::new(rows.name.clone(), schema);
    table.partition_spec = partition_spec(&table.schema, &rows.name)?;
    table.properties = HashMap::from([
        (
            "write.metadata.previous-versions-max".to_owned(),
            PREVIOUS_METADATA_MAX.to_owned(),
        ),
        (
            "write.metadata.delete-after-commit.enabled".to_owned(),
            "true".to_owned(),
        ),
    ]);
    let (mark, of) = match &rows.topic {
        Some(topic) => (TOPIC_KEY, &**topic),
        None => (DEAD_LETTERS_KEY, "true"),
    };
    table.properties.insert(mark.to_owned(), of.to_owned());
    let metadata = committer.log.stage(&table).await.map_err(catalog_failed)?;
    Ok(LoadedTable {
        name: rows.name.clone(),
        metadata: Arc::new(metadata),
        metadata_location: String::new(),
        lost_defaults: LostDefaults::default(),
    })
}

/// By day of Kafka's time: it is the same on every replay and nearly rises, so one or two partitions are open at a time.
fn partition_spec(schema: &Schema, name: &TableName) -> Result<Option<UnboundPartitionSpec>> {
    let Some(field) = schema.field_by_name(PARTITION_COLUMN) else {
        return Ok(None);
    };
    let name_of_field = format!("{PARTITION_COLUMN}_day");
    let built = UnboundPartitionSpec::builder().add_partition_field(field.id, name_of_field, Transform::Day);
    let builder = built.map_err(|source| IngestError::Setting {
        setting: format!("partitioning of {name}"),
        problem: source.to_string(),
    })?;
    Ok(Some(builder.build()))
}
