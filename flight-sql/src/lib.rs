//! The serving tier: one query service, and the fronts that carry it to BI tools.
//!
//! [`QueryService`] authenticates, plans, admits, runs and cancels, and keeps results ([`cache`]); [`flight`] speaks Arrow Flight SQL in
//! front of it, [`postgres`] the PostgreSQL wire, [`http`] HTTP. A front has no logic of its own.
//!
//! Main types: [`QueryService`], [`Statement`], [`flight::FlightSql`], [`postgres::serve`], [`Siblings`], [`Fleet`], [`QueryError`].
//!
//! Invariants: a result has exactly the schema that was told before ([`wire_schema`]); a handle or ticket is good on every
//! node, for who was given it; no work goes on for a client that has gone away.

pub mod budget;
pub mod cache;
pub mod error;
pub mod fleet;
pub mod flight;
pub mod handle;
mod held;
pub mod history;
pub mod http;
pub mod metrics;
pub mod placeholder;
pub mod policy;
pub mod postgres;
pub mod server;
pub mod service;
pub mod siblings;
mod sql_types;
mod texts;
pub mod wire;

pub use cache::{CacheOptions, CacheUse, PolicyFingerprint};
pub use error::QueryError;
pub use fleet::{Everywhere, Fleet};
pub use handle::Statement;
pub use history::{Known, Process, QueryHistory, QueryRecord};
pub use metrics::{Front, QueryMetrics};
pub use policy::PolicySource;
pub use server::serve;
pub use service::{PlainSessions, QueryOptions, QueryService, SessionSource};
pub use siblings::Siblings;
pub use wire::wire_schema;
