//! Pipelines: model files, their graph, and the runs that bring tables up to date.
//!
//! A [`Project`] is a folder of SQL files; each is a [`Model`] of kind `view`, `table` or `cdc`. [`Pipelines`] plans what a run
//! would do and why ([`ModelPlan`]), runs it ([`RunReport`]), and follows the catalog's changes within each model's target
//! lag. Increments go by snapshot, never by time: the snapshots of the inputs that the rows rest on stand in the summary of
//! the snapshot that holds the rows ([`RefreshState`]).
//!
//! It does not run queries itself (that is the engine, on the runner it is given), keeps no table pointers, and checks no
//! data quality.
//!
//! Invariants: rows and progress are committed together; a commit rests on exactly the head its rows were computed from, and
//! is computed anew if that moved; a job is committed at most once, and so is a run that somebody asked for, whoever finishes it; a mode
//! is never chosen without a reason that is shown.

pub mod error;
pub mod feed;
pub mod graph;
pub mod model;
pub mod pipelines;
pub mod plan;
pub mod project;
pub mod report;
pub mod run_log;
pub mod selection;
pub mod state;
pub mod views;

mod cdc;
mod columns;
mod follow;
mod means;
mod noted;
mod open_runs;
mod ownership;
mod refresh;
mod sql;
mod table_model;
mod takeover;
mod target;
#[cfg(test)]
mod testing;
mod units;
mod worker;

pub use error::{PipelineError, Result};
pub use feed::{Feed, News};
pub use graph::Graph;
pub use model::{Kind, Model, TargetLag};
pub use pipelines::{Pipelines, RunOptions};
pub use plan::{InputPlan, Mode, ModelPlan};
pub use project::{Project, Source};
pub use report::{Failure, ModelRun, ModelStatus, RowCounts, RunReport};
pub use run_log::RunLog;
pub use selection::Selection;
pub use state::{Generation, REFRESH_STATE_KEY, RefreshState, Watermark};
pub use views::Views;
