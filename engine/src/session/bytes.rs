//! Texts that stand for bytes, as PostgreSQL reads them: `'\x00ff'` is two bytes (8.4.1), in a comparison and where a row is written.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::utils::NamePreserver;

use super::beside::aligned;
use super::decimals;
use crate::pg_catalog;

/// Reads texts that are cast to bytes, and literals beside bytes, as PostgreSQL does.
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
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| read_one(expr, &schema))?;
        Ok(expr.update_data(|expr| name.restore(expr)))
    })
}

fn read_one(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(Cast { expr, field }) if is_bytes(field.data_type()) && is_text(&expr, schema) => {
            Ok(Transformed::yes(pg_catalog::bytes_of_text(*expr)?))
        }
        expr => {
            let mut failed = None;
            let found = aligned(expr, decimals::compares, |sides| {
                let bytes = |side: &&mut Expr| matches!(side.get_type(schema), Ok(of) if is_bytes(&of));
                if !sides.iter().any(bytes) {
                    return false;
                }
                let mut changed = false;
                for side in sides {
                    if matches!(side, Expr::Literal(..)) && is_text(side, schema) {
                        match pg_catalog::bytes_of_text(side.clone()) {
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

/// The query's columns, of which texts that are to become bytes of a table are read as PostgreSQL does. `of` is the type that a column
/// will have.
pub(crate) fn columns(plan: LogicalPlan, of: impl Fn(&str) -> Option<DataType>) -> Result<LogicalPlan> {
    let fields = plan.schema().fields();
    let becomes = |at: usize| {
        let field = fields.get(at);
        field.is_some_and(|field| field.data_type().is_string() && of(field.name()).is_some_and(|of| is_bytes(&of)))
    };
    if !(0..fields.len()).any(becomes) {
        return Ok(plan);
    }
    let columns = plan.schema().columns().into_iter().enumerate().map(|(at, column)| {
        let name = column.name.clone();
        match becomes(at) {
            true => Ok(pg_catalog::bytes_of_text(Expr::Column(column))?.alias(name)),
            false => Ok(Expr::Column(column)),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

fn is_bytes(of: &DataType) -> bool {
    matches!(of, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn is_text(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr.get_type(schema), Ok(of) if of.is_string())
}
