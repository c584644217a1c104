//! What a run would do, and why: the mode of each model is decided here and nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use iceberg::spec::{Snapshot, TableMetadata};
use serde::Serialize;
use tidewater_core::TableName;
use tidewater_table::LoadedTable;

use crate::cdc::tombstones;
use crate::columns;
use crate::error::Result;
use crate::model::{Kind, Model, TargetLag};
use crate::project::Project;
use crate::sql::RunTime;
use crate::state::{RefreshState, Watermark};

/// Lag of a model that asks for `downstream` and has no readers.
const LAG_WITHOUT_READERS: Duration = Duration::from_secs(60);

/// How a model is brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Only what changed in the input is read.
    Incremental,
    /// Everything is read.
    Full,
    /// There is nothing to do.
    UpToDate,
    /// An input does not exist yet.
    Waiting,
    /// A view: nothing is stored.
    View,
}

impl Mode {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Full => "full",
            Self::UpToDate => "up_to_date",
            Self::Waiting => "waiting",
            Self::View => "view",
        }
    }

    /// Whether a run computes anything.
    pub fn works(self) -> bool {
        matches!(self, Self::Incremental | Self::Full)
    }
}

/// One stored input of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputPlan {
    /// The table.
    pub table: TableName,
    /// The snapshot the model has read.
    pub from: Option<i64>,
    /// The snapshot it would read.
    pub to: Option<i64>,
    /// How much older the read snapshot is than the newest, in milliseconds.
    pub lag_ms: Option<i64>,
}

/// What would happen to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelPlan {
    /// The model.
    pub name: TableName,
    /// `view`, `table` or `cdc`.
    pub kind: &'static str,
    /// How it would be brought up to date.
    pub mode: Mode,
    /// Why so.
    pub reason: String,
    /// Whether that is more work than it should be, and someone should know: a full refresh that was not asked for.
    pub loud: bool,
    /// Stored tables it rests on; views are seen through.
    pub inputs: Vec<InputPlan>,
    /// How stale it may be.
    pub target_lag_ms: u64,
    /// Whether the model means something else than when it last ran.
    pub fingerprint_changed: bool,
    /// Models that read it directly.
    pub readers: Vec<TableName>,
    /// Published together with the others of the group.
    pub group: Option<String>,
}

/// Tables as they were loaded for a plan; absent tables do not exist.
pub(crate) type Tables = BTreeMap<TableName, LoadedTable>;

/// What the caller wants of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    /// Read everything, whatever was read before.
    pub(crate) full: bool,
    /// Time of the run, as models see it.
    pub(crate) run_ms: i64,
}

/// Decides the mode of one model.
pub(crate) fn resolve(project: &Project, model: &Model, tables: &Tables, wish: Wish) -> Result<ModelPlan> {
    let state = match tables.get(&model.name) {
        Some(table) if !matches!(model.kind, Kind::View) => RefreshState::newest(&model.name, &table.metadata)?,
        _ => None,
    };
    let buried = match &model.kind {
        // A name that none can have is refused where the model runs.
        Kind::Cdc(_) => tombstones::name(&model.name).ok().and_then(|name| tables.get(&name)),
        Kind::Table | Kind::View => None,
    };
    let stored = project.stored_inputs(model);
    let inputs = stored.iter().map(|name| input(name, tables, state.as_ref())).collect();
    let Decision { mode, reason, loud } = match &model.kind {
        Kind::View => Decision::new(Mode::View, "a view runs when it is read"),
        Kind::Table | Kind::Cdc(_) => match unfilled(project, stored.iter(), tables) {
            Some(reason) => Decision::new(Mode::Waiting, reason),
            None => decide(model, stored.iter(), tables, state.as_ref(), buried, wish),
        },
    };
    Ok(ModelPlan {
        name: model.name.clone(),
        kind: model.kind.name(),
        mode,
        reason,
        loud,
        inputs,
        target_lag_ms: u64::try_from(target_lag(project, model).as_millis()).unwrap_or(u64::MAX),
        fingerprint_changed: state
            .as_ref()
            .is_some_and(|state| state.fingerprint != model.fingerprint),
        readers: project.graph.readers(&model.name).cloned().collect(),
        group: model.group.clone(),
    })
}

struct Decision {
    mode: Mode,
    reason: String,
    loud: bool,
}

impl Decision {
    fn new(mode: Mode, reason: impl Into<String>) -> Self {
        Self {
            mode,
            reason: reason.into(),
            loud: false,
        }
    }

    fn loud(reason: impl Into<String>) -> Self {
        Self {
            loud: true,
            ..Self::new(Mode::Full, reason)
        }
    }
}

/// Why an input cannot be read yet. A model's table that was made and not filled says nothing: no row is not the same as
/// not computed.
fn unfilled<'a>(project: &Project, inputs: impl Iterator<Item = &'a TableName>, tables: &Tables) -> Option<String> {
    for name in inputs {
        match tables.get(name) {
            None => return Some(format!("{name} does not exist yet")),
            Some(table) if project.models.contains_key(name) && table.metadata.current_snapshot().is_none() => {
                return Some(format!("{name} has not run yet"));
            }
            Some(_) => {}
        }
    }
    None
}

fn decide<'a>(
    model: &Model,
    inputs: impl Iterator<Item = &'a TableName>,
    tables: &Tables,
    state: Option<&RefreshState>,
    buried: Option<&LoadedTable>,
    wish: Wish,
) -> Decision {
    let Some(target) = tables.get(&model.name) else {
        return Decision::new(Mode::Full, "first run");
    };
    if wish.full {
        return Decision::new(Mode::Full, "a full refresh was asked for");
    }
    let Some(state) = state else {
        return match target.metadata.current_snapshot() {
            None => Decision::new(Mode::Full, "first run"),
            Some(_) => Decision::loud("the table's history holds no refresh state"),
        };
    };
    if state.fingerprint != model.fingerprint {
        return Decision::loud("the model has changed since its last run");
    }
    if let Some(column) = state.lost_column(&target.metadata) {
        let reason = format!("column {column} of its table was dropped or renamed since the last run");
        return Decision::loud(reason);
    }
    if matches!(model.kind, Kind::Cdc(_)) && !tombstones::are_of(state, buried) {
        return Decision::loud(
            "its tombstones are not those of its rows: the table was rolled back, or they were dropped",
        );
    }
    let mut moved = Vec::new();
    for name in inputs {
        let Some(table) = tables.get(name) else { continue };
        match state.inputs.get(name) {
            None => return Decision::loud(format!("{name} was not an input before")),
            Some(mark) if mark.uuid != table.metadata.uuid() => {
                return Decision::loud(format!("{name} was made anew since the last run"));
            }
            Some(mark) if mark.snapshot_id != table.metadata.current_snapshot_id() => moved.push((name, mark)),
            Some(_) => {}
        }
    }
    match &model.kind {
        Kind::Cdc(_) => match moved.first() {
            None => Decision::new(Mode::UpToDate, "nothing new in the source"),
            Some((name, mark)) => increment(name, mark, tables),
        },
        Kind::Table | Kind::View => match moved.first() {
            Some((name, _)) => Decision::new(Mode::Full, format!("{name} has changed; kind table is rebuilt")),
            None => clock(model, state, wish),
        },
    }
}

fn increment(name: &TableName, mark: &Watermark, tables: &Tables) -> Decision {
    let Some(source) = tables.get(name).map(|table| &table.metadata) else {
        return Decision::new(Mode::Waiting, format!("{name} does not exist yet"));
    };
    let mut at = source.current_snapshot_id();
    for snapshots_count in 0..=source.snapshots().len() {
        match at.and_then(|id| source.snapshot_by_id(id)) {
            None if at.is_some() => break,
            Some(read) if at == mark.snapshot_id => {
                return match has_lost_columns(source, read) {
                    true => Decision::loud(format!("columns of {name} were dropped or renamed since the last run")),
                    false => Decision::new(Mode::Incremental, format!("{snapshots_count} new snapshots of {name}")),
                };
            }
            None if mark.snapshot_id.is_none() => {
                let reason = format!("all of {name}, which was empty at the last run");
                return Decision::new(Mode::Incremental, reason);
            }
            None => break,
            Some(newer) => at = newer.parent_snapshot_id(),
        }
    }
    Decision::loud(match mark.snapshot_id {
        Some(from) => format!("snapshot {from} of {name}, read last, was expired or rolled back"),
        None => format!("the first snapshots of {name}, which was empty at the last run, were expired"),
    })
}

/// Whether a column of then is there no longer, or under another name: in rows that were read it has what a run of now would not read.
fn has_lost_columns(source: &TableMetadata, read: &Snapshot) -> bool {
    let then = read.schema_id().and_then(|id| source.schema_by_id(id));
    let now = source.current_schema();
    then.is_some_and(|then| columns::lost(then, now).next().is_some())
}

/// Nothing moved, but a query that asks for the time may answer otherwise now.
fn clock(model: &Model, state: &RefreshState, wish: Wish) -> Decision {
    const DAY_MS: i64 = 86_400_000;
    match model.run_time {
        RunTime::Date if state.run_ms.div_euclid(DAY_MS) != wish.run_ms.div_euclid(DAY_MS) => {
            Decision::new(Mode::Full, "the model asks for run_date(), and the day is another one")
        }
        RunTime::Timestamp if state.run_ms != wish.run_ms => {
            Decision::new(Mode::Full, "the model asks for run_ts(), and the time is another one")
        }
        _ => Decision::new(Mode::UpToDate, "no input has changed"),
    }
}

fn input(name: &TableName, tables: &Tables, state: Option<&RefreshState>) -> InputPlan {
    let metadata = tables.get(name).map(|table| &table.metadata);
    let from = state
        .and_then(|state| state.inputs.get(name))
        .and_then(|mark| mark.snapshot_id);
    let to = metadata.and_then(|metadata| metadata.current_snapshot_id());
    let time = |id: Option<i64>| Some(metadata?.snapshot_by_id(id?)?.timestamp_ms());
    InputPlan {
        table: name.clone(),
        from,
        to,
        lag_ms: time(to).zip(time(from)).map(|(newest, read)| newest - read),
    }
}

/// How stale a model may be: its own word, its readers' tightest, or the project's.
pub(crate) fn target_lag(project: &Project, model: &Model) -> Duration {
    match model.target_lag {
        TargetLag::Within(lag) => lag,
        TargetLag::Default => project.target_lag_default,
        TargetLag::Downstream => {
            let readers = project
                .graph
                .readers(&model.name)
                .filter_map(|name| project.models.get(name));
            readers
                .map(|reader| target_lag(project, reader))
                .min()
                .unwrap_or(LAG_WITHOUT_READERS)
        }
    }
}

#[cfg(test)]
mod tests;
