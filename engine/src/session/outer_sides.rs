//! Rows that an outer join makes up are null, whatever its input says of its columns.
//!
//! DataFusion 55.2 takes a column that is constant on the side of an outer join that may have no row (`s.k = 1` among its conditions) for
//! constant behind the join too: groups by it come twice, sorts leave it out. Such a side stands below a node that says nothing of its
//! rows. Likewise a column that is constant in each part of a union is not: where parts look for the first rows by a sort that leaves it
//! out, they must not tell each other how far they are. And columns that are equal in each part are not told of a union: a sort by both
//! that the parts do by one of them is refused, so such parts stand below that node too. So do grouping sets (`grouped_sets.rs`).

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, Statistics, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{AcrossPartitions, EquivalenceProperties};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr, PlanProperties,
    replace_children_if_necessary,
};

use super::grouped_sets;

type Part = Arc<dyn ExecutionPlan>;

/// The rule that chooses the sides of joins; after it they stay.
pub(super) const SIDES: &str = "join_selection";

/// Runs a rule, then sees to the sides that may have no row, and to parts of unions that are sorted.
#[derive(Debug)]
pub(super) struct OuterSides(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for OuterSides {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.0.optimize(plan, config)?;
        let plan = plan.transform_up(grouped_sets::untold)?.data;
        parts(plan.transform_up(untold)?.data, false, has_equal_columns)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// The same for plans of a cluster, whose scheduler has rules of its own and runs those of a session that are none of DataFusion's once,
/// before them. No rule of ours comes after it there, so parts with constants that are sorted are told to have none: a task looks for the
/// first rows of several parts at once.
#[derive(Debug)]
pub struct UntoldSides;

impl PhysicalOptimizerRule for UntoldSides {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(grouped_sets::untold)?.data;
        parts(plan.transform_up(untold)?.data, false, has_equal_or_constant_columns)
    }

    fn name(&self) -> &str {
        "UntoldSides"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn untold(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let hashed = plan.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    let looped = plan.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type());
    let merged = plan
        .downcast_ref::<SortMergeJoinExec>()
        .map(SortMergeJoinExec::join_type);
    let joins = hashed.or(looped).or(merged);
    let padded = match joins {
        Some(JoinType::Left) => [false, true],
        Some(JoinType::Right) => [true, false],
        Some(JoinType::Full) => [true, true],
        _ => return Ok(Transformed::no(plan)),
    };
    let mut changed = false;
    let sides = plan.children().into_iter().zip(padded).map(|(side, padded)| {
        if padded && !side.equivalence_properties().constants().is_empty() {
            changed = true;
            return Arc::new(UntoldExec::new(Arc::clone(side))) as Arc<dyn ExecutionPlan>;
        }
        Arc::clone(side)
    });
    let sides: Vec<Arc<dyn ExecutionPlan>> = sides.collect();
    match changed {
        true => Ok(Transformed::yes(replace_children_if_necessary(plan, sides)?)),
        false => Ok(Transformed::no(plan)),
    }
}

/// The plan with parts of unions of which too much is told below a node that tells nothing, where something above goes by an order.
fn parts(plan: Part, sorted: bool, too_much: fn(&Part) -> bool) -> Result<Part> {
    let sorted = sorted
        || plan.downcast_ref::<SortExec>().is_some()
        || plan.required_input_ordering().iter().any(Option::is_some);
    let of_union = sorted && plan.downcast_ref::<UnionExec>().is_some();
    let children = plan.children().into_iter().map(|child| -> Result<Part> {
        let child = parts(Arc::clone(child), sorted, too_much)?;
        if of_union && too_much(&child) {
            return Ok(Arc::new(UntoldExec::new(child)));
        }
        Ok(child)
    });
    let children = children.collect::<Result<Vec<_>>>()?;
    replace_children_if_necessary(plan, children)
}

fn has_equal_or_constant_columns(part: &Part) -> bool {
    has_equal_columns(part) || !part.equivalence_properties().constants().is_empty()
}

fn has_equal_columns(part: &Part) -> bool {
    let properties = part.equivalence_properties();
    let constants = properties.constants();
    let mut classes = properties.eq_group().iter();
    classes.any(|class| class.len() > 1 && !constants.iter().any(|constant| class.contains(&constant.expr)))
}

/// Runs a rule after first rows that parts of a union look for are each looked for alone.
#[derive(Debug)]
pub(super) struct PartsAlone(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for PartsAlone {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.optimize(plan.transform_up(alone)?.data, config)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn alone(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(sort) = plan.downcast_ref::<SortExec>() else {
        return Ok(Transformed::no(plan));
    };
    let constants = sort.input().equivalence_properties().constants();
    let differs = |across: &AcrossPartitions| matches!(across, AcrossPartitions::Heterogeneous);
    match sort.fetch() {
        Some(fetch)
            if sort.preserve_partitioning()
                && constants.iter().any(|constant| differs(&constant.across_partitions)) =>
        {
            let all = sort.with_fetch(None);
            Ok(Transformed::yes(Arc::new(LocalLimitExec::new(Arc::new(all), fetch))))
        }
        _ => Ok(Transformed::no(plan)),
    }
}

/// Its input's rows, of which nothing is told.
#[derive(Debug)]
pub(crate) struct UntoldExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl UntoldExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = input.properties().as_ref().clone();
        let nothing = EquivalenceProperties::new(input.schema());
        Self {
            input,
            properties: Arc::new(properties.with_eq_properties(nothing)),
        }
    }
}

impl DisplayAs for UntoldExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UntoldExec")
    }
}

impl ExecutionPlan for UntoldExec {
    fn name(&self) -> &str {
        "UntoldExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input))),
            _ => internal_err!("UntoldExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, counted: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match counted {
            [counted] => Ok(Arc::clone(counted)),
            _ => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::testing::Lake;

    // Goal: a cluster is told nothing of parts that are sorted and have constants, and all of others. Method: its rule over plans of unions of
    // parts with constants and without, in an order and in none.
    #[tokio::test]
    async fn a_cluster_is_told_less_of_parts() {
        let session = SessionContext::new();
        for (part, order, untold) in [
            ("1 AS c, x", "ORDER BY x", 2),
            ("1 AS c, x", "", 0),
            ("x % 3 AS c, x", "ORDER BY x", 0),
        ] {
            let part = format!("SELECT {part} FROM (VALUES (2), (1)) AS v (x)");
            let sql = format!("SELECT c, x FROM ({part} UNION ALL {part}) AS u {order}");
            let frame = session.sql(&sql).await.unwrap();
            let plan = frame.create_physical_plan().await.unwrap();
            let plan = UntoldSides.optimize(plan, &ConfigOptions::new()).unwrap();
            let shown = displayable(plan.as_ref()).indent(false).to_string();
            assert_eq!(shown.matches("UntoldExec").count(), untold, "{shown}");
        }
    }

    // Goal: a union is sorted by two columns that are equal in its parts, in process and after a journey. Method: such columns alone, behind
    // a constant and before one, for all rows and for the first.
    #[tokio::test]
    async fn equal_columns_of_parts_are_sorted() {
        let lake = Lake::new();
        let part = |constant: i32| format!("SELECT {constant} AS c, x AS i, x AS j FROM (VALUES (2), (1)) AS v (x)");
        let union = format!("({} UNION ALL {}) AS u", part(1), part(2));
        for (sql, rows) in [
            (
                format!("SELECT c, i, j FROM {union} ORDER BY c, i, j"),
                vec!["1,1,1", "1,2,2", "2,1,1", "2,2,2"],
            ),
            (
                format!("SELECT i, j FROM {union} ORDER BY i, j, c LIMIT 3"),
                vec!["1,1", "1,1", "2,2"],
            ),
            (
                format!("SELECT i, row_number() OVER (PARTITION BY i ORDER BY j, c) AS n FROM {union}"),
                vec!["1,1", "1,2", "2,1", "2,2"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect("rows"), rows, "{sql}");
        }
    }

    // Goal: rows that an outer join makes up, and parts of a union that differ, are what they are wherever groups, orders and first rows go by
    // them, in process and after a journey. Method: a side whose condition fixes a column, either way round; a union of constants.
    #[tokio::test]
    async fn what_is_fixed_below_is_not_above() {
        let lake = Lake::new();
        let r = "(VALUES (1, 1), (2, 1), (3, 2)) AS s (id, k)";
        let b = "(SELECT * FROM (VALUES (1), (2), (3)) AS x (k) UNION ALL SELECT * FROM (VALUES (1), (3), (4)) AS y (k)) AS b";
        let left = format!("{b} LEFT JOIN {r} ON b.k = s.id AND s.k = 1");
        let right = format!("{r} RIGHT JOIN {b} ON b.k = s.id AND s.k = 1");
        let full = format!("(SELECT * FROM {r} WHERE k = 1) AS s FULL JOIN {b} ON b.k = s.id");
        let c = "(SELECT 1 AS c, id AS d FROM (VALUES (1), (2), (3)) AS u (id) UNION ALL SELECT 2, id FROM (VALUES (1), (2), (3)) AS v (id)) AS z";
        for (sql, rows) in [
            (
                format!("SELECT s.k, count(*) AS n FROM {left} GROUP BY 1"),
                vec![",3", "1,3"],
            ),
            (
                format!("SELECT s.k, count(*) AS n FROM {right} GROUP BY 1"),
                vec![",3", "1,3"],
            ),
            (
                format!("SELECT s.k, count(*) AS n FROM {full} GROUP BY 1"),
                vec![",3", "1,3"],
            ),
            (format!("SELECT DISTINCT s.k FROM {left}"), vec!["", "1"]),
            (
                format!("SELECT b.k, s.k FROM {left} ORDER BY s.k, b.k LIMIT 3"),
                vec!["1,1", "1,1", "2,1"],
            ),
            (
                format!("SELECT c, d FROM {c} ORDER BY c, d LIMIT 3"),
                vec!["1,1", "1,2", "1,3"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect("rows"), rows, "{sql}");
        }
    }
}
