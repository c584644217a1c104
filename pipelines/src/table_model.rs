//! Kind `table`: the query's rows replace the table's, in one snapshot.

use std::collections::BTreeSet;

use tidewater_engine::SessionOptions;
use tidewater_table::Change;

use crate::error::Result;
use crate::means;
use crate::model::Model;
use crate::plan::{ModelPlan, Tables};
use crate::refresh::{Prepared, job, sorted, watermarks};
use crate::report::RowCounts;
use crate::sql;
use crate::state::{REFRESH_STATE_KEY, RefreshState};
use crate::target;
use crate::worker::{Worker, bytes_of, failed};

/// Computes all rows from the tables as they were loaded for the plan.
pub(crate) async fn prepare(
    worker: &Worker,
    model: &Model,
    plan: &ModelPlan,
    tables: &Tables,
    run_ms: i64,
) -> Result<Prepared> {
    // Every table is read at the snapshot that becomes the watermark, whatever is committed meanwhile.
    let mut options = SessionOptions::default();
    let mut bytes = 0;
    for input in &plan.inputs {
        let Some(table) = tables.get(&input.table) else {
            continue;
        };
        let provider = worker.engine.provider(table, table.metadata.current_snapshot_id());
        options = options.overlay(
            input.table.clone(),
            provider.map_err(failed(model, "opening an input"))?,
        );
        bytes += bytes_of(&worker.files(table).await?);
    }
    let options = worker.views.options_for(&worker.engine, options, model, run_ms).await?;
    let session = worker.session(&options);
    let query = sql::with_run_time(&model.path, &model.query, run_ms)?;
    let rows = worker.plan_query(model, &session, query).await?;

    let existing = tables.get(&model.name).cloned();
    let stored = existing.as_ref().map(|table| table.metadata.current_schema());
    let columns = means::as_stored(&rows, stored.map(AsRef::as_ref));
    let store = worker.engine.store();
    let target = target::prepare(worker.catalog.as_ref(), store, model, existing, &columns, true).await?;
    let rows = sorted(model, rows).map_err(failed(model, "sorting the rows"))?;
    let added = worker.write(model, &session, rows, &target, bytes).await?;
    let removed = worker.files(&target).await?;

    let job = job(model, &target, plan, tables, run_ms);
    let written: u64 = added.iter().map(|added| added.file.record_count()).sum();
    let state = RefreshState {
        model: model.name.clone(),
        fingerprint: model.fingerprint.clone(),
        mode: plan.mode.name().into(),
        run_ms,
        inputs: watermarks(plan, tables),
        truncated: None,
        carried: BTreeSet::new(),
        generation: None,
        beside: target::beside(&target, &columns),
    };
    let change = Change::overwrite(removed.into_iter().map(|file| file.path), added)
        .read_at(target.metadata.current_snapshot_id())
        .exact_head()
        .of_table(target.metadata.uuid())
        .of_schema(target.metadata.current_schema())
        .exact_schema(target.metadata.current_schema_id())
        .of_job(job)
        .property(REFRESH_STATE_KEY, state.to_json()?)
        .property("tidewater.rows-written", written.to_string());
    Ok(Prepared {
        job,
        changes: vec![(model.name.clone(), change)],
        rows: RowCounts {
            written,
            total: written,
            ..RowCounts::default()
        },
    })
}

#[cfg(test)]
mod tests;
