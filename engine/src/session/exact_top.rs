//! Aggregates that keep only the first of their groups (`GROUP BY k ORDER BY k LIMIT n`, `… ORDER BY max(v) DESC LIMIT n`), where
//! that gives the same rows.
//!
//! DataFusion 55.2 compares what such an aggregate keeps by `==` and `<`: a NaN is a group of its own each time that it is met, takes
//! the place of a better group, and what cannot be found again when it gives way ends the query. So floating-point keys and values
//! are aggregated as a whole, and the rows above are taken from that.
//!
//! It looks for such an aggregate below a limit by the name of a column, through whatever has as many rows, and goes on below the one that it
//! has found. The first groups of `SELECT DISTINCT m FROM (SELECT k, min(v) AS m … GROUP BY k) … ORDER BY m LIMIT n` may all have one `m`,
//! `count(*) OVER ()` counts all groups, and `-k AS k` is not the `k` below. Here only what brings the rows as they are may stand between.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

type Plan = Arc<dyn ExecutionPlan>;

/// The name of the rule that lets aggregates keep only their first groups.
pub(super) const LIMITS: &str = "LimitAggregation";

/// That rule, without what it does to aggregates of floating-point numbers and to those whose other groups are asked for.
#[derive(Debug)]
pub(super) struct ExactTop(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for ExactTop {
    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        exact(self.0.optimize(plan, config)?, Asked::All)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Which rows of a plan are asked for.
#[derive(Debug, Clone, Copy)]
enum Asked {
    All,
    /// The first ones by this column.
    First(usize),
    /// Those that the first groups are made of, which are groups of parts.
    Parts,
}

fn exact(plan: Plan, asked: Asked) -> Result<Plan> {
    let (plan, below) = seen(plan, asked);
    let children = plan.children().into_iter().cloned();
    let children = children.map(|child| exact(child, below));
    let children = children.collect::<Result<Vec<_>>>()?;
    replace_children_if_necessary(plan, children)
}

/// The node as it may be, and what it asks for below.
fn seen(plan: Plan, asked: Asked) -> (Plan, Asked) {
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let below = match sort.fetch() {
            Some(_) => first(sort),
            None => asked,
        };
        return (plan, below);
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let below = match asked {
            Asked::First(at) => shown(projection, at),
            Asked::All | Asked::Parts => Asked::All,
        };
        return (plan, below);
    }
    if let Some(groups) = plan.downcast_ref::<AggregateExec>() {
        // Without an order any groups will do, and those are told apart by their bits.
        let ordered = groups.limit_options().is_some_and(|limit| limit.descending().is_some());
        let first = ordered && are_first(groups, asked);
        let whole = (ordered && !first).then(|| groups.with_new_limit_options(None));
        let below = match groups.mode() {
            AggregateMode::Final | AggregateMode::FinalPartitioned | AggregateMode::PartialReduce if first => {
                Asked::Parts
            }
            _ => Asked::All,
        };
        return match whole {
            Some(whole) => (Arc::new(whole), below),
            None => (plan, below),
        };
    }
    let below = match brings(&plan) {
        true => asked,
        false => Asked::All,
    };
    (plan, below)
}

/// Whether it brings rows as they are.
fn brings(plan: &Plan) -> bool {
    plan.downcast_ref::<RepartitionExec>().is_some()
        || plan.downcast_ref::<CoalescePartitionsExec>().is_some()
        || plan.downcast_ref::<SortPreservingMergeExec>().is_some()
        || plan.downcast_ref::<CooperativeExec>().is_some()
}

fn first(sort: &SortExec) -> Asked {
    let column = match &sort.expr()[..] {
        [key] => key.expr.downcast_ref::<Column>(),
        _ => None,
    };
    column.map_or(Asked::All, |column| Asked::First(column.index()))
}

fn shown(projection: &ProjectionExec, at: usize) -> Asked {
    let column = projection.expr().get(at);
    let column = column.and_then(|column| column.expr.downcast_ref::<Column>());
    column.map_or(Asked::All, |column| Asked::First(column.index()))
}

/// Whether the groups that it keeps are those that are asked for.
fn are_first(groups: &AggregateExec, asked: Asked) -> bool {
    let schema = groups.schema();
    let floating = schema
        .fields()
        .iter()
        .map(|field| field.data_type())
        .any(DataType::is_floating);
    let of_parts = matches!(groups.mode(), AggregateMode::Partial | AggregateMode::PartialReduce);
    let asked = match asked {
        Asked::All => false,
        // It keeps them by its one key, or by the value that stands behind the key.
        Asked::First(at) => !of_parts && at == groups.aggr_expr().len(),
        Asked::Parts => of_parts,
    };
    asked && !floating && groups.group_expr().is_single() && groups.group_expr().expr().len() == 1
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

    // Goal: no group is left out that is asked for. Method: groups of groups, windows over groups, and columns of theirs that are called like
    // others, each in order and limited.
    #[tokio::test]
    async fn groups_below_are_whole() {
        let lake = Lake::new();
        let rows = "(SELECT v, v % 5 AS k, v / 10 AS d FROM (SELECT unnest(range(0, 60)) AS v) AS r) AS t";
        let keys = format!("SELECT DISTINCT k FROM {rows}");
        for (sql, wanted) in [
            (
                format!(
                    "SELECT DISTINCT d FROM (SELECT v, min(d) AS d FROM {rows} GROUP BY v) AS g ORDER BY d LIMIT 3"
                ),
                vec!["0", "1", "2"],
            ),
            (
                format!("SELECT k, count(*) OVER () AS n FROM ({keys}) AS g ORDER BY k LIMIT 2"),
                vec!["0,5", "1,5"],
            ),
            (
                format!("SELECT -k AS k FROM ({keys}) AS g ORDER BY k LIMIT 2"),
                vec!["-3", "-4"],
            ),
            (
                format!("SELECT d, min(v) AS m, sum(min(v)) OVER () AS s FROM {rows} GROUP BY d ORDER BY m LIMIT 2"),
                vec!["0,0,150", "1,10,150"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }
}
