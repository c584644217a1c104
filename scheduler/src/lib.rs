//! Decides where and when plans run, and runs the large ones: Ballista's scheduler, embedded, with a guard against what
//! Ballista gets wrong when an executor is lost.
//!
//! It does not plan scans, commit tables or run tasks: providers and writes are the engine's, commits are the caller's,
//! tasks are the executors'. What it sees to by itself is that tables stay in shape ([`Maintenance`]).
//!
//! Main types: [`Scheduler`], [`ClusterRunner`], [`RemoteRunner`], [`Router`], [`Admission`].
//!
//! Invariants: a job that a lost executor had a part in is cancelled before Ballista repairs it, and runs again as a whole;
//! a plan that is dropped is cancelled; every wait has a limit. That a job which runs twice commits once (INV-JOB-1) is seen to by those
//! who commit.

pub mod admission;
pub mod executors;
pub mod history;
pub mod maintenance;

mod error;
mod fetch;
mod guard;
mod job_ids;
mod options;
mod reach;
mod remote;
mod router;
mod runner;
mod scheduler;
mod serve;
mod submission;
mod watch;
mod window_filters;

pub use admission::{Admission, AdmissionLimits, ClassLimits, Lane, Permit};
pub use error::{Result, SchedulerError};
pub use executors::{Drained, ExecutorInfo, ExecutorLoad};
pub use history::{History, PlanReport, StageReport};
pub use maintenance::{MAINTENANCE_KEY, Maintenance, MaintenanceOptions, Visit};
pub use options::{Planner, SchedulerOptions};
pub use remote::{RemoteRunner, WhoSchedules};
pub use router::Router;
pub use runner::ClusterRunner;
pub use scheduler::Scheduler;
