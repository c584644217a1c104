//! Tests of the Raft layer through its public face.

mod cluster;
mod damage;
mod golden;
mod handshake;
mod kit;
mod members;
mod node;
mod node_tls;
mod purge_gate;
mod recovery;
mod replay;
mod sim;
mod snapshots;
mod storage_failure;
mod suite;
