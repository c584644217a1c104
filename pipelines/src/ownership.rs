//! Whose a table is that is there already. Where grants bind, one that somebody else put there first is none of a model's: its maker
//! would read the model's rows.

use std::collections::BTreeSet;

use iceberg::spec::TableMetadata;
use tidewater_core::TableName;
use tidewater_table::marks::{MODEL_KIND_KEY, TOMBSTONES_OF_KEY};
use tidewater_table::{Catalog, JOB_ID_KEY, LoadedTable};

use crate::error::{Below, PipelineError, Result};
use crate::model::Model;
use crate::state::REFRESH_STATE_KEY;

/// What a table says that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The property.
    pub(crate) key: &'static str,
    /// Its value.
    pub(crate) value: String,
}

impl Mark {
    /// Of a model's rows.
    pub(crate) fn rows(model: &Model) -> Self {
        Self {
            key: MODEL_KIND_KEY,
            value: model.kind.name().to_owned(),
        }
    }

    /// Of a model's deleted keys.
    pub(crate) fn tombstones(model: &TableName) -> Self {
        Self {
            key: TOMBSTONES_OF_KEY,
            value: model.to_string(),
        }
    }

    /// Whether a table bears it.
    pub(crate) fn is_on(&self, table: &LoadedTable) -> bool {
        table.metadata.properties().get(self.key) == Some(&self.value)
    }
}

/// Refuses a table for the rows of a model that is neither a model's nor free for it.
pub(crate) async fn check_rows(catalog: &dyn Catalog, model: &Model, table: &LoadedTable) -> Result<()> {
    match holds_rows(&table.metadata) {
        true => Ok(()),
        false => adopt(catalog, &model.name, table, Mark::rows(model)).await,
    }
}

/// The same for its deleted keys; `rows` is the model's table.
pub(crate) async fn check_tombstones(
    catalog: &dyn Catalog,
    model: &TableName,
    rows: Option<&LoadedTable>,
    table: &LoadedTable,
) -> Result<()> {
    let mark = Mark::tombstones(model);
    let was_written = rows.is_some_and(|rows| share_a_job(&rows.metadata, &table.metadata));
    match mark.is_on(table) || was_written {
        true => Ok(()),
        false => adopt(catalog, model, table, mark).await,
    }
}

/// Takes a table that bears no mark where nobody has rights to it that others lack.
pub(crate) async fn adopt(catalog: &dyn Catalog, model: &TableName, table: &LoadedTable, mark: Mark) -> Result<()> {
    let binds = catalog.has_grants().await.map_err(|source| PipelineError::Catalog {
        step: "telling whether anything was granted",
        source: Below::coded(source),
    })?;
    match binds {
        false => Ok(()),
        true => Err(PipelineError::TableForeign {
            model: model.clone(),
            table: Box::new(table.name.clone()),
            mark: format!("'{}' = '{}'", mark.key, mark.value.replace('\'', "''")),
        }),
    }
}

/// A model may become one of another kind. A table that was there before its model is told by what the model committed.
fn holds_rows(table: &TableMetadata) -> bool {
    table.properties().contains_key(MODEL_KIND_KEY) || entries(table, REFRESH_STATE_KEY).next().is_some()
}

/// Earlier versions marked no tombstones, but committed them together with the model's rows.
fn share_a_job(rows: &TableMetadata, tombstones: &TableMetadata) -> bool {
    let jobs: BTreeSet<&String> = entries(rows, JOB_ID_KEY).collect();
    entries(tombstones, JOB_ID_KEY).any(|job| jobs.contains(job))
}

/// This entry of the snapshots' summaries that have it.
fn entries<'a>(table: &'a TableMetadata, key: &'static str) -> impl Iterator<Item = &'a String> {
    table
        .snapshots()
        .filter_map(move |snapshot| snapshot.summary().additional_properties.get(key))
}

#[cfg(test)]
mod tests;
