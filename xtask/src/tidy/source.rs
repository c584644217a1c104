//! Rules over the text of one file: length, forbidden names, import groups, open ends.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Finding;

/// Longest file, tests not counted: beyond it a file has more than one job.
const LINES_MAX: usize = 600;

/// File names that say nothing about what is inside.
const NAMELESS: &[&str] = &["utils.rs", "util.rs", "common.rs", "helpers.rs", "misc.rs", "mod.rs"];

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let place = file.strip_prefix(root).unwrap_or(file).display().to_string();
        findings.extend(
            check_file(&place, &text)
                .into_iter()
                .map(|says| Finding::new(place.clone(), says)),
        );
    }
    Ok(findings)
}

fn check_file(place: &str, text: &str) -> Vec<String> {
    let mut says = Vec::new();
    let file = place.rsplit('/').next().unwrap_or(place);
    if NAMELESS.contains(&file) {
        says.push("a file is named after its job".to_owned());
    }
    if place.ends_with("src/lib.rs") && !text.starts_with("//!") {
        says.push("a crate begins with //!: what it does, what it does not, its types, its invariants".to_owned());
    }
    let in_tests = place.ends_with("tests.rs") || place.starts_with("tests/") || place.contains("/tests/");
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
    if code > LINES_MAX && !in_tests {
        says.push(format!("{code} lines of code, more than {LINES_MAX}: split it by job"));
    }
    for (at, line) in text.lines().enumerate() {
        says.extend(open_end(line).map(|what| format!("line {}: {what}", at + 1)));
    }
    says.extend(import_groups(text));
    says
}

fn open_end(line: &str) -> Option<&'static str> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let comment = line.split_once("//").map(|(_, comment)| comment)?;
    if marks.iter().any(|mark| comment.contains(mark)) && !comment.contains('#') {
        return Some("an open end needs the number of its issue");
    }
    None
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Std,
    OtherCrates,
    Ours,
}

fn group(path: &str) -> Group {
    let first = path.split("::").next().unwrap_or(path).trim_end_matches(';').trim();
    match first {
        "std" | "core" | "alloc" => Group::Std,
        "crate" | "super" | "self" => Group::Ours,
        _ => Group::OtherCrates,
    }
}

/// Top-level imports stand in three groups (std, other crates, this crate), in that order, an empty line between them.
fn import_groups(text: &str) -> Option<String> {
    let mut last: Option<Group> = None;
    let mut gap = true;
    for (at, line) in text.lines().enumerate() {
        if let Some(path) = line.strip_prefix("use ") {
            if path.starts_with("tidewater") {
                // Sibling crates stand with other crates or with this one: what follows them tells with which.
                if gap {
                    last = None;
                }
                gap = false;
                continue;
            }
            let now = group(path);
            match last {
                Some(before) if now < before => {
                    return Some(format!(
                        "line {}: imports stand in the order std, other crates, this crate",
                        at + 1
                    ));
                }
                Some(before) if now != before && !gap => {
                    return Some(format!(
                        "line {}: an empty line belongs between groups of imports",
                        at + 1
                    ));
                }
                _ => {}
            }
            last = Some(now);
            gap = false;
        } else if line.is_empty() {
            gap = true;
        }
        if line.starts_with("#[cfg(test)]") {
            break;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: each rule finds its breach and lets good text pass. Method: one text for each.
    #[test]
    fn rules_find_their_breach() {
        let good = "//! A crate.\n\nuse std::fmt;\n\nuse serde::Serialize;\n\nuse crate::x;\n";
        assert!(check_file("a/src/lib.rs", good).is_empty());
        let siblings = "use std::fmt;\n\nuse tidewater_core::Tasks;\nuse tokio::signal;\n\nuse crate::x;\n";
        assert!(check_file("a/src/b.rs", siblings).is_empty());
        assert_eq!(check_file("a/src/lib.rs", "use std::fmt;\n").len(), 1);
        assert_eq!(check_file("a/src/utils.rs", "").len(), 1);
        assert_eq!(check_file("a/src/b.rs", "use crate::x;\n\nuse std::fmt;\n").len(), 1);
        assert_eq!(check_file("a/src/b.rs", "use std::fmt;\nuse crate::x;\n").len(), 1);
        assert_eq!(check_file("a/src/b.rs", concat!("// TO", "DO later\n")).len(), 1);
        assert!(check_file("a/src/b.rs", concat!("// TO", "DO(#12) later\n")).is_empty());
        assert_eq!(check_file("a/src/b.rs", &"fn x() {}\n".repeat(601)).len(), 1);
        assert!(check_file("a/src/b/tests.rs", &"fn x() {}\n".repeat(601)).is_empty());
    }
}
