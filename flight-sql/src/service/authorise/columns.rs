//! Which columns of which tables a plan reads: those that any of its expressions names, as PostgreSQL counts them, whether or not
//! the optimizer would leave them out.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, TableScan};

use tidewater_engine::gives_zones;
use tidewater_security::Readable;

/// A scan with the places of the columns that are read of it.
pub(super) struct Read {
    pub(super) scan: TableScan,
    /// Which of the plan's scans it is.
    place: *const TableScan,
    columns: BTreeSet<usize>,
}

impl Read {
    /// Whether all that is read may be read. Rows that are only counted take some column.
    pub(super) fn is_within(&self, readable: Readable<'_>) -> bool {
        match readable {
            Readable::All => true,
            Readable::Nothing => false,
            Readable::Only(fields) => {
                let schema = self.scan.source.schema();
                self.columns.iter().all(|place| {
                    let field = schema.fields().get(*place);
                    let id = field.and_then(|field| tidewater_table::schema::field_id(field));
                    id.is_some_and(|id| fields.contains(&id))
                })
            }
        }
    }
}

/// Every scan of a plan, those of its subqueries and views among them.
pub(super) fn reads(plan: &LogicalPlan) -> Vec<Read> {
    let mut walk = Walk { reads: Vec::new() };
    walk.collect(plan);
    walk.result_of(plan);
    walk.visit(plan, &[]);
    walk.reads
}

struct Walk {
    reads: Vec<Read>,
}

impl Walk {
    /// All scans, before anything is said of their columns.
    fn collect(&mut self, plan: &LogicalPlan) {
        if let LogicalPlan::TableScan(scan) = plan {
            self.reads.push(Read {
                scan: scan.clone(),
                place: scan,
                columns: BTreeSet::new(),
            });
        }
        for input in plan.inputs() {
            self.collect(input);
        }
        for subquery in subqueries(plan) {
            self.collect(&subquery);
        }
    }

    /// What a plan answers with is read.
    fn result_of(&mut self, plan: &LogicalPlan) {
        for place in 0..plan.schema().fields().len() {
            self.mark(plan, place);
        }
    }

    /// Everything that a plan names. `around` are the nodes above it, those of the statements that it is a subquery of among them.
    fn visit(&mut self, plan: &LogicalPlan, around: &[&LogicalPlan]) {
        if let LogicalPlan::TableScan(scan) = plan {
            for filter in &scan.filters {
                for column in filter.column_refs() {
                    match scan.source.schema().index_of(&column.name) {
                        Ok(place) => self.read(scan, place),
                        Err(_) => self.all_of(plan),
                    }
                }
            }
        }
        let inputs = plan.inputs();
        let mut within = vec![plan];
        within.extend_from_slice(around);
        // Which of its columns are asked for is seen where they are ([`Self::mark`]).
        let zones_alone = matches!(plan, LogicalPlan::Projection(projection) if gives_zones(projection));
        let visited = plan.apply_expressions(|expression| {
            if zones_alone {
                return Ok(TreeNodeRecursion::Stop);
            }
            expression.apply(|one| {
                match one {
                    Expr::Column(column) => self.named(&inputs, column),
                    Expr::OuterReferenceColumn(_, column) => self.named_outside(around, column),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        });
        // The closures never fail.
        drop(visited);
        for subquery in subqueries(plan) {
            self.result_of(&subquery);
            self.visit(&subquery, &within);
        }
        for input in inputs {
            self.visit(input, &within);
        }
    }

    /// A column of one of these inputs; of which, where that cannot be told, all may be meant.
    fn named(&mut self, inputs: &[&LogicalPlan], column: &Column) {
        let mut found = false;
        for input in inputs {
            if let Some(place) = input.schema().maybe_index_of_column(column) {
                self.mark(input, place);
                found = true;
            }
        }
        if !found {
            inputs.iter().for_each(|input| self.all_of(input));
        }
    }

    /// A column of a statement around this one, or beside it (`LATERAL`): all that have one of that name count.
    fn named_outside(&mut self, around: &[&LogicalPlan], column: &Column) {
        let mut found = false;
        for input in around.iter().flat_map(|plan| plan.inputs()) {
            if let Some(place) = input.schema().maybe_index_of_column(column) {
                self.mark(input, place);
                found = true;
            }
        }
        if !found {
            // Nothing is let through for not being understood.
            for read in &mut self.reads {
                read.columns.extend(0..read.scan.source.schema().fields().len());
            }
        }
    }

    /// Follows a column of a plan's result to the scan that it comes from. Where it was computed, what it was computed from has been
    /// named there.
    fn mark(&mut self, plan: &LogicalPlan, place: usize) {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let place = scan
                    .projection
                    .as_ref()
                    .map_or(Some(place), |places| places.get(place).copied());
                match place {
                    Some(place) => self.read(scan, place),
                    None => self.all_of(plan),
                }
            }
            LogicalPlan::SubqueryAlias(alias) => self.mark(&alias.input, place),
            LogicalPlan::Filter(filter) => self.mark(&filter.input, place),
            LogicalPlan::Sort(sort) => self.mark(&sort.input, place),
            LogicalPlan::Limit(limit) => self.mark(&limit.input, place),
            LogicalPlan::Repartition(parts) => self.mark(&parts.input, place),
            LogicalPlan::Distinct(Distinct::All(input)) => self.mark(input, place),
            LogicalPlan::Subquery(subquery) => self.mark(&subquery.subquery, place),
            LogicalPlan::Union(union) => union.inputs.iter().for_each(|input| self.mark(input, place)),
            LogicalPlan::Window(window) => {
                if place < window.input.schema().fields().len() {
                    self.mark(&window.input, place);
                }
            }
            LogicalPlan::Join(join) => {
                let left = join.left.schema().fields().len();
                match join.join_type {
                    JoinType::LeftSemi | JoinType::LeftAnti => self.mark(&join.left, place),
                    JoinType::RightSemi | JoinType::RightAnti => self.mark(&join.right, place),
                    JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => match place < left {
                        true => self.mark(&join.left, place),
                        false => self.mark(&join.right, place - left),
                    },
                    _ => {
                        self.all_of(&join.left);
                        self.all_of(&join.right);
                    }
                }
            }
            LogicalPlan::Projection(projection) if gives_zones(projection) => self.mark(&projection.input, place),
            LogicalPlan::Projection(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::DescribeTable(_) => {}
            other => {
                for input in other.inputs() {
                    self.all_of(input);
                }
            }
        }
    }

    /// Everything that a plan's scans have.
    fn all_of(&mut self, plan: &LogicalPlan) {
        if let LogicalPlan::TableScan(scan) = plan {
            for place in 0..scan.source.schema().fields().len() {
                self.read(scan, place);
            }
        }
        for input in plan.inputs() {
            self.all_of(input);
        }
    }

    fn read(&mut self, scan: &TableScan, place: usize) {
        if let Some(read) = self.reads.iter_mut().find(|read| std::ptr::eq(read.place, scan)) {
            read.columns.insert(place);
        }
    }
}

/// The subqueries in a node's own expressions.
fn subqueries(plan: &LogicalPlan) -> Vec<Arc<LogicalPlan>> {
    let mut found = Vec::new();
    let visited = plan.apply_expressions(|expression| {
        expression.apply(|one| {
            match one {
                Expr::ScalarSubquery(subquery) => found.push(Arc::clone(&subquery.subquery)),
                Expr::Exists(exists) => found.push(Arc::clone(&exists.subquery.subquery)),
                Expr::InSubquery(inside) => found.push(Arc::clone(&inside.subquery.subquery)),
                Expr::SetComparison(compared) => found.push(Arc::clone(&compared.subquery.subquery)),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    // The closures never fail.
    drop(visited);
    found
}
