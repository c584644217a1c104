//! Texts that stand for bytes, for a `uuid`, for intervals or for arrays, as PostgreSQL reads them: `'\x00ff'` is two bytes (8.4.1), and sixteen
//! are a `uuid` (8.12), in a comparison and where a row is written, `'1 mon'` is an interval beside one, and `'{a,b}'` has two elements
//! (8.15.2), in a cast and where a row is written. The query engine takes the letters, casts no text to a `uuid`, compares no interval with
//! one, and makes of a text an array that has it as its one element.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::expr::{Case, Cast};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::utils::NamePreserver;

use super::beside::aligned;
use super::called::as_called;
use super::decimals;
use crate::pg_catalog;

/// Reads texts that are cast to bytes, to a `uuid` or to arrays, and literals beside bytes, a `uuid` or an interval, as PostgreSQL does.
pub(super) fn read(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(read_node)?.data)
}

fn read_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        let own = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        schema.merge(&own);
    }
    let names = NamePreserver::new(&plan);
    let mut change = |expr: Expr| expr.transform_up(|expr| read_one(expr, &schema));
    plan.map_expressions(|expr| as_called(expr, &names, &mut change))
}

fn read_one(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(Cast { expr, field }) if is_read(field.data_type()) && is_text(&expr, schema) => {
            Ok(Transformed::yes(of_text(*expr, field.data_type())?))
        }
        Expr::Cast(Cast { expr, field }) if is_array(field.data_type()) && is_text(&expr, schema) => {
            let texts = array_of_text(*expr, field.data_type())?;
            Ok(Transformed::yes(Expr::Cast(Cast::new_from_field(
                Box::new(texts),
                field,
            ))))
        }
        Expr::Case(case) => of_case(case, schema),
        expr => {
            let mut failed = None;
            let found = aligned(expr, decimals::compares, |sides| {
                match beside_interval(sides, schema) {
                    Ok(true) => return true,
                    Ok(false) => {}
                    Err(error) => failed = Some(error),
                }
                let read = |side: &&mut Expr| side.get_type(schema).ok().filter(is_read);
                let Some(of) = sides.iter().find_map(read) else {
                    return false;
                };
                let mut changed = false;
                for side in sides {
                    if matches!(side, Expr::Literal(..)) && is_text(side, schema) {
                        match of_text(side.clone(), &of) {
                            Ok(read) => (**side, changed) = (read, true),
                            Err(error) => failed = Some(error),
                        }
                    }
                }
                changed
            });
            failed.map_or(Ok(found), Err)
        }
    }
}

/// Makes intervals of the literals among values that stand beside one another, if one of these is an interval.
fn beside_interval(sides: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    let is_interval = |side: &&mut Expr| matches!(side.get_type(schema), Ok(DataType::Interval(_)));
    if !sides.iter().any(is_interval) {
        return Ok(false);
    }
    let mut changed = false;
    for side in sides {
        if let Some(span) = pg_catalog::span_of_text(side)? {
            (**side, changed) = (span, true);
        }
    }
    Ok(changed)
}

/// A `CASE` with intervals of the literals that are compared with one, and of its results where the first is one: that is its type.
fn of_case(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut changed = false;
    if let Some(compared) = &mut case.expr {
        let mut sides = vec![compared.as_mut()];
        sides.extend(case.when_then_expr.iter_mut().map(|(when, _)| when.as_mut()));
        changed |= beside_interval(&mut sides, schema)?;
    }
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then.as_mut());
    let mut results: Vec<&mut Expr> = results.chain(case.else_expr.as_deref_mut()).collect();
    let mut kinds = results.iter().filter_map(|result| result.get_type(schema).ok());
    if matches!(kinds.find(|kind| !kind.is_null()), Some(DataType::Interval(_))) {
        changed |= beside_interval(&mut results, schema)?;
    }
    Ok(Transformed::new_transformed(Expr::Case(case), changed))
}

/// The query's columns, of which texts that are to become bytes, a `uuid` or arrays of a table are read as PostgreSQL does. `of` is the
/// type that a column will have.
pub(crate) fn columns(plan: LogicalPlan, of: impl Fn(&str) -> Option<DataType>) -> Result<LogicalPlan> {
    let fields = plan.schema().fields();
    let becomes = |at: usize| {
        let field = fields.get(at).filter(|field| field.data_type().is_string())?;
        of(field.name()).filter(|of| is_read(of) || is_array(of))
    };
    if !(0..fields.len()).any(|at| becomes(at).is_some()) {
        return Ok(plan);
    }
    let columns = plan.schema().columns().into_iter().enumerate().map(|(at, column)| {
        let name = column.name.clone();
        let column = Expr::Column(column);
        match becomes(at) {
            Some(of) if is_read(&of) => Ok(of_text(column, &of)?.alias(name)),
            Some(of) => Ok(array_of_text(column, &of)?.alias(name)),
            None => Ok(column),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// The array of texts that a text is, whose elements a cast reads as those of an array of this type. Refused are those that it would read
/// otherwise than PostgreSQL: bytes, and instants, which are of the session's zone if they name none.
fn array_of_text(text: Expr, of: &DataType) -> Result<Expr> {
    match of {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => match item.data_type() {
            of @ DataType::Timestamp(_, Some(_)) => plan_err!("a text is not read as an array of {of}: write ARRAY"),
            of if is_bytes(of) || of.is_nested() => plan_err!("a text is not read as an array of {of}: write ARRAY"),
            _ => pg_catalog::array_of_text(text),
        },
        of => plan_err!("{of} is no array"),
    }
}

fn is_array(of: &DataType) -> bool {
    matches!(
        of,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
    )
}

/// What a text stands for where bytes or a `uuid` are wanted.
fn of_text(text: Expr, of: &DataType) -> Result<Expr> {
    match is_uuid(of) {
        true => pg_catalog::uuid_of_text(text),
        false => pg_catalog::bytes_of_text(text),
    }
}

/// Whether texts stand for values of this type, and have to be read to be them.
fn is_read(of: &DataType) -> bool {
    is_bytes(of) || is_uuid(of)
}

fn is_uuid(of: &DataType) -> bool {
    matches!(of, DataType::FixedSizeBinary(16))
}

fn is_bytes(of: &DataType) -> bool {
    matches!(of, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn is_text(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr.get_type(schema), Ok(of) if of.is_string())
}
