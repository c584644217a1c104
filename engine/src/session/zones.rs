//! Time zones that a statement names. The planner takes a zone for a word: one that nobody knows would be the zone of a column, and its
//! moments would be shown in none.

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, plan_datafusion_err};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Refuses zones that there are not.
pub(super) fn known(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let of = match expr {
                    Expr::Cast(cast) => cast.field.data_type(),
                    Expr::TryCast(cast) => cast.field.data_type(),
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                if let DataType::Timestamp(_, Some(zone)) = of {
                    zone.parse::<Tz>()
                        .map_err(|_| plan_datafusion_err!("there is no time zone {zone:?}"))?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;

    // Goal: a zone that nobody knows is told, and others are taken. Method: each way to name one, by name and by offset.
    #[tokio::test]
    async fn unknown_zones_are_refused() {
        let lake = Lake::new();
        let moment = "TIMESTAMPTZ '2026-01-01 12:00:00+00'";
        for zone in ["No/Where", "Berlin", "+25:00x", ""] {
            for sql in [
                format!("SELECT {moment} AT TIME ZONE '{zone}'"),
                format!("SELECT arrow_cast({moment}, 'Timestamp(Microsecond, Some(\"{zone}\"))')"),
                format!("SELECT 1 WHERE {moment} AT TIME ZONE '{zone}' IS NULL"),
            ] {
                let refused = lake.refused(&sql).await;
                assert_eq!(refused.code(), "ENG-0003", "{sql}: {refused:?}");
            }
        }
        for zone in ["UTC", "Europe/Berlin", "America/New_York", "+02:00", "-0330"] {
            let sql = format!("SELECT {moment} AT TIME ZONE '{zone}' IS NULL");
            assert_eq!(lake.lines(&sql).await, ["false"], "{zone}");
        }
    }
}
