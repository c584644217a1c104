//! Named moments at which a test may have the process killed.
//!
//! `TIDEWATER_FAIL_POINT=name@n` makes the n-th passage of `name` write the file named by `TIDEWATER_FAIL_POINT_FILE` and
//! then stand still, so that the test sees that the moment was reached and kills the process right there. Without the
//! variable a passage costs one atomic load.
//!
//! `TIDEWATER_SLOW_POINT=name` and `TIDEWATER_SLOW_POINT_FILE=path` make `name` slow, for as many milliseconds as the file says, while there
//! is one. Each slow passage adds a byte to the file `path.fired`, so that the test sees that it had one.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Every fail point. The crash tests walk this list, so a point that is never reached fails them.
pub const ALL: &[&str] = &[
    "ingest.batch_read",
    "ingest.files_written",
    "ingest.commit_answered",
    "catalog.metadata_written",
    "catalog.log_written",
    "pipelines.files_written",
    "pipelines.commit_answered",
    "maintenance.files_written",
    "maintenance.commit_answered",
    "statements.files_written",
    "statements.commit_answered",
];

/// Every point that can be made slow.
pub const SLOW: &[&str] = &["catalog.log_sync"];

#[derive(Debug)]
struct Armed {
    name: String,
    passage: u64,
    file: Option<String>,
    passed: AtomicU64,
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    ARMED
        .get_or_init(|| {
            let setting = std::env::var("TIDEWATER_FAIL_POINT").ok()?;
            let (name, passage) = setting.split_once('@').unwrap_or((&setting, "1"));
            Some(Armed {
                name: name.to_owned(),
                passage: passage.parse().unwrap_or(1),
                file: std::env::var("TIDEWATER_FAIL_POINT_FILE").ok(),
                passed: AtomicU64::new(0),
            })
        })
        .as_ref()
}

/// Passes the point `name`. Never returns when this passage is the armed one.
pub fn pass(name: &'static str) {
    debug_assert!(ALL.contains(&name), "{name} is not in the list of fail points");
    let Some(armed) = armed() else { return };
    if armed.name != name || armed.passed.fetch_add(1, Ordering::SeqCst) + 1 != armed.passage {
        return;
    }
    tracing::warn!(
        fail_point = name,
        passage = armed.passage,
        "standing still at a fail point"
    );
    if let Some(file) = &armed.file
        && let Err(error) = std::fs::write(file, name)
    {
        tracing::error!(%error, file, "cannot tell that a fail point was reached");
    }
    loop {
        std::thread::park();
    }
}

/// Passes the point `name`, which takes its time where a test wants that. It holds up the thread that it is called on.
pub fn slow(name: &'static str) {
    debug_assert!(SLOW.contains(&name), "{name} is not in the list of slow points");
    static FILE: OnceLock<Option<(String, String)>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let named = std::env::var("TIDEWATER_SLOW_POINT").ok()?;
        Some((named, std::env::var("TIDEWATER_SLOW_POINT_FILE").ok()?))
    });
    let Some((_, file)) = file.as_ref().filter(|(named, _)| named == name) else {
        return;
    };
    let Some(millis) = std::fs::read_to_string(file)
        .ok()
        .and_then(|text| text.trim().parse().ok())
    else {
        return;
    };
    let fired = OpenOptions::new()
        .create(true)
        .append(true)
        .open(format!("{file}.fired"));
    if let Err(error) = fired.and_then(|mut fired| fired.write_all(b"x")) {
        tracing::error!(%error, file, "cannot tell that a point was slow");
    }
    std::thread::park_timeout(Duration::from_millis(millis));
}
