//! Expressions as pieces of a key. Every part of every kind is named, so that a new one does not compile before it is seen to.

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::expr::{
    AggregateFunction, AggregateFunctionParams, Alias, Between, Case, Cast, Exists, InList, InSubquery, Like,
    Placeholder, ScalarFunction, SetComparison, Sort, TryCast, Unnest, WindowFunction, WindowFunctionParams,
};
use datafusion::logical_expr::{
    BinaryExpr, Expr, GroupingSet, Subquery, Volatility, WindowFrameBound, WindowFunctionDefinition,
};
use tidewater_engine::pg_catalog;

use super::Bypass;
use super::plan::plan;
use super::value::{column, field, metadata, reference, scalar};
use super::writer::Writer;

pub(super) fn all(writer: &mut Writer, expressions: &[Expr]) -> Result<(), Bypass> {
    writer.list(expressions, expression)
}

pub(super) fn sorts(writer: &mut Writer, sorts: &[Sort]) -> Result<(), Bypass> {
    writer.list(sorts, |writer, sort| {
        let Sort { expr, asc, nulls_first } = sort;
        expression(writer, expr)?;
        writer.flag(*asc);
        writer.flag(*nulls_first);
        Ok(())
    })
}

/// One expression.
pub(super) fn expression(writer: &mut Writer, of: &Expr) -> Result<(), Bypass> {
    writer.inside(|writer| write(writer, of))
}

#[expect(
    deprecated,
    reason = "a kind of expression that no plan has any more is named like all others"
)]
fn write(writer: &mut Writer, of: &Expr) -> Result<(), Bypass> {
    match of {
        Expr::Alias(Alias {
            expr,
            relation,
            name,
            metadata: more,
        }) => {
            writer.tag("alias");
            expression(writer, expr)?;
            writer.maybe(relation.as_ref(), |writer, relation| {
                reference(writer, relation);
                Ok(())
            })?;
            writer.text(name);
            writer.maybe(more.as_ref(), |writer, more| {
                metadata(writer, more.inner().iter());
                Ok(())
            })
        }
        Expr::Column(of) => {
            writer.tag("column");
            column(writer, of)
        }
        Expr::OuterReferenceColumn(of, outer) => {
            writer.tag("outer");
            field(writer, of);
            column(writer, outer)
        }
        Expr::Literal(value, more) => {
            writer.tag("literal");
            scalar(writer, value)?;
            writer.maybe(more.as_ref(), |writer, more| {
                metadata(writer, more.inner().iter());
                Ok(())
            })
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            writer.tag("binary");
            writer.debug(op);
            expression(writer, left)?;
            expression(writer, right)
        }
        Expr::Like(like) => {
            writer.tag("like");
            pattern(writer, like)
        }
        Expr::SimilarTo(like) => {
            writer.tag("similar");
            pattern(writer, like)
        }
        Expr::Not(of) => unary(writer, "not", of),
        Expr::IsNotNull(of) => unary(writer, "is not null", of),
        Expr::IsNull(of) => unary(writer, "is null", of),
        Expr::IsTrue(of) => unary(writer, "is true", of),
        Expr::IsFalse(of) => unary(writer, "is false", of),
        Expr::IsUnknown(of) => unary(writer, "is unknown", of),
        Expr::IsNotTrue(of) => unary(writer, "is not true", of),
        Expr::IsNotFalse(of) => unary(writer, "is not false", of),
        Expr::IsNotUnknown(of) => unary(writer, "is not unknown", of),
        Expr::Negative(of) => unary(writer, "negative", of),
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => {
            writer.tag("between");
            writer.flag(*negated);
            expression(writer, expr)?;
            expression(writer, low)?;
            expression(writer, high)
        }
        Expr::Case(Case {
            expr,
            when_then_expr,
            else_expr,
        }) => {
            writer.tag("case");
            writer.maybe(expr.as_deref(), expression)?;
            writer.list(when_then_expr, |writer, (when, then)| {
                expression(writer, when)?;
                expression(writer, then)
            })?;
            writer.maybe(else_expr.as_deref(), expression)
        }
        Expr::Cast(Cast { expr, field: to }) => {
            writer.tag("cast");
            field(writer, to);
            expression(writer, expr)
        }
        Expr::TryCast(TryCast { expr, field: to }) => {
            writer.tag("try cast");
            field(writer, to);
            expression(writer, expr)
        }
        Expr::InList(InList { expr, list, negated }) => {
            writer.tag("in list");
            writer.flag(*negated);
            expression(writer, expr)?;
            all(writer, list)
        }
        Expr::Exists(Exists { subquery: of, negated }) => {
            writer.tag("exists");
            writer.flag(*negated);
            subquery(writer, of)
        }
        Expr::InSubquery(InSubquery {
            expr,
            subquery: of,
            negated,
        }) => {
            writer.tag("in subquery");
            writer.flag(*negated);
            expression(writer, expr)?;
            subquery(writer, of)
        }
        Expr::SetComparison(SetComparison {
            expr,
            subquery: of,
            op,
            quantifier,
        }) => {
            writer.tag("set comparison");
            writer.debug(op);
            writer.debug(quantifier);
            expression(writer, expr)?;
            subquery(writer, of)
        }
        Expr::ScalarSubquery(of) => {
            writer.tag("scalar subquery");
            subquery(writer, of)
        }
        Expr::GroupingSet(GroupingSet::Rollup(of)) => {
            writer.tag("rollup");
            all(writer, of)
        }
        Expr::GroupingSet(GroupingSet::Cube(of)) => {
            writer.tag("cube");
            all(writer, of)
        }
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => {
            writer.tag("grouping sets");
            writer.list(sets, |writer, set| all(writer, set))
        }
        Expr::Unnest(Unnest { expr, outer }) => {
            writer.tag("unnest");
            writer.flag(*outer);
            expression(writer, expr)
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let name = func.name();
            steady(name, func.signature().volatility)?;
            if pg_catalog::depends_on_session(func) {
                return Err(Bypass::Session { function: name.into() });
            }
            writer.tag("scalar function");
            writer.text(name);
            all(writer, args)
        }
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            steady(func.name(), func.signature().volatility)?;
            let AggregateFunctionParams {
                args,
                distinct,
                filter,
                order_by,
                null_treatment,
            } = params;
            writer.tag("aggregate function");
            writer.text(func.name());
            writer.flag(*distinct);
            writer.debug(null_treatment);
            all(writer, args)?;
            writer.maybe(filter.as_deref(), expression)?;
            sorts(writer, order_by)
        }
        Expr::WindowFunction(of) => window(writer, of),
        Expr::Placeholder(Placeholder { .. }) => Err(Bypass::Parameter),
        Expr::ScalarVariable(..)
        | Expr::Wildcard { .. }
        | Expr::HigherOrderFunction(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_) => Err(Bypass::Unknown {
            what: of.variant_name().to_owned(),
        }),
    }
}

fn unary(writer: &mut Writer, word: &'static str, of: &Expr) -> Result<(), Bypass> {
    writer.tag(word);
    expression(writer, of)
}

fn pattern(writer: &mut Writer, like: &Like) -> Result<(), Bypass> {
    let Like {
        negated,
        expr,
        pattern,
        escape_char,
        case_insensitive,
    } = like;
    writer.flag(*negated);
    writer.flag(*case_insensitive);
    writer.debug(escape_char);
    expression(writer, expr)?;
    expression(writer, pattern)
}

fn window(writer: &mut Writer, of: &WindowFunction) -> Result<(), Bypass> {
    let WindowFunction { fun, params } = of;
    let WindowFunctionParams {
        args,
        partition_by,
        order_by,
        window_frame,
        filter,
        null_treatment,
        distinct,
    } = params;
    let (kind, volatility) = match fun {
        WindowFunctionDefinition::AggregateUDF(func) => ("window aggregate", func.signature().volatility),
        WindowFunctionDefinition::WindowUDF(func) => ("window function", func.signature().volatility),
    };
    steady(fun.name(), volatility)?;
    writer.tag(kind);
    writer.text(fun.name());
    writer.flag(*distinct);
    writer.debug(null_treatment);
    all(writer, args)?;
    all(writer, partition_by)?;
    sorts(writer, order_by)?;
    writer.maybe(filter.as_deref(), expression)?;
    writer.debug(&window_frame.units);
    writer.flag(window_frame.is_causal());
    for bound in [&window_frame.start_bound, &window_frame.end_bound] {
        match bound {
            WindowFrameBound::Preceding(value) => {
                writer.tag("preceding");
                scalar(writer, value)?;
            }
            WindowFrameBound::CurrentRow => writer.tag("current row"),
            WindowFrameBound::Following(value) => {
                writer.tag("following");
                scalar(writer, value)?;
            }
        }
    }
    Ok(())
}

pub(super) fn subquery(writer: &mut Writer, of: &Subquery) -> Result<(), Bypass> {
    let Subquery {
        subquery,
        outer_ref_columns,
        spans: _,
    } = of;
    plan(writer, subquery)?;
    all(writer, outer_ref_columns)
}

/// Whether a function answers the same each time. What tells the time of a query is read before, where it can be.
fn steady(name: &str, volatility: Volatility) -> Result<(), Bypass> {
    match volatility {
        Volatility::Immutable => Ok(()),
        Volatility::Stable => Err(Bypass::Time),
        Volatility::Volatile => Err(Bypass::Volatile { function: name.into() }),
    }
}

/// Whether an expression, with all that is in it, satisfies this.
pub(super) fn any(of: &Expr, mut wanted: impl FnMut(&Expr) -> bool) -> bool {
    // The closure never fails.
    of.exists(|part| Ok(wanted(part))).unwrap_or(true)
}
