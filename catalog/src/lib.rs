//! The catalog: namespaces, table pointers, offsets, leases and jobs in one replicated log, served as Iceberg REST.
//!
//! What it does: keeps pointers (never metadata) in a deterministic [`state::State`], replicated through the log; builds metadata files on the leader, writes them under a
//! fresh name and swaps the pointer; serves the Iceberg REST protocol and the internal calls of tidewater's own roles.
//! What it does not: read or write data files, plan scans, run jobs.
//!
//! Main types: [`command::Command`] (what is logged), [`state::State`] (what the log amounts to).
//!
//! Invariants: INV-CAT-1 to INV-CAT-4 and INV-ING-2 of `tidewater_core::invariants`.

pub mod command;
pub mod raft;
pub mod state;
