//! `count(t.*)` counts the rows of `t`, those of nulls only among them, but not those that an outer join has where there is none.
//! DataFusion 55.2 takes `t.*` for `1`: it counts these too, and `count(DISTINCT t.*)` is 1.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    Distinct, DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Statement, TableFactor, TableWithJoins, Visit, VisitMut, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::parse::value;
use super::unnested::UNNEST;
use crate::error::{EngineError, Result};
use crate::this_query;

/// What a count of distinct rows is written as, around the query that has these.
const AROUND: &str = "SELECT count(1) FROM (SELECT 1) AS \"rows$\"";

/// Writes a query for the number of distinct rows of a table as one of a query that has them. With `names` its column keeps the name that
/// the query engine gives it.
///
/// # Errors
/// A statement counts rows in another way that would be answered wrongly, or `count(DISTINCT *)`, which is none.
pub(super) fn known(statement: &mut Statement, names: bool) -> Result<()> {
    match VisitMut::visit(statement, &mut Counts { names }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refused) => Err(EngineError::from(refused)),
    }
}

struct Counts {
    names: bool,
}

impl VisitorMut for Counts {
    type Break = DataFusionError;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        match (query.body.as_ref(), &query.order_by) {
            (SetExpr::Select(select), Some(order)) => check(order, &tables(select)),
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        if let Some(counted) = distinct_rows(select, self.names) {
            *select = counted;
        }
        check(&*select, &tables(select))
    }
}

/// `count` of all columns, or of those of a table.
struct Count<'a> {
    of: &'a FunctionArgExpr,
    is_distinct: bool,
    /// Whether nothing else is said of it.
    is_plain: bool,
}

impl<'a> Count<'a> {
    fn of(part: &'a Expr) -> Option<Self> {
        let Expr::Function(call) = part else { return None };
        let FunctionArguments::List(list) = &call.args else {
            return None;
        };
        let [FunctionArg::Unnamed(of)] = list.args.as_slice() else {
            return None;
        };
        if last(&call.name)?.to_lowercase() != "count" {
            return None;
        }
        Some(Self {
            of,
            is_distinct: matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct)),
            is_plain: list.clauses.is_empty()
                && call.filter.is_none()
                && call.over.is_none()
                && call.within_group.is_empty()
                && call.null_treatment.is_none(),
        })
    }

    /// Why it would be answered wrongly, if it would.
    fn refused(&self, tables: &[Table]) -> Option<DataFusionError> {
        let why = match self.of {
            FunctionArgExpr::Wildcard if self.is_distinct => {
                return Some(DataFusionError::Plan(
                    "syntax error at or near \"*\": count(DISTINCT *) is no count".to_owned(),
                ));
            }
            FunctionArgExpr::QualifiedWildcard(_) if self.is_distinct => {
                "count(DISTINCT t.*) but as the only column of a query without groups, of a table whose rows no outer join makes up: \
                 count a query that has SELECT DISTINCT t.*"
            }
            FunctionArgExpr::QualifiedWildcard(name) if is_one(name, tables, |table| table.is_value) => {
                "count(u.*) of what unnest makes of a list, which counts its values and not its rows: count its column"
            }
            FunctionArgExpr::QualifiedWildcard(name) if is_one(name, tables, |table| table.is_made_up) => {
                "count(t.*) of a table of which an outer join makes up rows: count a column that is null in no row of the table"
            }
            _ => return None,
        };
        Some(DataFusionError::NotImplemented(why.to_owned()))
    }
}

fn check(part: &impl Visit, tables: &[Table]) -> ControlFlow<DataFusionError> {
    let mut refused = None;
    this_query::has(part, |part| {
        refused = Count::of(part).and_then(|count| count.refused(tables));
        refused.is_some()
    });
    match refused {
        Some(refused) => ControlFlow::Break(refused),
        None => ControlFlow::Continue(()),
    }
}

/// `SELECT count(DISTINCT t.*) FROM …` as `SELECT count(1) FROM (SELECT DISTINCT t.* FROM …)`. None for other queries.
fn distinct_rows(select: &Select, names: bool) -> Option<Select> {
    let [item] = select.projection.as_slice() else {
        return None;
    };
    let (column, alias) = match item {
        SelectItem::UnnamedExpr(column) => (column, None),
        SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.clone())),
        _ => return None,
    };
    let count = Count::of(column).filter(|count| count.is_distinct && count.is_plain)?;
    let FunctionArgExpr::QualifiedWildcard(table) = count.of else {
        return None;
    };
    let no_keys = matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty());
    let plain = no_keys
        && select.distinct.is_none()
        && select.having.is_none()
        && select.qualify.is_none()
        && select.top.is_none()
        && select.into.is_none();
    let tables = tables(select);
    let wanted = last(table)?;
    let mut found = tables.iter().filter(|table| table.name == wanted);
    let is_one = matches!((found.next(), found.next()), (Some(table), None) if !(table.is_made_up || table.is_value));
    if !plain || !is_one {
        return None;
    }
    let mut rows = select.clone();
    rows.distinct = Some(Distinct::Distinct);
    rows.projection = vec![SelectItem::QualifiedWildcard(
        SelectItemQualifiedWildcardKind::ObjectName(table.clone()),
        WildcardAdditionalOptions::default(),
    )];
    let around = *Parser::new(&GenericDialect {})
        .try_with_sql(AROUND)
        .ok()?
        .parse_query()
        .ok()?;
    let SetExpr::Select(mut counted) = *around.body else {
        return None;
    };
    let TableFactor::Derived { subquery, .. } = &mut counted.from.first_mut()?.relation else {
        return None;
    };
    *subquery.body = SetExpr::Select(Box::new(rows));
    let alias = alias.or_else(|| names.then(|| Ident::with_quote('"', column.to_string())));
    if let (Some(SelectItem::UnnamedExpr(expr)), Some(alias)) = (counted.projection.first().cloned(), alias) {
        counted.projection = vec![SelectItem::ExprWithAlias { expr, alias }];
    }
    Some(*counted)
}

/// A table in FROM.
struct Table {
    name: String,
    /// Whether an outer join has rows for it where it has none.
    is_made_up: bool,
    /// Whether PostgreSQL takes its rows for the values of its one column.
    is_value: bool,
}

/// Whether one of the tables that are called so is such a one.
fn is_one(name: &ObjectName, tables: &[Table], such: impl Fn(&Table) -> bool) -> bool {
    let wanted = last(name);
    tables
        .iter()
        .any(|table| such(table) && wanted.as_ref() == Some(&table.name))
}

fn tables(select: &Select) -> Vec<Table> {
    select.from.iter().flat_map(joined).collect()
}

fn joined(from: &TableWithJoins) -> Vec<Table> {
    let mut all = named(&from.relation);
    for join in &from.joins {
        let mut right = named(&join.relation);
        let (left_made_up, right_made_up) = match &join.join_operator {
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) | JoinOperator::OuterApply => (false, true),
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => (true, false),
            JoinOperator::FullOuter(_) => (true, true),
            _ => (false, false),
        };
        all.iter_mut().for_each(|table| table.is_made_up |= left_made_up);
        right.iter_mut().for_each(|table| table.is_made_up |= right_made_up);
        all.append(&mut right);
    }
    all
}

fn named(factor: &TableFactor) -> Vec<Table> {
    let name = match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => return joined(table_with_joins),
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::TableFunction { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } => Some(value(&alias.name)),
        TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => last(name),
        TableFactor::UNNEST { .. } => Some(UNNEST.to_owned()),
        _ => None,
    };
    let table = name.map(|name| Table {
        name,
        is_made_up: false,
        is_value: is_value(factor),
    });
    table.into_iter().collect()
}

fn is_value(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::UNNEST {
            array_exprs,
            with_ordinality: false,
            ..
        } => array_exprs.len() == 1,
        TableFactor::Function {
            name,
            args,
            with_ordinality: false,
            ..
        } => args.len() == 1 && last(name).is_some_and(|name| name.to_lowercase() == UNNEST),
        _ => false,
    }
}

fn last(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(ObjectNamePart::as_ident).map(value)
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;

    const WITH: &str = "WITH t (a, b) AS (VALUES (1, 'x'), (1, 'x'), (1, NULL), (NULL, NULL), (NULL, NULL)), \
                        u (a, c) AS (VALUES (1, NULL), (2, 5))";

    // Goal: rows are counted as wholes, those of nulls among them. Method: rows that are there twice, conditions, joins and queries around, and
    // PostgreSQL's answers.
    #[tokio::test]
    async fn rows_are_counted_as_wholes() {
        let lake = Lake::new();
        for (sql, rows) in [
            ("SELECT count(DISTINCT t.*) FROM t", vec!["3"]),
            ("SELECT count(DISTINCT s.*) AS n FROM t AS s WHERE s.a = 1", vec!["2"]),
            ("SELECT count(DISTINCT t.*) FROM t WHERE a > 7", vec!["0"]),
            ("SELECT count(t.*), count(a) FROM t", vec!["5,3"]),
            ("SELECT count(DISTINCT t.*) FROM t CROSS JOIN u", vec!["3"]),
            ("SELECT count(DISTINCT t.*) FROM t LEFT JOIN u ON u.a = t.a", vec!["3"]),
            ("SELECT count(DISTINCT t.*) FROM u RIGHT JOIN t ON u.a = t.a", vec!["3"]),
            ("SELECT count(t.*) FROM t LEFT JOIN u ON u.a = t.a", vec!["5"]),
            (
                "SELECT c FROM u WHERE a + 1 = (SELECT count(DISTINCT t.*) FROM t)",
                vec!["5"],
            ),
            (
                "SELECT n + 1 FROM (SELECT count(DISTINCT t.*) AS n FROM t) AS q",
                vec!["4"],
            ),
            (
                "SELECT count(DISTINCT t.*) FROM t CROSS JOIN unnest(string_to_array(t.b, 'y')) AS e (s)",
                vec!["1"],
            ),
            (
                "SELECT count(t.*) FROM t, unnest(string_to_array(t.b, 'y')) AS e (s)",
                vec!["2"],
            ),
        ] {
            assert_eq!(lake.lines(&format!("{WITH} {sql}")).await, rows, "{sql}");
        }
    }

    // Goal: no rows are counted wrongly. Method: what is not known is refused, and what is no count is so as no statement.
    #[tokio::test]
    async fn what_is_not_known_is_refused() {
        let lake = Lake::new();
        for (sql, code) in [
            ("SELECT count(DISTINCT *) FROM t", "ENG-0003"),
            ("SELECT a FROM t GROUP BY a HAVING count(DISTINCT *) > 1", "ENG-0003"),
            ("SELECT a, count(DISTINCT t.*) FROM t GROUP BY a", "ENG-0004"),
            ("SELECT count(*), count(DISTINCT t.*) FROM t", "ENG-0004"),
            ("SELECT a FROM t GROUP BY a ORDER BY count(DISTINCT t.*)", "ENG-0004"),
            ("SELECT count(DISTINCT u.*) FROM t LEFT JOIN u ON u.a = t.a", "ENG-0004"),
            (
                "SELECT count(e.*) FROM (SELECT [1, NULL] AS l) AS s CROSS JOIN unnest(s.l) AS e (x)",
                "ENG-0004",
            ),
            ("SELECT count(DISTINCT e.*) FROM unnest([1, NULL]) AS e (x)", "ENG-0004"),
            ("SELECT count(u.*) FROM t LEFT JOIN u ON u.a = t.a", "ENG-0004"),
            ("SELECT count(t.*) FROM t RIGHT JOIN u ON u.a = t.a", "ENG-0004"),
            ("SELECT count(t.*) FROM (t FULL JOIN u ON u.a = t.a)", "ENG-0004"),
            (
                "SELECT t.a FROM t LEFT JOIN u ON u.a = t.a GROUP BY t.a ORDER BY count(u.*)",
                "ENG-0004",
            ),
            (
                "SELECT a FROM t WHERE a < (SELECT count(u.*) FROM u FULL JOIN t ON u.a = t.a)",
                "ENG-0004",
            ),
        ] {
            let told = lake.answered(&format!("{WITH} {sql}")).await;
            assert_eq!(told.map_err(|error| error.code()), Err(code), "{sql}");
        }
    }
}
