//! Rows of tables of format 3 have an id, and the number of the commit that changed them last. Both follow from the file that a row is
//! in, and so move into the file with it when it moves (Iceberg spec, "Row Lineage").

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DataFusionError, TableReference};
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlanBuilder};
use serde_json::{Value, json};
use tidewater_table::iceberg::spec::FormatVersion;
use tidewater_table::{LoadedTable, ScanFile, TableError};

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::provider::{FILE, POSITION};
use crate::statement::ROWS_CATALOG;

/// The column that has a row's id, in files of format 3 and among [rows that move](Moving).
pub const ROW_ID_COLUMN: &str = "_row_id";
/// The column that has the number of the commit that changed a row last, likewise.
pub const LAST_UPDATED_COLUMN: &str = "_last_updated_sequence_number";

/// The columns that files have these in, where they do not follow from the file, and their reserved ids.
const ROW_ID: (&str, i32) = (ROW_ID_COLUMN, i32::MAX - 107);
const LAST_UPDATED: (&str, i32) = (LAST_UPDATED_COLUMN, i32::MAX - 108);

/// What the two sides of the join are called.
const ROWS: &str = "rows";
const FILES: &str = "files";

/// One of the two columns of an extended table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The row's id.
    RowId,
    /// The number of the commit that changed it last.
    LastUpdated,
}

impl Part {
    /// Of the column of this name.
    pub(crate) fn of(column: &str) -> Option<Self> {
        match column {
            _ if column == ROW_ID.0 => Some(Self::RowId),
            _ if column == LAST_UPDATED.0 => Some(Self::LastUpdated),
            _ => None,
        }
    }

    /// What the column is called in a [`view`]. Nobody writes such a name: what users write means there what it means elsewhere.
    pub(crate) fn hidden(self) -> &'static str {
        match self {
            Self::RowId => "\u{1}_row_id",
            Self::LastUpdated => "\u{1}_last_updated_sequence_number",
        }
    }
}

/// Rows of a table of format 3 on their way to other files.
#[derive(Debug, Clone)]
pub struct Moving {
    /// The rows: the table's current columns and behind them `_row_id` and `_last_updated_sequence_number`, both `int64` and null for
    /// a row that has none yet.
    pub rows: Arc<dyn TableProvider>,
    /// The table with these two columns, to be named as the target of who writes the rows. What is written null there follows from the
    /// new file: a row's id if it had none, the commit's number if the row is changed. It is never committed itself.
    pub target: LoadedTable,
}

impl Engine {
    /// The rows of exactly these files, without those that are deleted, with what they are known by (Iceberg spec, "Row Lineage").
    /// `None` for a table of an older format, whose rows have no ids.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] for a table with columns of these names.
    pub fn moving(&self, table: &LoadedTable, files: Vec<ScanFile>) -> Result<Option<Moving>> {
        if table.metadata.format_version() != FormatVersion::V3 {
            return Ok(None);
        }
        let target = with_lineage(table)?;
        let plan = rows(self, &target, files)?.build()?;
        Ok(Some(Moving {
            rows: Arc::new(ViewTable::new(plan, None)),
            target,
        }))
    }
}

/// The table as if both were columns of it, for who moves rows. It is never committed.
///
/// # Errors
/// [`EngineError::Unsupported`] for a table with columns of these names.
pub(crate) fn with_lineage(table: &LoadedTable) -> Result<LoadedTable> {
    let named = |name: &str| table.metadata.current_schema().field_by_name(name).is_some();
    if let Some((name, _)) = [ROW_ID, LAST_UPDATED].into_iter().find(|(name, _)| named(name)) {
        return Err(EngineError::Unsupported {
            what: format!("moving rows of {}, which has a column {name} of its own,", table.name),
        });
    }
    let damaged = |reason: String| EngineError::Table(TableError::Damaged { reason });
    let mut metadata = serde_json::to_value(table.metadata.as_ref()).map_err(|error| damaged(error.to_string()))?;
    extend(&mut metadata).ok_or_else(|| damaged(format!("the metadata of {} has no current schema", table.name)))?;
    let metadata = serde_json::from_value(metadata).map_err(|error| damaged(error.to_string()))?;
    Ok(LoadedTable {
        metadata: Arc::new(metadata),
        ..table.clone()
    })
}

fn extend(metadata: &mut Value) -> Option<()> {
    let current = metadata.get("current-schema-id")?.as_i64()?;
    let schemas = metadata.get_mut("schemas")?.as_array_mut()?;
    let id = |schema: &Value| schema.get("schema-id").and_then(Value::as_i64);
    let mut extended = schemas.iter().find(|schema| id(schema) == Some(current))?.clone();
    let next = schemas.iter().filter_map(id).max()?.checked_add(1)?;
    let fields = extended.get_mut("fields")?.as_array_mut()?;
    for (name, id) in [ROW_ID, LAST_UPDATED] {
        fields.push(json!({"id": id, "name": name, "type": "long", "required": false}));
    }
    *extended.get_mut("schema-id")? = next.into();
    schemas.push(extended);
    *metadata.get_mut("current-schema-id")? = next.into();
    // Others tell nothing of these columns in manifests, which have no names for them.
    let properties = metadata
        .as_object_mut()?
        .entry("properties")
        .or_insert_with(|| json!({}));
    let properties = properties.as_object_mut()?;
    for (name, _) in [ROW_ID, LAST_UPDATED] {
        properties.insert(format!("write.metadata.metrics.column.{name}"), "none".into());
    }
    Some(())
}

/// The rows of these files of a table that has been extended, to be written as they are: each with what it is known by. Rows that have
/// no id yet get theirs from the file they are written to.
pub(crate) fn rows(engine: &Engine, table: &LoadedTable, files: Vec<ScanFile>) -> Result<LogicalPlanBuilder> {
    let origins = origins(&files)?;
    let rows = engine.rows_provider(table, files)?;
    let columns = table.metadata.current_schema().as_struct().fields().iter();
    let columns = columns.map(|field| Expr::Column(Column::from_name(&field.name)));
    let columns: Vec<Expr> = columns.collect();
    Ok(told(table, rows, origins)?.project(columns)?)
}

/// Rows of a table that has been extended that tell which they are, as one more table: each with what it is known by as well,
/// under [hidden](Part::hidden) names. `files` are all of those that the rows lie in, and perhaps others.
pub(crate) fn view<'a>(
    table: &LoadedTable,
    rows: Arc<dyn TableProvider>,
    files: impl IntoIterator<Item = &'a ScanFile>,
) -> Result<Arc<dyn TableProvider>> {
    let columns = table.metadata.current_schema().as_struct().fields().iter();
    let columns = columns.map(|field| field.name.as_str()).chain([FILE, POSITION]);
    let columns = columns.map(|name| {
        let column = Expr::Column(Column::from_name(name));
        match Part::of(name) {
            Some(part) => column.alias(part.hidden()),
            None => column,
        }
    });
    let columns: Vec<Expr> = columns.collect();
    let plan = told(table, rows, origins(files)?)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// The table's columns, its rows' lineage in full among them, and behind them which row it is.
fn told(table: &LoadedTable, rows: Arc<dyn TableProvider>, origins: Arc<MemTable>) -> Result<LogicalPlanBuilder> {
    // Rows that a statement is about: who may change them is judged by the table, and nobody is asked whether they may read those that
    // stay as they are.
    let about = TableReference::full(ROWS_CATALOG, ROWS, ROWS);
    let of_rows = |name: &str| Expr::Column(Column::new(Some(about.clone()), name));
    let of_files = |name: &str| Expr::Column(Column::new(Some(FILES), name));
    let columns = table.metadata.current_schema().as_struct().fields().iter();
    let columns = columns.map(|field| {
        let name = field.name.as_str();
        let value = match field.id {
            id if id == ROW_ID.1 => coalesce(vec![of_rows(name), of_files("first") + of_rows(POSITION)]),
            id if id == LAST_UPDATED.1 => coalesce(vec![of_rows(name), of_files("sequence")]),
            _ => of_rows(name),
        };
        value.alias(name)
    });
    let which = [FILE, POSITION].map(|name| of_rows(name).alias(name));
    let columns: Vec<Expr> = columns.chain(which).collect();
    let files = LogicalPlanBuilder::scan(FILES, provider_as_source(origins), None)?.build()?;
    let rows = LogicalPlanBuilder::scan(about.clone(), provider_as_source(rows), None)?;
    let joined = rows.join_on(files, JoinType::Inner, [of_rows(FILE).eq(of_files("file"))])?;
    Ok(joined.project(columns)?)
}

/// For each file the id of its first row, if it has been given one, and the number of the commit that brought its rows.
fn origins<'a>(files: impl IntoIterator<Item = &'a ScanFile>) -> Result<Arc<MemTable>> {
    let files: Vec<&ScanFile> = files.into_iter().collect();
    let paths: StringArray = files.iter().map(|file| Some(file.path.as_str())).collect();
    let first: Int64Array = files.iter().map(|file| file.first_row_id()).collect();
    let sequences: Int64Array = files.iter().map(|file| Some(file.sequence)).collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("file", Arc::new(paths) as ArrayRef, false),
        ("first", Arc::new(first) as ArrayRef, true),
        ("sequence", Arc::new(sequences) as ArrayRef, false),
    ])
    .map_err(DataFusionError::from)?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}
