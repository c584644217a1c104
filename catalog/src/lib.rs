//! The catalog: namespaces, table pointers, offsets, leases and jobs in one replicated log, served as Iceberg REST.
//!
//! What it does: keeps pointers (never metadata) in a deterministic [`state::State`], replicated through the log; builds
//! metadata files on the leader, writes them under a fresh name and swaps the pointer; serves the Iceberg REST protocol and
//! the internal calls of tidewater's own roles.
//! It folds the files that producers append into snapshots, plans scans for clients and lets them reach a table's files, by credentials or by signed requests. It keeps who may do what, and lets
//! users do no more.
//! What it does not: read or write data files, run jobs.
//!
//! Main types: [`command::Command`] (what is logged), [`state::State`] (what the log amounts to), [`raft::Consensus`] (the
//! log), [`CatalogServer`] (the REST interface), [`Warehouse`] (where tables live).
//!
//! Invariants: INV-CAT-1 to INV-CAT-4, INV-ING-2 and INV-ING-3 of `tidewater_core::invariants`.

pub mod backup;
pub mod command;
pub mod credentials;
pub mod error;
pub mod join;
pub mod memory;
pub mod metrics;
pub mod raft;
pub mod server;
pub mod state;
pub mod store;
pub mod warehouse;

mod append;
mod commit;
mod internal;
mod metadata;
mod names;
mod nearby;
mod owner_only;
mod planning;
mod policy;
mod purge;
mod reports;
mod rest;
mod service;

pub use credentials::{AccessKeys, DelegationOptions, Vending};
pub use error::CatalogError;
pub use metrics::CatalogMetrics;
pub use purge::DropRetention;
pub use rest::{AtWork, Connections, Remote, Working};
pub use server::{Access, CatalogOptions, CatalogServer, Following};
pub use store::MetadataStore;
pub use warehouse::Warehouse;
