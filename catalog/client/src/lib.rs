//! The client of the catalog, and what its internal calls carry.
//!
//! It speaks Iceberg REST for tables and namespaces and the internal calls for offsets, leases, jobs and the change feed; it
//! finds the leader, repeats what is safe to repeat, and gives every mutation an idempotency key, so that a repetition after a
//! lost answer applies once. It keeps no state of the catalog.
//!
//! Main types: [`CatalogClient`] (implements [`tidewater_table::Catalog`]), [`ClientOptions`], the types in [`dto`].

pub mod dto;
