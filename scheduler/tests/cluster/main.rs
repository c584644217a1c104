//! The cluster as a whole: scheduler and executors in one process and in several, writes, plans of processes without executors, executors that die or hang and other faults, TLS between nodes.

mod child;
mod failing;
mod faults;
mod hangs;
mod kills;
mod lake;
mod loss;
mod node_tls;
mod operators;
mod queries;
mod reduced;
mod remote;
mod routes;
mod row_changes;
mod row_ids;
mod shuffle_files;
mod work;
