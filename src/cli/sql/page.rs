//! Long answers go through the reader's own pager.

use std::io::Write;
use std::process::{Command, Stdio};

/// Shows a text that is longer than the terminal with the program that `PAGER` names. False where there is none, or it is not needed.
pub(super) fn page(text: &str, lines: Option<u16>) -> bool {
    let room = usize::from(lines.unwrap_or(u16::MAX));
    let Ok(pager) = std::env::var("PAGER") else {
        return false;
    };
    let mut words = pager.split_whitespace();
    let Some(program) = words.next().filter(|_| text.lines().count() >= room) else {
        return false;
    };
    let started = Command::new(program).args(words).stdin(Stdio::piped()).spawn();
    let Ok(mut pager) = started else {
        return false;
    };
    if let Some(mut stdin) = pager.stdin.take() {
        // Who leaves before the end has seen enough.
        let _ = stdin.write_all(text.as_bytes());
    }
    pager.wait().is_ok()
}
