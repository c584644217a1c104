//! Tests of the Raft layer through its public face.

mod suite;
