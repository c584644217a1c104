//! The SQL of models: parsed once, read for its tables, with the time of the run put in.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use datafusion::sql::parser::Statement as AnyStatement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, Query, Statement, Visit, visit_expressions, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use tidewater_core::{Namespace, TableName};

use crate::error::{PipelineError, Place, Result};

/// Schema of names without one: the default of every session.
const DEFAULT_NAMESPACE: &str = "gold";

/// How deep expressions and subqueries may nest: beyond any hand-written query, below what would exhaust the stack.
const RECURSION_LIMIT: usize = 128;

/// Whether a query asks when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunTime {
    /// It does not.
    Unused,
    /// It calls `run_date()`.
    Date,
    /// It calls `run_ts()`.
    Timestamp,
}

impl RunTime {
    /// Of a query or a part of one.
    pub(crate) fn of(part: &impl Visit) -> Self {
        let mut found = Self::Unused;
        let _: ControlFlow<()> = visit_expressions(part, |expression| {
            found = found.max(called(expression));
            ControlFlow::Continue(())
        });
        found
    }
}

fn called(expression: &Expr) -> RunTime {
    match expression {
        Expr::Function(function) if no_arguments(&function.args) => {
            match function.name.to_string().to_ascii_lowercase().as_str() {
                "run_ts" => RunTime::Timestamp,
                "run_date" => RunTime::Date,
                _ => RunTime::Unused,
            }
        }
        _ => RunTime::Unused,
    }
}

fn no_arguments(arguments: &FunctionArguments) -> bool {
    match arguments {
        FunctionArguments::None => true,
        FunctionArguments::List(list) => list.args.is_empty(),
        FunctionArguments::Subquery(_) => false,
    }
}

/// The query of a file, none if it holds only comments.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Option<Query>> {
    let mut statements = parser(text)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| failed(path, &error))?;
    let refused = |reason: &str| PipelineError::Sql {
        place: Place::file(path),
        reason: reason.into(),
    };
    match (statements.pop(), statements.is_empty()) {
        (None, _) => Ok(None),
        (Some(Statement::Query(query)), true) => Ok(Some(*query)),
        (Some(_), true) => Err(refused("a model is a query: SELECT or WITH")),
        (Some(_), false) => Err(refused("a model is one query, the file holds several statements")),
    }
}

/// One expression.
pub(crate) fn expression(path: &Path, text: &str) -> Result<Expr> {
    parser(text)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|error| failed(path, &error))
}

fn parser(text: &str) -> Result<Parser<'static>, ParserError> {
    Parser::new(&GenericDialect {})
        .with_recursion_limit(RECURSION_LIMIT)
        .try_with_sql(text)
}

fn failed(path: &Path, error: &ParserError) -> PipelineError {
    let reason = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => format!("the query nests deeper than {RECURSION_LIMIT} levels"),
    };
    // The parser tells the place only in its text.
    let line = reason.rsplit_once("Line: ").and_then(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    PipelineError::Sql {
        place: Place {
            path: path.to_owned(),
            line,
        },
        reason,
    }
}

/// Tables the query reads, each with its namespace.
pub(crate) fn references(path: &Path, query: &Query) -> Result<BTreeSet<TableName>> {
    let refused = |reason: String| PipelineError::Sql {
        place: Place::file(path),
        reason,
    };
    let statement = AnyStatement::Statement(Box::new(Statement::Query(Box::new(query.clone()))));
    let (tables, _) = resolve_table_references(&statement, true).map_err(|error| refused(error.to_string()))?;
    let mut names = BTreeSet::new();
    for table in tables {
        let namespace = table.schema().unwrap_or(DEFAULT_NAMESPACE);
        let name = Namespace::single(namespace)
            .and_then(|namespace| TableName::new(namespace, table.table()))
            .map_err(|error| refused(format!("table {table}: {error}")))?;
        names.insert(name);
    }
    Ok(names)
}

/// Whether the query says another thing at another time of a run.
pub(crate) fn has_run_time(query: &Query) -> bool {
    RunTime::of(query) != RunTime::Unused
}

/// Puts the time of the run in place of `run_ts()` and `run_date()`, so that every task of a run sees the same.
pub(crate) fn with_run_time(path: &Path, query: &Query, run_ms: i64) -> Result<Query> {
    let mut query = query.clone();
    if !has_run_time(&query) {
        return Ok(query);
    }
    let at = DateTime::from_timestamp_millis(run_ms).unwrap_or_default();
    let timestamp = format!(
        "arrow_cast('{}', 'Timestamp(Microsecond, Some(\"+00:00\"))')",
        at.to_rfc3339_opts(SecondsFormat::Micros, true)
    );
    let timestamp = expression(path, &timestamp)?;
    let date = expression(path, &format!("CAST('{}' AS DATE)", at.format("%Y-%m-%d")))?;
    let _: ControlFlow<()> = visit_expressions_mut(&mut query, |expression| {
        match called(expression) {
            RunTime::Timestamp => *expression = timestamp.clone(),
            RunTime::Date => *expression = date.clone(),
            RunTime::Unused => {}
        }
        ControlFlow::Continue(())
    });
    Ok(query)
}

/// A name in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
