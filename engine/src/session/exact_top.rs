//! Aggregates that keep only the first of their groups (`GROUP BY k ORDER BY k LIMIT n`, `… ORDER BY max(v) DESC LIMIT n`), where
//! that gives the same rows.
//!
//! DataFusion 55.2 compares what such an aggregate keeps by `==` and `<`: a NaN is a group of its own each time that it is met, takes
//! the place of a better group, and what cannot be found again when it gives way ends the query. So floating-point keys and values
//! are aggregated as a whole, and the rows above are taken from that.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// The name of the rule that lets aggregates keep only their first groups.
pub(super) const LIMITS: &str = "LimitAggregation";

/// That rule, without what it does to aggregates of floating-point numbers.
#[derive(Debug)]
pub(super) struct ExactTop(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for ExactTop {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let limited = self.0.optimize(plan, config)?;
        limited.transform_down(|node| Ok(unlimited(node))).map(|seen| seen.data)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn unlimited(node: Arc<dyn ExecutionPlan>) -> Transformed<Arc<dyn ExecutionPlan>> {
    let whole = node.downcast_ref::<AggregateExec>().and_then(|aggregate| {
        // Without an order any groups will do, and those are told apart by their bits.
        let ordered = aggregate.limit_options()?.descending().is_some();
        let schema = aggregate.schema();
        let mut types = schema.fields().iter().map(|field| field.data_type());
        (ordered && types.any(DataType::is_floating)).then(|| aggregate.with_new_limit_options(None))
    });
    match whole {
        Some(whole) => Transformed::yes(Arc::new(whole)),
        None => Transformed::no(node),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: the first groups are the same ones whether or not all are made. Method: NaN among keys and values, the first groups in each
    // order beside the first of a list that was sorted as a whole, and that an aggregate of whole numbers is still limited.
    #[tokio::test]
    async fn the_first_groups_of_numbers_with_nan() {
        let lake = Lake::new();
        let rows = "(SELECT CASE WHEN v % 3 = 0 THEN CAST('NaN' AS double) ELSE v END AS f, v % 5 AS k, v FROM \
                    (SELECT unnest(range(0, 100)) AS v)) AS t";
        for direction in ["ASC", "DESC"] {
            for (value, groups) in [
                ("f", format!("SELECT DISTINCT f FROM {rows}")),
                ("m", format!("SELECT v, max(f) AS m FROM {rows} GROUP BY v")),
                ("m", format!("SELECT v, min(f) AS m FROM {rows} GROUP BY v")),
                ("m", format!("SELECT k, max(f) AS m FROM {rows} GROUP BY k")),
                ("m", format!("SELECT k, min(f) AS m FROM {rows} GROUP BY k")),
            ] {
                let first = format!("SELECT {value} FROM ({groups}) AS g ORDER BY {value} {direction} LIMIT 4");
                let place = format!("row_number() OVER (ORDER BY {value} {direction}) AS place");
                let all = format!(
                    "SELECT {value} FROM (SELECT {value}, {place} FROM ({groups}) AS g) AS p WHERE place <= 4 ORDER BY place"
                );
                assert_eq!(lake.lines(&first).await, lake.lines(&all).await, "{first}");
            }
        }
        let plan = lake
            .lines(&format!("EXPLAIN SELECT DISTINCT v FROM {rows} ORDER BY v LIMIT 4"))
            .await;
        assert!(plan.iter().any(|line| line.contains("lim=[4]")), "{plan:?}");
    }
}
