//! The memory of deletes: a late or repeated change must not bring a deleted row back.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use tidewater_core::{ErrorKind, Namespace, TableName};
use tidewater_table::{Added, Catalog, Change, LoadedTable, NewTable, ScanFile};

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

/// Makes the table if it is not there: key columns as in the model's table, and the sequence.
pub(super) async fn prepare(
    catalog: &dyn Catalog,
    model: &Model,
    existing: Option<LoadedTable>,
    key: &[Field],
    sequence: &[Sequence],
) -> Result<LoadedTable> {
    if let Some(existing) = existing {
        return Ok(existing);
    }
    let name = name(&model.name)?;
    let mut columns = key.to_vec();
    columns.extend(
        sequence
            .iter()
            .map(|sequence| Field::new(&sequence.name, DataType::Int64, true)),
    );
    let mut table = NewTable::new(name.clone(), target::optional(&name, &ArrowSchema::new(columns))?);
    table.properties = HashMap::from([("comment".to_owned(), format!("deleted keys of {}", model.name))]);
    table.properties.extend(target::metadata_properties());
    target::create_or_load(catalog, table, &model.name, Mark::tombstones(&model.name)).await
}

/// The change that adds the new tombstones; `replaced` files are those whose content is in `added` already.
pub(super) fn change(table: &LoadedTable, replaced: &[ScanFile], added: Vec<Added>) -> Change {
    let change = if replaced.is_empty() {
        Change::append(added)
    } else {
        Change::overwrite(replaced.iter().map(|file| file.path.clone()), added)
    };
    change
        .read_at(table.metadata.current_snapshot_id())
        .exact_head()
        .of_table(table.metadata.uuid())
        .of_schema(table.metadata.current_schema())
}
