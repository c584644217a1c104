//! The memory of deletes: a late or repeated change must not bring a deleted row back.
//!
//! A full refresh writes all of them anew, by what the model means then. A table that is rolled back to before it does not get its former
//! ones back, so each full refresh begins a generation, which rows and tombstones bear: those of another one are not believed. Within one,
//! tombstones only become more: rows that are rolled back have all of theirs, and where the tombstones are, some are missing.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use iceberg::spec::TableMetadata;
use tidewater_core::reserved::OPS;
use tidewater_core::{ErrorKind, Namespace, TableName};
use tidewater_table::{Added, Catalog, Change, FileStore, LoadedTable, NewTable, ScanFile, TableError, schema};

use crate::error::{Below, PipelineError, Result};
use crate::model::Model;
use crate::ownership::Mark;
use crate::state::{Generation, RefreshState};
use crate::target;

use super::events::Sequence;

/// Summary key of the generation that the tombstones are of.
const GENERATION_KEY: &str = "tidewater.generation";

/// Small files are put together once there are this many: every run with new changes reads them all.
pub(super) const FILES_COUNT_MAX: usize = 16;

/// `ops.tombstones__<schema>__<name>`.
pub(crate) fn name(model: &TableName) -> Result<TableName> {
    let schema = model.namespace().levels().join("_");
    Namespace::single(OPS)
        .and_then(|namespace| TableName::new(namespace, format!("tombstones__{schema}__{}", model.name())))
        .map_err(|error| PipelineError::Table {
            table: model.clone(),
            step: "naming its tombstones",
            source: Below::plain(ErrorKind::Invalid, error),
        })
}

/// Whether these are the tombstones of the rows with this state, none where there are to be none.
pub(crate) fn are_of(state: &RefreshState, table: Option<&LoadedTable>) -> bool {
    let marked = table.and_then(|table| mark(&table.metadata));
    match (state.generation, marked) {
        (Some(own), Some(text)) => {
            generation(text).is_some_and(|marked| marked.id == own.id && marked.buried >= own.buried)
        }
        (Some(own), None) => own.buried == 0 && table.is_none_or(|table| table.metadata.current_snapshot().is_none()),
        // Both are of an earlier version.
        (None, marked) => marked.is_none(),
    }
}

/// Whether others wrote the newest snapshot: a compaction, which bears no mark.
pub(super) fn has_bare_head(table: &LoadedTable) -> bool {
    let head = table.metadata.current_snapshot();
    head.is_some_and(|head| !head.summary().additional_properties.contains_key(GENERATION_KEY))
}

/// The generation of rows that bring more tombstones, or mark them anew. Those that were rolled back do not know of all that were written: the
/// table does.
pub(super) fn with_more(own: Generation, table: Option<&LoadedTable>) -> Generation {
    let marked = table.and_then(|table| mark(&table.metadata)).and_then(generation);
    let buried = marked.map_or(own.buried, |marked| marked.buried.max(own.buried));
    Generation {
        buried: buried.saturating_add(1),
        ..own
    }
}

/// The newest in the table's history: snapshots of compaction carry none and are passed over.
fn mark(table: &TableMetadata) -> Option<&str> {
    let mut snapshot = table.current_snapshot();
    for _ in 0..table.snapshots().len() {
        let current = snapshot?;
        if let Some(mark) = current.summary().additional_properties.get(GENERATION_KEY) {
            return Some(mark);
        }
        snapshot = current
            .parent_snapshot_id()
            .and_then(|parent| table.snapshot_by_id(parent));
    }
    None
}

/// What a mark says.
fn generation(mark: &str) -> Option<Generation> {
    let (id, buried) = mark.split_once(' ')?;
    Some(Generation {
        id: id.parse().ok()?,
        buried: buried.parse().ok()?,
    })
}

/// The table with key columns as in the model's table, and the sequence; made if it is not there. What it has beside them stays: other
/// columns, where the model had another key.
pub(super) async fn prepare(
    catalog: &dyn Catalog,
    store: &FileStore,
    model: &Model,
    existing: Option<LoadedTable>,
    key: &[Field],
    sequence: &[Sequence],
) -> Result<LoadedTable> {
    let name = name(&model.name)?;
    let mut columns = key.to_vec();
    columns.extend(
        sequence
            .iter()
            .map(|sequence| Field::new(&sequence.name, DataType::Int64, true)),
    );
    let wanted = target::optional(&name, &ArrowSchema::new(columns))?;
    if let Some(existing) = existing {
        let failed = |source: TableError| PipelineError::Table {
            table: name.clone(),
            step: "bringing it to the model's key",
            source: Below::coded(source),
        };
        let metadata = &existing.metadata;
        let evolved = schema::evolve(metadata.current_schema(), &wanted, metadata.last_column_id());
        return match evolved.map_err(failed)? {
            None => Ok(existing),
            Some(_) => schema::evolve_table(catalog, store, &name, &wanted)
                .await
                .map_err(failed),
        };
    }
    let mut table = NewTable::new(name, wanted);
    table.properties = HashMap::from([("comment".to_owned(), format!("deleted keys of {}", model.name))]);
    table.properties.extend(target::metadata_properties());
    target::create_or_load(catalog, table, &model.name, Mark::tombstones(&model.name)).await
}

/// The change that adds the new tombstones to the table as it was read; `replaced` files are those whose content is in `added` already.
pub(super) fn change(
    table: &LoadedTable,
    read_at: Option<i64>,
    replaced: &[ScanFile],
    added: Vec<Added>,
    generation: Option<Generation>,
) -> Change {
    let change = if replaced.is_empty() {
        Change::append(added)
    } else {
        Change::overwrite(replaced.iter().map(|file| file.path.clone()), added)
    };
    let change = match generation {
        Some(Generation { id, buried }) => change.property(GENERATION_KEY, format!("{id} {buried}")),
        None => change,
    };
    change
        .read_at(read_at)
        .exact_head()
        .of_table(table.metadata.uuid())
        .of_schema(table.metadata.current_schema())
}
