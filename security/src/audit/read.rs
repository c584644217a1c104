//! Lines that were kept, as somebody asks for them: of any process, also while it writes or after it was killed.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::files::{DAY_MS, list};

/// Clocks are put right, and lines are written a moment after they are told: so much may a line be beside its file's day.
const SLACK_MS: i64 = 60 * 60 * 1000;

/// Which lines are wanted: those for which all that is said here is true.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// From this moment on, in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// Until before this moment.
    pub until_ms: Option<i64>,
    /// Of this user, or of who said so.
    pub user: Option<String>,
    /// About this table or view, as `schema.name`.
    pub table: Option<String>,
    /// Of what failed or was refused.
    pub only_failed: bool,
}

/// Hands every wanted line of a folder on, file by file, the oldest first. How many lines could not be read: none but where somebody changed
/// a file, as what a crash has torn is not counted.
///
/// # Errors
/// The folder or one of its files cannot be read.
pub fn read(directory: &Path, wanted: &AuditFilter, mut each: impl FnMut(Value)) -> io::Result<u64> {
    let mut unreadable = 0;
    for file in list(directory)? {
        let last_ms = file.began_ms.saturating_add(DAY_MS).saturating_add(SLACK_MS);
        let is_before = wanted.since_ms.is_some_and(|since_ms| last_ms < since_ms);
        let first_ms = file.began_ms.saturating_sub(SLACK_MS);
        let is_behind = wanted.until_ms.is_some_and(|until_ms| first_ms >= until_ms);
        if is_before || is_behind {
            continue;
        }
        let opened = match File::open(&file.path) {
            Ok(opened) => opened,
            // It was the oldest, and its process has removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut lines = BufReader::new(opened);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            match serde_json::from_slice::<Value>(&line) {
                Ok(value) if wanted.wants(&value) => each(value),
                Ok(_) => {}
                Err(_) => unreadable += u64::from(line.ends_with(b"\n")),
            }
            line.clear();
        }
    }
    Ok(unreadable)
}

impl AuditFilter {
    fn wants(&self, line: &Value) -> bool {
        let at_ms = line["at_ms"].as_i64().unwrap_or_default();
        let is_of = self.user.is_none() || line["user"].as_str() == self.user.as_deref();
        is_of
            && self.since_ms.is_none_or(|since_ms| at_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| at_ms < until_ms)
            && self.table.as_deref().is_none_or(|table| is_about(line, table))
            && (!self.only_failed || line["error"].is_string())
    }
}

/// What stands at the end of a text that was cut.
const CUT: char = '…';

/// Whether a line is about a table. What was refused before its tables were known is, if its text names it; and so may be what does not tell
/// all of its tables, or tells none and has a text that was cut before it named them.
fn is_about(line: &Value, table: &str) -> bool {
    let told = line["tables"].as_array().map_or(&[][..], Vec::as_slice);
    if told.iter().any(|name| name.as_str() == Some(table)) || line["tables_left_out"].is_u64() {
        return true;
    }
    let statement = line["statement"].as_str().unwrap_or_default().to_lowercase();
    let name = table.rsplit('.').next().unwrap_or(table).to_lowercase();
    told.is_empty() && (statement.ends_with(CUT) || names(&statement, &name))
}

/// Whether a text has a word in it, and not within another.
fn names(text: &str, word: &str) -> bool {
    let is_end = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_');
    !word.is_empty()
        && text.match_indices(word).any(|(at, found)| {
            let (before, behind) = (&text[..at], &text[at + found.len()..]);
            is_end(before.chars().next_back()) && is_end(behind.chars().next())
        })
}
