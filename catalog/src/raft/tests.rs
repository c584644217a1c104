//! Tests of the Raft layer through its public face.

mod cluster;
mod damage;
mod golden;
mod handshake;
mod kit;
mod node;
mod storage_failure;
mod suite;
