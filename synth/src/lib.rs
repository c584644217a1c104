//! A hospital of 27 services that never was: its changes as Debezium would send them or as SQL, and what a lake must hold then.
//!
//! It simulates one world in its own time, deterministic by seed, so that keys of one database mean something in the others
//! and every row's final state is known. It knows nothing of Iceberg, Arrow or SQL engines: [`oracle`] computes the expected
//! tables in plain Rust, independently of the models it judges.
//!
//! Main types: [`World`] (the hospital), [`RecordStream`] (its change events), [`SqlWorkload`] (the same as SQL),
//! [`Oracle`] (the expected tables), [`run`](run::run) (a stream into a sink).
//!
//! Invariants: same options, same bytes; a stream that is cut and continued equals one that was not; defects of delivery
//! (duplicates, late repetitions) never change what the oracle expects.

pub mod delivery;
pub mod error;
pub mod models;
pub mod options;
pub mod oracle;
pub mod record;
pub mod run;
pub mod schema;
pub mod sink;
pub mod sql;
pub mod value;
pub mod world;

mod capture;
mod dice;
mod words;

pub use capture::UNAVAILABLE;
pub use delivery::{DeliveryCounts, RecordStream, Report};
pub use error::SynthError;
pub use options::{DefectRates, DeliveryOptions, Pause, RateChange, Shape, WorldOptions};
pub use oracle::Oracle;
pub use record::Record;
pub use run::{Hooks, RunOptions, SinkOptions};
pub use sql::{Layout, SqlStep, SqlWorkload};
pub use world::World;
