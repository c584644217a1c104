//! Tables of PostgreSQL's catalog, and functions in the place of tables.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, TableAlias, TableAliasColumnDef, TableFactor};

use super::names::{name, parts};
use crate::pg_catalog::tables::{INFORMATION, is_information, is_table};
use crate::pg_catalog::{Postgres, SCHEMA};

/// Lets a name mean the table that PostgreSQL would find.
pub(super) fn change(factor: &mut TableFactor, postgres: &Postgres, ctes: &BTreeSet<String>) {
    match factor {
        TableFactor::Table {
            name: table,
            alias,
            args: None,
            ..
        } => {
            let found = parts(table);
            let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
            if found.len() == 3 && found.first() == Some(&postgres.database.as_str()) {
                found.remove(0);
            }
            let (wanted, last) = match found.as_slice() {
                ["information_schema", last] if is_information(last) => (format!("{INFORMATION}{last}"), *last),
                ["pg_catalog", last] if is_table(last) => ((*last).to_owned(), *last),
                [last] if is_table(last) && !ctes.contains(*last) => ((*last).to_owned(), *last),
                _ => return,
            };
            *table = name(&[SCHEMA, &wanted]);
            alias.get_or_insert_with(|| called(last));
        }
        TableFactor::Table {
            name: function,
            alias,
            args: args @ Some(_),
            ..
        } => {
            let found = parts(function);
            let last = match found.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["pg_catalog", last] | [last] => (*last).to_owned(),
                _ => return,
            };
            if is_table(&last) {
                *function = name(&[SCHEMA, &last]);
                *args = None;
                alias.get_or_insert_with(|| called(&last));
                return;
            }
            if found.len() == 2 {
                // Functions are looked up by what is written, quotes included.
                *function = ObjectName::from(vec![Ident::new(&last)]);
            }
            // The one column is called what the function is.
            if matches!(last.as_str(), "generate_series" | "unnest") {
                let alias = alias.get_or_insert_with(|| called(&last));
                if alias.columns.is_empty() {
                    alias.columns.push(TableAliasColumnDef {
                        name: alias.name.clone(),
                        data_type: None,
                    });
                }
            }
        }
        TableFactor::UNNEST { alias: Some(alias), .. } if alias.columns.is_empty() => {
            alias.columns.push(TableAliasColumnDef {
                name: alias.name.clone(),
                data_type: None,
            });
        }
        _ => {}
    }
}

fn called(name: &str) -> TableAlias {
    TableAlias {
        explicit: true,
        name: Ident::new(name),
        columns: Vec::new(),
        at: None,
    }
}
