//! Finds the YAML in the first comment of a model file.

use std::path::Path;

use crate::error::{PipelineError, Place, Result};

const BEGIN: &str = "/*---";
const END: &str = "---*/";

/// The YAML text, and how many lines of the file stand before its first line.
pub(crate) fn split<'a>(path: &Path, text: &'a str) -> Result<(&'a str, u64)> {
    let missing = |line, reason: &str| PipelineError::Header {
        place: Place {
            path: path.to_owned(),
            line,
        },
        reason: reason.into(),
    };
    let begin = first_statement(text);
    let rest = text.get(begin..).unwrap_or_default();
    let Some(after) = rest.strip_prefix(BEGIN) else {
        return Err(missing(Some(1), "the file does not begin with a header"));
    };
    let before = text.len() - after.len();
    let offset = text
        .as_bytes()
        .iter()
        .take(before)
        .filter(|byte| **byte == b'\n')
        .count() as u64;
    match after.find(END) {
        Some(end) => Ok((after.get(..end).unwrap_or_default(), offset)),
        None => Err(missing(Some(offset + 1), "the header does not end")),
    }
}

/// Skips blank lines and line comments (a licence, say).
fn first_statement(text: &str) -> usize {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start_matches('\u{feff}').trim_start();
        if !trimmed.is_empty() && !trimmed.starts_with("--") {
            return at + (line.len() - trimmed.len());
        }
        at += line.len();
    }
    at
}
