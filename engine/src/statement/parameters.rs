//! What tells the parameters of a statement that changes rows, before it is carried out: the columns that they go to, and queries that ask
//! what it asks.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr, Value};
use tidewater_core::TableName;

use super::given_rows;
use super::insert::EXCLUDED;
use super::row_sql::is_default;
use crate::engine::Engine;
use crate::error::Result;
use crate::session::{CATALOG, SessionOptions};
use crate::sql::{Action, Command, Insert, Merge, Overwrite, quoted};

/// What tells the parameters of a statement.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    /// The types of the columns that parameters go to as they are, by the parameters' names.
    pub columns: HashMap<String, DataType>,
    /// Queries with what the statement asks, which the planner takes where it does not take the statement.
    pub queries: Vec<String>,
}

impl Engine {
    /// What tells the parameters of a statement. Nothing of a table whose shape the session may not know.
    ///
    /// # Errors
    /// Those of loading the table that it is about.
    pub async fn destinations(&self, options: &SessionOptions, command: &Command) -> Result<Destinations> {
        let name = match command {
            Command::Insert(insert) => &insert.table,
            Command::Merge(merge) => &merge.table,
            _ => return Ok(Destinations::default()),
        };
        let table = self.row_target(options, name).await?.table;
        let access = options.access.as_ref();
        if access.is_some_and(|access| !access.sees_shape(table.namespace().levels(), table.name())) {
            return Ok(Destinations::default());
        }
        let loaded = self.load(&table).await?;
        let schema = tidewater_table::schema::to_arrow(loaded.metadata.current_schema())?;
        let mut columns = HashMap::new();
        let mut goes = |column: &str, value: &Expr| {
            if let (Some(name), Ok(field)) = (parameter(value), schema.field_with_name(column)) {
                let of = || field.data_type().clone();
                columns.entry(name.to_owned()).or_insert_with(of);
            }
        };
        let queries = match command {
            Command::Insert(insert) => {
                let all = schema.fields().iter().map(|field| field.name().as_str());
                let names = columns_of(insert, all.collect());
                cells(&insert.query.body, &mut |at: usize, value: &Expr| {
                    if let Some(column) = names.get(at) {
                        goes(column, value);
                    }
                });
                for (column, value) in conflict_values(insert) {
                    goes(column, value);
                }
                of_insert(insert, &table)
            }
            Command::Merge(merge) => {
                for (column, value) in merge_values(merge) {
                    goes(column, value);
                }
                vec![of_merge(merge, &table)]
            }
            _ => Vec::new(),
        };
        Ok(Destinations { columns, queries })
    }
}

/// The columns that the query's columns stand for.
pub(super) fn columns_of<'a>(insert: &'a Insert, all: Vec<&'a str>) -> Vec<&'a str> {
    if !insert.columns.is_empty() {
        return insert.columns.iter().map(String::as_str).collect();
    }
    match &insert.overwrite {
        Overwrite::Partition(fixed) => {
            let given = |name: &&str| !fixed.iter().any(|(column, _)| column == name);
            all.into_iter().filter(given).collect()
        }
        Overwrite::Nothing | Overwrite::Touched => all,
    }
}

fn conflict_values(insert: &Insert) -> &[(String, Expr)] {
    let update = insert
        .on_conflict
        .as_ref()
        .and_then(|conflict| conflict.update.as_ref());
    update.map(|update| update.values.as_slice()).unwrap_or_default()
}

fn merge_values(merge: &Merge) -> impl Iterator<Item = &(String, Expr)> {
    merge.clauses.iter().flat_map(|clause| match &clause.action {
        Action::Update(values) | Action::Insert(values) => values.as_slice(),
        Action::Delete | Action::UpdateAll | Action::InsertAll | Action::Nothing => &[],
    })
}

/// Gives every cell of the rows, with the number of its column.
fn cells(rows: &SetExpr, cell: &mut impl FnMut(usize, &Expr)) {
    match rows {
        SetExpr::Values(values) => {
            for row in &values.rows {
                for (at, value) in row.iter().enumerate() {
                    cell(at, value);
                }
            }
        }
        SetExpr::Select(select) => {
            for (at, item) in select.projection.iter().enumerate() {
                match item {
                    SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. } => cell(at, value),
                    // For how many columns it stands is not known here.
                    _ => return,
                }
            }
        }
        SetExpr::Query(query) => cells(&query.body, cell),
        SetExpr::SetOperation { left, right, .. } => {
            cells(left, cell);
            cells(right, cell);
        }
        _ => {}
    }
}

/// The name of the parameter that a value is.
fn parameter(value: &Expr) -> Option<&str> {
    match value {
        Expr::Nested(inner) => parameter(inner),
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => Some(name.as_str()),
            _ => None,
        },
        _ => None,
    }
}

fn of_insert(insert: &Insert, table: &TableName) -> Vec<String> {
    let mut queries = vec![given_rows::without_defaults(&insert.query).to_string()];
    let conflict = insert.on_conflict.as_ref();
    if let Some(update) = conflict.and_then(|conflict| conflict.update.as_ref()) {
        let own = insert.alias.as_deref().unwrap_or_else(|| table.name());
        let from = format!("{} CROSS JOIN {}", called(table, own), called(table, EXCLUDED));
        let values = update.values.iter().map(|(_, value)| value);
        queries.push(query(values, &from, update.condition.iter()));
    }
    queries
}

fn of_merge(merge: &Merge, table: &TableName) -> String {
    let own = called(table, merge.alias.as_deref().unwrap_or_else(|| table.name()));
    let from = match &merge.source {
        None => own,
        Some(source) => match &source.alias {
            Some(alias) => format!("{own} CROSS JOIN {} AS {}", source.from, quoted(alias)),
            None => format!("{own}, {}", source.from),
        },
    };
    let conditions = merge.clauses.iter().filter_map(|clause| clause.condition.as_ref());
    let values = merge_values(merge).map(|(_, value)| value);
    query(values, &from, merge.on.iter().chain(conditions))
}

fn called(table: &TableName, alias: &str) -> String {
    let schema = quoted(&table.namespace().to_string());
    format!("{CATALOG}.{schema}.{} AS {}", quoted(table.name()), quoted(alias))
}

/// A query of these values under these conditions. Values that are parameters are told by their columns.
fn query<'a>(values: impl Iterator<Item = &'a Expr>, from: &str, conditions: impl Iterator<Item = &'a Expr>) -> String {
    let values = values.filter(|value| parameter(value).is_none() && !is_default(value));
    let values = values.enumerate();
    let mut columns: Vec<String> = values.map(|(at, value)| format!("({value}) AS \"v{at}\"")).collect();
    if columns.is_empty() {
        columns.push("1".to_owned());
    }
    let conditions: Vec<String> = conditions.map(|condition| format!("({condition})")).collect();
    let only = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    format!("SELECT {} FROM {from}{only}", columns.join(", "))
}
