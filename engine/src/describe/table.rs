//! DESCRIBE and SHOW COLUMNS.

use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::ResolvedTableReference;
use tidewater_table::schema::to_arrow;

use super::create::{default_of, partition_fields, properties};
use super::text_batch;
use super::types::sql_type;
use crate::error::Result;
use crate::lake::Narrow;
use crate::provider::IcebergTable;

struct Described {
    name: String,
    of: String,
    nullable: bool,
    comment: Option<String>,
    default: Option<String>,
}

/// The columns of a table. Those of our own tables have the types of SQL, others the query engine's.
fn columns(provider: &dyn TableProvider) -> Result<Vec<Described>> {
    let narrow = provider.downcast_ref::<Narrow>();
    let whole = provider.downcast_ref::<IcebergTable>();
    if let Some(table) = whole.or_else(|| narrow.and_then(Narrow::table)) {
        let shown = |field: i32| narrow.is_none_or(|narrow| narrow.shows(field));
        let arrow = to_arrow(table.columns())?;
        let fields = table.columns().as_struct().fields().iter();
        let fields = fields.zip(arrow.fields()).filter(|(field, _)| shown(field.id));
        let fields = fields.map(|(field, arrow)| {
            default_of(field, arrow).map(|default| Described {
                name: field.name.clone(),
                of: sql_type(&field.field_type),
                nullable: !field.required,
                comment: field.doc.clone(),
                default,
            })
        });
        return fields.collect();
    }
    let schema = provider.schema();
    let fields = schema.fields().iter().map(|field| Described {
        name: field.name().clone(),
        of: field.data_type().to_string(),
        nullable: field.is_nullable(),
        comment: None,
        default: None,
    });
    Ok(fields.collect())
}

fn yes_or_no(nullable: bool) -> String {
    if nullable { "YES" } else { "NO" }.to_owned()
}

/// A row for each column; with `extended` rows for what the table is partitioned by and for the table itself.
pub(super) fn describe(provider: &dyn TableProvider, extended: bool) -> Result<RecordBatch> {
    let mut rows: Vec<[Option<String>; 5]> = columns(provider)?
        .into_iter()
        .map(|column| {
            let nullable = Some(yes_or_no(column.nullable));
            [
                Some(column.name),
                Some(column.of),
                nullable,
                column.comment,
                column.default,
            ]
        })
        .collect();
    if let (true, Some(table)) = (extended, provider.downcast_ref::<IcebergTable>()) {
        let loaded = table.table();
        let metadata = &loaded.metadata;
        let mut add = |name: &str, value: String| rows.push([Some(name.to_owned()), Some(value), None, None, None]);
        let partitions = partition_fields(metadata);
        if !partitions.is_empty() {
            add("# Partitioning", String::new());
        }
        for (index, partition) in partitions.into_iter().enumerate() {
            add(&format!("Part {index}"), partition);
        }
        add("# Table", String::new());
        add("Name", loaded.name.to_string());
        add("Location", metadata.location().to_owned());
        let snapshot = table.snapshot_id();
        add(
            "Snapshot",
            snapshot.map_or_else(|| "none".to_owned(), |id| id.to_string()),
        );
        for (key, value) in properties(metadata) {
            add(&format!("Property {key}"), value);
        }
    }
    let column = |index: usize| {
        rows.iter()
            .filter_map(|row| row.get(index).cloned())
            .collect::<Vec<_>>()
    };
    text_batch(vec![
        ("column_name", column(0)),
        ("data_type", column(1)),
        ("is_nullable", column(2)),
        ("comment", column(3)),
        ("column_default", column(4)),
    ])
}

/// The same columns as in `information_schema`, of one table.
pub(super) fn show_columns(
    name: &ResolvedTableReference,
    provider: &dyn TableProvider,
    pattern: &Option<String>,
) -> Result<RecordBatch> {
    let mut found = columns(provider)?;
    if let Some(pattern) = pattern {
        found.retain(|column| like(&column.name, pattern));
    }
    let same = |text: &str| found.iter().map(|_| Some(text.to_owned())).collect::<Vec<_>>();
    text_batch(vec![
        ("table_catalog", same(&name.catalog)),
        ("table_schema", same(&name.schema)),
        ("table_name", same(&name.table)),
        (
            "column_name",
            found.iter().map(|column| Some(column.name.clone())).collect(),
        ),
        (
            "data_type",
            found.iter().map(|column| Some(column.of.clone())).collect(),
        ),
        (
            "is_nullable",
            found.iter().map(|column| Some(yes_or_no(column.nullable))).collect(),
        ),
        ("comment", found.iter().map(|column| column.comment.clone()).collect()),
    ])
}

/// `%` is any text, `_` any letter.
fn like(text: &str, pattern: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = letters.as_str();
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|at| text.get(at..).is_some_and(|text| like(text, rest)))
        }
        Some(wanted) => {
            let mut text = text.chars();
            text.next().is_some_and(|letter| wanted == '_' || letter == wanted) && like(text.as_str(), letters.as_str())
        }
    }
}
