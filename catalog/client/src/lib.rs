//! The client of the catalog, and what its internal calls carry.
//!
//! It speaks Iceberg REST for tables and namespaces and the internal calls for offsets, leases, jobs and the change feed; it
//! finds the leader, repeats what is safe to repeat, and gives every mutation an idempotency key, so that a repetition after a
//! lost answer applies once. It hands over the files that a producer appends. It does not plan, read or write tables, and never repeats a commit that was refused.
//!
//! Main types: [`CatalogClient`] (implements [`tidewater_table::Catalog`]), [`ClientOptions`], [`ClientError`], the types in
//! [`dto`].
//!
//! Invariants: one call is applied at most once, however often it is sent; a call that ends with [`ClientError::Unknown`] may
//! have been applied, one that ends with [`ClientError::Unavailable`] was not.

pub mod append;
pub mod client;
pub mod dto;
pub mod error;

mod cluster;
mod drops;
mod iceberg_catalog;
mod internal;
mod namespaces;
mod nearby;
mod path;
mod pointers;
mod policy;
mod table_cache;
mod transport;
mod views;

pub use append::{AppendFiles, Appended};
pub use client::{Bearer, CatalogClient, ClientOptions};
pub use cluster::Download;
pub use error::ClientError;
pub use internal::JobFilter;
pub use nearby::{Nearby, NoAnswer};
pub use tidewater_table::creation_updates;
