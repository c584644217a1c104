//! Iceberg tables in DataFusion: SQL over the catalog, scans by field id, writes to data files, plans that travel.
//!
//! It does not decide where a plan runs (that is the scheduler's [`PlanRunner`]), keeps no table pointers (that is the
//! catalog), and commits nothing of its own accord except an `INSERT` statement.
//!
//! Main types: [`Engine`] (memory, caches, object stores of a process), [`SessionOptions`] with [`Engine::session`] and
//! [`Engine::plan`] (SQL), [`IcebergTable`] (a table at a snapshot), [`IcebergWriteExec`] with [`Engine::write`] (rows to
//! data files), [`PlanRunner`] (the seam to where plans run), [`restore_scans`] (what executors owe a decoded plan).
//!
//! Invariants: columns are matched by field id, never by name; a statement sees each table at one snapshot; pruning never
//! loses a row; a write names only files that are durable.

pub mod caller;
pub mod cluster;
pub mod codec;
pub mod compaction;
pub mod complexity;
pub mod cooperative;
pub mod cpu;
pub mod deletes;
pub mod engine;
pub mod error;
pub mod estimate;
pub mod explain;
pub mod field_ids;
pub mod functions;
pub mod live;
pub mod pg_catalog;
pub mod policy;
pub mod progress;
pub mod provider;
pub mod restore;
pub mod runner;
pub mod session;
pub mod sql;
pub mod statement;
pub mod warnings;
pub mod write;

mod as_planned;
mod describe;
mod judge;
mod lake;
mod lineage;
mod metadata_tables;
mod object_stores;
mod once;
mod one_moment;
mod opaque;
mod planning;
mod quick_first;
mod reads;
pub mod sizes;
mod stage_filters;
#[cfg(test)]
mod testing;
mod text_views;
mod this_query;

pub use caller::Caller;
pub use compaction::Compaction;
pub use cooperative::yielding;
pub use cpu::{CpuRunner, CpuRuntime};
pub use deletes::RowDeletesExec;
pub use describe::shows_columns;
pub use engine::{Engine, EngineOptions, ONE_THREAD_ROWS};
pub use error::{EngineError, Result, RunnerError};
pub use estimate::{ScanEstimate, TableEstimate, reads_at_most, reads_memory_only};
pub use field_ids::FieldIdAdapterFactory;
pub use functions::Functions;
pub use judge::Judge;
pub use lake::{Moment, Narrow};
pub use lineage::{LAST_UPDATED_COLUMN, Moving, ROW_ID_COLUMN};
pub use metadata_tables::PartOf;
pub use one_moment::OneMoment;
pub use planning::reading;
pub use policy::{RowPolicies, RowPolicy};
pub use progress::Progress;
pub use provider::{
    FILE, IcebergTable, MAX_STALENESS_KEY, POSITION, PlannedFiles, STALENESS_MAX, SentPositions, TableState,
};
pub use quick_first::quick_first;
pub use restore::restore_scans;
pub use runner::{LocalRunner, Place, PlanOutput, PlanRequest, PlanRunner, Route};
pub use session::{
    CATALOG, Class, Execution, KeptHere, Named, SessionKind, SessionOptions, UntoldSides, ZONE, gives_zones,
    optimizer_rules, physical_rules, shown_name,
};
pub use sql::{Command, Sql};
pub use stage_filters::{stage_context, stage_filters};
pub use statement::{BulkLoad, Destinations, Done, IfExists, Made, ROWS_CATALOG, Workshop, writable};
pub use text_views::text_views;
pub use warnings::Warnings;
pub use write::{Distribution, IcebergWriteExec, Order, WriteRequest};
