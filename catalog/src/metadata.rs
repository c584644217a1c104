//! Metadata files: read once, kept as raw bytes, parsed only when a commit needs it.

mod cache;
mod compared;
mod json;
mod lossless;
mod raw;

pub(crate) use cache::{CachedMetadata, METADATA_BYTES_MAX, MetadataCache};
pub(crate) use compared::read_compared;
pub(crate) use json::{encode, parse};
pub(crate) use raw::{Head, ViewHead};
