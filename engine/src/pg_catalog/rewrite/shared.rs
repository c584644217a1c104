//! What statements that are not of the PostgreSQL wire mean as those do, where the query engine would answer otherwise or refuse it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Ident, Query, Select, SelectItem, Statement, TableFactor, TypedString, VisitMut, VisitorMut,
    visit_expressions_mut,
};

use super::expressions;
use super::names::as_text;

/// Digits of a second that the columns of most tables have.
const MICROSECONDS: u64 = 6;

/// Digits of a second that a few have.
const NANOSECONDS: u64 = 9;

/// Changes a statement in place.
pub(super) fn statement(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Shared);
}

struct Shared;

impl VisitorMut for Shared {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        super::first_rows(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        // Series of moments have nanoseconds (DataFusion 55.2).
        if let TableFactor::Table {
            args: Some(arguments), ..
        } = factor
        {
            let _: ControlFlow<()> = visit_expressions_mut(&mut arguments.args, |expression| {
                if let Expr::Cast { data_type, .. } | Expr::TypedString(TypedString { data_type, .. }) = expression
                    && let DataType::Timestamp(precision @ None, _) = data_type
                {
                    *precision = Some(NANOSECONDS);
                }
                ControlFlow::Continue(())
            });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let finer = match expression {
            Expr::Cast { expr, .. } => is_finer(as_text(expr)),
            Expr::TypedString(typed) => is_finer(typed.value.value.clone().into_string().as_deref()),
            _ => false,
        };
        if let Expr::Cast { data_type, .. } | Expr::TypedString(TypedString { data_type, .. }) = expression
            && !finer
        {
            microseconds(data_type);
        }
        if !finer {
            expressions::clock(expression);
        }
        expressions::shared(expression);
        ControlFlow::Continue(())
    }
}

/// Whether a moment is written with more digits than microseconds have.
fn is_finer(written: Option<&str>) -> bool {
    let digits = written
        .and_then(|text| text.rsplit_once('.'))
        .map(|(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count());
    digits.is_some_and(|digits| digits > 6)
}

/// Moments have microseconds, as columns have, so that they reach beyond the years 1677 to 2262.
fn microseconds(of: &mut DataType) {
    if let DataType::Timestamp(precision @ None, _) = of {
        *precision = Some(MICROSECONDS);
    }
}

/// Gives the columns of each SELECT names that differ, where the query engine would refuse them: a second column of a name has a
/// number behind it.
pub(super) fn apart(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Apart);
}

struct Apart;

impl VisitorMut for Apart {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let all = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        // What the wildcard stands for is not known here: whatever stands beside it is there a second time.
        let first = usize::from(select.projection.iter().any(all));
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expression) = item else {
                continue;
            };
            let name = match expression {
                Expr::Identifier(ident) => ident.value.clone(),
                Expr::CompoundIdentifier(idents) => idents.last().map(|last| last.value.clone()).unwrap_or_default(),
                _ => expression.to_string(),
            };
            let times = seen.entry(name.to_lowercase()).or_insert(first);
            let alias = match *times {
                0 => name,
                times => format!("{name}_{times}"),
            };
            *times += 1;
            *item = SelectItem::ExprWithAlias {
                expr: expression.clone(),
                alias: Ident::with_quote('"', alias),
            };
        }
        ControlFlow::Continue(())
    }
}
