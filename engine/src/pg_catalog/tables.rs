//! The tables of `pg_catalog` and `information_schema`, made in memory for one statement.

mod build;
mod empty;
mod information_schema;
mod objects;
mod server;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use tidewater_core::TableName;

use self::build::Table;
use super::{Postgres, Relations, SCHEMA};
use crate::error::{EngineError, Result};

/// What stands before the names of the tables of `information_schema`.
pub(super) const INFORMATION: &str = "information_schema_";

/// The number of the schema `pg_catalog`, which PostgreSQL never changes.
const CATALOG_OID: i64 = 11;

/// The number of the schema `information_schema`.
const INFORMATION_OID: i64 = 13_000;

/// The number of the one user that is told of.
pub(super) const OWNER_OID: i64 = 10;

/// The number of the one database.
const DATABASE_OID: i64 = 16_383;

/// Numbers of the tables that others name by `'pg_class'::regclass`.
pub(super) const SYSTEM: &[(&str, i64)] = &[
    ("pg_type", 1247),
    ("pg_attribute", 1249),
    ("pg_proc", 1255),
    ("pg_class", 1259),
    ("pg_authid", 1260),
    ("pg_database", 1262),
    ("pg_constraint", 2606),
    ("pg_attrdef", 2604),
    ("pg_index", 2610),
    ("pg_namespace", 2615),
    ("pg_description", 2609),
    ("pg_operator", 2617),
    ("pg_trigger", 2620),
    ("pg_tablespace", 1213),
    ("pg_language", 2612),
    ("pg_collation", 3456),
    ("pg_extension", 3079),
    ("pg_enum", 3501),
];

/// Every table of both schemas.
pub(super) fn all(postgres: &Postgres, relations: &Relations) -> Result<HashMap<TableName, Arc<dyn TableProvider>>> {
    let mut tables: Vec<Table> = Vec::new();
    tables.extend(objects::tables(relations, postgres));
    tables.extend(server::tables(postgres));
    tables.extend(information_schema::tables(relations, postgres));
    tables.extend(empty::tables());
    let tables = tables.into_iter().map(|table| {
        let name = format!("{SCHEMA}.{}", table.name());
        let name: TableName = name.parse().map_err(|source| EngineError::Name { name, source })?;
        let batch = table.batch()?;
        let provider: Arc<dyn TableProvider> = Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?);
        Ok((name, provider))
    });
    tables.collect()
}

/// Whether there is a table of this name in `pg_catalog`.
pub(super) fn is_table(name: &str) -> bool {
    objects::NAMES.contains(&name) || server::NAMES.contains(&name) || empty::is_table(name)
}

/// Whether a table never has rows.
pub(super) fn is_empty(name: &str) -> bool {
    empty::is_table(name)
}

/// Whether there is a table of this name in `information_schema`.
pub(super) fn is_information(name: &str) -> bool {
    let full = format!("{INFORMATION}{name}");
    information_schema::NAMES.contains(&name) || empty::is_table(&full)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: every table that names are looked up in is there. Method: make all of them.
    #[test]
    fn all_tables_are_made() {
        let tables = all(&Postgres::default(), &Relations::default()).expect("tables");
        for name in objects::NAMES.iter().chain(server::NAMES) {
            let name: TableName = format!("{SCHEMA}.{name}").parse().expect("a name");
            assert!(tables.contains_key(&name), "{name}");
        }
        for name in information_schema::NAMES {
            let name: TableName = format!("{SCHEMA}.{INFORMATION}{name}").parse().expect("a name");
            assert!(tables.contains_key(&name), "{name}");
        }
        let listed = tables.keys().all(|name| {
            let name = name.name();
            is_table(name) || name.strip_prefix(INFORMATION).is_some_and(is_information)
        });
        assert!(listed);
    }
}
