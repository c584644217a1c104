//! `CREATE TABLE`, `CREATE SCHEMA`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema as ArrowSchema;
use datafusion::logical_expr::LogicalPlan;
use tidewater_core::{TableName, fail_point};
use tidewater_table::alter::check_default;
use tidewater_table::iceberg::spec::{
    ListType, MapType, NestedField, Schema, SortOrder, StructType, Transform, Type, UnboundPartitionField,
    UnboundPartitionSpec,
};
use tidewater_table::{
    CatalogFault, Change, CommitOptions, LoadedTable, NewTable, OnExisting, Staged, StagedTable, TableError,
    check_write_properties, stage,
};

use super::{Done, Made, Workshop};
use crate::error::{EngineError, Result};
use crate::lake::base_name;
use crate::provider::check_staleness;
use crate::session::told_apart;
use crate::sql::{Column, CreateTable, Existing, Name, PartitionField, SortField};
use crate::write::{Distribution, Order, WriteRequest, drop_files};

/// Field ids begin here.
const FIRST_ID: i32 = 1;

/// Refuses a name for a table under which it could not be read.
pub(super) fn require_plain(name: &TableName) -> Result<()> {
    if base_name(name.name()) == name.name() {
        return Ok(());
    }
    Err(EngineError::statement(format!(
        "{name} would be read as a part or a version of a table: names have no $ and no @"
    )))
}

impl Workshop<'_> {
    /// Makes a table, with the query's rows if there is one: all of it is one commit.
    pub(super) async fn create_table(&self, create: &CreateTable) -> Result<Done> {
        let name = self.table_name(&create.name)?;
        require_plain(&name)?;
        check_staleness(&create.properties)?;
        let properties: HashMap<String, String> = create.properties.clone().into_iter().collect();
        check_write_properties(&HashMap::new(), &properties)?;
        let mut read = None;
        let query = match &create.query {
            Some(query) => {
                let sql = query.to_string();
                let mut options = self.options.clone();
                if create.existing == Existing::Replace {
                    options = self.engine.pinned(&options, &[&sql], None).await?;
                    read = options.moment.get(&name).cloned().flatten();
                }
                let session = self.session(&options);
                let plan = self.engine.plan(&session, &sql).await?;
                Some((session, plan))
            }
            None => None,
        };
        let schema = match &query {
            Some((_, plan)) if create.columns.is_empty() => of_query(plan, &create.key)?,
            _ => of_columns(&create.columns, &create.key)?,
        };
        let table = NewTable {
            partition_spec: partition_spec(&schema, &create.partitioning)?,
            sort_order: sort_order(&schema, &create.order)?,
            properties,
            location: create.location.clone(),
            ..NewTable::new(name.clone(), schema)
        };
        let existing = match create.existing {
            Existing::Refuse => OnExisting::Fail,
            Existing::Keep => OnExisting::Skip,
            Existing::Replace => OnExisting::Replace,
        };
        if existing == OnExisting::Replace
            && let Some(there) = self
                .engine
                .catalog()
                .load_table(&name)
                .await
                .map_err(TableError::from)?
        {
            super::writable(&there)?;
        }
        let staged = match stage(self.engine.catalog().as_ref(), table, existing).await? {
            Staged::New(staged) => *staged,
            Staged::There(_) => return Ok(Done::default()),
        };
        let staged = match read {
            Some(read) => made_of(staged, &read)?,
            None => staged,
        };
        let waiting = self.waiting_in(&staged)?;
        match query {
            Some((session, plan)) => {
                let request = WriteRequest {
                    job: self.job(),
                    input: in_order(plan, create, staged.table())?,
                    target: staged.table().clone(),
                    distribution: Distribution::ByPartition,
                    order: Order::OfTable,
                    target_file_size_bytes: None,
                    deadline: self.deadline,
                };
                let job = request.job;
                let added = self.engine.write_with(self.runner, &session, request).await?;
                fail_point::pass("statements.files_written");
                let rows = added.iter().map(|added| added.file.record_count()).sum();
                let change = (!added.is_empty()).then(|| Change::append(added).of_job(job));
                let change = change.map(|change| match waiting {
                    Some(id) => change.staged(id),
                    None => change,
                });
                let done = self.committed(staged, change, Some(rows)).await?;
                fail_point::pass("statements.commit_answered");
                Ok(done)
            }
            None => self.committed(staged, None, None).await,
        }
    }

    pub(super) async fn committed(
        &self,
        staged: StagedTable,
        change: Option<Change>,
        rows: Option<u64>,
    ) -> Result<Done> {
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        let is_new = staged.replaced().is_none();
        match staged
            .commit(catalog, store, change.as_ref(), &CommitOptions::default())
            .await
        {
            Ok(created) if created.was_there => {
                drop_files(store, &change.map(|change| change.added).unwrap_or_default()).await;
                Ok(Done {
                    rows: rows.map(|_| 0),
                    ..Done::default()
                })
            }
            Ok(created) => Ok(Done {
                rows,
                snapshot_id: created.snapshot_id,
                made: is_new.then(|| Made::Object(created.table.metadata.uuid())),
                ..Done::default()
            }),
            // It may be there: the files stay.
            Err(error @ TableError::UnknownOutcome { .. }) => Err(error.into()),
            Err(error) => {
                drop_files(store, &change.map(|change| change.added).unwrap_or_default()).await;
                Err(error.into())
            }
        }
    }

    /// Makes a schema.
    pub(super) async fn create_schema(
        &self,
        name: &Name,
        if_not_exists: bool,
        properties: &BTreeMap<String, String>,
    ) -> Result<Done> {
        let namespace = name.schema()?;
        let properties: HashMap<String, String> = properties.clone().into_iter().collect();
        match self
            .engine
            .catalog()
            .create_namespace_with(&namespace, properties)
            .await
        {
            Err(CatalogFault::AlreadyExists { .. }) if if_not_exists => Ok(Done::default()),
            Err(fault) => Err(TableError::from(fault).into()),
            Ok(()) => Ok(Done::made(Made::Schema)),
        }
    }
}

/// A table that is made of the rows of the one that makes way for it: none may be there that the query has not read.
fn made_of(staged: StagedTable, read: &LoadedTable) -> Result<StagedTable> {
    let stands = staged.replaced().is_some_and(|there| {
        let (there, read) = (&there.metadata, &read.metadata);
        there.uuid() == read.uuid() && there.current_snapshot_id() == read.current_snapshot_id()
    });
    match stands {
        true => Ok(staged.of_replaced_rows()),
        false => Err(EngineError::Table(TableError::Conflict {
            table: read.name.clone(),
            reason: "its rows were changed after the query read them".into(),
        })),
    }
}

/// The columns that a query answers with.
pub(super) fn of_query(plan: &LogicalPlan, key: &[String]) -> Result<Schema> {
    let arrow: &ArrowSchema = plan.schema().as_arrow();
    told_apart(plan)?;
    let schema = tidewater_table::schema::from_arrow(arrow, FIRST_ID)?;
    // Rows that come later may have nulls where these have none.
    let fields = schema.as_struct().fields().iter().map(|field| {
        let mut field = field.as_ref().clone();
        field.required = key.contains(&field.name);
        Arc::new(field)
    });
    built(fields.collect(), key)
}

fn of_columns(columns: &[Column], key: &[String]) -> Result<Schema> {
    let mut last = FIRST_ID - 1 + i32::try_from(columns.len()).unwrap_or(i32::MAX);
    let fields = columns.iter().zip(FIRST_ID..).map(|(column, id)| {
        let mut field = NestedField::new(id, &column.name, numbered(&column.of, &mut last), !column.nullable);
        let what = format!("making column {}", column.name);
        check_default(&what, &field.field_type, column.default.as_ref())?;
        field.doc.clone_from(&column.comment);
        field.initial_default.clone_from(&column.default);
        field.write_default.clone_from(&column.default);
        Ok(Arc::new(field))
    });
    built(fields.collect::<Result<_>>()?, key)
}

pub(super) fn built(fields: Vec<Arc<NestedField>>, key: &[String]) -> Result<Schema> {
    let mut ids = Vec::with_capacity(key.len());
    for name in key {
        let field = fields.iter().find(|field| field.name == *name);
        let field =
            field.ok_or_else(|| EngineError::statement(format!("the key's column {name:?} is not a column")))?;
        ids.push(field.id);
    }
    let schema = Schema::builder()
        .with_fields(fields)
        .with_identifier_field_ids(ids)
        .build();
    schema.map_err(|error| EngineError::statement(error.to_string()))
}

/// The same type with ids above `last`.
fn numbered(of: &Type, last: &mut i32) -> Type {
    let mut next = || {
        *last = last.saturating_add(1);
        *last
    };
    match of {
        Type::Primitive(_) => of.clone(),
        Type::Struct(fields) => {
            let ids: Vec<i32> = fields.fields().iter().map(|_| next()).collect();
            let fields = fields
                .fields()
                .iter()
                .zip(ids)
                .map(|(field, id)| renumbered(field, id, last));
            Type::Struct(StructType::new(fields.collect()))
        }
        Type::List(list) => {
            let id = next();
            Type::List(ListType::new(renumbered(&list.element_field, id, last)))
        }
        Type::Map(map) => {
            let (key, value) = (next(), next());
            let key = renumbered(&map.key_field, key, last);
            Type::Map(MapType::new(key, renumbered(&map.value_field, value, last)))
        }
    }
}

fn renumbered(field: &NestedField, id: i32, last: &mut i32) -> Arc<NestedField> {
    Arc::new(NestedField {
        id,
        field_type: Box::new(numbered(&field.field_type, last)),
        ..field.clone()
    })
}

fn source_id(schema: &Schema, column: &str) -> Result<i32> {
    let field = schema.field_by_name(column);
    let field = field
        .ok_or_else(|| EngineError::statement(format!("there is no column {column:?} to partition or sort by")))?;
    Ok(field.id)
}

fn partition_spec(schema: &Schema, fields: &[PartitionField]) -> Result<Option<UnboundPartitionSpec>> {
    if fields.is_empty() {
        return Ok(None);
    }
    let mut spec = UnboundPartitionSpec::builder();
    for field in fields {
        spec = spec
            .add_partition_fields([UnboundPartitionField {
                source_id: source_id(schema, &field.column)?,
                field_id: None,
                name: field.name.clone().unwrap_or_else(|| usual_name(field)),
                transform: field.transform,
            }])
            .map_err(|error| EngineError::statement(error.to_string()))?;
    }
    Ok(Some(spec.build()))
}

/// What Iceberg calls a partition field that nobody named.
pub(super) fn usual_name(field: &PartitionField) -> String {
    let column = &field.column;
    match field.transform {
        Transform::Identity => column.clone(),
        Transform::Bucket(_) => format!("{column}_bucket"),
        Transform::Truncate(_) => format!("{column}_trunc"),
        other => format!("{column}_{other}"),
    }
}

fn sort_order(schema: &Schema, fields: &[SortField]) -> Result<Option<SortOrder>> {
    if fields.is_empty() {
        return Ok(None);
    }
    let mut order = SortOrder::builder();
    for field in fields {
        order.with_sort_field(
            tidewater_table::iceberg::spec::SortField::builder()
                .source_id(source_id(schema, &field.column)?)
                .transform(field.transform)
                .direction(field.direction)
                .null_order(field.nulls)
                .build(),
        );
    }
    let order = order.build(schema);
    order
        .map(Some)
        .map_err(|error| EngineError::statement(error.to_string()))
}

/// The query's columns under the names of the table's, which stand in the same order.
fn in_order(plan: LogicalPlan, create: &CreateTable, table: &LoadedTable) -> Result<LogicalPlan> {
    if create.columns.is_empty() {
        return Ok(plan);
    }
    let names: Vec<String> = create.columns.iter().map(|column| column.name.clone()).collect();
    super::insert::renamed(plan, &names, &table.name)
}
