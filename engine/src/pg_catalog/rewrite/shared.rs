//! What statements that are not of the PostgreSQL wire mean as those do, where the query engine would answer otherwise or refuse it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Query, Statement, TableFactor, TypedString, VisitMut, VisitorMut, visit_expressions_mut,
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
