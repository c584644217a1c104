//! Names without a schema, where a session has several schemas for them: each stands for the table or view in the first of them that has
//! one which may be seen.
//!
//! One of a later schema is written out with it in the text of the statement, so that whatever reads the text then takes it for the same:
//! plans and results that are kept, grants, and views that are made of it. What the first schema has stays as it is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, Statement, TableFactor, TableObject, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};
use tidewater_core::{Namespace, TableName};
use tidewater_table::TableError;

use super::tokens::Places;
use super::{SessionOptions, bracketed, parse, short_queries, standard_forms, versions};
use crate::complexity;
use crate::engine::Engine;
use crate::error::Result;
use crate::lake::base_name;
use crate::pg_catalog::is_table;
use crate::planning::reading;
use crate::sql::quoted;

/// Statements nest no deeper, so that none exhausts the stack.
const RECURSION_MAX: usize = 50;

/// What stands before the name of what a statement changes, where no query names it: longer ones first.
const HEADS: &[&[&str]] = &[
    &["ALTER", "TABLE", "IF", "EXISTS"],
    &["ALTER", "TABLE"],
    &["ALTER", "VIEW", "IF", "EXISTS"],
    &["ALTER", "VIEW"],
    &["COMMENT", "ON", "TABLE"],
    &["COMMENT", "ON", "VIEW"],
    &["DELETE", "FROM"],
    &["DROP", "TABLE", "IF", "EXISTS"],
    &["DROP", "TABLE"],
    &["DROP", "VIEW", "IF", "EXISTS"],
    &["DROP", "VIEW"],
    &["INSERT", "INTO", "TABLE"],
    &["INSERT", "INTO"],
    &["INSERT", "OVERWRITE", "TABLE"],
    &["INSERT", "OVERWRITE"],
    &["MERGE", "INTO"],
    &["TRUNCATE", "TABLE"],
    &["TRUNCATE"],
    &["UPDATE"],
];

/// The same before the name of a column, which has that of its table before it.
const OF_COLUMN: &[&str] = &["COMMENT", "ON", "COLUMN"];

impl Engine {
    /// The statement with the schemas of those of its names that a later schema of `path` has and no earlier one; `None` where it means
    /// what it says. `views` are there beside those of the catalog. What is made goes to the first schema, whatever the others have.
    ///
    /// # Errors
    /// Those of the catalog. What cannot be read stays as it is, for whoever reads it then tells why.
    pub async fn on_path(
        &self,
        options: &SessionOptions,
        path: &[String],
        views: &[TableName],
        sql: &str,
    ) -> Result<Option<String>> {
        let (Some(first), true) = (path.first(), path.len() > 1) else {
            return Ok(None);
        };
        let Some(bare) = reading(sql.len(), || Bare::of(sql)) else {
            return Ok(None);
        };
        let mut sought: BTreeSet<String> = bare.places.values().cloned().collect();
        let mut elsewhere = BTreeMap::new();
        for schema in path {
            let Ok(namespace) = schema.parse::<Namespace>() else {
                continue;
            };
            for name in self.there(options, &namespace, views, &sought).await? {
                sought.remove(&name);
                if schema != first {
                    elsewhere.insert(name, schema.as_str());
                }
            }
        }
        Ok(bare.within(&elsewhere))
    }

    /// Which of these names a schema has a table or a view for that the session may see.
    async fn there(
        &self,
        options: &SessionOptions,
        schema: &Namespace,
        views: &[TableName],
        names: &BTreeSet<String>,
    ) -> Result<Vec<String>> {
        let mut asked = Vec::new();
        for name in names {
            // What can be no name is told when it is looked up.
            let Ok(name) = TableName::new(schema.clone(), name.as_str()) else {
                continue;
            };
            let access = options.access.as_ref();
            if access.is_none_or(|access| access.sees_object(schema.levels(), name.name())) {
                asked.push(name);
            }
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let tables = self.moment_of(options, asked.clone()).await?;
        let mut found = Vec::new();
        for name in asked {
            let known = tables.get(&name).is_some_and(Option::is_some) || views.contains(&name);
            if known
                || self
                    .catalog()
                    .load_view(&name)
                    .await
                    .map_err(TableError::from)?
                    .is_some()
            {
                found.push(name.name().to_owned());
            }
        }
        Ok(found)
    }
}

/// A statement with the places of its names that have no schema, as they count.
#[derive(Debug)]
struct Bare {
    sql: String,
    places: BTreeMap<usize, String>,
}

impl Bare {
    /// `None` for what cannot be read.
    fn of(sql: &str) -> Option<Self> {
        complexity::check(sql).ok()?;
        let dialect = PostgreSqlDialect {};
        let written_out = short_queries::written_out(sql, &dialect);
        let sql: &str = &written_out;
        let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().ok()?;
        let mut named: Vec<(Location, String)> = head(&tokens).into_iter().collect();
        let readable = standard_forms::readable(sql, &dialect);
        let readable = bracketed::elements(&readable, &dialect);
        let read = Tokenizer::new(&dialect, &readable).tokenize_with_location().ok()?;
        // What makes it readable is none of its names, and stays out of the text that goes on.
        let (read, written) = (words(&read), words(&tokens));
        if read.len() != written.len() {
            return None;
        }
        let written: BTreeMap<Location, Location> = read.into_iter().zip(written).collect();
        // Names at a version become shorter names at the same places.
        let versioned = versions::rewrite(&readable, &dialect).ok()?.sql;
        let statements = Parser::new(&dialect)
            .with_recursion_limit(RECURSION_MAX)
            .try_with_sql(&versioned)
            .and_then(|mut parser| parser.parse_statements());
        if let Ok(statements) = statements {
            let mut names = Names::default();
            let _: ControlFlow<()> = statements.visit(&mut names);
            let found = names.found.into_iter();
            named.extend(found.filter_map(|(place, name)| Some((*written.get(&place)?, name))));
        }
        let at = Places::new(sql);
        let placed = named.into_iter().map(|(place, name)| (at.offset(place), name));
        let is_there = |(at, name): &(usize, String)| begins_with(sql.get(*at..).unwrap_or_default(), name);
        Some(Self {
            sql: sql.to_owned(),
            places: placed.filter(is_there).collect(),
        })
    }

    /// The statement with the schemas of these names.
    fn within(&self, schemas: &BTreeMap<String, &str>) -> Option<String> {
        let mut written = self.sql.clone();
        let mut found = false;
        // From the end, so that places before stay what they are.
        for (at, name) in self.places.iter().rev() {
            if let Some(schema) = schemas.get(name) {
                written.insert_str(*at, &format!("{}.", quoted(schema)));
                found = true;
            }
        }
        found.then_some(written)
    }
}

/// Where the words of a statement are, but for those that are taken out to make it readable.
fn words(tokens: &[TokenWithSpan]) -> Vec<Location> {
    let is_name = |token: &&TokenWithSpan| match &token.token {
        Token::Word(word) => !["symmetric", "asymmetric"].contains(&word.value.to_lowercase().as_str()),
        _ => false,
    };
    tokens.iter().filter(is_name).map(|token| token.span.start).collect()
}

/// Whether a text begins with a name, in quotes or without.
fn begins_with(text: &str, name: &str) -> bool {
    let mut letters = text.chars().flat_map(char::to_lowercase);
    text.starts_with('"')
        || name
            .chars()
            .flat_map(char::to_lowercase)
            .all(|letter| letters.next() == Some(letter))
}

/// The name of what a statement changes, where it begins with that.
fn head(tokens: &[TokenWithSpan]) -> Option<(Location, String)> {
    let tokens: Vec<&TokenWithSpan> = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .collect();
    let begins = |words: &[&str]| {
        let is = |(at, word): (usize, &&str)| match tokens.get(at).map(|token| &token.token) {
            Some(Token::Word(found)) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word),
            _ => false,
        };
        words.iter().enumerate().all(is)
    };
    let period = |at: usize| tokens.get(at).is_some_and(|token| token.token == Token::Period);
    let at = if begins(OF_COLUMN) {
        Some(OF_COLUMN.len()).filter(|at| period(at + 1) && !period(at + 3))
    } else if begins(&["GRANT"]) || begins(&["REVOKE"]) {
        granted(&tokens)
    } else {
        let words = HEADS.iter().find(|words| begins(words));
        words.map(|words| words.len()).filter(|at| !period(at + 1))
    };
    let token = tokens.get(at?)?;
    let Token::Word(Word { value, quote_style, .. }) = &token.token else {
        return None;
    };
    let name = match quote_style {
        None => value.to_lowercase(),
        Some(_) => value.clone(),
    };
    let name = base_name(&name).to_owned();
    (!is_table(&name)).then_some((token.span.start, name))
}

/// Where the name of the table or view stands that privileges are granted on, if it has no schema.
fn granted(tokens: &[&TokenWithSpan]) -> Option<usize> {
    let is = |at: usize, words: &[&str]| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(found)) => {
            found.quote_style.is_none() && words.iter().any(|word| found.value.eq_ignore_ascii_case(word))
        }
        _ => false,
    };
    let mut all = (0..tokens.len()).filter(|at| is(*at, &["ON"]));
    let (Some(on), None) = (all.next(), all.next()) else {
        return None;
    };
    if is(on + 1, &["CATALOG", "DATABASE", "NAMESPACE", "SCHEMA", "WAREHOUSE"]) {
        return None;
    }
    let name = match is(on + 1, &["TABLE", "VIEW"]) {
        true => on + 2,
        false => on + 1,
    };
    // Such statements take names without quotes that are several words here.
    is(name + 1, &["TO", "FROM"]).then_some(name)
}

/// The names of a statement's tables, but for those that it defines itself.
#[derive(Default)]
struct Names {
    found: Vec<(Location, String)>,
    levels: Vec<Level>,
}

/// What the common table expressions of one query are called.
#[derive(Default)]
struct Level {
    /// By where their queries are.
    defined: HashMap<*const Query, String>,
    /// Those that may be named: in no query but a recursive one does one know itself and those behind it.
    known: BTreeSet<String>,
}

impl Names {
    /// The name of what is read: one of `WITH`, or of a table.
    fn named(&mut self, name: &ObjectName) {
        let known = |ident: &Ident| {
            let name = parse::value(ident);
            self.levels.iter().any(|level| level.known.contains(&name))
        };
        match name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] if known(ident) => {}
            _ => self.of_table(name),
        }
    }

    /// The name of a table, whatever `WITH` calls so.
    fn of_table(&mut self, name: &ObjectName) {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
            return;
        };
        let name = parse::value(ident);
        if !is_table(&name) {
            self.found.push((ident.span.start, base_name(&name).to_owned()));
        }
    }
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::ExplainTable { table_name, .. } => self.named(table_name),
            // Behind `WITH`, where the statement does not begin with it.
            Statement::Insert(insert) if !self.levels.is_empty() => {
                if let TableObject::TableName(name) = &insert.table {
                    self.of_table(name);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let mut level = Level::default();
        if let Some(with) = &query.with {
            for table in &with.cte_tables {
                let name = parse::value(&table.alias.name);
                if with.recursive {
                    level.known.insert(name.clone());
                }
                level.defined.insert(std::ptr::from_ref(&*table.query), name);
            }
        }
        self.levels.push(level);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.levels.pop();
        if let Some(around) = self.levels.last_mut()
            && let Some(name) = around.defined.remove(&std::ptr::from_ref(query))
        {
            around.known.insert(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            self.named(name);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
