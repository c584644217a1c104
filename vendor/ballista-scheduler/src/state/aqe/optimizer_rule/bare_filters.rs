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
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use std::sync::Arc;

/// Filters that give only some columns of their input, without that where `ProjectionPushdown` would
/// take the places of these for those of the input's.
///
/// It puts a projection below a filter by the places of the filter's own columns (DataFusion 55.2). It
/// refuses where a column is called otherwise at such a place, so other columns come only where several
/// tables of a join call theirs the same.
#[derive(Debug, Clone, Default)]
pub struct BareFiltersRule;

impl PhysicalOptimizerRule for BareFiltersRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        Ok(plan.transform_up(bare)?.data)
    }

    fn name(&self) -> &str {
        "BareFiltersRule"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn bare(
    node: Arc<dyn ExecutionPlan>,
) -> datafusion::common::Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = node.downcast_ref::<FilterExec>() else {
        return Ok(Transformed::no(node));
    };
    let Some(places) = mistaken(filter) else {
        return Ok(Transformed::no(node));
    };
    let input = filter.input().schema();
    let columns: Vec<ProjectionExpr> = places
        .iter()
        .map(|place| {
            let name = input.field(*place).name();
            ProjectionExpr {
                expr: Arc::new(Column::new(name, *place)),
                alias: name.clone(),
            }
        })
        .collect();
    let all = FilterExecBuilder::from(filter)
        .apply_projection(None)?
        .build()?;
    let some: Arc<dyn ExecutionPlan> =
        Arc::new(ProjectionExec::try_new(columns, Arc::new(all))?);
    Ok(Transformed::yes(some))
}

/// Which columns of its input a filter gives, where what it looks at is called so at the same places of
/// them, and they are not the first ones.
fn mistaken(filter: &FilterExec) -> Option<&[usize]> {
    let places = filter.projection().as_deref()?;
    if places.iter().enumerate().all(|(at, place)| at == *place) {
        return None;
    }
    let given = filter.schema();
    let looked_at = collect_columns(filter.predicate());
    looked_at
        .iter()
        .all(|column| {
            given
                .fields()
                .get(column.index())
                .is_some_and(|field| field.name() == column.name())
        })
        .then_some(places)
}
