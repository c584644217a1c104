//! Tables of PostgreSQL's catalog, and functions in the place of tables.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Select, TableAlias, TableAliasColumnDef,
    TableFactor, TableFunctionArgs, TimezoneInfo, Visit, visit_expressions_mut,
};

use super::expressions::{is_vector, parts_of};
use super::names::{as_number, as_text, call, cast, name, parts, text};
use super::ties::Queries;
use crate::pg_catalog::functions::names;
use crate::pg_catalog::tables::{INFORMATION, is_information, is_table};
use crate::pg_catalog::{Postgres, SCHEMA, figures};

/// Lets a name mean the table that PostgreSQL would find.
pub(super) fn change(factor: &mut TableFactor, postgres: &Postgres, ctes: &BTreeSet<String>) {
    beside(factor);
    if let Some(numbered) = numbered(factor) {
        *factor = numbered;
        return;
    }
    if let TableFactor::Table {
        alias,
        args: Some(_),
        with_ordinality: true,
        ..
    } = factor
    {
        // The planner would leave the places out. Of lists it says that it does not know them.
        *factor = TableFactor::UNNEST {
            alias: alias.take(),
            array_exprs: Vec::new(),
            with_offset: false,
            with_offset_alias: None,
            with_ordinality: true,
        };
        return;
    }
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
                let zone = postgres.zone();
                let arguments = args.iter_mut().flat_map(|args| &mut args.args);
                arguments.for_each(|argument| bound(argument, zone));
            }
            if let Some((lists, columns)) = args.as_ref().and_then(|given| rows_of(&last, given)) {
                let was_called = alias.is_some();
                let mut alias = alias.take().unwrap_or_else(|| called(&last));
                if alias.columns.is_empty() {
                    // A column alone is called as its table, if that has a name of its own.
                    alias.columns = match columns {
                        [_] if was_called => vec![column(&alias.name)],
                        [] => vec![column(&alias.name)],
                        columns => columns.iter().map(|name| column(&Ident::new(*name))).collect(),
                    };
                }
                *factor = TableFactor::UNNEST {
                    alias: Some(alias),
                    array_exprs: lists,
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

/// `LATERAL f(x)` is `f(x)`: functions see the tables before them anyway.
fn beside(factor: &mut TableFactor) {
    let TableFactor::Function {
        lateral: true,
        name: function,
        args,
        with_ordinality,
        alias,
    } = factor
    else {
        return;
    };
    let with_ordinality = *with_ordinality;
    let given = args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression.clone()),
        _ => None,
    });
    let Some(lists) = given.collect::<Option<Vec<Expr>>>() else {
        return;
    };
    *factor = match parts(function).as_slice() {
        [only] if only == "unnest" => TableFactor::UNNEST {
            alias: Some(alias.take().unwrap_or_else(|| called(only))),
            array_exprs: lists,
            with_offset: false,
            with_offset_alias: None,
            with_ordinality,
        },
        _ => TableFactor::Table {
            name: function.clone(),
            alias: alias.take(),
            args: Some(TableFunctionArgs {
                args: std::mem::take(args),
                settings: None,
            }),
            with_hints: Vec::new(),
            version: None,
            with_ordinality,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        },
    };
}

/// Columns of functions that are called as these.
const UNNAMED: &[&str] = &[];

/// `f(x) WITH ORDINALITY`: beside the lists of what a function has as rows one of their places. None for what has none, and where a
/// list is what a query answers, which would be asked two times.
fn numbered(factor: &TableFactor) -> Option<TableFactor> {
    let (function, lists, columns, alias) = match factor {
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_ordinality: true,
            ..
        } => ("unnest".to_owned(), array_exprs.clone(), UNNAMED, alias),
        TableFactor::Table {
            name,
            alias,
            args: Some(given),
            with_ordinality: true,
            ..
        } => {
            let last = match parts(name).as_slice() {
                [last] => last.clone(),
                [schema, last] if schema == SCHEMA => last.clone(),
                _ => return None,
            };
            let (lists, columns) = match last.as_str() {
                "generate_series" => (vec![call("pg_series", given_to(given)?)], UNNAMED),
                _ => rows_of(&last, given)?,
            };
            (last, lists, columns, alias)
        }
        _ => return None,
    };
    if lists.iter().any(|list| list.visit(&mut Queries).is_break()) {
        return None;
    }
    let mut alias = alias.clone().unwrap_or_else(|| called(&function));
    let mut names: Vec<Ident> = match columns {
        [] => vec![alias.name.clone(); lists.len()],
        columns => columns.iter().map(|name| Ident::new(*name)).collect(),
    };
    names.push(Ident::with_quote('"', "ordinality"));
    if alias.columns.len() > names.len() {
        return None;
    }
    let rest = names.iter().skip(alias.columns.len()).map(column);
    alias.columns.extend(rest);
    let places = call("pg_ordinals", lists.clone());
    Some(TableFactor::UNNEST {
        alias: Some(alias),
        array_exprs: lists.into_iter().chain([places]).collect(),
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    })
}

/// What a function is given, if it is plain expressions.
fn given_to(given: &TableFunctionArgs) -> Option<Vec<Expr>> {
    let arguments = given.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression.clone()),
        _ => None,
    });
    arguments.collect()
}

/// Lets the elements of an array be called `e` and `e.value` where the function that has them as rows is called `e`.
pub(super) fn elements(select: &mut Select) {
    let joined = select
        .from
        .iter()
        .flat_map(|from| from.joins.iter().map(|join| &join.relation));
    let relations = select.from.iter().map(|from| &from.relation).chain(joined);
    let named: Vec<(Ident, &str)> = relations.filter_map(only_column).collect();
    for (table, column) in named {
        let change = |expression: &mut Expr| {
            if let Expr::CompoundIdentifier(parts) = expression
                && let [of, last] = parts.as_mut_slice()
                && of.value.eq_ignore_ascii_case(&table.value)
                && last.value.eq_ignore_ascii_case(column)
            {
                *last = table.clone();
            }
            ControlFlow::<()>::Continue(())
        };
        let _: ControlFlow<()> = visit_expressions_mut(select, change);
    }
}

/// The name that a function of documents with one column is given, and what PostgreSQL calls the column.
fn only_column(factor: &TableFactor) -> Option<(Ident, &'static str)> {
    let (TableFactor::Table {
        name: function,
        alias: Some(alias),
        args: Some(_),
        with_ordinality: false,
        ..
    }
    | TableFactor::Function {
        name: function,
        alias: Some(alias),
        with_ordinality: false,
        ..
    }) = factor
    else {
        return None;
    };
    match parts_of(&parts(function).pop()?) {
        Some((_, [column])) if alias.columns.is_empty() => Some((alias.name.clone(), column)),
        _ => None,
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

/// The lists of the values that a function in the place of a table has as rows: the pieces of a text, the parts of a document, or one value;
/// and what its columns are called, where not as itself.
fn rows_of(function: &str, given: &TableFunctionArgs) -> Option<(Vec<Expr>, &'static [&'static str])> {
    static NAMES: LazyLock<BTreeMap<String, &str>> = LazyLock::new(names);
    let arguments = given_to(given)?;
    if let Some((lists, columns)) = parts_of(function) {
        let lists = lists.iter().map(|list| call(list, arguments.clone()));
        return Some((lists.collect(), columns));
    }
    let list = match function {
        "regexp_split_to_table" => call("regexp_split_to_array", arguments),
        "string_to_table" => call("string_to_array", arguments),
        "regexp_matches" => call("pg_regexp_matches", arguments),
        "generate_series" | "range" | "unnest" => return None,
        "generate_subscripts" => match arguments.as_slice() {
            [array, dimension] if !is_vector(array) && as_number(dimension).as_deref() == Some("1") => {
                call("pg_ordinals", vec![array.clone()])
            }
            _ => return None,
        },
        scalar if NAMES.get(scalar) == Some(&"f") || SESSION.contains(&scalar) => {
            call("make_array", vec![call(scalar, arguments)])
        }
        _ => return None,
    };
    Some((vec![list], &[]))
}

/// The bounds of an array are numbers of four bytes, and the query engine's series wants those of eight; moments it wants in
/// nanoseconds.
fn bound(argument: &mut FunctionArg, zone: &str) {
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
        Expr::Cast { expr, data_type, .. } => {
            if let (DataType::Timestamp(_, of), Some(moment)) = (data_type, as_text(expr)) {
                *expression = nanoseconds(moment, *of, zone);
            }
        }
        _ => {}
    }
}

fn nanoseconds(moment: &str, of: TimezoneInfo, zone: &str) -> Expr {
    let moment = figures(moment).unwrap_or_else(|| moment.to_owned());
    let of = match of {
        TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => "Timestamp(Nanosecond, None)".to_owned(),
        TimezoneInfo::Tz | TimezoneInfo::WithTimeZone => format!("Timestamp(Nanosecond, Some(\"{zone}\"))"),
    };
    call("arrow_cast", vec![text(&moment), text(&of)])
}

fn called(name: &str) -> TableAlias {
    TableAlias {
        explicit: true,
        name: Ident::new(name),
        columns: Vec::new(),
        at: None,
    }
}
