//! Plans of processes whose executors are another's: a process that does not schedule sends its plans to the one that does, on the port
//! that executors call, and hands on the rows.
//!
//! What travels is the plan in the form in which executors are given all plans, before any rule of the cluster's planner was applied to
//! it: what that form has no place for is kept off executors already (`reach.rs`), and what it refuses runs in the process that was
//! asked. The calls are Flight's, as its data are slices of Arrow that fit into messages.

mod client;
mod finder;
mod rows;
mod sent;
mod server;
mod wire;

pub use client::RemoteRunner;
pub use finder::WhoSchedules;
pub(crate) use sent::SentPlan;
pub(crate) use server::PlanService;
