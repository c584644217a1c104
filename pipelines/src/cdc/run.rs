//! One refresh of a `cdc` model: reads the new changes, merges them into the stored files that can hold their keys.

use std::collections::BTreeSet;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::prelude::SessionContext;
use tidewater_core::{ErrorKind, TableName};
use tidewater_engine::SessionOptions;
use tidewater_table::{Added, Change, LoadedTable, Predicate, ScanFile, plan_scan};

use crate::error::{Below, PipelineError, Result};
use crate::model::{CdcSpec, Model};
use crate::ownership;
use crate::plan::{Mode, ModelPlan, Tables};
use crate::refresh::{Prepared, job, sorted, watermarks};
use crate::report::RowCounts;
use crate::sql::{self, quoted};
use crate::state::{Generation, REFRESH_STATE_KEY, RefreshState};
use crate::target;
use crate::worker::{Worker, bytes_of, failed};

use super::events::{CHANGES, Events, KNOWN, LOG, STORED, Sequence, TOMBSTONES};
use super::log::changed_files;
use super::merge::Old;
use super::shape::{self, Shape};
use super::shown::{RETURNING_COUNT, UNDECIDED_COUNT};
use super::{affected, events, merge, tombstones};

const UNAVAILABLE: &str = "_unavailable";
const PARTITION: &str = "_kafka_partition";

/// What the new changes bring, seen before any row is computed.
#[derive(Debug, Default)]
struct Seen {
    rows: RowCounts,
    /// Sequence of the newest truncate.
    truncated: Option<Vec<i64>>,
    /// Fields that some change left out.
    unavailable: BTreeSet<String>,
}

/// Computes the change of the model's table, and of its tombstones if there are deletes.
pub(crate) async fn prepare(
    worker: &Worker,
    model: &Model,
    spec: &CdcSpec,
    plan: &ModelPlan,
    tables: &Tables,
    run_ms: i64,
) -> Result<Prepared> {
    let incremental = plan.mode == Mode::Incremental;
    let source = tables.get(&spec.source).ok_or_else(|| PipelineError::Table {
        table: spec.source.clone(),
        step: "reading changes",
        source: Below::plain(ErrorKind::NotFound, std::io::Error::from(std::io::ErrorKind::NotFound)),
    })?;
    let existing = tables.get(&model.name).cloned();
    let state = match &existing {
        Some(table) if incremental => RefreshState::newest(&model.name, &table.metadata)?,
        _ => None,
    };
    let grave = tables.get(&tombstones::name(&model.name)?).cloned();
    let grave_files = match &grave {
        Some(table) => {
            ownership::check_tombstones(worker.catalog.as_ref(), &model.name, existing.as_ref(), table).await?;
            worker.files(table).await?
        }
        None => Vec::new(),
    };

    let files = changed_files(worker, source, plan, incremental).await?;
    let changed_bytes = bytes_of(&files);
    let mut options = overlay(worker, model, SessionOptions::default(), CHANGES, source, files)?;
    if let Some(grave) = grave.as_ref().filter(|_| !grave_files.is_empty()) {
        options = overlay(worker, model, options, TOMBSTONES, grave, grave_files.clone())?;
    }
    let session = worker.session(&options);

    let log =
        tidewater_table::schema::to_arrow(source.metadata.current_schema()).map_err(|source| PipelineError::Table {
            table: spec.source.clone(),
            step: "reading its columns",
            source: Below::coded(source),
        })?;
    let sequence: Vec<Sequence> = spec.sequence_by.iter().map(|path| Sequence::of(path)).collect();
    let with_partition = log.field_with_name(PARTITION).is_ok();
    let hidden: Vec<String> = sequence
        .iter()
        .map(|s| s.name.clone())
        .chain(with_partition.then(|| PARTITION.to_owned()))
        .collect();
    let query = sql::with_run_time(&model.path, &model.query, run_ms)?;
    let shape = shape::bind(model, spec, &query, &log, &hidden)?;

    let with_unavailable = log.field_with_name(UNAVAILABLE).is_ok();
    let seen = look(worker, model, spec, &session, &shape, &sequence, with_unavailable).await?;
    let known = state.as_ref();
    let carried: BTreeSet<String> = known
        .map(|state| state.carried.clone())
        .unwrap_or_default()
        .into_iter()
        .chain(left_out(&shape, spec, &seen))
        .collect();
    let newly_truncated = seen.truncated.is_some();
    let truncated = seen.truncated.max(known.and_then(|state| state.truncated.clone()));
    let mut events = Events {
        shape: &shape,
        key: &spec.key,
        sequence: &sequence,
        with_partition,
        carried: &carried,
        truncated: truncated.as_deref(),
        with_tombstones: incremental && !grave_files.is_empty(),
        with_unavailable,
        reread: false,
    };

    let columns = worker
        .plan(model, &session, &events.table_columns())
        .await?
        .schema()
        .as_arrow()
        .clone();
    let store = worker.engine.store();
    // Not as it is when it has got its columns: what others commit until then is in none of what was read.
    let read_at = existing.as_ref().and_then(|table| table.metadata.current_snapshot_id());
    let target = target::prepare(worker.catalog.as_ref(), store, model, existing, &columns, !incremental).await?;
    let beside = target::beside(&target, &columns);
    let mut rows = seen.rows;

    let nothing = incremental && rows.changes == 0 && !newly_truncated;
    if incremental && !nothing {
        target::check_fields(model, &target, &columns, &beside)?;
    }
    let touched = match (nothing, incremental) {
        (true, _) => Vec::new(),
        (false, true) => touched_files(worker, model, spec, &session, &events, &target, newly_truncated).await?,
        (false, false) => worker.files(&target).await?,
    };
    let open = shape.deciding().iter().any(|field| seen.unavailable.contains(*field));
    if !nothing && shape.hides() && (open || (incremental && !seen.unavailable.is_empty())) {
        if incremental {
            options = overlay(worker, model, options, KNOWN, &target, touched.clone())?;
        }
        events.reread = rows_return(worker, model, &options, &events, &seen.unavailable, incremental).await?;
        if events.reread {
            let log = worker.files_with_deletes(source).await?;
            options = overlay(worker, model, options, LOG, source, log)?;
        }
    }
    let added = if nothing {
        Vec::new()
    } else {
        let bytes = changed_bytes.saturating_add(bytes_of(&touched));
        // New rows alone get their ids from the files that they are written to.
        let moving = match incremental && !touched.is_empty() {
            true => worker
                .engine
                .moving(&target, touched.clone())
                .map_err(failed(model, "opening the stored rows"))?,
            false => None,
        };
        let (session, old, into) = match (incremental, moving) {
            (false, _) => (session.clone(), Old::Nothing, target.clone()),
            (true, None) => {
                let options = overlay(worker, model, options, STORED, &target, touched.clone())?;
                (worker.session(&options), Old::Rows, target.clone())
            }
            (true, Some(moving)) => {
                let options = options.overlay(input_name(&target, STORED)?, moving.rows);
                (worker.session(&options), Old::NumberedRows, moving.target)
            }
        };
        let input = worker
            .plan(model, &session, &merge::merged(&events, old, &beside))
            .await?;
        let input = sorted(model, input).map_err(failed(model, "sorting the rows"))?;
        worker.write(model, &session, input, &into, bytes).await?
    };
    rows.written = added.iter().map(|added| added.file.record_count()).sum();

    let more = rows.deletes > 0 || grave.as_ref().is_some_and(tombstones::has_bare_head);
    let generation = match known {
        Some(state) => state.generation.map(|own| match more {
            true => tombstones::with_more(own, grave.as_ref()),
            false => own,
        }),
        None => Some(Generation {
            id: worker.rng.uuid_v7(worker.clock.now_ms()),
            buried: u64::from(grave.is_some() || rows.deletes > 0),
        }),
    };
    let job = job(model, &target, plan, tables, run_ms);
    let state = RefreshState {
        model: model.name.clone(),
        fingerprint: model.fingerprint.clone(),
        mode: plan.mode.name().into(),
        run_ms,
        inputs: watermarks(plan, tables),
        truncated: truncated.clone(),
        carried: carried.clone(),
        generation,
        beside,
    };
    let change = table_change(&target, touched, added, &state, &rows)?
        .read_at(read_at)
        .of_job(job);
    let mut changes = vec![(model.name.clone(), change)];
    let graves = Graves {
        existing: grave,
        files: grave_files,
        replace_all: !incremental,
        generation,
    };
    match bury(worker, model, spec, &session, &events, &columns, graves, rows.deletes).await {
        Ok(buried) => changes.extend(buried.map(|(name, change)| (name, change.of_job(job)))),
        Err(error) => {
            worker.discard(&changes).await;
            return Err(error);
        }
    }
    Ok(Prepared { job, changes, rows })
}

/// The change of the model's table: rows, progress and counts in one snapshot.
fn table_change(
    target: &LoadedTable,
    touched: Vec<ScanFile>,
    added: Vec<Added>,
    state: &RefreshState,
    rows: &RowCounts,
) -> Result<Change> {
    let removed: Vec<String> = touched.into_iter().map(|file| file.path).collect();
    let change = match removed.is_empty() {
        true => Change::append(added),
        false => Change::overwrite(removed, added),
    };
    Ok(change
        .exact_head()
        .of_table(target.metadata.uuid())
        .of_schema(target.metadata.current_schema())
        .exact_schema(target.metadata.current_schema_id())
        .property(REFRESH_STATE_KEY, state.to_json()?)
        .property("tidewater.changes-read", rows.changes.to_string())
        .property("tidewater.deletes-read", rows.deletes.to_string())
        .property("tidewater.rows-without-key", rows.without_key.to_string()))
}

fn overlay(
    worker: &Worker,
    model: &Model,
    options: SessionOptions,
    name: &str,
    table: &LoadedTable,
    files: Vec<ScanFile>,
) -> Result<SessionOptions> {
    let provider = worker
        .engine
        .files_provider(table, files)
        .map_err(failed(model, "opening an input"))?;
    Ok(options.overlay(input_name(table, name)?, provider))
}

/// The name by which a run's statements call rows of this table.
fn input_name(table: &LoadedTable, name: &str) -> Result<TableName> {
    name.parse().map_err(|error| PipelineError::Table {
        table: table.name.clone(),
        step: "naming an input",
        source: Below::plain(ErrorKind::Internal, error),
    })
}

async fn look(
    worker: &Worker,
    model: &Model,
    spec: &CdcSpec,
    session: &SessionContext,
    shape: &Shape,
    sequence: &[Sequence],
    with_unavailable: bool,
) -> Result<Seen> {
    let mut seen = Seen::default();
    let text = events::look(shape, &spec.key, with_unavailable);
    let rows = worker.rows(model, session, "looking at the changes", &text).await?;
    let count = |name| {
        number(&rows, name)
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or(0)
    };
    seen.rows.changes = count("changes");
    seen.rows.deletes = count("deletes");
    seen.rows.without_key = count("keyless");
    if count("truncates") > 0 {
        let text = events::newest_truncate(shape, sequence);
        let rows = worker.rows(model, session, "looking for a truncate", &text).await?;
        seen.truncated = sequence.iter().map(|s| number(&rows, &s.name)).collect();
    }
    if seen.rows.without_key > 0 {
        tracing::warn!(model = %model.name, changes = seen.rows.without_key, "changes without a key were not applied");
    }
    if count("left_out") > 0 {
        let text = format!(
            "SELECT DISTINCT field FROM (SELECT unnest({UNAVAILABLE}) AS field FROM {CHANGES} \
             WHERE cardinality({UNAVAILABLE}) > 0) AS \"f\" WHERE field IS NOT NULL"
        );
        for batch in worker
            .rows(model, session, "looking for left-out fields", &text)
            .await?
        {
            for field in batch
                .columns()
                .first()
                .and_then(|column| column.as_string_opt::<i32>())
                .into_iter()
                .flatten()
            {
                seen.unavailable.extend(field.map(str::to_owned));
            }
        }
    }
    Ok(seen)
}

/// Output columns that rest on a field that was left out.
fn left_out(shape: &Shape, spec: &CdcSpec, seen: &Seen) -> Vec<String> {
    let values = shape.columns.iter().filter(|column| !spec.key.contains(&column.name));
    values
        .filter(|column| !column.fields.is_disjoint(&seen.unavailable))
        .map(|column| column.name.clone())
        .collect()
}

/// Stored files that can hold rows the changes touch.
async fn touched_files(
    worker: &Worker,
    model: &Model,
    spec: &CdcSpec,
    session: &SessionContext,
    events: &Events<'_>,
    target: &LoadedTable,
    truncated: bool,
) -> Result<Vec<ScanFile>> {
    let rows = if truncated {
        Predicate::Always
    } else {
        let keys = events.keys(affected::KEYS_COUNT_MAX + 1);
        let keys = worker.rows(model, session, "collecting changed keys", &keys).await?;
        affected::rows_of(&spec.key, target.metadata.current_schema(), &keys)
    };
    if rows == Predicate::Never {
        return Ok(Vec::new());
    }
    plan_scan(worker.engine.store(), &target.metadata, None, Some(&rows))
        .await
        .map_err(|source| PipelineError::Table {
            table: target.name.clone(),
            step: "finding the files of changed keys",
            source: Below::coded(source),
        })
}

/// Whether rows come back without all of their values. Refused where nobody can tell whether a row stays.
async fn rows_return(
    worker: &Worker,
    model: &Model,
    options: &SessionOptions,
    events: &Events<'_>,
    unavailable: &BTreeSet<String>,
    incremental: bool,
) -> Result<bool> {
    let session = worker.session(options);
    let text = events.doubts(incremental);
    let rows = worker.rows(model, &session, "looking for hidden rows", &text).await?;
    if number(&rows, UNDECIDED_COUNT) != Some(0) {
        let deciding = events.shape.deciding().into_iter();
        return Err(PipelineError::Undecided {
            model: model.name.clone(),
            fields: deciding
                .filter(|field| unavailable.contains(*field))
                .map(str::to_owned)
                .collect(),
        });
    }
    Ok(number(&rows, RETURNING_COUNT) != Some(0))
}

struct Graves {
    existing: Option<LoadedTable>,
    files: Vec<ScanFile>,
    replace_all: bool,
    generation: Option<Generation>,
}

/// The tombstones' change: new deletes are added; on a full refresh, or when there are many small files, all are rewritten.
#[expect(clippy::too_many_arguments, reason = "one step of a run, cut out for its length")]
async fn bury(
    worker: &Worker,
    model: &Model,
    spec: &CdcSpec,
    session: &SessionContext,
    events: &Events<'_>,
    columns: &Schema,
    graves: Graves,
    deletes: u64,
) -> Result<Option<(TableName, Change)>> {
    let Graves {
        existing,
        files,
        replace_all,
        generation,
    } = graves;
    let read_at = existing.as_ref().and_then(|table| table.metadata.current_snapshot_id());
    if deletes == 0 && (!replace_all || files.is_empty()) {
        // Empty before a full refresh and after it, and of another generation all the same. And snapshots that bear a mark expire.
        let is_bare = |table: &LoadedTable| generation.is_some() && tombstones::has_bare_head(table);
        let marked = existing.filter(|table| replace_all || is_bare(table));
        return Ok(marked.map(|table| {
            let change = tombstones::change(&table, read_at, &[], Vec::new(), generation);
            (table.name, change)
        }));
    }
    let compact = !replace_all && files.len() >= tombstones::FILES_COUNT_MAX;
    let key: Vec<Field> = spec
        .key
        .iter()
        .filter_map(|name| columns.field_with_name(name).ok())
        .cloned()
        .collect();
    let (catalog, store) = (worker.catalog.as_ref(), worker.engine.store());
    let table = tombstones::prepare(catalog, store, model, existing, &key, events.sequence).await?;
    let mut text = events.deletes();
    if compact {
        let names: Vec<String> = spec
            .key
            .iter()
            .chain(events.sequence.iter().map(|s| &s.name))
            .map(|name| quoted(name))
            .collect();
        let names = names.join(", ");
        text = events.newest_of(&format!("SELECT {names} FROM {TOMBSTONES} UNION ALL {text}"));
    }
    let plan = worker.plan(model, session, &text).await?;
    // Keys and two numbers a row: small whatever the change log's size.
    let added = worker.write(model, session, plan, &table, 0).await?;
    let replaced: &[ScanFile] = if compact || replace_all { &files } else { &[] };
    let change = tombstones::change(&table, read_at, replaced, added, generation);
    Ok(Some((table.name.clone(), change)))
}

/// A whole number in the only row of an answer.
fn number(rows: &[RecordBatch], name: &str) -> Option<i64> {
    let batch = rows.iter().find(|batch| batch.num_rows() > 0)?;
    match ScalarValue::try_from_array(batch.column_by_name(name)?, 0).ok()? {
        ScalarValue::Int64(value) => value,
        ScalarValue::UInt64(value) => i64::try_from(value?).ok(),
        _ => None,
    }
}
