//! The vocabulary every other crate speaks: names and ids, error kinds, time, randomness, tasks, configuration, limits.
//!
//! It knows nothing of Iceberg, Arrow, networks or storage, and depends on no other crate of ours.
//!
//! Main types: [`TableName`], [`ErrorKind`] with [`Coded`], [`Clock`], [`Rng`], [`Tasks`], [`Secret`], [`config::Layers`].
//!
//! Invariants: a [`TableName`] that exists is valid; time and randomness come only through [`Clock`] and [`Rng`], so that
//! everything above can be run again with the same outcome.

pub mod build;
pub mod clock;
pub mod config;
pub mod error;
pub mod fail_point;
pub mod id;
pub mod invariants;
pub mod limits;
pub mod name;
pub mod random;
pub mod remote;
pub mod reserved;
pub mod secret;
pub mod task;

pub use build::build;
pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use error::{Coded, ErrorKind, Retry};
pub use id::{JobId, NodeId};
pub use name::{NameError, Namespace, TableName};
pub use random::{Rng, SeededRng, SharedRng, SystemRng};
pub use remote::RemoteError;
pub use secret::Secret;
pub use task::Tasks;
