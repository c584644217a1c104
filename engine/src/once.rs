//! What a plan says twice is computed once.
//!
//! A query that names a common table expression or a view twice has its plan twice: DataFusion 55.2 puts it where it is named and
//! runs each. Groups that stand in a plan more than once, of the same states of the same tables, are computed by the first that asks for
//! them; the others read the rows that it made. Only groups are: they are few beside the rows that they were made of, so that what is kept
//! is small. What is joined or read is made anew.
//!
//! It is done in one process only: of plans on executors each stage may be another process's.

mod exec;
mod merged;
mod rows;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use self::exec::OnceExec;
use self::merged::{merged, narrowed};
use self::rows::Shared;
use crate::provider::{IcebergTable, TableState};

/// A class of groups that stand in a plan: the same groups of the same rows, with other columns in other places.
struct Class {
    /// With the columns of all places.
    plan: LogicalPlan,
    /// What stands in the places.
    members: Vec<LogicalPlan>,
    places: usize,
}

/// Groups of one plan beyond which none are compared.
const CLASSES_MAX: usize = 64;

/// The optimised plan with groups that stand in it more than once marked as such; `None` where there are none.
pub(crate) fn marked(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let mut classes = classes(plan)?;
    // Those that stand within others that are shared are met there only.
    classes.iter_mut().for_each(|class| class.places = 0);
    plan.apply_with_subqueries(|node| match class_of(&classes, node)? {
        Some(number) => {
            if let Some(class) = classes.get_mut(number) {
                class.places += 1;
            }
            Ok(TreeNodeRecursion::Jump)
        }
        None => Ok(TreeNodeRecursion::Continue),
    })?;
    classes.retain(|class| class.places > 1);
    if classes.is_empty() {
        return Ok(None);
    }
    let shared: Vec<Arc<Shared>> = classes
        .iter()
        .map(|class| Arc::new(Shared::new(class.places)))
        .collect();
    let marked = plan.clone().transform_down_with_subqueries(|node| {
        let Some(number) = class_of(&classes, &node)? else {
            return Ok(Transformed::no(node));
        };
        let (Some(class), Some(shared)) = (classes.get(number), shared.get(number)) else {
            return internal_err!("there is no class {number} of groups");
        };
        let once = Once {
            number: number + 1,
            input: class.plan.clone(),
            shared: Arc::clone(shared),
        };
        let once = LogicalPlan::Extension(Extension { node: Arc::new(once) });
        // What stands within them is computed with them.
        Ok(Transformed::new(narrowed(once, &node)?, true, TreeNodeRecursion::Jump))
    })?;
    Ok(Some(marked.data))
}

/// Makes plans of logical ones with such marks.
pub(crate) fn planner() -> impl PhysicalPlanner {
    DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(OncePlanner)])
}

/// The classes of groups that stand in a plan more than once.
fn classes(plan: &LogicalPlan) -> Result<Vec<Class>> {
    let (mut groups, mut loops) = (0, false);
    plan.apply_with_subqueries(|node| {
        groups += usize::from(matches!(node, LogicalPlan::Aggregate(_)));
        loops |= matches!(node, LogicalPlan::RecursiveQuery(_));
        Ok(TreeNodeRecursion::Continue)
    })?;
    // What stands in a loop is computed anew each time.
    if !(2..=CLASSES_MAX).contains(&groups) || loops {
        return Ok(Vec::new());
    }
    let mut classes: Vec<Class> = Vec::new();
    plan.apply_with_subqueries(|node| {
        if !matches!(node, LogicalPlan::Aggregate(_)) || states(node)?.is_none() {
            return Ok(TreeNodeRecursion::Continue);
        }
        for class in &mut classes {
            if let Some(merged) = merged(&class.plan, node)? {
                class.plan = merged;
                class.members.push(node.clone());
                class.places += 1;
                return Ok(TreeNodeRecursion::Continue);
            }
        }
        classes.push(Class {
            plan: node.clone(),
            members: vec![node.clone()],
            places: 1,
        });
        Ok(TreeNodeRecursion::Continue)
    })?;
    classes.retain(|class| class.places > 1);
    Ok(classes)
}

fn class_of(classes: &[Class], node: &LogicalPlan) -> Result<Option<usize>> {
    if !matches!(node, LogicalPlan::Aggregate(_)) {
        return Ok(None);
    }
    for (number, class) in classes.iter().enumerate() {
        for member in &class.members {
            if member == node && states(member)? == states(node)? {
                return Ok(Some(number));
            }
        }
    }
    Ok(None)
}

/// The states of the tables that a plan reads, in its order. None where one of them does not tell how it stands, and where the plan is
/// another one each time that it runs.
fn states(plan: &LogicalPlan) -> Result<Option<Vec<TableState>>> {
    let mut tables = Some(Vec::new());
    plan.apply_with_subqueries(|node| {
        let differs = |expression: &Expr| expression.is_volatile() || expression.contains_outer();
        if node.expressions().iter().any(differs) {
            tables = None;
        }
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            let state = provider.downcast_ref::<IcebergTable>().and_then(IcebergTable::state);
            match (&mut tables, state) {
                (Some(tables), Some(state)) => tables.push(state),
                _ => tables = None,
            }
        }
        Ok(match tables {
            Some(_) => TreeNodeRecursion::Continue,
            None => TreeNodeRecursion::Stop,
        })
    })?;
    Ok(tables)
}

/// A place where shared groups are read.
struct Once {
    /// Which of the plan's.
    number: usize,
    input: LogicalPlan,
    shared: Arc<Shared>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UserDefinedLogicalNodeCore::fmt_for_explain(self, f)
    }
}

impl PartialEq for Once {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && self.input == other.input
    }
}

impl Eq for Once {}

impl PartialOrd for Once {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.number.cmp(&other.number)).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl Hash for Once {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Once {
    fn name(&self) -> &str {
        "Once"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Once: {}", self.number)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Some(input), true) = (inputs.pop(), inputs.is_empty()) else {
            return internal_err!("Once has one input");
        };
        Ok(Self {
            number: self.number,
            input,
            shared: Arc::clone(&self.shared),
        })
    }
}

struct OncePlanner;

#[async_trait]
impl ExtensionPlanner for OncePlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(once), [input]) = (node.as_any().downcast_ref::<Once>(), inputs) else {
            return Ok(None);
        };
        let (number, shared) = (once.number, Arc::clone(&once.shared));
        Ok(Some(Arc::new(OnceExec::new(number, Arc::clone(input), shared))))
    }
}
