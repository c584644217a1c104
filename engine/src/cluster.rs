//! What scheduler and executors say to each other beside what Ballista has fields for.

/// How an executor tells its build: in the field for the long name of its operating system, which nobody reads.
const BUILD: &str = "tidewater ";

/// The text for a build.
pub fn tell_build(build: &str) -> String {
    format!("{BUILD}{build}")
}

/// The build in such a text.
pub fn build_of(text: &str) -> Option<&str> {
    text.strip_prefix(BUILD)
}
