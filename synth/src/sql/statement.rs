//! Single statements.

use crate::schema::{self, Column, PgType, Table};
use crate::value::{Value, date_text, decimal_text, timestamp_text};
use crate::world::{Change, Op, Row};

/// A table, with long texts kept out of line uncompressed, so that unchanged ones are not in the log.
pub(super) fn create_table(schema: &str, table: &Table) -> Vec<String> {
    let columns: Vec<_> = table.columns.iter().map(definition).collect();
    let name = format!("{}.{}", quoted(schema), quoted(table.name));
    let key = table.key.join(", ");
    let mut statements = vec![format!(
        "CREATE TABLE {name} ({}, PRIMARY KEY ({key}))",
        columns.join(", ")
    )];
    for column in table.columns.iter().filter(|column| column.is_toasted()) {
        statements.push(format!(
            "ALTER TABLE {name} ALTER COLUMN {} SET STORAGE EXTERNAL",
            quoted(column.name)
        ));
    }
    statements
}

/// The name of a column's type.
pub(crate) fn type_name(pg: PgType) -> String {
    match pg {
        PgType::Uuid => "uuid".to_owned(),
        PgType::Text => "text".to_owned(),
        PgType::Int => "integer".to_owned(),
        PgType::BigInt => "bigint".to_owned(),
        PgType::Numeric(precision, scale) => format!("numeric({precision},{scale})"),
        PgType::Bool => "boolean".to_owned(),
        PgType::Date => "date".to_owned(),
        PgType::Timestamp => "timestamp".to_owned(),
        PgType::Timestamptz => "timestamptz".to_owned(),
        PgType::Jsonb => "jsonb".to_owned(),
    }
}

fn definition(column: &Column) -> String {
    let nullable = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {}{nullable}", quoted(column.name), type_name(column.pg))
}

/// A query that gives a table's rows as the oracle's lines: one text column, sorted as the oracle sorts.
pub(super) fn canonical_query(schema: &str, table: &Table) -> String {
    let members: Vec<_> = table
        .columns
        .iter()
        .map(|column| {
            format!(
                "'\"{}\":' || coalesce(to_json({})::text, 'null')",
                column.name,
                canonical(column)
            )
        })
        .collect();
    let keys = table.columns.iter().filter(|column| table.key.contains(&column.name));
    let order: Vec<_> = keys
        .map(|column| format!("{} COLLATE \"C\"", canonical(column)))
        .collect();
    format!(
        "SELECT '{{' || {} || '}}' FROM {}.{} ORDER BY {}",
        members.join(" || ',' || "),
        quoted(schema),
        quoted(table.name),
        order.join(", ")
    )
}

/// The canonical text of a cell.
fn canonical(column: &Column) -> String {
    let name = quoted(column.name);
    match column.pg {
        PgType::Timestamp => format!("to_char({name}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"),
        PgType::Timestamptz => format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"),
        PgType::Date => format!("to_char({name}, 'YYYY-MM-DD')"),
        _ => format!("{name}::text"),
    }
}

/// Rows that are there from the start.
pub(super) fn insert(schema: &str, table: &Table, rows: &[&Row]) -> String {
    let columns: Vec<_> = table.columns.iter().map(|column| quoted(column.name)).collect();
    let rows: Vec<_> = rows.iter().map(|row| values(table, row)).collect();
    let name = format!("{}.{}", quoted(schema), quoted(table.name));
    format!(
        "INSERT INTO {name} ({}) VALUES\n{}",
        columns.join(", "),
        rows.join(",\n")
    )
}

/// What the world did to one row. Updates name only the columns that changed.
pub(super) fn statement(schema: &str, change: &Change) -> Option<String> {
    let (_, table) = schema::tables().get(change.table.index)?;
    let name = format!("{}.{}", quoted(schema), quoted(table.name));
    match (change.op, &change.before, &change.after) {
        (Op::Create | Op::Read, _, Some(after)) => Some(insert(schema, table, &[after])),
        (Op::Update, Some(before), Some(after)) => {
            let cells = table.columns.iter().zip(before.iter().zip(after.iter()));
            let mut changed: Vec<_> = cells
                .filter(|(_, (before, after))| before != after)
                .map(|(column, (_, after))| format!("{} = {}", quoted(column.name), literal(column, after)))
                .collect();
            if changed.is_empty() {
                // PostgreSQL writes a row anew even when nothing changes, and so does the connector.
                let key = table.key.first()?;
                changed.push(format!("{0} = {0}", quoted(key)));
            }
            Some(format!(
                "UPDATE {name} SET {} WHERE {}",
                changed.join(", "),
                key_of(table, before)
            ))
        }
        (Op::Delete, Some(before), _) => Some(format!("DELETE FROM {name} WHERE {}", key_of(table, before))),
        _ => None,
    }
}

fn key_of(table: &Table, row: &Row) -> String {
    let cells = table
        .columns
        .iter()
        .zip(row.iter())
        .filter(|(column, _)| table.key.contains(&column.name));
    let equal: Vec<_> = cells
        .map(|(column, value)| format!("{} = {}", quoted(column.name), literal(column, value)))
        .collect();
    equal.join(" AND ")
}

fn values(table: &Table, row: &Row) -> String {
    let literals: Vec<_> = table
        .columns
        .iter()
        .zip(row.iter())
        .map(|(column, value)| literal(column, value))
        .collect();
    format!("({})", literals.join(", "))
}

fn literal(column: &Column, value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Decimal(unscaled) => match column.pg {
            PgType::Numeric(_, scale) => decimal_text(*unscaled, scale),
            _ => unscaled.to_string(),
        },
        Value::Date(days) => format!("'{}'", date_text(*days)),
        Value::Micros(micros) => {
            format!(
                "'{}'",
                timestamp_text(*micros, if column.pg == PgType::Timestamptz { "+00" } else { "" })
            )
        }
        // standard_conforming_strings is on since 9.1: a backslash is itself.
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Uuid(id) => format!("'{id}'"),
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
