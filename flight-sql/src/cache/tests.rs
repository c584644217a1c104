//! The cache by itself, and in the service.

mod keys;
mod older;
mod runs;
mod staleness;
mod texts;
