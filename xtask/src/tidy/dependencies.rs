//! Dependencies point down: an edge that the table does not allow is a finding.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;

/// What each crate may name directly. What it may reach follows from it.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tidewater-core", &[]),
    ("tidewater-security", &["tidewater-core"]),
    ("tidewater-table", &["tidewater-core"]),
    ("tidewater-catalog-client", &["tidewater-security", "tidewater-table"]),
    ("tidewater-catalog", &["tidewater-security", "tidewater-catalog-client"]),
    ("tidewater-engine", &["tidewater-security", "tidewater-catalog-client"]),
    ("tidewater-scheduler", &["tidewater-engine"]),
    ("tidewater-executor", &["tidewater-engine"]),
    ("tidewater-ingest", &["tidewater-engine"]),
    ("tidewater-pipelines", &["tidewater-engine"]),
    ("tidewater-flight-sql", &["tidewater-engine"]),
    ("tidewater-synth", &["tidewater-core"]),
    ("tidewater-benches", &["tidewater-ingest", "tidewater-synth"]),
    ("xtask", &[]),
];

/// Crates that stay out of the light ones, so that their edit loop stays under a minute.
const HEAVY: &[&str] = &["datafusion", "ballista-core", "ballista-scheduler", "ballista-executor"];

/// Crates that must build without [`HEAVY`].
const LIGHT: &[&str] = &[
    "tidewater-core",
    "tidewater-security",
    "tidewater-table",
    "tidewater-catalog",
    "tidewater-catalog-client",
    "tidewater-synth",
];

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata speaks JSON")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?;
    let reach = closure();
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(reachable) = reach.get(name) else {
            if name != "tidewater" {
                findings.push(Finding::new(
                    name,
                    "is not in the table of allowed dependencies (xtask)",
                ));
            }
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            let ours = target.starts_with("tidewater");
            if ours && dependency["kind"].is_null() && !reachable.contains(target) {
                findings.push(Finding::new(name, format!("must not depend on {target}")));
            }
            if LIGHT.contains(&name) && HEAVY.contains(&target) {
                findings.push(Finding::new(
                    name,
                    format!("is a light crate and must not depend on {target}"),
                ));
            }
        }
    }
    Ok(findings)
}

fn closure() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let direct: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut reach = BTreeMap::new();
    for (name, _) in ALLOWED {
        let (mut seen, mut open) = (BTreeSet::new(), vec![*name]);
        while let Some(next) = open.pop() {
            for target in direct.get(next).copied().unwrap_or_default() {
                if seen.insert(*target) {
                    open.push(target);
                }
            }
        }
        reach.insert(*name, seen);
    }
    reach
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: no role reaches another role or the catalog server. Method: the closure of the table.
    #[test]
    fn roles_do_not_meet() {
        let reach = closure();
        for role in ["scheduler", "executor", "ingest", "pipelines", "flight-sql"] {
            let reachable = &reach[format!("tidewater-{role}").as_str()];
            assert!(!reachable.contains("tidewater-catalog"), "{role}");
            assert!(reachable.contains("tidewater-core"), "{role}");
            assert!(!reachable.contains("tidewater-synth"), "{role}");
        }
        assert!(!reach["tidewater-catalog"].contains("tidewater-engine"));
    }
}
