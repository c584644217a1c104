//! Tests of the Raft layer through its public face.

mod cluster;
mod damage;
mod golden;
mod handshake;
mod kit;
mod members;
mod node;
mod recovery;
mod snapshots;
mod storage_failure;
mod suite;
