//! Rows in the order of what is computed (`ORDER BY abs(a - b)`, `PARTITION BY length(s) > 1`, `array_agg(a ORDER BY b / 3 > 1)`).
//!
//! DataFusion 55.2 looks at the ranges of an expression's parts before it looks for the expression among those that rows are known to be
//! sorted by (`update_properties`). Functions, `/` and `CASE` have ranges without a type, which `abs`, comparisons and signs take no notice
//! of but by an error: rows that were sorted by exactly this expression then count as not sorted by it, and the plan is refused.
//!
//! Of a column it knows what rows are sorted by. So what it would not know again becomes a column below, which the rows lose again above.

use std::mem::take;
use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchemaRef, Result};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::{AggregateFunction, Alias};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, Sort, SortExpr, Window};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::{EquivalenceProperties, create_physical_sort_exprs};

/// What stands before the number of such a column.
const KEY: &str = "__computed_key_";

/// Makes columns of keys of sorts, windows and ordered aggregates.
#[derive(Debug)]
pub(super) struct ComputedKeys;

impl OptimizerRule for ComputedKeys {
    fn name(&self) -> &str {
        "computed_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        Ok(match plan {
            LogicalPlan::Sort(sort) if is_lost(&sort.expr, &sort.input, config) => Transformed::yes(sorted(sort)?),
            LogicalPlan::Window(window) if any_lost(&window.window_expr, &window.input, config) => {
                Transformed::yes(windowed(window)?)
            }
            LogicalPlan::Aggregate(aggregate) if any_lost(&aggregate.aggr_expr, &aggregate.input, config) => {
                Transformed::yes(aggregated(aggregate)?)
            }
            plan => Transformed::no(plan),
        })
    }
}

fn sorted(sort: Sort) -> Result<LogicalPlan> {
    let own = Arc::clone(sort.input.schema());
    let mut keys = Keys::of(sort.input);
    let expr = keys.sorts(sort.expr);
    let input = keys.below()?;
    let fetch = sort.fetch;
    Ok(without_keys(LogicalPlan::Sort(Sort { expr, input, fetch }), own))
}

fn windowed(window: Window) -> Result<LogicalPlan> {
    let mut keys = Keys::of(window.input);
    let columns = window.window_expr.into_iter().map(|column| keys.in_column(column));
    let columns: Vec<Expr> = columns.collect();
    let windowed = Window::try_new(columns, keys.below()?)?;
    Ok(without_keys(LogicalPlan::Window(windowed), window.schema))
}

fn aggregated(aggregate: Aggregate) -> Result<LogicalPlan> {
    let mut keys = Keys::of(aggregate.input);
    let columns = aggregate.aggr_expr.into_iter().map(|column| keys.in_column(column));
    let columns: Vec<Expr> = columns.collect();
    let input = keys.below()?;
    let aggregated = Aggregate::try_new_with_schema(input, aggregate.group_expr, columns, aggregate.schema)?;
    Ok(LogicalPlan::Aggregate(aggregated))
}

/// The columns of a plan that it had before.
fn without_keys(plan: LogicalPlan, own: DFSchemaRef) -> LogicalPlan {
    LogicalPlan::Projection(Projection::new_from_schema(Arc::new(plan), own))
}

/// What rows are sorted by for a window or an aggregate.
fn order(column: &Expr) -> Vec<SortExpr> {
    let call = match column {
        Expr::Alias(alias) => alias.expr.as_ref(),
        call => call,
    };
    match call {
        Expr::WindowFunction(window) => {
            let parts = window.params.partition_by.iter();
            let parts = parts.map(|key| key.clone().sort(true, false));
            parts.chain(window.params.order_by.iter().cloned()).collect()
        }
        Expr::AggregateFunction(aggregate) if takes_sorted(aggregate) => aggregate.params.order_by.clone(),
        _ => Vec::new(),
    }
}

/// Whether rows are sorted for an aggregate. Others (`first_value`) look at the keys of the rows that their filter lets pass, and only there
/// may the keys be reckoned.
fn takes_sorted(aggregate: &AggregateFunction) -> bool {
    matches!(
        aggregate.func.order_sensitivity(),
        AggregateOrderSensitivity::HardRequirement | AggregateOrderSensitivity::SoftRequirement
    )
}

/// Whether one of these windows or aggregates would not know its rows to be sorted.
fn any_lost(columns: &[Expr], input: &LogicalPlan, config: &dyn OptimizerConfig) -> bool {
    columns.iter().any(|column| is_lost(&order(column), input, config))
}

/// Whether rows that are sorted so would not be known to be.
fn is_lost(order: &[SortExpr], input: &LogicalPlan, config: &dyn OptimizerConfig) -> bool {
    // Of what cannot be told yet (queries, columns of a query around this one) nothing is changed.
    order.iter().any(|key| is_computed(&key.expr)) && is_known(order, input, config).is_ok_and(|known| !known)
}

fn is_known(order: &[SortExpr], input: &LogicalPlan, config: &dyn OptimizerConfig) -> Result<bool> {
    let schema = input.schema();
    let mut props = ExecutionProps::new();
    props.config_options = Some(config.options());
    let order = create_physical_sort_exprs(order, schema, &props, &PhysicalPlanningContext::default())?;
    let mut rows = EquivalenceProperties::new(Arc::clone(schema.inner()));
    rows.add_ordering(order.clone());
    rows.ordering_satisfy(order)
}

fn is_computed(key: &Expr) -> bool {
    !matches!(key, Expr::Column(_) | Expr::Literal(..))
}

/// Keys that become columns of these rows.
struct Keys {
    input: Arc<LogicalPlan>,
    made: Vec<(Expr, Column)>,
    next: usize,
}

impl Keys {
    fn of(input: Arc<LogicalPlan>) -> Self {
        Self {
            input,
            made: Vec::new(),
            next: 0,
        }
    }

    fn key(&mut self, key: Expr) -> Expr {
        if !is_computed(&key) {
            return key;
        }
        if let Some((_, column)) = self.made.iter().find(|(made, _)| *made == key) {
            return Expr::Column(column.clone());
        }
        let column = Column::from_name(self.name());
        self.made.push((key, column.clone()));
        Expr::Column(column)
    }

    fn name(&mut self) -> String {
        loop {
            let name = format!("{KEY}{}", self.next);
            self.next += 1;
            if !self.input.schema().has_column_with_unqualified_name(&name) {
                return name;
            }
        }
    }

    fn sorts(&mut self, sorts: Vec<SortExpr>) -> Vec<SortExpr> {
        let sorts = sorts.into_iter().map(|sort| SortExpr {
            expr: self.key(sort.expr),
            asc: sort.asc,
            nulls_first: sort.nulls_first,
        });
        sorts.collect()
    }

    /// A column of a window or an aggregate under the name that it has.
    fn in_column(&mut self, column: Expr) -> Expr {
        match column {
            Expr::Alias(Alias {
                expr,
                relation,
                name,
                metadata,
            }) => Expr::Alias(Alias {
                expr: Box::new(self.in_call(*expr)),
                relation,
                name,
                metadata,
            }),
            call => {
                let name = call.schema_name().to_string();
                let changed = self.in_call(call);
                let kept = changed.schema_name().to_string() == name;
                match kept {
                    true => changed,
                    false => changed.alias(name),
                }
            }
        }
    }

    fn in_call(&mut self, call: Expr) -> Expr {
        match call {
            Expr::WindowFunction(mut window) => {
                let parts = take(&mut window.params.partition_by).into_iter();
                window.params.partition_by = parts.map(|key| self.key(key)).collect();
                window.params.order_by = self.sorts(take(&mut window.params.order_by));
                Expr::WindowFunction(window)
            }
            Expr::AggregateFunction(mut aggregate) if takes_sorted(&aggregate) => {
                let order = take(&mut aggregate.params.order_by);
                // One with `DISTINCT` takes only its arguments for keys.
                for argument in &mut aggregate.params.args {
                    if order.iter().any(|sort| sort.expr == *argument) {
                        *argument = self.key(take(argument));
                    }
                }
                aggregate.params.order_by = self.sorts(order);
                Expr::AggregateFunction(aggregate)
            }
            other => other,
        }
    }

    /// The rows with these columns.
    fn below(self) -> Result<Arc<LogicalPlan>> {
        let own = self.input.schema().columns().into_iter().map(Expr::Column);
        let made = self
            .made
            .into_iter()
            .map(|(key, column)| key.unalias().alias(column.name));
        let columns: Vec<Expr> = own.chain(made).collect();
        let rows = Projection::try_new(columns, self.input)?;
        Ok(Arc::new(LogicalPlan::Projection(rows)))
    }
}

#[cfg(test)]
mod tests;
