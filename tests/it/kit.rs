//! What the tests have in common: processes of ours with folders and ports of their own, and waiting for conditions.

use std::time::{Duration, Instant};

pub mod cluster;
pub mod issuer;
pub mod kafka;
pub mod node;
mod ports;
pub mod recorder;
pub mod sql;
pub mod synth;
pub mod wire;

pub use node::{Node, NodeBuilder, program};
pub use ports::free_port;

/// Waits until `condition` gives a value, looking again and again. Panics with `what` at the deadline.
#[expect(clippy::disallowed_methods, reason = "tests wait in real time for real processes")]
pub fn wait_for<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < deadline, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The longest that times which are promised are stretched.
const SLACK_MAX: u32 = 4;

/// How many times as long as promised something may take: 1, unless whoever runs tests beside other suites says how much slower
/// everything is there.
pub fn slack() -> u32 {
    let told = std::env::var("HOSTILE_SLACK").ok();
    let times = told.and_then(|times| times.parse::<u32>().ok());
    times.unwrap_or(1).clamp(1, SLACK_MAX)
}

/// The hash of a password, which the command line makes as it tells users to.
pub fn password_hash(password: &str) -> String {
    hashed(password)["password_hash"].as_str().unwrap().to_owned()
}

/// The hash of a password and its SCRAM verifier.
pub fn hashed(password: &str) -> serde_json::Value {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut hash = Command::new(env!("CARGO_BIN_EXE_tidewater"))
        .args(["--output", "json", "user", "hash"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    hash.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = hash.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
