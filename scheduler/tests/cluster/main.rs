//! The cluster as a whole: scheduler and executors in one process and in several, writes, and executors that die.

mod child;
mod jobs;
mod kills;
mod lake;
mod loss;
mod operators;
mod queries;
mod routes;
