//! Conditions over texts, and the same over views of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, in_list,
};

/// What a condition asks of columns, which are told by their places.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Compared with constants that are texts.
    pub(super) compared: BTreeSet<usize>,
    /// Of these it asks something else than that, or whether they are null.
    pub(super) otherwise: BTreeSet<usize>,
}

pub(super) fn uses(condition: &Arc<dyn PhysicalExpr>) -> Result<Uses> {
    let mut uses = Uses::default();
    condition.apply(|part| {
        if let Some(column) = compared(part) {
            uses.compared.insert(column);
            return Ok(TreeNodeRecursion::Jump);
        }
        if is_null_test(part) {
            return Ok(TreeNodeRecursion::Jump);
        }
        uses.otherwise.extend(column(part));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(uses)
}

/// The condition where these columns are views, as they are in `schema`. Where something else is asked of them they are made texts.
pub(super) fn over_views(
    condition: Arc<dyn PhysicalExpr>,
    views: &BTreeSet<usize>,
    schema: &Schema,
) -> Result<Arc<dyn PhysicalExpr>> {
    let is_view = |column: Option<usize>| column.is_some_and(|column| views.contains(&column));
    let over = condition.transform_down(|part| {
        if is_view(compared(&part)) {
            let over = with_views(&part, schema)?;
            return Ok(Transformed::new(over, true, TreeNodeRecursion::Jump));
        }
        if is_null_test(&part) {
            return Ok(Transformed::new(part, false, TreeNodeRecursion::Jump));
        }
        if is_view(column(&part)) {
            let text: Arc<dyn PhysicalExpr> = Arc::new(CastExpr::new(part, DataType::Utf8, None));
            return Ok(Transformed::new(text, true, TreeNodeRecursion::Jump));
        }
        Ok(Transformed::no(part))
    })?;
    Ok(over.data)
}

pub(super) fn column(part: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    part.downcast_ref::<Column>().map(Column::index)
}

/// The column that this part compares with constants that are texts, if it does nothing else.
fn compared(part: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    if let Some(binary) = part.downcast_ref::<BinaryExpr>() {
        let (left, right) = (binary.left(), binary.right());
        return match binary.op() {
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom => match (is_text(left), is_text(right)) {
                (false, true) => column(left),
                (true, false) => column(right),
                _ => None,
            },
            _ => None,
        };
    }
    if let Some(like) = part.downcast_ref::<LikeExpr>() {
        return column(like.expr()).filter(|_| is_text(like.pattern()));
    }
    let listed = part.downcast_ref::<InListExpr>()?;
    column(listed.expr()).filter(|_| listed.list().iter().all(is_text))
}

/// Whether it asks of a column whether it is null, which is the same of texts and of views.
fn is_null_test(part: &Arc<dyn PhysicalExpr>) -> bool {
    let null = part.downcast_ref::<IsNullExpr>().map(IsNullExpr::arg);
    let there = part.downcast_ref::<IsNotNullExpr>().map(IsNotNullExpr::arg);
    null.or(there).is_some_and(|of| column(of).is_some())
}

fn is_text(part: &Arc<dyn PhysicalExpr>) -> bool {
    let value = part.downcast_ref::<Literal>().map(Literal::value);
    matches!(value, Some(ScalarValue::Utf8(_)))
}

/// A comparison with its constants as views.
fn with_views(part: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    if let Some(listed) = part.downcast_ref::<InListExpr>() {
        // What it looks up is kept in the type of its constants, and is not made anew by `with_new_children`.
        let list = listed.list().iter().map(as_view).collect();
        return in_list(Arc::clone(listed.expr()), list, &listed.negated(), schema);
    }
    let parts = part.children().into_iter().map(as_view).collect();
    Arc::clone(part).with_new_children(parts)
}

fn as_view(part: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    match part.downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Utf8(text)) => Arc::new(Literal::new(ScalarValue::Utf8View(text.clone()))),
        _ => Arc::clone(part),
    }
}
