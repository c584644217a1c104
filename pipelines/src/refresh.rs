//! What refreshes of all kinds have in common: a change that is computed and not yet committed, and what it rests on.

use std::collections::BTreeMap;

use datafusion::common::Column;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, SortExpr};
use datafusion::prelude::Expr;
use tidewater_core::{JobId, TableName};
use tidewater_engine::EngineError;
use tidewater_table::{Change, LoadedTable};

use crate::model::Model;
use crate::plan::{ModelPlan, Tables};
use crate::report::RowCounts;
use crate::sql::RunTime;
use crate::state::Watermark;
use crate::worker::{head, job_id};

/// A change that is computed and not yet committed.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) job: JobId,
    pub(crate) changes: Vec<(TableName, Change)>,
    pub(crate) rows: RowCounts,
}

/// What the rows rest on.
pub(crate) fn watermarks(plan: &ModelPlan, tables: &Tables) -> BTreeMap<TableName, Watermark> {
    let mark = |table: &LoadedTable| Watermark {
        uuid: table.metadata.uuid(),
        snapshot_id: table.metadata.current_snapshot_id(),
    };
    plan.inputs
        .iter()
        .filter_map(|input| Some((input.table.clone(), mark(tables.get(&input.table)?))))
        .collect()
}

/// The same for the same rows on the same table.
pub(crate) fn job(model: &Model, target: &LoadedTable, plan: &ModelPlan, tables: &Tables, run_ms: i64) -> JobId {
    let inputs = plan.inputs.iter().filter_map(|input| tables.get(&input.table));
    let inputs: Vec<String> = inputs.map(|table| format!("{}={}", table.name, head(table))).collect();
    let mut parts = BTreeMap::from([
        ("mode", plan.mode.name().to_owned()),
        ("base", head(target)),
        ("inputs", inputs.join(" ")),
    ]);
    if model.run_time != RunTime::Unused {
        parts.insert("run", run_ms.to_string());
    }
    job_id(model, &parts)
}

/// In the model's order.
pub(crate) fn sorted(model: &Model, rows: LogicalPlan) -> Result<LogicalPlan, EngineError> {
    if model.sort_by.is_empty() {
        return Ok(rows);
    }
    let order: Vec<SortExpr> = model
        .sort_by
        .iter()
        .map(|sort| Expr::Column(Column::from_name(&sort.column)).sort(!sort.descending, !sort.descending))
        .collect();
    Ok(LogicalPlanBuilder::from(rows).sort(order)?.build()?)
}
