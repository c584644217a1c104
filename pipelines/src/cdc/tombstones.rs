//! The memory of deletes: a late or repeated change must not bring a deleted row back.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use tidewater_core::{ErrorKind, Namespace, TableName};
use tidewater_table::{Added, Catalog, Change, FileStore, LoadedTable, NewTable, ScanFile, TableError, schema};

use crate::error::{Below, PipelineError, Result};
use crate::model::Model;
use crate::ownership::Mark;
use crate::target;

use super::events::Sequence;

/// Namespace of the tables that serve operations.
const NAMESPACE: &str = "ops";

/// Small files are put together once there are this many: every run with new changes reads them all.
pub(super) const FILES_COUNT_MAX: usize = 16;

/// `ops.tombstones__<schema>__<name>`.
pub(crate) fn name(model: &TableName) -> Result<TableName> {
    let schema = model.namespace().levels().join("_");
    Namespace::single(NAMESPACE)
        .and_then(|namespace| TableName::new(namespace, format!("tombstones__{schema}__{}", model.name())))
        .map_err(|error| PipelineError::Table {
            table: model.clone(),
            step: "naming its tombstones",
            source: Below::plain(ErrorKind::Invalid, error),
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
pub(super) fn change(table: &LoadedTable, read_at: Option<i64>, replaced: &[ScanFile], added: Vec<Added>) -> Change {
    let change = if replaced.is_empty() {
        Change::append(added)
    } else {
        Change::overwrite(replaced.iter().map(|file| file.path.clone()), added)
    };
    change
        .read_at(read_at)
        .exact_head()
        .of_table(table.metadata.uuid())
        .of_schema(table.metadata.current_schema())
}
