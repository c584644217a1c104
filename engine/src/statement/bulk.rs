//! Rows that a client brings, as one commit.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use futures::{Stream, StreamExt};
use tidewater_core::TableName;
use tidewater_table::{
    Added, Change, CommitOptions, DataFileWriter, LoadedTable, NewTable, OnExisting, Staged, StagedTable, TableError,
    WriteOptions, commit_change, is_wap_enabled, stage,
};

use super::create::require_plain;
use super::{Done, Workshop, writable};
use crate::error::{EngineError, Result};
use crate::write::{Arriving, FileMemory, drop_files};

/// What is done with rows for a table that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// Nothing: it is an error.
    Fail,
    /// They join its rows.
    Append,
    /// They and their columns take the place of what it is.
    Replace,
}

/// A bulk load.
#[derive(Debug, Clone)]
pub struct BulkLoad {
    /// Where the rows go.
    pub table: TableName,
    /// Their columns.
    pub schema: SchemaRef,
    /// Whether a table that is not there is made.
    pub create: bool,
    /// What is done if it is there.
    pub if_exists: IfExists,
}

enum Target {
    There(LoadedTable),
    /// It is made, and its rows wait to be published under this id if there is one.
    New(Box<StagedTable>, Option<String>),
}

impl Workshop<'_> {
    /// Takes rows in, all of them or none: columns are matched by name and cast, and rows sorted if the table has an order.
    ///
    /// # Errors
    /// What `rows` ends with, if it ends with an error; nothing is committed then.
    pub async fn load<S, E>(&self, load: &BulkLoad, rows: S) -> Result<Done, E>
    where
        S: Stream<Item = Result<RecordBatch, E>> + Unpin,
        E: From<EngineError>,
    {
        self.sees_all_of(vec![load.table.clone()], "a bulk load").await?;
        let target = self.bulk_target(load).await?;
        let table = match &target {
            Target::There(table) => table,
            Target::New(staged, _) => staged.table(),
        };
        let session = self.session(self.options);
        let arriving = Arriving::at(table, &session)?;
        let options = WriteOptions {
            sorted: arriving.as_ref().is_some_and(Arriving::is_whole),
            ..self.engine.parts.write_options(table)?
        };
        let store = self.engine.store();
        let memory = FileMemory::new(&self.engine.parts.runtime.memory_pool, &options, false);
        let mut writer =
            DataFileWriter::new(store.clone(), &table.metadata, options).map_err(|error| E::from(error.into()))?;
        let written = match arriving {
            None => write(&mut writer, &memory, rows).await,
            Some(arriving) => match arriving.sorted(&session, rows) {
                Ok(sorted) => write(&mut writer, &memory, sorted).await,
                Err(error) => Err(E::from(error)),
            },
        };
        if let Err(error) = written {
            if let Err(left) = writer.abort().await {
                tracing::warn!(table = %load.table, error = %left, "data files of a failed load were left behind");
            }
            return Err(error);
        }
        let added = writer.close().await.map_err(|error| E::from(error.into()))?;
        drop(memory);
        Ok(self.loaded(load, target, added).await?)
    }

    async fn bulk_target(&self, load: &BulkLoad) -> Result<Target> {
        let there = self
            .engine
            .catalog()
            .load_table(&load.table)
            .await
            .map_err(TableError::from)?;
        match (there, load.if_exists) {
            (Some(_), IfExists::Fail) => Err(TableError::from(tidewater_table::CatalogFault::AlreadyExists {
                what: format!("table {}", load.table),
            })
            .into()),
            (Some(table), IfExists::Append) => {
                writable(&table)?;
                Ok(Target::There(table))
            }
            (None, _) if !load.create => Err(EngineError::TableNotFound {
                table: load.table.clone(),
            }),
            (there, _) => {
                require_plain(&load.table)?;
                if let Some(table) = &there {
                    writable(table)?;
                }
                // Rows that come later may have nulls where these have none.
                let fields = load
                    .schema
                    .fields()
                    .iter()
                    .map(|field| Field::clone(field).with_nullable(true));
                let schema = Schema::new(fields.collect::<Vec<_>>());
                let table = NewTable::new(load.table.clone(), tidewater_table::schema::from_arrow(&schema, 1)?);
                let on_existing = match load.if_exists {
                    IfExists::Replace => OnExisting::Replace,
                    IfExists::Fail | IfExists::Append => OnExisting::Fail,
                };
                match stage(self.engine.catalog().as_ref(), table, on_existing).await? {
                    Staged::New(staged) => {
                        let waiting = self.waiting_in(&staged)?;
                        Ok(Target::New(staged, waiting))
                    }
                    Staged::There(table) => Ok(Target::There(table)),
                }
            }
        }
    }

    async fn loaded(&self, load: &BulkLoad, target: Target, added: Vec<Added>) -> Result<Done> {
        let rows = added.iter().map(|added| added.file.record_count()).sum();
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        let change = (!added.is_empty()).then(|| Change::append(added.clone()).of_job(self.job()));
        let committed = match (target, change) {
            (Target::New(staged, waiting), change) => {
                let change = change.map(|change| match waiting {
                    Some(id) => change.staged(id),
                    None => change,
                });
                return self.committed(*staged, change, Some(rows)).await;
            }
            (Target::There(table), None) => return Ok(Done::rows(0, table.metadata.current_snapshot_id())),
            (Target::There(table), Some(change)) => {
                let change = change
                    .of_table(table.metadata.uuid())
                    .of_schema(table.metadata.current_schema());
                let change = match &self.options.wap_id {
                    Some(id) if is_wap_enabled(&table.metadata) => change.staged(id),
                    _ => change,
                };
                commit_change(catalog, store, &load.table, &change, &CommitOptions::default()).await
            }
        };
        match committed {
            Ok(committed) => Ok(Done::rows(rows, Some(committed.snapshot_id))),
            // It may be in the table: the files stay.
            Err(error @ TableError::UnknownOutcome { .. }) => Err(error.into()),
            Err(error) => {
                drop_files(store, &added).await;
                Err(error.into())
            }
        }
    }
}

async fn write<S, E>(writer: &mut DataFileWriter, memory: &FileMemory, mut rows: S) -> Result<(), E>
where
    S: Stream<Item = Result<RecordBatch, E>> + Unpin,
    E: From<EngineError>,
{
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        if batch.num_rows() == 0 {
            continue;
        }
        writer.write(batch).await.map_err(|error| E::from(error.into()))?;
        memory.follow(writer).await.map_err(E::from)?;
    }
    Ok(())
}
