//! The tidewater binary.
fn main() {}
