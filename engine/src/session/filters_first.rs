//! What is computed of rows that pass a filter is computed of no others: `SELECT a, 10 / a + b + c FROM t WHERE a <> 0`.
//!
//! DataFusion 55.2 puts a projection below a filter where it has fewer columns and those that the filter looks at. What it computes is then
//! computed of rows that the filter is to keep away, too: a division by zero ends a statement that is right. Of a filter that gives only
//! some columns of its input it takes the places of these for those of the input's, which are other columns where several tables of a join
//! call theirs the same.
//!
//! The patched scheduler has rules of its own for executors, and takes this one from the session of a cluster.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ExpressionPlacement;
use datafusion::physical_expr::projection::update_expr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::{ProjectionExec, try_embed_projection};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, replace_children_if_necessary,
};

use super::limits_above::{LimitsAbove, REQUIREMENTS};

/// The rule that pushes projections.
pub(super) const PROJECTIONS: &str = "ProjectionPushdown";

/// These rules, of which the one that pushes projections lets nothing be computed below filters, and the one that sees to orders hands no
/// limit down into groups and windows: for the session of a cluster.
pub fn physical_rules(
    rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>],
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let rules = rules.iter().cloned();
    rules
        .map(|rule| match rule.name() {
            PROJECTIONS => Arc::new(FiltersFirst(rule)) as _,
            REQUIREMENTS => Arc::new(LimitsAbove(rule)) as _,
            _ => rule,
        })
        .collect()
}

/// The rule that pushes projections, of which only those that compute nothing come below filters.
#[derive(Debug)]
pub(super) struct FiltersFirst(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for FiltersFirst {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let pushed = self.0.optimize(plan.transform_up(held)?.data, config)?;
        Ok(pushed.transform_up(released)?.data)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn held(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if !node.is::<FilterExec>() {
        return Ok(Transformed::no(node));
    }
    let held: Arc<dyn ExecutionPlan> = Arc::new(HeldFilter { filter: node });
    Ok(Transformed::yes(held))
}

fn released(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let filter = node.downcast_ref::<HeldFilter>().map(|held| Arc::clone(&held.filter));
    Ok(match filter {
        Some(filter) => Transformed::yes(filter),
        None => Transformed::no(node),
    })
}

/// A filter that lets no such projection through, for as long as the rule runs.
#[derive(Debug)]
struct HeldFilter {
    filter: Arc<dyn ExecutionPlan>,
}

/// Whether a projection would come below a filter where it computes what it should not, or has other columns.
fn goes_wrong(projection: &ProjectionExec, filter: &FilterExec) -> Result<bool> {
    let mut columns = projection.expr().iter();
    let computes = columns.any(|column| matches!(column.expr.placement(), ExpressionPlacement::KeepInPlace));
    if !computes && filter.projection().is_none() {
        return Ok(false);
    }
    // As the filter itself looks at it.
    let is_fewer = projection.expr().len() < filter.schema().fields().len();
    Ok(is_fewer && update_expr(filter.predicate(), projection.expr(), false)?.is_some())
}

impl DisplayAs for HeldFilter {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldFilter")
    }
}

impl ExecutionPlan for HeldFilter {
    fn name(&self) -> &str {
        "HeldFilter"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.filter.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.filter.children()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.filter.maintains_input_order()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.filter.apply_expressions(f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let filter = replace_children_if_necessary(Arc::clone(&self.filter), children)?;
        Ok(Arc::new(Self { filter }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.filter.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.filter.child_stats_requests(partition)
    }

    /// Filters above, of which the rule makes new ones, tell by it what is constant in their rows.
    fn statistics_from_inputs(&self, counted: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        self.filter.statistics_from_inputs(counted, args)
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(filter) = self.filter.downcast_ref::<FilterExec>() else {
            return Ok(None);
        };
        let swapped = match goes_wrong(projection, filter)? {
            // It may still give no more columns than are asked for.
            true => try_embed_projection(projection, filter)?,
            false => filter.try_swapping_with_projection(projection)?,
        };
        // A node between the two hands the projection on, and then the rule looks at what came of it once more.
        match swapped {
            Some(plan) => Ok(Some(plan.transform_up(held)?.data)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{Column, binary, col, lit};
    use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
    use datafusion::physical_plan::coop::CooperativeExec;
    use datafusion::physical_plan::displayable;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::filter::FilterExecBuilder;
    use datafusion::physical_plan::projection::ProjectionExpr;

    use crate::testing::Lake;

    fn column(name: &str, at: usize) -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(name, at))
    }

    /// What becomes of these columns of the rows with a positive first column, of which the filter gives some.
    fn pushed(names: [&str; 4], given: Option<Vec<usize>>, columns: Vec<(Arc<dyn PhysicalExpr>, &str)>) -> String {
        let fields = names.map(|name| Field::new(name, DataType::Int32, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let positive = binary(
            col(names[0], &schema).expect("a column"),
            Operator::Gt,
            lit(0_i32),
            &schema,
        );
        let rows = Arc::new(EmptyExec::new(schema));
        let filter = FilterExecBuilder::new(positive.expect("a condition"), rows).apply_projection(given);
        let filter = filter.and_then(FilterExecBuilder::build).expect("a filter");
        let between = Arc::new(CooperativeExec::new(Arc::new(filter)));
        let columns = columns.into_iter().map(|(expr, name)| ProjectionExpr {
            expr,
            alias: name.to_owned(),
        });
        let asked = ProjectionExec::try_new(columns, between).expect("columns");
        let rule = FiltersFirst(Arc::new(ProjectionPushdown::new()));
        let plan = rule.optimize(Arc::new(asked), &ConfigOptions::default());
        displayable(plan.expect("a plan").as_ref()).indent(false).to_string()
    }

    // Goal: filters are themselves again after the rule, columns still come below them, and above them stays what is computed, or what has its
    // places in what a filter gives. Method: the three over a filter, with a node between that hands projections on.
    #[test]
    fn only_columns_come_below_filters() {
        let letters = ["a", "b", "c", "d"];
        let plan = pushed(letters, None, vec![(column("a", 0), "a"), (column("c", 2), "c")]);
        let wanted = [
            "CooperativeExec",
            "  FilterExec: a@0 > 0",
            "    ProjectionExec: expr=[a@0 as a, c@2 as c]",
            "      EmptyExec",
        ];
        assert_eq!(plan.lines().collect::<Vec<_>>(), wanted);

        let fields = letters.map(|name| Field::new(name, DataType::Int32, true));
        let schema = Schema::new(fields.to_vec());
        let quotient = binary(column("c", 2), Operator::Divide, column("a", 0), &schema).expect("a quotient");
        let sum = binary(quotient, Operator::Plus, column("b", 1), &schema).expect("a sum");
        let plan = pushed(letters, None, vec![(column("a", 0), "a"), (sum, "s")]);
        let wanted = [
            "CooperativeExec",
            "  ProjectionExec: expr=[a@0 as a, c@1 / a@0 + b@2 as s]",
            "    FilterExec: a@0 > 0, projection=[a@0, c@2, b@1]",
            "      EmptyExec",
        ];
        assert_eq!(plan.lines().collect::<Vec<_>>(), wanted);

        let plan = pushed(["d"; 4], Some(vec![1, 2, 3]), vec![(column("d", 0), "x")]);
        let wanted = [
            "CooperativeExec",
            "  ProjectionExec: expr=[d@0 as x]",
            "    FilterExec: d@0 > 0, projection=[d@1]",
            "      EmptyExec",
        ];
        assert_eq!(plan.lines().collect::<Vec<_>>(), wanted);
    }

    // Goal: nothing is computed of a row that a filter keeps away. Method: divisions by zero in such rows, in columns, orders and windows that
    // are fewer than what they are computed of.
    #[tokio::test]
    async fn rows_that_are_kept_away_are_not_looked_at() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (0, 1, 1), (2, 5, 1), (5, 20, 1)) AS v (k, m, n) WHERE k <> 0";
        for (sql, wanted) in [
            (format!("SELECT k, 10 / k + m + n AS q {rows}"), ["2,11", "5,23"]),
            (format!("SELECT k {rows} ORDER BY 10 / k + m + n > 11, k"), ["2", "5"]),
            (
                format!("SELECT k, rank() OVER (ORDER BY 10 / k + m + n > 11) AS r {rows}"),
                ["2,1", "5,2"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }

    // Goal: columns that are called the same are not taken for one another. Method: a condition above outer joins, on a table of which nothing
    // else is asked, and fewer columns than what they are computed of; in this process and after a journey.
    #[tokio::test]
    async fn columns_behind_a_filter_are_the_same_ones() {
        let lake = Lake::new();
        let with = "WITH b (d) AS (VALUES (1), (2), (NULL)), a (d) AS (VALUES (10), (20), (NULL)), c (d) AS (VALUES (100), (200), (NULL)), \
                    e (d) AS (VALUES (1000), (2000), (NULL))";
        let from = "FROM b FULL JOIN a ON a.d = b.d * 10 FULL JOIN c ON c.d = a.d * 10 FULL JOIN e ON e.d = c.d * 10";
        for condition in ["coalesce(b.d, 5) > 1", "b.d IS NULL OR b.d > 1"] {
            let sql = format!("{with} SELECT a.d, c.d + e.d AS z {from} WHERE {condition}");
            let wanted = [",", ",", ",", ",", "20,2200"];
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect("rows"), wanted, "{sql}");
        }
    }
}
