//! The cluster as a whole: scheduler and executors in one process and in several, writes, executors that die, TLS between nodes.

mod child;
mod jobs;
mod kills;
mod lake;
mod loss;
mod node_tls;
mod operators;
mod queries;
mod routes;
mod shuffle_files;
