//! Every error code has a page, and every page a code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Finding;

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut codes = BTreeSet::new();
    for file in files.iter().filter(|file| !file.starts_with(root.join("xtask"))) {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        codes.extend(codes_in(&text));
    }
    let folder = root.join("docs/errors");
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        pages.extend(name.strip_suffix(".md").filter(|page| is_code(page)).map(str::to_owned));
    }
    let missing = codes
        .difference(&pages)
        .map(|code| Finding::new(code, format!("has no page docs/errors/{code}.md")));
    let stale = pages
        .difference(&codes)
        .map(|page| Finding::new(format!("docs/errors/{page}.md"), "no error has this code"));
    Ok(missing.chain(stale).collect())
}

/// String literals that are a code and nothing else.
fn codes_in(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('"').filter(|part| is_code(part)).map(str::to_owned)
}

fn is_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 8
        && bytes[..3].iter().all(u8::is_ascii_uppercase)
        && bytes[3] == b'-'
        && bytes[4..].iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: codes are told from other text. Method: one literal of each sort.
    #[test]
    fn codes_are_recognised() {
        let found: Vec<String> = codes_in(r#"=> "CAT-0007", "INV-CAT-1", "x", "cat-0007""#).collect();
        assert_eq!(found, vec!["CAT-0007".to_owned()]);
    }
}
