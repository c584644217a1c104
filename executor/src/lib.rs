//! Runs the tasks of distributed jobs: Ballista's executor, embedded, with scans matched by field id and bounded memory.
//!
//! It does not plan, commit or decide anything: it takes tasks from the scheduler it registered with, runs them against
//! the engine's runtime and serves their shuffle files to its peers. In the process of the scheduler (`up`) or in its own.
//!
//! Main types: [`Executor`], [`ExecutorOptions`], [`TaskLoad`], [`ExecutorError`].
//!
//! Invariants: a working directory has one executor, and is empty when it registers; a task has no more memory than its
//! share; a plan whose shuffle files are too large ends, not the executor; nobody is given rows of a shuffle file that is not
//! as it was written; one executor runs in a process at a time, because Ballista keeps its "terminating" flag in a static.

mod digests;
mod error;
mod executor;
mod failure;
mod job_folders;
mod memory;
mod options;
mod pool;
mod ports;
mod quota;
mod registration;
mod shuffle;
mod stage;
mod stoppable;
mod stops;
mod work_dir;

pub use digests::digest;
pub use error::{ExecutorError, Result};
pub use executor::Executor;
pub use memory::TaskLoad;
pub use options::{ExecutorOptions, FindScheduler};
