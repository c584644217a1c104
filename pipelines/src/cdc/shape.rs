//! What the query of a `cdc` model selects: output columns, the fields of the change log each rests on, and its filters.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, ExcludeSelectItem, Expr, GroupByExpr, Ident, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Subscript, TableFactor, Value, Visit, Visitor, WildcardAdditionalOptions,
    visit_expressions, visit_expressions_mut,
};
use tidewater_core::TableName;

use crate::error::{PipelineError, Place, Result};
use crate::model::{CdcSpec, Model};
use crate::sql::{self, RunTime, literal, quoted};

/// The struct that holds a row after a change.
const AFTER: &str = "after";

/// Structs that hold the key of a row, and the row before a change.
const SIDES: [&str; 2] = ["_key", "before"];

/// What a change is.
const OPERATION: &str = "op";

/// Prefix of fields that describe the change and are no columns of the row (unwrapped change logs carry such).
const METADATA_PREFIX: &str = "__";

/// One output column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Its expression over the change log.
    pub(crate) sql: String,
    /// Fields of `after` it rests on.
    pub(crate) fields: BTreeSet<String>,
}

/// What decides whether a row stays.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// Its expression over the change log.
    pub(crate) sql: String,
    /// Fields of `after` whose values it rests on.
    pub(crate) fields: BTreeSet<String>,
}

/// A query of a `cdc` model, bound to the columns of its change log.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Output columns in order, hidden ones not among them.
    pub(crate) columns: Vec<Column>,
    /// The name under which the query speaks of the change log, quoted.
    pub(crate) relation: String,
    /// Which changes count at all.
    pub(crate) event_filter: Option<String>,
    /// Which truncates count.
    pub(crate) truncate_filter: Option<String>,
    /// Which rows are kept: a row whose newest change does not fulfil all of these is absent.
    pub(crate) row_filter: Vec<Condition>,
    /// When a change removes its row.
    pub(crate) delete_when: Condition,
    /// When the source says that the row is gone. Other rows that are absent are there still, and may come back with what they had.
    pub(crate) gone: String,
}

impl Shape {
    /// Whether rows that the source has may be absent.
    pub(crate) fn hides(&self) -> bool {
        !self.row_filter.is_empty() || self.delete_when.sql != self.gone
    }

    /// Fields that decide whether a row stays.
    pub(crate) fn deciding(&self) -> BTreeSet<&str> {
        let conditions = self.row_filter.iter().chain([&self.delete_when]);
        conditions
            .flat_map(|condition| &condition.fields)
            .map(String::as_str)
            .collect()
    }
}

/// Refuses what is more than a selection from one table.
pub(crate) fn check(path: &Path, query: &Query) -> Result<()> {
    let (select, _) = parts(path, query)?;
    for item in &select.projection {
        if matches!(item, SelectItem::Wildcard(_)) {
            return Err(refused(
                path,
                "name columns or write after.*, a bare * would select the change log's own columns",
            ));
        }
    }
    Ok(())
}

/// `SELECT after.* FROM source`.
pub(crate) fn all_fields(path: &Path, source: &TableName) -> Result<Query> {
    let from = source
        .namespace()
        .levels()
        .iter()
        .map(String::as_str)
        .chain([source.name()]);
    let from: Vec<String> = from.map(quoted).collect();
    sql::parse(path, &format!("SELECT after.* FROM {}", from.join(".")))?
        .ok_or_else(|| refused(path, "the query is empty"))
}

fn refused(path: &Path, reason: impl Into<String>) -> PipelineError {
    PipelineError::CdcQuery {
        place: Place::file(path),
        reason: reason.into(),
    }
}

/// The selection and the name it gives its table.
fn parts<'a>(path: &Path, query: &'a Query) -> Result<(&'a Select, Ident)> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Err(refused(path, "UNION and the like have no meaning here"));
    };
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
    };
    let too_much = [
        ("WITH", query.with.is_some()),
        ("ORDER BY", query.order_by.is_some()),
        (
            "LIMIT",
            query.limit_clause.is_some() || query.fetch.is_some() || select.top.is_some(),
        ),
        ("DISTINCT", select.distinct.is_some()),
        ("GROUP BY", grouped),
        ("HAVING", select.having.is_some()),
        ("QUALIFY", select.qualify.is_some()),
        ("INTO", select.into.is_some()),
        ("LATERAL VIEW", !select.lateral_views.is_empty()),
    ];
    if let Some((what, _)) = too_much.iter().find(|(_, there)| *there) {
        return Err(refused(
            path,
            format!("{what} has no meaning here, put it into a model that reads this one"),
        ));
    }
    match select.from.as_slice() {
        [one] if one.joins.is_empty() => match &one.relation {
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let last = name.0.last().and_then(|part| part.as_ident()).cloned();
                let relation = alias.as_ref().map(|alias| alias.name.clone()).or(last);
                relation
                    .map(|relation| (select.as_ref(), relation))
                    .ok_or_else(|| refused(path, "it reads no table"))
            }
            _ => Err(refused(path, "it reads something other than a table")),
        },
        _ => Err(refused(
            path,
            "joins have no meaning here, put them into a model that reads this one",
        )),
    }
}

/// Binds the query to the columns of its change log. `hidden` are the names of the columns the engine adds.
pub(crate) fn bind(model: &Model, spec: &CdcSpec, query: &Query, log: &Schema, hidden: &[String]) -> Result<Shape> {
    let path = model.path.as_path();
    let (select, relation) = parts(path, query)?;
    // Not of `query`: there the time stands in its place.
    let (asked, _) = parts(path, &model.query)?;
    if let Some(selection) = &asked.selection
        && RunTime::of(selection) != RunTime::Unused
    {
        return Err(refused(
            path,
            "a condition on the time of the run holds for the changes of that run alone, put it into a model that reads this one",
        ));
    }
    let binder = Binder {
        path,
        relation: normalized(&relation),
        after: struct_fields(log, AFTER)
            .ok_or_else(|| refused(path, format!("{} has no struct {AFTER}", spec.source)))?,
        log,
    };
    let mut columns = Vec::new();
    for item in &select.projection {
        binder.columns(item, &mut columns)?;
    }
    columns.retain(|column| !(hidden.contains(&column.name) && column.sql.ends_with(&column.name)));
    for column in &columns {
        if hidden.contains(&column.name) || column.name.starts_with(METADATA_PREFIX) {
            return Err(refused(
                path,
                format!("column name {} is kept for the engine", column.name),
            ));
        }
    }
    if let Some((at, twice)) = columns
        .iter()
        .enumerate()
        .find(|(at, c)| columns[..*at].iter().any(|o| o.name == c.name))
    {
        return Err(refused(
            path,
            format!("column {} (number {}) stands there twice", twice.name, at + 1),
        ));
    }
    for key in &spec.key {
        let column = columns
            .iter_mut()
            .find(|column| column.name == *key)
            .ok_or_else(|| PipelineError::Key {
                model: model.name.clone(),
                column: key.clone(),
                reason: "is not among the query's columns".into(),
            })?;
        column.sql = binder.key_expression(&column.sql)?;
    }
    let conditions = binder.conditions(select.selection.as_ref());
    let gone = binder.delete_default();
    let delete_when = match &spec.delete_when {
        Some(given) => Condition {
            sql: given.clone(),
            fields: binder.deciding(&sql::expression(path, given)?),
        },
        // What it rests on is the change log's own, and never left out.
        None => Condition {
            sql: gone.clone(),
            fields: BTreeSet::new(),
        },
    };
    Ok(Shape {
        columns,
        relation: quoted(&binder.relation),
        event_filter: joined(&conditions.events),
        truncate_filter: joined(&conditions.truncates),
        row_filter: conditions.rows,
        delete_when,
        gone,
    })
}

/// The fields of a struct column.
pub(crate) fn struct_fields<'a>(log: &'a Schema, name: &str) -> Option<&'a Fields> {
    match log.field_with_name(name).ok()?.data_type() {
        DataType::Struct(fields) => Some(fields),
        _ => None,
    }
}

/// What a query asks for, by what it is asked of.
struct Conditions<'a> {
    events: Vec<&'a Expr>,
    truncates: Vec<&'a Expr>,
    rows: Vec<Condition>,
}

struct Binder<'a> {
    path: &'a Path,
    relation: String,
    after: &'a Fields,
    log: &'a Schema,
}

impl Binder<'_> {
    fn columns(&self, item: &SelectItem, columns: &mut Vec<Column>) -> Result<()> {
        let (expression, name) = match item {
            SelectItem::ExprWithAlias { expr, alias } => (expr, normalized(alias)),
            SelectItem::UnnamedExpr(expr) => {
                let name = match expr {
                    Expr::Identifier(ident) => Some(normalized(ident)),
                    Expr::CompoundIdentifier(parts) => parts.last().map(normalized),
                    _ => None,
                };
                let name = name.ok_or_else(|| refused(self.path, format!("name the column {expr} with AS")))?;
                (expr, name)
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(object), options) => {
                let parts: Vec<Ident> = object.0.iter().filter_map(|part| part.as_ident()).cloned().collect();
                let is_after = match parts.as_slice() {
                    [one] => normalized(one) == AFTER,
                    [first, second] => normalized(first) == self.relation && normalized(second) == AFTER,
                    _ => false,
                };
                if !is_after {
                    return Err(refused(
                        self.path,
                        format!("{object}.* selects the change log's own columns, write after.*"),
                    ));
                }
                return self.all_fields(options, columns);
            }
            other => return Err(refused(self.path, format!("{other} cannot be a column"))),
        };
        columns.push(Column {
            name,
            sql: expression.to_string(),
            fields: self.fields(expression),
        });
        Ok(())
    }

    fn all_fields(&self, options: &WildcardAdditionalOptions, columns: &mut Vec<Column>) -> Result<()> {
        if options.opt_ilike.is_some() || options.opt_replace.is_some() || options.opt_rename.is_some() {
            return Err(refused(self.path, "after.* takes EXCEPT and EXCLUDE only"));
        }
        let mut without: BTreeSet<String> = BTreeSet::new();
        if let Some(except) = &options.opt_except {
            without.extend(
                [&except.first_element]
                    .into_iter()
                    .chain(&except.additional_elements)
                    .map(normalized),
            );
        }
        match &options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => {
                without.extend(name.0.last().and_then(|part| part.as_ident()).map(normalized));
            }
            Some(ExcludeSelectItem::Multiple(names)) => {
                let last = |name: &datafusion::sql::sqlparser::ast::ObjectName| {
                    name.0.last().and_then(|part| part.as_ident()).map(normalized)
                };
                without.extend(names.iter().filter_map(last));
            }
            None => {}
        }
        for field in self.after {
            let name = field.name();
            if !without.contains(name) && !name.starts_with(METADATA_PREFIX) {
                columns.push(Column {
                    name: name.clone(),
                    sql: field_of(AFTER, name),
                    fields: [name.clone()].into(),
                });
            }
        }
        Ok(())
    }

    /// Which field of `after` an expression is, if it is one.
    fn field(&self, expression: &Expr) -> Option<String> {
        match expression {
            Expr::CompoundIdentifier(parts) => {
                let names: Vec<String> = parts.iter().map(normalized).collect();
                match names.as_slice() {
                    [first, field, ..] if first == AFTER => Some(field.clone()),
                    [relation, second, field, ..] if *relation == self.relation && second == AFTER => {
                        Some(field.clone())
                    }
                    _ => None,
                }
            }
            Expr::CompoundFieldAccess { root, access_chain } if self.is_after(root) => match access_chain.first()? {
                AccessExpr::Subscript(Subscript::Index {
                    index: Expr::Value(value),
                }) => match &value.value {
                    Value::SingleQuotedString(field) => Some(field.clone()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    fn is_after(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Identifier(ident) => normalized(ident) == AFTER,
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [first, second] => normalized(first) == self.relation && normalized(second) == AFTER,
                _ => false,
            },
            _ => false,
        }
    }

    fn fields(&self, expression: &Expr) -> BTreeSet<String> {
        self.visited(expression, false)
    }

    /// Fields whose values an expression rests on: whether there is a row at all is told whatever its fields are.
    fn deciding(&self, expression: &Expr) -> BTreeSet<String> {
        self.visited(expression, true)
    }

    fn visited(&self, expression: &Expr, values_only: bool) -> BTreeSet<String> {
        let mut visitor = FieldVisitor {
            binder: self,
            values_only,
            found: BTreeSet::new(),
            accessed: 0,
        };
        let _: ControlFlow<()> = expression.visit(&mut visitor);
        visitor.found
    }

    /// A delete tells its key in the message key or in the row before it, not in the row after it.
    fn key_expression(&self, sql: &str) -> Result<String> {
        let mut expression = sql::expression(self.path, sql)?;
        let outcome: ControlFlow<PipelineError> = visit_expressions_mut(&mut expression, |part| {
            let Some(name) = self.field(part) else {
                return ControlFlow::Continue(());
            };
            let Some(field) = self.after.iter().find(|field| *field.name() == name) else {
                return ControlFlow::Continue(());
            };
            let mut places = vec![field_of(AFTER, &name)];
            for side in SIDES {
                let other = struct_fields(self.log, side).and_then(|fields| fields.iter().find(|f| *f.name() == name));
                places.extend(other.map(|other| cast(&field_of(side, &name), other, field)));
            }
            match sql::expression(self.path, &format!("coalesce({})", places.join(", "))) {
                Ok(anywhere) => {
                    *part = anywhere;
                    ControlFlow::Continue(())
                }
                Err(error) => ControlFlow::Break(error),
            }
        });
        match outcome {
            ControlFlow::Continue(()) => Ok(expression.to_string()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// Conditions on the row decide about the row; the others about the change, and about a truncate if that is one of what they ask for.
    fn conditions<'e>(&self, selection: Option<&'e Expr>) -> Conditions<'e> {
        let mut conditions = Vec::new();
        let mut open: Vec<&'e Expr> = selection.into_iter().collect();
        while let Some(expression) = open.pop() {
            match expression {
                Expr::BinaryOp {
                    left,
                    op: BinaryOperator::And,
                    right,
                } => open.extend([right.as_ref(), left.as_ref()]),
                Expr::Nested(inner) => open.push(inner),
                condition => conditions.push(condition),
            }
        }
        let (rows, events): (Vec<&'e Expr>, Vec<&'e Expr>) = conditions
            .into_iter()
            .partition(|condition| !self.fields(condition).is_empty());
        let rows = rows.into_iter().map(|condition| Condition {
            sql: format!("({condition})"),
            fields: self.deciding(condition),
        });
        let truncates = events
            .iter()
            .copied()
            .filter(|condition| !self.is_of_changes(condition));
        Conditions {
            truncates: truncates.collect(),
            events,
            rows: rows.collect(),
        }
    }

    /// Whether a condition asks what kind of change it is, or for a row: of a truncate it would tell that there is none.
    fn is_of_changes(&self, condition: &Expr) -> bool {
        let found: ControlFlow<()> = visit_expressions(condition, |part| {
            let column = match part {
                Expr::Identifier(ident) => Some(ident),
                Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [relation, column, ..] if normalized(relation) == self.relation => Some(column),
                    [column, ..] => Some(column),
                    [] => None,
                },
                _ => None,
            };
            let column = column.map(normalized);
            match column.is_some_and(|column| column == OPERATION || SIDES.contains(&column.as_str())) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        found.is_break()
    }

    fn delete_default(&self) -> String {
        let mut conditions = Vec::new();
        if self.log.field_with_name(OPERATION).is_ok() {
            conditions.push(format!("{OPERATION} = 'd'"));
        }
        // The unwrapped form says it in a field of the row, as text.
        if self.after.iter().any(|field| field.name() == "__deleted") {
            conditions.push(format!("CAST({} AS VARCHAR) = 'true'", field_of(AFTER, "__deleted")));
        }
        if conditions.is_empty() {
            "false".into()
        } else {
            conditions.join(" OR ")
        }
    }
}

struct FieldVisitor<'a> {
    binder: &'a Binder<'a>,
    values_only: bool,
    found: BTreeSet<String>,
    /// Roots of accesses that were taken care of and come up again as expressions of their own.
    accessed: usize,
}

impl Visitor for FieldVisitor<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Some(field) = self.binder.field(expression) {
            self.accessed += usize::from(matches!(expression, Expr::CompoundFieldAccess { .. }));
            self.found.insert(field);
        } else if self.values_only
            && let Expr::IsNull(row) | Expr::IsNotNull(row) = expression
            && self.binder.is_after(row)
        {
            self.accessed += 1;
        } else if self.binder.is_after(expression) {
            if self.accessed > 0 {
                self.accessed -= 1;
            } else {
                self.found
                    .extend(self.binder.after.iter().map(|field| field.name().clone()));
            }
        }
        ControlFlow::Continue(())
    }
}

/// All of these conditions in one; none if there are none.
fn joined(conditions: &[&Expr]) -> Option<String> {
    let conditions: Vec<String> = conditions.iter().map(|condition| format!("({condition})")).collect();
    (!conditions.is_empty()).then(|| conditions.join(" AND "))
}

fn cast(sql: &str, from: &Field, to: &Field) -> String {
    if from.data_type() == to.data_type() {
        sql.to_owned()
    } else {
        format!("arrow_cast({sql}, {})", literal(&to.data_type().to_string()))
    }
}

/// A field of a struct column.
fn field_of(column: &str, field: &str) -> String {
    format!("{column}[{}]", literal(field))
}

/// As the query engine understands the name: lower case unless quoted.
fn normalized(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}
