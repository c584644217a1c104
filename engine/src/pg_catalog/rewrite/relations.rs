//! Tables of PostgreSQL's catalog, and functions in the place of tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias, TableAliasColumnDef, TableFactor,
    TableFunctionArgs, TimezoneInfo,
};

use super::names::{as_text, call, cast, name, parts, text};
use crate::pg_catalog::functions::names;
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
            if last == "generate_series" {
                args.iter_mut().flat_map(|args| &mut args.args).for_each(bound);
            }
            if let Some(rows) = args.as_ref().and_then(|given| rows_of(&last, given)) {
                let mut alias = alias.take().unwrap_or_else(|| called(&last));
                if alias.columns.is_empty() {
                    alias.columns.push(column(&alias.name));
                }
                *factor = TableFactor::UNNEST {
                    alias: Some(alias),
                    array_exprs: vec![rows],
                    with_offset: false,
                    with_offset_alias: None,
                    with_ordinality: false,
                };
                return;
            }
            // The one column is called what the function is.
            if matches!(last.as_str(), "generate_series" | "unnest") {
                let alias = alias.get_or_insert_with(|| called(&last));
                if alias.columns.is_empty() {
                    alias.columns.push(column(&alias.name));
                }
            }
        }
        TableFactor::UNNEST { alias: Some(alias), .. } if alias.columns.is_empty() => {
            alias.columns.push(column(&alias.name));
        }
        _ => {}
    }
}

fn column(name: &Ident) -> TableAliasColumnDef {
    TableAliasColumnDef {
        name: name.clone(),
        data_type: None,
    }
}

/// Functions that tell of the session and that somebody may ask as tables.
const SESSION: &[&str] = &[
    "current_catalog",
    "current_database",
    "current_schema",
    "current_schemas",
    "current_setting",
    "current_user",
    "pg_backend_pid",
    "session_user",
    "version",
];

/// The list of the values that a function in the place of a table has as rows: the pieces of a text, or one value.
fn rows_of(function: &str, given: &TableFunctionArgs) -> Option<Expr> {
    static NAMES: LazyLock<BTreeMap<String, &str>> = LazyLock::new(names);
    let arguments = given.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression.clone()),
        _ => None,
    });
    let arguments: Vec<Expr> = arguments.collect::<Option<_>>()?;
    match function {
        "regexp_split_to_table" => Some(call("regexp_split_to_array", arguments)),
        "string_to_table" => Some(call("string_to_array", arguments)),
        "regexp_matches" => Some(call("pg_regexp_matches", arguments)),
        "generate_series" | "range" | "unnest" => None,
        scalar if NAMES.get(scalar) == Some(&"f") || SESSION.contains(&scalar) => {
            Some(call("make_array", vec![call(scalar, arguments)]))
        }
        _ => None,
    }
}

/// The bounds of an array are numbers of four bytes, and the query engine's series wants those of eight; moments it wants in
/// nanoseconds.
fn bound(argument: &mut FunctionArg) {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) = argument else {
        return;
    };
    match &*expression {
        Expr::Function(function) => {
            let last = parts(&function.name).pop();
            if last.is_some_and(|name| name.starts_with("array_")) {
                *expression = cast(expression.clone(), DataType::BigInt(None));
            }
        }
        Expr::TypedString(typed) => {
            if let (DataType::Timestamp(_, zone), Some(moment)) =
                (&typed.data_type, typed.value.value.clone().into_string())
            {
                *expression = nanoseconds(&moment, *zone);
            }
        }
        Expr::Cast { expr, data_type, .. } => {
            if let (DataType::Timestamp(_, zone), Some(moment)) = (data_type, as_text(expr)) {
                *expression = nanoseconds(moment, *zone);
            }
        }
        _ => {}
    }
}

fn nanoseconds(moment: &str, zone: TimezoneInfo) -> Expr {
    let of = match zone {
        TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => "Timestamp(Nanosecond, None)",
        TimezoneInfo::Tz | TimezoneInfo::WithTimeZone => "Timestamp(Nanosecond, Some(\"+00:00\"))",
    };
    call("arrow_cast", vec![text(moment), text(of)])
}

fn called(name: &str) -> TableAlias {
    TableAlias {
        explicit: true,
        name: Ident::new(name),
        columns: Vec::new(),
        at: None,
    }
}
