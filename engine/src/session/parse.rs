//! From text to a statement: what our tables are called beyond what the parser knows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::config::Dialect;
use datafusion::execution::SessionState;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Statement as SqlStatement, TableAlias,
    TableFactor, TableFunctionArgs, TableObject, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use tidewater_core::TableName;

use super::quantified;
use super::versions::{self, MOMENT};
use super::{
    CATALOG, asked_apart, balanced, bracketed, cast_groups, computed_beside, counted_rows, distinct, elements, escapes,
    existing, grouping, joined, listed, literal_sets, members, one_row, short_queries, skipped, sort_keys,
    standard_forms, tuples, unnested, values, wildcards, windows,
};
use crate::complexity;
use crate::error::Result;
use crate::lake::base_name;
use crate::metadata_tables::{self, Range};
use crate::pg_catalog::{self, Postgres};

/// The function of a table's changes.
const CHANGES: &str = "changes";

/// Parses one statement. Tables at a version are single names afterwards, and so are Spark's names of a table's metadata,
/// branches and tags where they cannot be names of tables; those that can are told by [`Parsed::doubtful`].
pub(super) fn parse(state: &SessionState, sql: &str) -> Result<Parsed> {
    complexity::check(sql)?;
    let options = &state.config().options().sql_parser;
    let versioned = match dialect_from_str(options.dialect.as_ref()) {
        Some(dialect) => {
            let sql = short_queries::written_out(sql, dialect.as_ref());
            let sql = standard_forms::readable(&sql, dialect.as_ref());
            let sql = bracketed::elements(&sql, dialect.as_ref());
            versions::rewrite(&escapes::without_outer_joins(&sql, dialect.as_ref()), dialect.as_ref())?
        }
        None => versions::Versioned {
            sql: sql.to_owned(),
            ..Default::default()
        },
    };
    let dialect: Dialect = options.dialect;
    let mut statement = state.sql_to_statement(&versioned.sql, &dialect).map_err(|error| {
        let error = match dialect_from_str(options.dialect.as_ref()) {
            Some(dialect) => short_queries::as_typed(sql, dialect.as_ref(), error),
            None => error,
        };
        windows::told(&versioned.sql, error)
    })?;
    match innermost(&mut statement) {
        Some(statement) => standard_forms::bounds(statement)?,
        None => standard_forms::unmarked(&versioned.sql)?,
    }
    understood(state, statement, &versioned.names)
}

/// What is meant by a statement as it was parsed: the planner takes some of it for something else, or not at all. `at_versions` are
/// its names of tables at a version.
pub(super) fn understood(
    state: &SessionState,
    mut statement: Statement,
    at_versions: &BTreeSet<String>,
) -> Result<Parsed> {
    // On the wire its columns get PostgreSQL's names.
    let names = state.config().get_extension::<Postgres>().is_none();
    if let Some(statement) = innermost(&mut statement) {
        distinct::regroup(statement);
        // Before joins are written otherwise.
        counted_rows::known(statement, names)?;
        one_row::grouped(statement);
        grouping::plain(statement)?;
        tuples::compared(statement);
        elements::sought(statement);
        windows::whole(statement);
        skipped::limited(statement);
        values::floating(statement);
        joined::by_names(statement);
        computed_beside::named(statement);
        quantified::as_members(statement);
        members::counted(statement)?;
        balanced::conditions(statement);
        wildcards::named_as_read(statement);
        complexity::check_parts(statement)?;
        // Before signs and collations are taken away.
        sort_keys::kept(statement);
    }
    pg_catalog::understand(state, &mut statement);
    if let Some(statement) = innermost(&mut statement) {
        listed::known(statement);
        existing::counted(statement);
        asked_apart::named(statement);
        // When columns have their names, which are those of what was written.
        literal_sets::told(statement);
        cast_groups::told_apart(statement);
        // When PostgreSQL's functions in the place of tables are lists, and what goes by the tables in FROM has seen them.
        unnested::beside(statement);
    }
    let mut names = Names {
        state,
        versioned: at_versions,
        missing: None,
        doubtful: Vec::new(),
    };
    visit(&mut statement, &mut names);
    let doubtful = names.doubtful;
    if let Statement::Statement(statement) = &mut statement {
        quantified::refuse(statement.as_mut())?;
    }
    Ok(Parsed { statement, doubtful })
}

/// The statement that is explained, if one is.
pub(super) fn innermost(statement: &mut Statement) -> Option<&mut SqlStatement> {
    match statement {
        Statement::Statement(statement) => Some(statement),
        Statement::Explain(explain) => innermost(&mut explain.statement),
        _ => None,
    }
}

/// A statement, and what is not known of its names.
pub(super) struct Parsed {
    pub(super) statement: Statement,
    /// Names that stand for a table if there is one, else for a part of another one, beside that other.
    pub(super) doubtful: Vec<(TableName, TableName)>,
}

impl Parsed {
    /// The statement with the names that stand for no table read as those of parts of tables.
    pub(super) fn resolve(mut self, state: &SessionState, missing: &BTreeSet<TableName>) -> Statement {
        if !missing.is_empty() {
            let mut names = Names {
                state,
                versioned: &BTreeSet::new(),
                missing: Some(missing),
                doubtful: Vec::new(),
            };
            visit(&mut self.statement, &mut names);
        }
        self.statement
    }
}

fn visit(statement: &mut Statement, names: &mut Names<'_>) {
    let _: ControlFlow<()> = match statement {
        Statement::Statement(statement) => statement.visit(names),
        Statement::Explain(explain) => {
            visit(&mut explain.statement, names);
            return;
        }
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(names),
            CopyToSource::Relation(_) => return,
        },
        _ => return,
    };
}

struct Names<'a> {
    state: &'a SessionState,
    versioned: &'a BTreeSet<String>,
    /// Tables that are known not to exist.
    missing: Option<&'a BTreeSet<TableName>>,
    doubtful: Vec<(TableName, TableName)>,
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &mut SqlStatement) -> ControlFlow<()> {
        // The tables of UPDATE, DELETE and MERGE are visited as those of queries are.
        if let SqlStatement::Insert(insert) = statement
            && let TableObject::TableName(name) = &mut insert.table
        {
            self.part(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args, .. } = factor else {
            return ControlFlow::Continue(());
        };
        if let Some(asked) = args {
            if let Some(changes) = changes(name, asked) {
                *name = changes;
                *args = None;
                alias.get_or_insert_with(|| named(Ident::new(CHANGES)));
            }
            return ControlFlow::Continue(());
        }
        let Some(last) = name.0.last().and_then(ObjectNamePart::as_ident).cloned() else {
            return ControlFlow::Continue(());
        };
        // As the table is called where it has no version, so that `t.column` finds it.
        let mut short = Ident::with_quote('"', last.value.clone());
        if self.at_version(&last.value) {
            let (base, _, part) = crate::lake::parts(&last.value);
            short.value = part.map_or_else(|| base.to_owned(), |part| format!("{base}${part}"));
        }
        let is_part = self.part(name);
        if (is_part || self.at_version(&last.value)) && alias.is_none() {
            if is_part {
                short.value = base_name(&last.value).to_owned();
            }
            *alias = Some(named(short));
        }
        ControlFlow::Continue(())
    }
}

impl Names<'_> {
    /// Whether the name is that of a table at a version, written so here or where the statement was taken apart.
    fn at_version(&self, name: &str) -> bool {
        self.versioned.contains(name) || (name.contains(MOMENT) && !name.starts_with(MOMENT))
    }

    /// Reads `t.snapshots` and `t.branch_audit` as Spark does: as `"t$snapshots"` and `"t@audit"`. Whether it was one.
    fn part(&mut self, name: &mut ObjectName) -> bool {
        let idents: Option<Vec<&Ident>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
        let Some(values) = idents.map(|idents| idents.into_iter().map(value).collect::<Vec<String>>()) else {
            return false;
        };
        let Some((last, table)) = values.split_last().and_then(|(last, rest)| Some((last, rest.last()?))) else {
            return false;
        };
        let Some(joined) = one_name(table, last) else {
            return false;
        };
        let defaults = &self.state.config().options().catalog;
        let full = match values.as_slice() {
            [first, _, _] if *first == CATALOG || self.state.catalog_list().catalog(first).is_some() => return false,
            [schema, table] => Some((schema, table, &defaults.default_schema)),
            [_, _, _] => None,
            [first, _, _, _] if *first == CATALOG => None,
            _ => return false,
        };
        if let Some((schema, table, default)) = full {
            let table = table_name(schema, base_name(table));
            let other = table_name(default, schema);
            let (Some(table), Some(other)) = (table, other) else {
                return false;
            };
            match self.missing {
                Some(missing) if missing.contains(&table) => {}
                Some(_) => return false,
                None => {
                    self.doubtful.push((table, other));
                    return false;
                }
            }
        }
        name.0.truncate(values.len() - 2);
        name.0.push(ObjectNamePart::Identifier(Ident::with_quote('"', joined)));
        true
    }
}

/// `changes('ns.t', from, to)` is a table of the metadata of `ns.t`. Whatever else it is given the planner refuses, for it knows no
/// such function.
pub(crate) fn changes(name: &ObjectName, arguments: &TableFunctionArgs) -> Option<ObjectName> {
    let [ObjectNamePart::Identifier(function)] = name.0.as_slice() else {
        return None;
    };
    if value(function) != CHANGES || arguments.args.len() > 3 {
        return None;
    }
    let mut texts = Vec::new();
    for argument in &arguments.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = argument else {
            return None;
        };
        texts.push(match &value.value {
            Value::Number(text, _) | Value::SingleQuotedString(text) => Some(text.clone()),
            Value::Null => None,
            _ => return None,
        });
    }
    let mut texts = texts.into_iter();
    let table = texts.next()??;
    let range = Range {
        from: texts.next().flatten(),
        to: texts.next().flatten(),
    };
    let (namespace, table) = match table.rsplit_once('.') {
        Some((namespace, table)) => (Some(namespace), table),
        None => (None, table.as_str()),
    };
    let catalog = namespace.map(|_| CATALOG);
    let parts = catalog.into_iter().chain(namespace).map(str::to_owned);
    let parts = parts.chain([format!("{table}${range}")]);
    let quoted = |part: String| ObjectNamePart::Identifier(Ident::with_quote('"', part));
    Some(ObjectName(parts.map(quoted).collect()))
}

fn named(name: Ident) -> TableAlias {
    TableAlias {
        explicit: true,
        name,
        columns: Vec::new(),
        at: None,
    }
}

fn table_name(schema: &str, table: &str) -> Option<TableName> {
    TableName::new(schema.parse().ok()?, table).ok()
}

/// An identifier as it counts.
pub(super) fn value(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

/// One name for a table and what Spark writes behind it.
pub(crate) fn one_name(table: &str, part: &str) -> Option<String> {
    let (name, version) = match part.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (part, None),
    };
    if metadata_tables::is_part(name) {
        return Some(match version {
            Some(version) => format!("{table}@{version}${name}"),
            None => format!("{table}${name}"),
        });
    }
    if version.is_some() {
        return None;
    }
    let prefixed = |prefix: &str| name.strip_prefix(prefix).filter(|rest| !rest.is_empty());
    if let Some(milliseconds) = prefixed("at_timestamp_") {
        return Some(format!("{table}@{}{milliseconds}", MOMENT));
    }
    let named = prefixed("branch_").or_else(|| prefixed("tag_"));
    let named = named.or_else(|| prefixed("snapshot_id_"));
    Some(format!("{table}@{}", named?))
}
