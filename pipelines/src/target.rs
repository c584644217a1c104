//! The table of a model: made on the first run, then brought to the columns of the query.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema as ArrowSchema};
use iceberg::spec::{
    NestedField, NullOrder, PrimitiveType, Schema, SortDirection, SortField, SortOrder, Transform, Type,
    UnboundPartitionField, UnboundPartitionSpec,
};
use iceberg::{TableRequirement, TableUpdate};
use tidewater_core::TableName;
use tidewater_table::{
    Catalog, CatalogFault, CommitOutcome, FileStore, LoadedTable, NewTable, TableCommit, TableError,
    check_partition_fields, schema,
};

use crate::columns;
use crate::error::{Below, PipelineError, Result};
use crate::model::{Kind, Model, OnSchemaChange, PartitionBy};
use crate::ownership::{self, Mark};

/// Buckets of a `cdc` table whose model says nothing: an increment rewrites the buckets of its keys, so more of them mean
/// less rewriting and more, smaller files. Eight suit tables up to some gigabytes.
const BUCKETS_DEFAULT: u32 = 8;

/// First field id of a new table.
const FIRST_FIELD_ID: i32 = 1;

/// The table with all columns of `columns`; made if it does not exist. If all rows are written `anew`, it is also brought to
/// the model's partitions.
pub(crate) async fn prepare(
    catalog: &dyn Catalog,
    store: &FileStore,
    model: &Model,
    existing: Option<LoadedTable>,
    columns: &ArrowSchema,
    anew: bool,
) -> Result<LoadedTable> {
    let wanted = described(model, &optional(&model.name, columns)?)?;
    let Some(existing) = existing else {
        return create(catalog, model, wanted).await;
    };
    ownership::check_rows(catalog, model, &existing).await?;
    let current = existing.metadata.current_schema().clone();
    let evolved = schema::evolve(&current, &wanted, existing.metadata.last_column_id());
    let table = match evolved {
        Ok(None) => Ok(existing),
        Ok(Some(evolved)) => {
            let fixed = matches!(&model.kind, Kind::Cdc(cdc) if cdc.on_schema_change == OnSchemaChange::Fail);
            if fixed {
                let has = |name: &str| current.field_by_name(name).is_some();
                let new = evolved.as_struct().fields().iter().find(|field| !has(&field.name));
                return Err(PipelineError::SchemaChange {
                    model: model.name.clone(),
                    reason: match new {
                        Some(field) => format!("column {} is new, and on_schema_change is fail", field.name),
                        None => "a column has become wider, and on_schema_change is fail".into(),
                    },
                });
            }
            schema::evolve_table(catalog, store, &model.name, &wanted)
                .await
                .map_err(|source| PipelineError::Table {
                    table: model.name.clone(),
                    step: "adding columns",
                    source: Below::coded(source),
                })
        }
        Err(TableError::SchemaChange { changes }) => Err(PipelineError::SchemaChange {
            model: model.name.clone(),
            reason: changes.join("; "),
        }),
        Err(source) => Err(PipelineError::Table {
            table: model.name.clone(),
            step: "comparing columns",
            source: Below::coded(source),
        }),
    }?;
    // Another one may have come in its place, or the table may have lost a column since, which has just been added anew without its values.
    ownership::check_rows(catalog, model, &table).await?;
    if !anew
        && columns::lost(&current, table.metadata.current_schema())
            .next()
            .is_some()
    {
        return Err(PipelineError::Contended {
            model: model.name.clone(),
            attempts: 1,
        });
    }
    if anew {
        repartition(catalog, model, table).await
    } else {
        Ok(table)
    }
}

/// Columns of the table that are none of these, which are the model's: others made them, or the model had them before.
pub(crate) fn beside(table: &LoadedTable, columns: &ArrowSchema) -> BTreeSet<String> {
    let fields = table.metadata.current_schema().as_struct().fields().iter();
    fields
        .filter(|field| columns.fields().find(&field.name).is_none())
        .map(|field| field.name.clone())
        .collect()
}

/// Refuses a table that has fields within the model's columns which the query's have not, for rows of both have no type in common.
pub(crate) fn check_fields(
    model: &Model,
    table: &LoadedTable,
    columns: &ArrowSchema,
    beside: &BTreeSet<String>,
) -> Result<()> {
    let own = optional(&model.name, columns)?;
    let names = table.metadata.current_schema().field_id_to_name_map().values();
    let more = names.filter(|name| own.field_by_name(name).is_none() && !columns::is_within(name, beside));
    match more.min() {
        None => Ok(()),
        Some(field) => Err(PipelineError::SchemaChange {
            model: model.name.clone(),
            reason: format!("field {field} of the table is none of the query's, drop it there"),
        }),
    }
}

/// Gives the table the model's partitions if it has others. Files of the old ones stay readable until they are replaced.
async fn repartition(catalog: &dyn Catalog, model: &Model, table: LoadedTable) -> Result<LoadedTable> {
    let metadata = &table.metadata;
    let wanted = partition_spec(model, metadata.current_schema())?;
    let wanted_fields: Vec<(i32, Transform)> = wanted
        .iter()
        .flat_map(|spec| spec.fields())
        .map(|field| (field.source_id, field.transform))
        .collect();
    let current = metadata.default_partition_spec();
    let has: Vec<(i32, Transform)> = current
        .fields()
        .iter()
        .map(|field| (field.source_id, field.transform))
        .collect();
    if has == wanted_fields {
        return Ok(table);
    }
    let commit = TableCommit {
        name: table.name.clone(),
        requirements: vec![
            TableRequirement::UuidMatch { uuid: metadata.uuid() },
            TableRequirement::DefaultSpecIdMatch {
                default_spec_id: metadata.default_partition_spec_id(),
            },
            TableRequirement::LastAssignedPartitionIdMatch {
                last_assigned_partition_id: metadata.last_partition_id(),
            },
        ],
        updates: vec![
            TableUpdate::AddSpec {
                spec: wanted.unwrap_or_default(),
            },
            TableUpdate::SetDefaultSpec { spec_id: -1 },
        ],
    };
    let failed = |source: CatalogFault| PipelineError::Catalog {
        step: "changing partitions",
        source: Below::coded(source),
    };
    match catalog.commit(vec![commit]).await.map_err(failed)? {
        CommitOutcome::Committed(tables) => Ok(tables.into_iter().next().unwrap_or(table)),
        CommitOutcome::Conflict { message } | CommitOutcome::Unknown { message } => {
            Err(failed(CatalogFault::Conflict { message }))
        }
    }
}

async fn create(catalog: &dyn Catalog, model: &Model, schema: Schema) -> Result<LoadedTable> {
    let mut table = NewTable::new(model.name.clone(), schema);
    table.partition_spec = partition_spec(model, &table.schema)?;
    table.sort_order = sort_order(model, &table.schema)?;
    table.properties = HashMap::from([("tidewater.tags".to_owned(), model.tags.join(","))]);
    table.properties.extend(metadata_properties());
    table
        .properties
        .extend(model.description.clone().map(|text| ("comment".to_owned(), text)));
    table
        .properties
        .extend(model.owner.clone().map(|text| ("owner".to_owned(), text)));
    table.properties.retain(|_, value| !value.is_empty());
    create_or_load(catalog, table, &model.name, Mark::rows(model)).await
}

/// Metadata files kept beside the newest: enough to look back, few enough to cost nothing.
const PREVIOUS_METADATA_MAX: u32 = 20;

/// Each commit writes a metadata file; the oldest go.
pub(crate) fn metadata_properties() -> [(String, String); 2] {
    [
        (
            "write.metadata.previous-versions-max".to_owned(),
            PREVIOUS_METADATA_MAX.to_string(),
        ),
        (
            "write.metadata.delete-after-commit.enabled".to_owned(),
            "true".to_owned(),
        ),
    ]
}

/// Makes a table for a model with this mark, and its namespace; if another was faster, its table serves as well.
pub(crate) async fn create_or_load(
    catalog: &dyn Catalog,
    mut table: NewTable,
    model: &TableName,
    mark: Mark,
) -> Result<LoadedTable> {
    let failed = |step| {
        move |source: CatalogFault| PipelineError::Catalog {
            step,
            source: Below::coded(source),
        }
    };
    let name = table.name.clone();
    table.properties.insert(mark.key.to_owned(), mark.value.clone());
    catalog
        .create_namespace(name.namespace())
        .await
        .map_err(failed("making a namespace"))?;
    match catalog.create_table(table).await {
        Ok(made) => Ok(made),
        Err(CatalogFault::AlreadyExists { what }) => {
            let loaded = catalog.load_table(&name).await.map_err(failed("loading a table"))?;
            let loaded = loaded
                .ok_or(CatalogFault::AlreadyExists { what })
                .map_err(failed("making a table"))?;
            if !mark.is_on(&loaded) {
                ownership::adopt(catalog, model, &loaded, mark).await?;
            }
            Ok(loaded)
        }
        Err(fault) => Err(failed("making a table")(fault)),
    }
}

/// The columns as Iceberg, none of them required: what a query gives tomorrow may be null.
pub(crate) fn optional(table: &TableName, columns: &ArrowSchema) -> Result<Schema> {
    let fields: Vec<Field> = columns
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    schema::from_arrow(&ArrowSchema::new(fields), FIRST_FIELD_ID).map_err(|source| PipelineError::Table {
        table: table.clone(),
        step: "choosing column types",
        source: Below::coded(source),
    })
}

/// Puts the model's column descriptions into the schema, where every engine shows them.
fn described(model: &Model, schema: &Schema) -> Result<Schema> {
    if model.columns.is_empty() {
        return Ok(schema.clone());
    }
    let fields = schema.as_struct().fields().iter().map(|field| {
        match model
            .columns
            .get(&field.name)
            .and_then(|column| column.description.clone())
        {
            Some(text) => Arc::new(NestedField {
                doc: Some(text),
                ..field.as_ref().clone()
            }),
            None => field.clone(),
        }
    });
    Schema::builder()
        .with_fields(fields)
        .build()
        .map_err(|source| PipelineError::Table {
            table: model.name.clone(),
            step: "describing columns",
            source: Below::plain(tidewater_core::ErrorKind::Internal, source),
        })
}

fn partition_spec(model: &Model, schema: &Schema) -> Result<Option<UnboundPartitionSpec>> {
    let mut wanted = model.partition_by.clone();
    if wanted.is_empty()
        && let Kind::Cdc(cdc) = &model.kind
        && let Some(key) = cdc.key.first()
        && schema
            .field_by_name(key)
            .is_some_and(|field| can_bucket(&field.field_type))
    {
        wanted.push(PartitionBy {
            column: key.clone(),
            transform: Transform::Bucket(BUCKETS_DEFAULT),
        });
    }
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut fields = Vec::with_capacity(wanted.len());
    for partition in &wanted {
        let source = column(model, schema, &partition.column, "partition_by")?;
        if partition.transform.result_type(&source.field_type).is_err() {
            return Err(PipelineError::Value {
                place: model.place(),
                reason: format!("partition_by {partition}: the column is of another type"),
            });
        }
        fields.push(UnboundPartitionField {
            source_id: source.id,
            field_id: None,
            name: partition.field_name(),
            transform: partition.transform,
        });
    }
    check_partition_fields(schema, &fields).map_err(|error| PipelineError::Value {
        place: model.place(),
        reason: format!("partition_by: {error}"),
    })?;
    let spec = UnboundPartitionSpec::builder()
        .add_partition_fields(fields)
        .map_err(|error| PipelineError::Value {
            place: model.place(),
            reason: format!("partition_by: {error}"),
        })?;
    Ok(Some(spec.build()))
}

fn sort_order(model: &Model, schema: &Schema) -> Result<Option<SortOrder>> {
    if model.sort_by.is_empty() {
        return Ok(None);
    }
    let mut builder = SortOrder::builder();
    for sort in &model.sort_by {
        let source = column(model, schema, &sort.column, "sort_by")?;
        let (direction, null_order) = match sort.descending {
            true => (SortDirection::Descending, NullOrder::Last),
            false => (SortDirection::Ascending, NullOrder::First),
        };
        builder.with_sort_field(SortField {
            source_id: source.id,
            transform: Transform::Identity,
            direction,
            null_order,
        });
    }
    let order = builder.build_unbound().map_err(|error| PipelineError::Value {
        place: model.place(),
        reason: format!("sort_by: {error}"),
    })?;
    Ok(Some(order))
}

fn column<'a>(model: &Model, schema: &'a Schema, name: &str, key: &str) -> Result<&'a Arc<NestedField>> {
    schema.field_by_name(name).ok_or_else(|| PipelineError::Value {
        place: model.place(),
        reason: format!("{key}: the query has no column {name}"),
    })
}

fn can_bucket(of: &Type) -> bool {
    match of {
        Type::Primitive(primitive) => !matches!(
            primitive,
            PrimitiveType::Boolean | PrimitiveType::Float | PrimitiveType::Double
        ),
        _ => false,
    }
}
