//! Every heading of the expressions that differ from PostgreSQL's is told in docs/postgres.md.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::Finding;

const MARKS: &str = "tests/peers/bi/probes/expressions.differs";
const PAGE: &str = "docs/postgres.md";

/// Shorter words tell nothing.
const WORD_MIN: usize = 4;

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let read = |file: &str| std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"));
    let (marks, page) = (read(MARKS)?, read(PAGE)?);
    let untold = untold(&marks, &page).map(|heading| {
        let says = format!("\"{heading}\" is in {MARKS}, and no line here has its words");
        Finding::new(PAGE, says)
    });
    Ok(untold.collect())
}

/// Headings whose words are not all in one line of the page.
fn untold<'a>(marks: &'a str, page: &str) -> impl Iterator<Item = &'a str> {
    let lines: Vec<BTreeSet<String>> = page.lines().map(words).collect();
    let headings = marks.lines().filter_map(|line| line.strip_prefix("# "));
    headings.filter(move |heading| {
        let wanted = words(heading);
        !lines.iter().any(|line| wanted.is_subset(line))
    })
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.len() >= WORD_MIN)
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a heading is told by one line that has all its words. Method: one that is, one that is not, one whose words are in two lines.
    #[test]
    fn headings_are_told() {
        let marks = "# get_byte is not known\nget_byte(x, 1)\n\n# unistr is not known\n# zones are hours\n";
        let page = "- `Get_byte` and others are not known.\n- Zones are names.\n- Hours are numbers.\n";
        let found: Vec<&str> = untold(marks, page).collect();
        assert_eq!(found, ["unistr is not known", "zones are hours"]);
    }
}
