//! Change logs to bronze tables, exactly once.

pub mod decode;
pub mod error;
pub mod layout;
pub mod mapping;
pub mod options;
pub mod record;
pub mod source;

#[cfg(test)]
mod testing;
