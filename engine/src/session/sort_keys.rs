//! Names in expressions of `ORDER BY`. There SQL's are those of the columns that a query reads; only a name that stands alone is that of a
//! column of its result first. The planner takes the result's in both: of `SELECT coalesce(i, 0) AS i FROM t ORDER BY i IS NULL` it would
//! sort by what is never null.
//!
//! Among its columns a query has names as they are meant, so such a key becomes one, which its rows lose again. Names that only the result
//! has stay what the planner takes them for: other dialects have them so.

mod hidden;
mod names;
mod places;
mod queries;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::replace;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, SchemaError, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr as Planned, LogicalPlan, Projection};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    CaseWhen, Expr, Ident, Query, Select, SelectItem, SetExpr, Statement as SqlStatement, UnaryOperator, Value,
};

pub(super) use self::hidden::{all_of, query_of};
use self::hidden::{by_columns, without};
use self::names::names;
pub(super) use self::names::{only_table, plain};
use self::places::placed;
pub(super) use self::queries::each;
use self::queries::{sorted, unwrapped};
use super::parse::{innermost, value};
use super::planned_apart;

/// What the names of such columns begin with.
const KEY: &str = "\u{1}key";

/// Names of one statement that are looked for: each costs as much as planning it.
const NAMES_MAX: usize = 32;

/// `+i` and `i COLLATE "C"` are expressions, though the name is all that is planned of them.
pub(super) fn kept(statement: &mut SqlStatement) {
    each(statement, &mut |_: usize, query: &mut Query| {
        sorted(query, |select, shown, keys| {
            // What PostgreSQL calls the columns that are given no name is not known yet.
            let all = select.projection.iter().any(is_unnamed);
            // Of rows that are told once a key has to be a column, which it is as it stands.
            let once = select.distinct.is_some();
            for key in keys {
                let is_shown = |name: &str| {
                    shown.contains(name) || (all && !(once && is_listed(select, &|item| is_called(item, name))))
                };
                let stays = once && is_listed(select, &|item| plain(item) == plain(key));
                if !stays && is_dressed(key, &is_shown) {
                    *key = always(replace(key, Expr::value(Value::Null)));
                }
            }
        });
    });
}

/// Whether there is such a column that is given no name.
fn is_listed(select: &Select, is: &dyn Fn(&Expr) -> bool) -> bool {
    let mut items = select.projection.iter();
    items.any(|item| matches!(item, SelectItem::UnnamedExpr(expr) if is(expr)))
}

fn is_called(column: &Expr, name: &str) -> bool {
    match plain(column) {
        Expr::Identifier(ident) => value(ident) == name,
        Expr::CompoundIdentifier(idents) => idents.last().is_some_and(|ident| value(ident) == name),
        _ => false,
    }
}

fn is_unnamed(item: &SelectItem) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr) => !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)),
        _ => false,
    }
}

/// Whether it is a name, which may be one of the result, with nothing but a sign or a collation.
fn is_dressed(key: &Expr, is_shown: &dyn Fn(&str) -> bool) -> bool {
    match plain(key) {
        Expr::Collate { expr, .. }
        | Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr,
        } => match plain(expr) {
            Expr::Identifier(ident) => is_shown(&value(ident)),
            inner => is_dressed(inner, is_shown),
        },
        _ => false,
    }
}

/// An expression that is this one.
fn always(result: Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition: Expr::value(Value::Boolean(true)),
            result,
        }],
        else_result: None,
    }
}

/// Tells the planner what is meant by the names in a statement's sort keys. What it plans then has these columns for [`dropped`].
pub(super) async fn told(state: &SessionState, statement: &mut Statement) -> Result<BTreeSet<String>> {
    let mut asked = BTreeSet::new();
    let mut is_query = false;
    if let Some(statement) = innermost(statement) {
        is_query = matches!(statement, SqlStatement::Query(_));
        each(statement, &mut |_: usize, query: &mut Query| {
            unwrapped(query);
            placed(query);
        });
        each(statement, &mut |at: usize, query: &mut Query| {
            asked.extend(doubtful(query).into_iter().map(|name| (at, name)));
        });
    }
    if asked.len() > NAMES_MAX {
        return plan_err!(
            "ORDER BY has expressions of more than {NAMES_MAX} names of columns of the result: name the tables"
        );
    }
    let mut read: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (at, name) in asked {
        let mut asking = statement.clone();
        ask(&mut asking, at, &name);
        if is_read(state, asking, &name).await {
            read.entry(at).or_default().insert(name);
        }
    }
    let none = BTreeSet::new();
    let mut outcome: Result<()> = Ok(());
    let mut keys = BTreeSet::new();
    if let Some(statement) = innermost(statement) {
        each(statement, &mut |at: usize, query: &mut Query| {
            if outcome.is_err() {
                return;
            }
            outcome = by_columns(query, read.get(&at).unwrap_or(&none)).map(|columns| {
                // Of the whole statement the plan tells all names, also those that are there twice.
                let is_whole = is_query && at == 0;
                match is_whole {
                    true => keys.extend(columns.into_iter().map(|column| column.value)),
                    false => without(query, columns),
                }
            });
        });
    }
    outcome.map(|()| keys)
}

/// The plan without these columns, which are there to be sorted by.
pub(super) fn dropped(plan: LogicalPlan, keys: &BTreeSet<String>) -> Result<LogicalPlan> {
    if keys.is_empty() {
        return Ok(plan);
    }
    let columns = plan.schema().columns();
    let all = columns.len();
    let shown = columns.into_iter().filter(|column| !keys.contains(&column.name));
    let shown: Vec<Planned> = shown.map(Planned::Column).collect();
    if shown.len() == all {
        return Ok(plan);
    }
    Ok(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(plan))?))
}

/// The names in expressions that a query is sorted by which are those of columns of its result.
fn doubtful(query: &mut Query) -> BTreeSet<String> {
    let doubtful = sorted(query, |_, shown, keys| {
        let mut found = BTreeSet::new();
        for key in keys {
            found.extend(names(key));
        }
        found.retain(|name| shown.contains(name));
        found
    });
    doubtful.unwrap_or_default()
}

/// Shows the column of a name beside those of a query.
fn ask(statement: &mut Statement, of: usize, name: &str) {
    let Some(statement) = innermost(statement) else { return };
    each(statement, &mut |at: usize, query: &mut Query| {
        if at == of
            && let SetExpr::Select(select) = query.body.as_mut()
        {
            select.projection.push(SelectItem::ExprWithAlias {
                expr: Expr::Identifier(Ident::with_quote('"', name)),
                alias: Ident::with_quote('"', KEY),
            });
        }
    });
}

/// Whether the column that a statement asks for is there. Whatever else is wrong with the statement is told later.
async fn is_read(state: &SessionState, mut asking: Statement, name: &str) -> bool {
    match Box::pin(planned_apart(state, &mut asking)).await {
        Ok(_) => true,
        Err(refused) => !is_missing(&refused, name),
    }
}

fn is_missing(refused: &DataFusionError, name: &str) -> bool {
    let DataFusionError::SchemaError(error, _) = refused.find_root() else {
        return false;
    };
    matches!(error.as_ref(), SchemaError::FieldNotFound { field, .. } if field.relation.is_none() && field.name == name)
}

#[cfg(test)]
mod tests;
