//! `@>`, `<@` and `&&` of lists, as functions. The query engine has others for the first two, in which a null is found, and does not know
//! the last one.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::ExprSchemable;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::functions::list_sets::{contain, overlap};

/// Plans them where one side is a list and the other one too, or of no type yet.
#[derive(Debug)]
pub(super) struct ListSets;

impl ExprPlanner for ListSets {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{ArrowAt, AtArrow, PGOverlap};
        if !matches!(raw.op, AtArrow | ArrowAt | PGOverlap) {
            return Ok(PlannerResult::Original(raw));
        }
        let left = raw.left.get_type(schema).unwrap_or(DataType::Null);
        let right = raw.right.get_type(schema).unwrap_or(DataType::Null);
        let lists = match (is_list(&left), is_list(&right)) {
            (true, true) => true,
            (true, false) => right.is_null(),
            (false, true) => left.is_null(),
            (false, false) => false,
        };
        Ok(match raw.op {
            AtArrow if lists => PlannerResult::Planned(contain(raw.left, raw.right)),
            ArrowAt if lists => PlannerResult::Planned(contain(raw.right, raw.left)),
            PGOverlap if lists => PlannerResult::Planned(overlap(raw.left, raw.right)),
            _ => PlannerResult::Original(raw),
        })
    }
}

fn is_list(of: &DataType) -> bool {
    matches!(
        of,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
    )
}
