//! Where records go.

pub mod file;
#[cfg(feature = "kafka")]
pub mod kafka;

pub use file::{FileSink, FileSinkOptions, NextOffsets};
#[cfg(feature = "kafka")]
pub use kafka::KafkaSink;
