//! `EXISTS` among columns, in `ORDER BY` and within `CASE`: DataFusion 55.2 takes it as a part of a condition only. Whether there are
//! rows is told by their number.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::logical_expr::AggregateUDF;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr,
    Statement, Value, VisitMut, VisitorMut, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::this_query::{self, Change};

/// Counts where it has to.
pub(super) fn counted(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Places);
}

struct Places;

impl VisitorMut for Places {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(OrderBy {
            kind: OrderByKind::Expressions(keys),
            ..
        }) = &mut query.order_by
        {
            keys.iter_mut().for_each(|key| count(&mut key.expr, true));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. } = item {
                count(column, true);
            }
        }
        for condition in select.selection.iter_mut().chain(&mut select.having) {
            count(condition, false);
        }
        ControlFlow::Continue(())
    }
}

/// Counts in an expression: everywhere, or within `CASE`.
fn count(expression: &mut Expr, everywhere: bool) {
    let cases = usize::from(everywhere);
    this_query::change(expression, &mut Within { cases });
}

/// Counts among an expression's own parts that are within `CASE`.
struct Within {
    cases: usize,
}

impl Change for Within {
    fn before(&mut self, part: &mut Expr) {
        self.cases += usize::from(matches!(part, Expr::Case { .. }));
    }

    fn after(&mut self, part: &mut Expr) {
        match part {
            Expr::Case { .. } => self.cases -= 1,
            Expr::Exists { subquery, negated } if self.cases > 0 => {
                if let Some(counted) = number(subquery) {
                    *part = Expr::Nested(Box::new(Expr::BinaryOp {
                        left: Box::new(Expr::Subquery(Box::new(counted))),
                        op: match negated {
                            true => BinaryOperator::Eq,
                            false => BinaryOperator::Gt,
                        },
                        right: Box::new(Expr::value(Value::Number("0".into(), false))),
                    }));
                }
            }
            _ => {}
        }
    }
}

/// The query that counts the rows of one: in its own place, so that it may name what is around it, unless it has groups or a limit.
fn number(query: &Query) -> Option<Query> {
    let mut counted = query.clone();
    let limited = query.with.is_some() || query.limit_clause.is_some() || query.fetch.is_some();
    if let SetExpr::Select(select) = counted.body.as_mut()
        && !limited
        && select.having.is_none()
        && matches!(&select.group_by, GroupByExpr::Expressions(columns, _) if columns.is_empty())
        && !has_its_own_number(select)
    {
        select.distinct = None;
        select.projection = vec![SelectItem::UnnamedExpr(parsed("count(1)")?)];
        counted.order_by = None;
        return Some(counted);
    }
    match parsed(&format!("(SELECT count(1) FROM ({query}) AS \"exists$\")"))? {
        Expr::Subquery(counted) => Some(*counted),
        _ => None,
    }
}

/// Whether a query has another number of rows than it reads: one of an aggregate, or those of a list. Calls of queries within it count
/// too: what is counted around it means the same.
fn has_its_own_number(select: &Select) -> bool {
    static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let names = |function: &Arc<AggregateUDF>| [&[function.name().to_owned()], function.aliases()].concat();
        let aggregates = all_default_aggregate_functions();
        let aggregates = aggregates.iter().flat_map(names);
        aggregates.chain(["unnest".to_owned()]).collect()
    });
    let found = visit_expressions(&select.projection, |part| match part {
        Expr::Function(call)
            if call
                .name
                .0
                .last()
                .and_then(ObjectNamePart::as_ident)
                .is_some_and(|name| NAMES.contains(&name.value.to_lowercase())) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&GenericDialect {})
        .try_with_sql(text)
        .ok()?
        .parse_expr()
        .ok()
}
