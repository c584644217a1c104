//! One binary of tests that drive real processes: the built `tidewater`, and real peers where the name says so.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]
#![expect(unreachable_pub, reason = "one binary: nothing of it is reached from outside")]

mod kit;

mod arrow_go;
mod audit;
mod bad_input;
mod cancel;
mod clients;
mod cluster;
mod demo;
mod denied;
mod differential;
mod engines;
mod executor_cancel;
mod executor_loss;
mod grants;
mod handles;
mod hostile;
mod jobs;
mod kept_results;
mod kill;
mod leader;
mod lin;
mod maintenance;
mod matrix;
mod metrics;
mod node_tls;
mod nodes;
mod oidc;
mod postgres;
mod real_cdc;
mod remote;
mod scheduler_death;
mod shell;
mod siblings;
mod slt;
mod spine;
mod three_nodes;
mod tls;
mod writers;
