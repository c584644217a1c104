//! The cache by itself, and in the service.

mod keys;
mod runs;
mod staleness;
