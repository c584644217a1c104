//! What scheduler and executors say to each other beside what Ballista has fields for, and how they reach each other.

mod answer;
mod call;

pub use answer::{NodeConnection, node_connections};
pub use call::{Connect, Secure, call, connect_by, secure_by};

/// How an executor tells its build: in the field for the long name of its operating system, which nobody reads.
const BUILD: &str = "tidewater ";

/// The code under which an executor tells that rows of another stage did not reach it. The plan may be run again.
pub const INPUT_LOST: &str = "EXE-0010";

/// The text for a build.
pub fn tell_build(build: &str) -> String {
    format!("{BUILD}{build}")
}

/// The build in such a text.
pub fn build_of(text: &str) -> Option<&str> {
    text.strip_prefix(BUILD)
}
