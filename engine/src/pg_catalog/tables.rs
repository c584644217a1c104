//! The tables of `pg_catalog` and `information_schema`, made in memory for one statement.

mod build;
mod empty;
mod information_schema;
mod objects;
mod server;
mod types_and_functions;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
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

/// Numbers of the tables that others name by `'pg_class'::regclass`, as in PostgreSQL 15.
pub(super) const SYSTEM: &[(&str, i64)] = &[
    ("pg_default_acl", 826),
    ("pg_tablespace", 1213),
    ("pg_type", 1247),
    ("pg_attribute", 1249),
    ("pg_proc", 1255),
    ("pg_class", 1259),
    ("pg_authid", 1260),
    ("pg_auth_members", 1261),
    ("pg_database", 1262),
    ("pg_foreign_server", 1417),
    ("pg_sequence", 2224),
    ("pg_foreign_data_wrapper", 2328),
    ("pg_shdescription", 2396),
    ("pg_aggregate", 2600),
    ("pg_am", 2601),
    ("pg_attrdef", 2604),
    ("pg_cast", 2605),
    ("pg_constraint", 2606),
    ("pg_conversion", 2607),
    ("pg_depend", 2608),
    ("pg_description", 2609),
    ("pg_index", 2610),
    ("pg_inherits", 2611),
    ("pg_language", 2612),
    ("pg_namespace", 2615),
    ("pg_opclass", 2616),
    ("pg_operator", 2617),
    ("pg_rewrite", 2618),
    ("pg_trigger", 2620),
    ("pg_opfamily", 2753),
    ("pg_db_role_setting", 2964),
    ("pg_largeobject_metadata", 2995),
    ("pg_extension", 3079),
    ("pg_foreign_table", 3118),
    ("pg_policy", 3256),
    ("pg_partitioned_table", 3350),
    ("pg_statistic_ext", 3381),
    ("pg_init_privs", 3394),
    ("pg_collation", 3456),
    ("pg_event_trigger", 3466),
    ("pg_enum", 3501),
    ("pg_range", 3541),
    ("pg_seclabel", 3596),
    ("pg_ts_dict", 3600),
    ("pg_ts_config", 3602),
    ("pg_subscription", 6100),
    ("pg_publication", 6104),
    ("pg_publication_rel", 6106),
    ("pg_publication_namespace", 6237),
];

/// Tables that are about what there is and say nothing of its size, nor of who asks: they are made once.
const LASTING: &[&str] = &[
    "pg_attribute",
    "pg_constraint",
    "pg_description",
    "pg_get_keywords",
    "pg_index",
    "pg_namespace",
    "pg_proc",
    "pg_type",
    "information_schema_columns",
];

/// The tables of both schemas whose names are in this text, which is in lower case.
pub(super) fn named(
    text: &str,
    postgres: &Postgres,
    relations: &Relations,
) -> Result<HashMap<TableName, Arc<dyn TableProvider>>> {
    let mut tables = HashMap::new();
    for name in names() {
        if !text.contains(name.strip_prefix(INFORMATION).unwrap_or(name)) {
            continue;
        }
        let make = || match made(name, postgres, relations) {
            Some(table) => table.batch(),
            None => Ok(RecordBatch::new_empty(Arc::new(Schema::empty()))),
        };
        let batch = match LASTING.contains(&name) {
            true => relations.once(name, make)?,
            false => make()?,
        };
        let full = format!("{SCHEMA}.{name}");
        let full: TableName = full
            .parse()
            .map_err(|source| EngineError::Name { name: full, source })?;
        let provider: Arc<dyn TableProvider> = Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?);
        tables.insert(full, provider);
    }
    Ok(tables)
}

/// The names of all tables, those of `information_schema` behind [`INFORMATION`].
fn names() -> impl Iterator<Item = &'static str> {
    let own = objects::NAMES
        .iter()
        .chain(types_and_functions::NAMES)
        .chain(server::NAMES)
        .chain(information_schema::NAMES);
    own.copied().chain(empty::names())
}

fn made(name: &str, postgres: &Postgres, relations: &Relations) -> Option<Table> {
    objects::table(name, relations, postgres)
        .or_else(|| types_and_functions::table(name))
        .or_else(|| server::table(name, postgres))
        .or_else(|| information_schema::table(name, relations, postgres))
        .or_else(|| empty::table(name))
}

/// Whether there is a table of this name in `pg_catalog`.
pub(crate) fn is_table(name: &str) -> bool {
    let own = [objects::NAMES, types_and_functions::NAMES, server::NAMES];
    own.iter().any(|names| names.contains(&name)) || empty::is_table(name)
}

/// The kind of a column of a table that never has rows, as [`build::Table::new`] has it.
pub(super) fn empty_column(table: &str, column: &str) -> Option<char> {
    empty::kind(table, column)
}

/// Whether a table never has rows.
pub(super) fn is_empty(name: &str) -> bool {
    empty::is_table(name)
}

/// Whether there is a table of this name in `information_schema`.
pub(super) fn is_information(name: &str) -> bool {
    let full = format!("{INFORMATION}{name}");
    information_schema::NAMES.contains(&full.as_str()) || empty::is_table(&full)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: every table that names are looked up in is there, and no other. Method: make each, by its name in a statement.
    #[test]
    fn all_tables_are_made() {
        for name in names() {
            let (postgres, relations) = (Postgres::default(), Relations::default());
            assert!(
                made(name, &postgres, &relations).is_some_and(|table| table.name() == name),
                "{name}"
            );
            let short = name.strip_prefix(INFORMATION);
            assert!(is_table(name) || short.is_some_and(is_information), "{name}");
            let text = format!("select * from {}", short.unwrap_or(name));
            let tables = named(&text, &postgres, &relations).expect("tables");
            let full: TableName = format!("{SCHEMA}.{name}").parse().expect("a name");
            assert!(tables.contains_key(&full), "{name}");
        }
        assert!(LASTING.iter().all(|lasting| names().any(|name| name == *lasting)));
        let tables = named("select 1", &Postgres::default(), &Relations::default()).expect("tables");
        assert!(tables.is_empty());
    }
}
