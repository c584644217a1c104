//! The tidy check: one rule a file, each returns what it found.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

mod charts;
mod dependencies;
mod differences;
mod error_pages;
mod source;

/// One breach of a rule.
pub(crate) struct Finding {
    pub(crate) place: String,
    pub(crate) says: String,
}

impl Finding {
    pub(crate) fn new(place: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            says: says.into(),
        }
    }
}

/// Runs every rule over the workspace this program was built from.
pub(crate) fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace is the folder above xtask")?;
    let files = rust_files(root)?;
    let mut findings = dependencies::check(root)?;
    findings.extend(source::check(root, &files)?);
    findings.extend(error_pages::check(root, &files)?);
    findings.extend(differences::check(root)?);
    findings.extend(charts::check(root)?);
    for finding in &findings {
        report(finding);
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("tidy: {count} findings"),
    }
}

#[expect(clippy::print_stderr, reason = "this is a command line tool")]
fn report(finding: &Finding) {
    eprintln!("{}: {}", finding.place, finding.says);
}

/// Every Rust file of ours that git knows or would take: what is vendored has its makers' style.
fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    let listed = String::from_utf8(output.stdout).context("git lists files as UTF-8")?;
    let files: Vec<PathBuf> = listed
        .lines()
        .filter(|line| !line.starts_with("vendor/"))
        .map(|line| root.join(line))
        .filter(|file| file.is_file())
        .collect();
    if files.is_empty() {
        bail!("tidy found no Rust file under {}", root.display());
    }
    Ok(files)
}
