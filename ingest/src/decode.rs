//! Debezium records to columns: recognises what a record is, types its values, and forgets it without a trace if it is bad.

mod cell;
mod column;
pub(crate) mod column_type;
mod fault;
mod group;
mod groups;
mod infer;
mod json;
mod kind;
mod metadata;
mod number;
mod options;
mod schemas;
mod template;
mod temporal;
mod topic;
mod validity;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use json::special;

pub use cell::UNAVAILABLE_DEFAULT;
pub use fault::{COLUMNS_MAX, NESTING_LEVELS_MAX, RECORD_BYTES_MAX, RecordFault};
pub use kind::Control;
pub use options::{DecodeOptions, KeepRaw};
pub use topic::{Pushed, TopicBuffer};
