// Licensed to the Apache Software Foundation (ASF) under one
// or more contributor license agreements.  See the NOTICE file
// distributed with this work for additional information
// regarding copyright ownership.  The ASF licenses this file
// to you under the Apache License, Version 2.0 (the
// "License"); you may not use this file except in compliance
// with the License.  You may obtain a copy of the License at
//
//   http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing,
// software distributed under the License is distributed on an
// "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY
// KIND, either express or implied.  See the License for the
// specific language governing permissions and limitations
// under the License.

// tidewater: the whole file.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::{LexOrdering, LexRequirement, PhysicalSortExpr, PhysicalSortRequirement};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions,
};
use std::sync::Arc;

/// Sorts below windows by every column of PARTITION BY.
///
/// `EnsureRequirements` leaves out what it knows by a filter to have one value, or to be equal to another
/// column. An executor that reads from a shuffle does not know it: it makes the windows anew, and they
/// find columns without an order. Rows that are in the old order are in the new one too.
#[derive(Debug, Clone, Default)]
pub struct SpellOutSortsRule;

impl PhysicalOptimizerRule for SpellOutSortsRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        // Top-down: of windows one over the other the uppermost asks for the most.
        Ok(plan
            .transform_down(|node| match wanted(&node) {
                None => Ok(Transformed::no(node)),
                Some(wanted) => {
                    let below = Arc::clone(node.children()[0]);
                    match spelled_out(below, &wanted)? {
                        None => Ok(Transformed::no(node)),
                        Some(below) => Ok(Transformed::yes(over(node, below)?)),
                    }
                }
            })?
            .data)
    }

    fn name(&self) -> &str {
        "SpellOutSortsRule"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The window over another input.
fn over(
    window: Arc<dyn ExecutionPlan>,
    below: Arc<dyn ExecutionPlan>,
) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    window.replace_children(vec![below], options)
}

/// The order in which a window wants its input.
fn wanted(node: &Arc<dyn ExecutionPlan>) -> Option<LexRequirement> {
    let window = node.downcast_ref::<WindowAggExec>().is_some()
        || node.downcast_ref::<BoundedWindowAggExec>().is_some();
    if !window {
        return None;
    }
    let required = node.required_input_ordering().into_iter().next()??;
    Some(required.into_single())
}

/// `node`, the input of a window, in an order that names the columns of PARTITION BY; none where its own
/// order begins with them.
fn spelled_out(
    node: Arc<dyn ExecutionPlan>,
    wanted: &LexRequirement,
) -> datafusion::common::Result<Option<Arc<dyn ExecutionPlan>>> {
    // Windows keep the columns and the order of their input, and put their own columns behind.
    if self::wanted(&node).is_some() {
        let below = Arc::clone(node.children()[0]);
        let columns = below.schema().fields().len();
        let there = |one: &PhysicalSortRequirement| {
            let used = collect_columns(&one.expr);
            used.iter().all(|column| column.index() < columns)
        };
        if wanted.iter().all(there) {
            return spelled_out(below, wanted)?
                .map(|below| over(node, below))
                .transpose();
        }
    }
    // The first rows of another order are others.
    let sort = node.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none());
    let sorted: Vec<PhysicalSortExpr> = match sort {
        Some(sort) => sort.expr().to_vec(),
        None => node.properties().output_ordering().into_iter().flatten().cloned().collect(),
    };
    // Those of PARTITION BY, in any order and direction: only these are looked at when a window runs.
    let grouping = wanted.iter().take_while(|one| one.options.is_none());
    let named = |one: &&PhysicalSortExpr| grouping.clone().any(|wanted| wanted.expr.eq(&one.expr));
    // They stay first, as another window over the sort may want them there.
    let first = sorted.iter().take_while(named);
    if first.clone().count() >= grouping.clone().count() {
        return Ok(None);
    }
    let missing = wanted.iter().map(|one| {
        let there = sorted.iter().find(|sorted| sorted.expr.eq(&one.expr));
        let options = one.options.or(there.map(|there| there.options));
        PhysicalSortExpr::new(Arc::clone(&one.expr), options.unwrap_or_default())
    });
    let order = first.cloned().chain(missing).chain(sorted.iter().cloned());
    let Some(order) = LexOrdering::new(order) else {
        return Ok(None);
    };
    let (input, apart) = match sort {
        Some(sort) => (Arc::clone(sort.input()), sort.preserve_partitioning()),
        None => (Arc::clone(&node), true),
    };
    let below = SortExec::new(order, input).with_preserve_partitioning(apart);
    Ok(Some(Arc::new(below)))
}
