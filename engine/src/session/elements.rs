//! `x IN (SELECT unnest(t.list))` and `EXISTS (SELECT … FROM unnest(t.list) AS u (e) WHERE e = x)`, where the list is one of the row around:
//! DataFusion 55.2 takes no such list apart. They are `x = ANY (t.list)`, but for a list that is null, which has no elements.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Query, Select,
    SelectItem, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins, UnaryOperator, VisitMut, VisitorMut,
    visit_expressions,
};

/// Writes such conditions as what they are.
pub(super) fn sought(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Sought);
}

struct Sought;

impl VisitorMut for Sought {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let (written, negated) = match expr {
            Expr::InSubquery {
                expr: value,
                subquery,
                negated,
            } => (among(value, subquery), *negated),
            Expr::Exists { subquery, negated } => (exists(subquery), *negated),
            _ => return ControlFlow::Continue(()),
        };
        if let Some(written) = written {
            let written = Expr::Nested(Box::new(written));
            *expr = match negated {
                true => Expr::Nested(Box::new(Expr::UnaryOp {
                    op: UnaryOperator::Not,
                    expr: Box::new(written),
                })),
                false => written,
            };
        }
        ControlFlow::Continue(())
    }
}

/// The one SELECT of a query that has nothing else, and neither groups nor limits.
fn plain(query: &Query) -> Option<&Select> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let no_groups = matches!(&select.group_by, GroupByExpr::Expressions(columns, _) if columns.is_empty());
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.pipe_operators.is_empty()
        && select.distinct.is_none()
        && select.top.is_none()
        && select.lateral_views.is_empty()
        && select.prewhere.is_none()
        && select.connect_by.is_empty()
        && select.having.is_none()
        && select.qualify.is_none()
        && no_groups;
    plain.then_some(select.as_ref())
}

/// Whether it is made of columns, and of no queries.
fn of_columns(expr: &Expr) -> bool {
    let mut columns = false;
    let queries = visit_expressions(expr, |part| match part {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => ControlFlow::Break(()),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
            columns = true;
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    });
    columns && queries.is_continue()
}

fn equal_any(value: &Expr, list: &Expr) -> Expr {
    Expr::AnyOp {
        left: Box::new(value.clone()),
        compare_op: BinaryOperator::Eq,
        right: Box::new(list.clone()),
        is_some: false,
    }
}

fn among(value: &Expr, query: &Query) -> Option<Expr> {
    let select = plain(query)?;
    let [SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    let list = unnested(column)?;
    let just_that = select.from.is_empty() && select.selection.is_none();
    if !just_that || matches!(value, Expr::Tuple(_)) || !of_columns(list) {
        return None;
    }
    Some(Expr::BinaryOp {
        left: Box::new(Expr::IsNotNull(Box::new(list.clone()))),
        op: BinaryOperator::And,
        right: Box::new(equal_any(value, list)),
    })
}

/// The list that `unnest(list)` takes apart.
fn unnested(column: &Expr) -> Option<&Expr> {
    let Expr::Function(Function {
        name,
        args: FunctionArguments::List(list),
        ..
    }) = column
    else {
        return None;
    };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(list))] if name.to_string().eq_ignore_ascii_case("unnest") => {
            Some(list)
        }
        _ => None,
    }
}

fn exists(query: &Query) -> Option<Expr> {
    let select = plain(query)?;
    // An aggregate would be a row of its own.
    let shown = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. } => matches!(
            column,
            Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_)
        ),
        SelectItem::Wildcard(_) => true,
        _ => false,
    };
    let [TableWithJoins { relation, joins }] = select.from.as_slice() else {
        return None;
    };
    let TableFactor::UNNEST {
        alias: Some(alias),
        array_exprs,
        with_offset: false,
        with_ordinality: false,
        ..
    } = relation
    else {
        return None;
    };
    let [list] = array_exprs.as_slice() else { return None };
    if !joins.is_empty() || !select.projection.iter().all(shown) || !of_columns(list) {
        return None;
    }
    let Expr::BinaryOp {
        left,
        op: BinaryOperator::Eq,
        right,
    } = bare(select.selection.as_ref()?)
    else {
        return None;
    };
    let element = Element::of(alias)?;
    let value = match (element.is(left), element.is(right)) {
        (true, false) if !element.is_in(right) => right,
        (false, true) if !element.is_in(left) => left,
        _ => return None,
    };
    Some(Expr::IsTrue(Box::new(Expr::Nested(Box::new(equal_any(value, list))))))
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}

/// What the elements are called: a column, and its table.
struct Element<'a> {
    table: &'a Ident,
    column: &'a Ident,
}

impl<'a> Element<'a> {
    fn of(alias: &'a TableAlias) -> Option<Self> {
        let column = match alias.columns.as_slice() {
            [] => &alias.name,
            [column] => &column.name,
            _ => return None,
        };
        Some(Self {
            table: &alias.name,
            column,
        })
    }

    fn is(&self, expr: &Expr) -> bool {
        match bare(expr) {
            Expr::Identifier(name) => called(name) == called(self.column),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [table, column] => called(table) == called(self.table) && called(column) == called(self.column),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether an expression is about the elements, or nobody knows.
    fn is_in(&self, expr: &Expr) -> bool {
        let found = visit_expressions(expr, |part| match part {
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => ControlFlow::Break(()),
            Expr::Identifier(name) if same(name, self.column) || same(name, self.table) => ControlFlow::Break(()),
            Expr::CompoundIdentifier(names) if names.first().is_some_and(|name| same(name, self.table)) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    }
}

/// What a name is when it is looked for.
fn called(name: &Ident) -> String {
    match name.quote_style {
        None => name.value.to_lowercase(),
        Some(_) => name.value.clone(),
    }
}

/// Whether two names may be one.
fn same(left: &Ident, right: &Ident) -> bool {
    left.value.eq_ignore_ascii_case(&right.value)
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: an element of a list of the row around is found as SQL says, with nulls among the elements and in the list's place. Method: lists
    // with and without it, empty and none, asked for in each form.
    #[tokio::test]
    async fn elements_of_outer_lists() {
        let lake = Lake::new();
        let rows = "(SELECT id, CASE WHEN id = 2 THEN NULL ELSE string_to_array(t, ',', 'n') END AS list FROM (VALUES (1, 'a,b'), (2, ''), \
                    (3, 'c,n'), (4, 'c')) AS v (id, t)) AS x";
        for (condition, wanted) in [
            ("'a' IN (SELECT unnest(x.list))", vec!["1"]),
            ("'a' IN (SELECT unnest(list) AS e)", vec!["1"]),
            ("'a' NOT IN (SELECT unnest(list))", vec!["2", "4"]),
            ("('a' IN (SELECT unnest(list))) IS NULL", vec!["3"]),
            ("'a' IN (SELECT unnest(list)) OR id = 4", vec!["1", "4"]),
            (
                "EXISTS (SELECT 1 FROM unnest(x.list) AS u (e) WHERE e = 'a')",
                vec!["1"],
            ),
            ("EXISTS (SELECT * FROM unnest(list) AS e WHERE 'c' = e)", vec!["3", "4"]),
            (
                "NOT EXISTS (SELECT u.e FROM unnest(list) AS u (e) WHERE (u.e = 'a'))",
                vec!["2", "3", "4"],
            ),
            ("1 IN (SELECT unnest(make_array(1, 2))) AND id = 1", vec!["1"]),
        ] {
            let sql = format!("SELECT id FROM {rows} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
        let sql = format!("SELECT id, 'a' IN (SELECT unnest(list)) AS found FROM {rows}");
        assert_eq!(lake.lines(&sql).await, ["1,true", "2,false", "3,", "4,false"]);
    }
}
