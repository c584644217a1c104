//! Rows of a query as documents, and its columns that are documents: `row_to_json(t)`, `json_agg(t.items)`. Which columns there are and
//! what is in them is told by what is written; of a table of the lake nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinOperator,
    Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableFactor, Value, visit_expressions, visit_relations,
};

use super::expressions::{is_json, makes_json};
use super::names::{arguments, call, parts, text, value};
use super::projection;
use crate::pg_catalog::FIELD_AS_DOCUMENT;
use crate::this_query::{self, Change};

/// The columns of the queries that a statement gives names to; none where they cannot be told, or the name is given twice.
pub(super) type Known = BTreeMap<String, Option<Vec<Column>>>;

/// A column of a query.
#[derive(Debug, Clone)]
pub(super) struct Column {
    name: String,
    /// Whether it is JSON.
    document: bool,
}

/// Adds the queries that a query gives names to.
pub(super) fn learn(query: &Query, known: &mut Known) {
    let Some(with) = &query.with else { return };
    // Names that a query of these asks for may be those of tables, also where a query has the same one.
    let mut asked = BTreeSet::new();
    for cte in &with.cte_tables {
        let _: ControlFlow<()> = visit_relations(&cte.query, |table| {
            if let [only] = parts(table).as_slice() {
                asked.insert(only.clone());
            }
            ControlFlow::Continue(())
        });
        let columns = match with.recursive {
            true => None,
            false => columns(&cte.query, known).and_then(|columns| renamed(columns, &cte.alias)),
        };
        let name = value(&cte.alias.name);
        let columns = match known.contains_key(&name) || asked.contains(&name) {
            true => None,
            false => columns,
        };
        known.insert(name, columns);
    }
}

/// Takes the names away that mean nothing outside of a query.
pub(super) fn forget(query: &Query, known: &mut Known) {
    for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
        known.remove(&value(&cte.alias.name));
    }
}

/// Whether a statement calls a function that makes JSON: nothing has to be known for others.
pub(super) fn wanted(statement: &Statement) -> bool {
    let found = visit_expressions(statement, |part| match part {
        Expr::Function(function) if makes_json(&called(function)) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Tells the functions that make JSON in a SELECT which of their arguments are JSON or rows.
pub(super) fn told(select: &mut Select, known: &Known) {
    let beside = Beside::of(select, known);
    let mut calls = Calls { beside };
    this_query::change(&mut select.distinct, &mut calls);
    this_query::change(&mut select.projection, &mut calls);
    this_query::change(&mut select.selection, &mut calls);
    this_query::change(&mut select.having, &mut calls);
    this_query::change(&mut select.group_by, &mut calls);
    this_query::change(&mut select.qualify, &mut calls);
}

/// Tells the same to what a SELECT is sorted by, which is compared with its columns.
pub(super) fn sorted(query: &mut Query, known: &Known) {
    let Query { body, order_by, .. } = query;
    if let (SetExpr::Select(select), Some(order)) = (&**body, order_by) {
        let beside = Beside::of(select, known);
        this_query::change(order, &mut Calls { beside });
    }
}

/// The columns of a query that names all of them, perhaps some alike.
fn columns(query: &Query, known: &Known) -> Option<Vec<Column>> {
    match &query.with {
        None => of_rows(&query.body, known),
        Some(_) => None,
    }
}

fn of_rows(rows: &SetExpr, known: &Known) -> Option<Vec<Column>> {
    match rows {
        SetExpr::Select(select) => of_select(select, known),
        SetExpr::Query(query) => columns(query, known),
        SetExpr::SetOperation { left, right, .. } => {
            let (mut left, right) = (of_rows(left, known)?, of_rows(right, known)?);
            for (column, other) in left.iter_mut().zip(&right) {
                column.document &= other.document;
            }
            (left.len() == right.len()).then_some(left)
        }
        SetExpr::Values(values) => {
            let count = values.rows.first()?.len();
            let column = |at: usize| Column {
                name: format!("column{}", at + 1),
                document: false,
            };
            Some((0..count).map(column).collect())
        }
        _ => None,
    }
}

fn of_select(select: &Select, known: &Known) -> Option<Vec<Column>> {
    let beside = Beside::of(select, known);
    let column = |item: &SelectItem| {
        let (expression, name) = match item {
            SelectItem::UnnamedExpr(expression) => (expression, projection::called(expression)),
            SelectItem::ExprWithAlias { expr, alias } => (expr, value(alias)),
            _ => return None,
        };
        let document = beside.is_document(expression);
        Some(Column { name, document })
    };
    select.projection.iter().map(column).collect()
}

/// The columns by the names that an alias has for the first of them.
fn renamed(mut columns: Vec<Column>, alias: &TableAlias) -> Option<Vec<Column>> {
    if alias.columns.len() > columns.len() {
        return None;
    }
    for (column, name) in columns.iter_mut().zip(&alias.columns) {
        column.name = value(&name.name);
    }
    let names: BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    (names.len() == columns.len()).then_some(columns)
}

/// What stands beside each other in a SELECT.
struct Beside<'a> {
    tables: Vec<(Ident, Option<Vec<Column>>)>,
    /// Whether the columns of all of them are known, and each has a row in every row.
    whole: bool,
    known: &'a Known,
}

impl<'a> Beside<'a> {
    fn of(select: &Select, known: &'a Known) -> Self {
        let (mut tables, mut whole) = (Vec::new(), true);
        for from in &select.from {
            let joins = from.joins.iter();
            whole &= joins.clone().all(|join| {
                matches!(
                    join.join_operator,
                    JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
                )
            });
            for factor in std::iter::once(&from.relation).chain(joins.map(|join| &join.relation)) {
                match table(factor, known) {
                    Some(named) => {
                        whole &= named.1.is_some();
                        tables.push(named);
                    }
                    None => whole = false,
                }
            }
        }
        Self { tables, whole, known }
    }

    /// Whether a value is JSON.
    fn is_document(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Nested(inner) => self.is_document(inner),
            Expr::Cast { data_type, .. } => matches!(data_type, DataType::JSON | DataType::JSONB),
            Expr::Identifier(name) => self.has_document(None, name),
            Expr::CompoundIdentifier(name) => match name.as_slice() {
                [table, column] => self.has_document(Some(table), column),
                _ => false,
            },
            Expr::Subquery(query) => {
                let columns = columns(query, self.known);
                columns.is_some_and(|columns| matches!(columns.as_slice(), [only] if only.document))
            }
            Expr::Function(function) if function.over.is_none() => match called(function).as_str() {
                "coalesce" => arguments(&function.args).is_some_and(|all| {
                    let mut typed = all.iter().filter(|one| !is_untyped(one)).peekable();
                    typed.peek().is_some() && typed.all(|one| self.is_document(one))
                }),
                name => is_json(name),
            },
            _ => false,
        }
    }

    fn has_document(&self, table: Option<&Ident>, column: &Ident) -> bool {
        let wanted = value(column);
        let of = self.tables.iter().filter(|(name, _)| match table {
            Some(table) => value(name) == value(table),
            None => true,
        });
        let mut columns = of.flat_map(|(_, columns)| columns.iter().flatten());
        columns.any(|column| column.document && column.name == wanted)
    }

    /// The row of a table as a struct, where the word means that and no column.
    fn row(&self, word: &Ident) -> Option<Expr> {
        let wanted = value(word);
        let mut all = self.tables.iter().flat_map(|(_, columns)| columns.iter().flatten());
        if !self.whole || all.any(|column| column.name == wanted) {
            return None;
        }
        let (table, columns) = self.tables.iter().find(|(name, _)| value(name) == wanted)?;
        let columns = columns.as_ref()?;
        // Fields of these names are those of a row that was written out, which has none.
        if columns.first()?.name == "c0" {
            return None;
        }
        let fields = columns.iter().flat_map(|column| {
            let field = Ident::with_quote('"', &column.name);
            let field = Expr::CompoundIdentifier(vec![table.clone(), field]);
            let field = if column.document { as_document(field) } else { field };
            [text(&column.name), field]
        });
        Some(call("named_struct", fields.collect()))
    }

    /// An argument whose type tells what it is.
    fn typed(&self, argument: Expr) -> Expr {
        match argument {
            Expr::BinaryOp {
                left,
                op: op @ (BinaryOperator::Arrow | BinaryOperator::HashArrow),
                right,
            } => Expr::BinaryOp {
                left,
                op: BinaryOperator::PGCustomBinaryOperator(vec![FIELD_AS_DOCUMENT.to_owned(), op.to_string()]),
                right,
            },
            Expr::Nested(inner) => Expr::Nested(Box::new(self.typed(*inner))),
            Expr::Identifier(name) => match self.row(&name) {
                Some(row) => row,
                None if self.has_document(None, &name) => as_document(Expr::Identifier(name)),
                None => Expr::Identifier(name),
            },
            other if self.is_document(&other) => as_document(other),
            other => other,
        }
    }
}

/// What is beside others, and its columns if they are known. None where it has no name.
fn table(factor: &TableFactor, known: &Known) -> Option<(Ident, Option<Vec<Column>>)> {
    match factor {
        TableFactor::Derived {
            subquery,
            alias: Some(alias),
            ..
        } => {
            let columns = columns(subquery, known).and_then(|columns| renamed(columns, alias));
            Some((alias.name.clone(), columns))
        }
        TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } => {
            let [only] = name.0.as_slice() else { return None };
            let only = only.as_ident()?;
            let columns = known.get(&value(only)).cloned().flatten();
            Some(match alias {
                Some(alias) => {
                    let columns = columns.and_then(|columns| renamed(columns, alias));
                    (alias.name.clone(), columns)
                }
                None => (only.clone(), columns),
            })
        }
        _ => None,
    }
}

fn as_document(value: Expr) -> Expr {
    call("pg_document", vec![value])
}

/// Whether it has the type of what is beside it.
fn is_untyped(expression: &Expr) -> bool {
    matches!(expression, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_) | Value::Null))
}

/// The name of a function of PostgreSQL's; empty for others.
fn called(function: &Function) -> String {
    match parts(&function.name).as_slice() {
        [only] => only.clone(),
        [schema, only] if schema == "pg_catalog" => only.clone(),
        _ => String::new(),
    }
}

/// The functions of a SELECT.
struct Calls<'a> {
    beside: Beside<'a>,
}

impl Change for Calls<'_> {
    fn before(&mut self, expression: &mut Expr) {
        if let Expr::Function(function) = expression {
            self.tell(function);
        }
    }
}

impl Calls<'_> {
    fn tell(&self, function: &mut Function) {
        let name = called(function);
        if !makes_json(&name) {
            return;
        }
        let FunctionArguments::List(list) = &mut function.args else {
            return;
        };
        for argument in &mut list.args {
            let FunctionArg::Unnamed(given) = argument else {
                continue;
            };
            match given {
                // Of a list of documents each element is one.
                FunctionArgExpr::Expr(Expr::Function(inner)) if called(inner) == "array_agg" => {
                    if let FunctionArguments::List(list) = &mut inner.args {
                        list.args.iter_mut().for_each(|argument| self.tell_argument(argument));
                    }
                }
                _ => self.tell_argument(argument),
            }
        }
    }

    fn tell_argument(&self, argument: &mut FunctionArg) {
        let FunctionArg::Unnamed(given) = argument else { return };
        match given {
            FunctionArgExpr::Expr(value) => {
                let written = std::mem::replace(value, Expr::value(Value::Null));
                *value = self.beside.typed(written);
            }
            // `t.*` is the row.
            FunctionArgExpr::QualifiedWildcard(name) => {
                if let [only] = name.0.as_slice()
                    && let Some(row) = only.as_ident().and_then(|word| self.beside.row(word))
                {
                    *given = FunctionArgExpr::Expr(row);
                }
            }
            _ => {}
        }
    }
}
