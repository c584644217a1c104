//! The serving tier: one query service, and the fronts that carry it to BI tools.
//!
//! [`QueryService`] authenticates, plans, admits, runs and cancels; [`flight`] speaks Arrow Flight SQL in front of it,
//! [`postgres`] the PostgreSQL wire. A front has no logic of its own.
//!
//! Main types: [`QueryService`], [`Statement`], [`flight::FlightSql`], [`postgres::serve`], [`QueryError`].
//!
//! Invariants: a result has exactly the schema that was told before ([`wire_schema`]); a handle or ticket is good on every
//! node; no work goes on for a client that has gone away.

pub mod error;
pub mod flight;
pub mod handle;
pub mod history;
pub mod placeholder;
pub mod postgres;
pub mod server;
pub mod service;
pub mod wire;

pub use error::QueryError;
pub use handle::Statement;
pub use history::{QueryHistory, QueryRecord};
pub use server::serve;
pub use service::{PlainSessions, QueryOptions, QueryService, SessionSource};
pub use wire::wire_schema;
