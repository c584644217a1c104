//! Lines that were kept, as somebody asks for them: of any process, also while it writes or after it was killed.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::vec;

use serde_json::Value;

use super::files::{DAY_MS, Found, list};

/// Clocks are put right, and lines are written a moment after they are told: so much may a line be beside its file's day.
const SLACK_MS: i64 = 60 * 60 * 1000;

/// Longest line that is read: far more than those have that were written here.
const LINE_BYTES_MAX: usize = 1 << 20;

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

/// The wanted lines of a folder, file by file, the oldest first. One line is held at a time.
#[derive(Debug)]
pub struct AuditLines {
    files: vec::IntoIter<PathBuf>,
    open: Option<BufReader<File>>,
    line: Vec<u8>,
    wanted: AuditFilter,
    unreadable: u64,
}

impl AuditLines {
    /// Of this folder. Files that have no line of the wanted time are not opened.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn of(directory: &Path, wanted: AuditFilter) -> io::Result<Self> {
        let files = list(directory)?.into_iter().filter(|file| wanted.may_be_in(file));
        let files: Vec<PathBuf> = files.map(|file| file.path).collect();
        Ok(Self {
            files: files.into_iter(),
            open: None,
            line: Vec::new(),
            wanted,
            unreadable: 0,
        })
    }

    /// How many lines could not be read until now: none but where somebody changed a file, as what a crash has torn is not counted.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

impl Iterator for AuditLines {
    type Item = io::Result<Value>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.open.is_none() {
                let path = self.files.next()?;
                match File::open(&path) {
                    Ok(file) => self.open = Some(BufReader::new(file)),
                    // It was the oldest, and its process has removed it meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Some(Err(error)),
                }
            }
            let Some(lines) = self.open.as_mut() else {
                continue;
            };
            match next_line(lines, &mut self.line) {
                Ok(true) => {}
                Ok(false) => {
                    self.open = None;
                    continue;
                }
                Err(error) => return Some(Err(error)),
            }
            // The last line of a file that is written just now may be there in part: its rest, read later, would be no line.
            if !self.line.ends_with(b"\n") {
                self.open = None;
            }
            match serde_json::from_slice::<Value>(&self.line) {
                Ok(value) if self.wanted.wants(&value) => return Some(Ok(value)),
                Ok(_) => {}
                Err(_) => self.unreadable += u64::from(self.line.ends_with(b"\n")),
            }
        }
    }
}

/// Takes the next line with its end, or what is behind the last end; false when that is nothing. Of one that is too long no more than the
/// bound is held, so that it cannot be read.
fn next_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    loop {
        let bytes = match lines.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let part = end.map_or(bytes, |end| &bytes[..end]);
        let room = LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(part.get(..room).unwrap_or(part));
        let taken = part.len() + usize::from(end.is_some());
        lines.consume(taken);
        if end.is_some() {
            line.push(b'\n');
            return Ok(true);
        }
    }
}

/// Hands every wanted line of a folder on, as [`AuditLines`] gives them. How many lines could not be read.
///
/// # Errors
/// The folder or one of its files cannot be read.
pub fn read(directory: &Path, wanted: &AuditFilter, mut each: impl FnMut(Value)) -> io::Result<u64> {
    let mut lines = AuditLines::of(directory, wanted.clone())?;
    for line in lines.by_ref() {
        each(line?);
    }
    Ok(lines.unreadable())
}

impl AuditFilter {
    /// Whether a file may have lines of the wanted time.
    fn may_be_in(&self, file: &Found) -> bool {
        let last_ms = file.began_ms.saturating_add(DAY_MS).saturating_add(SLACK_MS);
        let is_before = self.since_ms.is_some_and(|since_ms| last_ms < since_ms);
        let first_ms = file.began_ms.saturating_sub(SLACK_MS);
        let is_behind = self.until_ms.is_some_and(|until_ms| first_ms >= until_ms);
        !is_before && !is_behind
    }

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
