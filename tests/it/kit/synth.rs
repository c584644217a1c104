//! The synthetic hospital beside a process under test: its change log, and what its tables must hold in the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Node;

/// The moment that gold tables are computed as of: three months into the hospital's time.
pub const AS_OF_MS: i64 = 1_775_000_000_000;

/// A hospital whose changes lie in `changes` and whose right answers lie in `oracle`.
#[derive(Debug)]
pub struct Hospital {
    pub changes: PathBuf,
    pub oracle: PathBuf,
}

/// Part of a change log that is not there yet.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    text: String,
}

impl Held {
    /// Puts it where it belongs.
    pub fn release(self) {
        std::fs::write(self.path, self.text).unwrap();
    }
}

impl Hospital {
    /// Writes at least `events` records of a hospital of `patients`.
    pub fn write(dir: &Path, patients: u32, events: u64) -> Self {
        let hospital = Self {
            changes: dir.join("changes"),
            oracle: dir.join("oracle"),
        };
        run(&[
            "synth",
            "events",
            "--patients",
            &patients.to_string(),
            "--events",
            &events.to_string(),
            "--folder",
            hospital.changes.to_str().unwrap(),
            "--oracle",
            hospital.oracle.to_str().unwrap(),
            "--as-of-ms",
            &AS_OF_MS.to_string(),
        ]);
        hospital
    }

    /// Configuration that reads the changes and follows the example project.
    pub fn config(&self) -> String {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hospital");
        format!(
            "[ingest]\ncommit_interval_ms = 200\n[[ingest.sources]]\ntype = \"file\"\npath = {:?}\n[pipelines]\nproject = {:?}\nfollow = false\n",
            self.changes, project
        )
    }

    /// Takes the second half of the change log's last segment away, until it is released as a segment of its own.
    pub fn hold_back(&self) -> Held {
        let segments = std::fs::read_dir(&self.changes)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let last = segments
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .max()
            .unwrap();
        let text = std::fs::read_to_string(&last).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let (first, second) = lines.split_at(lines.len() / 2);
        assert!(!first.is_empty(), "the log has two records at least");
        std::fs::write(&last, first.concat()).unwrap();
        let number: usize = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        Held {
            path: self.changes.join(format!("{:020}.jsonl", number + first.len())),
            text: second.concat(),
        }
    }

    /// The topic, partition and offset of every record in the change log.
    pub fn offsets(&self) -> Vec<(String, i64, i64)> {
        self.records(|_| true)
    }

    fn records(&self, wanted: impl Fn(&Value) -> bool) -> Vec<(String, i64, i64)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.changes).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "jsonl") {
                continue;
            }
            for line in std::fs::read_to_string(path).unwrap().lines() {
                let record: Value = serde_json::from_str(line).unwrap();
                if !wanted(&record) {
                    continue;
                }
                let number = |key: &str| record[key].as_i64().unwrap();
                found.push((
                    record["topic"].as_str().unwrap().to_owned(),
                    number("partition"),
                    number("offset"),
                ));
            }
        }
        found
    }

    /// The records that must be rows of bronze: those whose value is an event with an operation.
    pub fn data_offsets(&self) -> Vec<(String, i64, i64)> {
        self.records(|record| {
            let value = record["value"]["text"]
                .as_str()
                .and_then(|text| serde_json::from_str::<Value>(text).ok());
            value.is_some_and(|value| value["payload"]["op"].is_string())
        })
    }

    /// Names of the tables the oracle knows.
    pub fn tables(&self) -> Vec<String> {
        names(&self.oracle.join("tables"))
    }

    /// Compares a silver table with the oracle; what differs, if anything.
    pub fn compare_silver(&self, node: &Node, table: &str) -> Result<usize, String> {
        let expected = self.oracle.join("tables").join(format!("{table}.jsonl"));
        compare(node, &format!("silver.{table}"), &expected)
    }

    /// Compares a gold table with the oracle.
    pub fn compare_gold(&self, node: &Node, table: &str) -> Result<usize, String> {
        let expected = self.oracle.join("gold").join(format!("{table}.jsonl"));
        compare(node, &format!("gold.{table}"), &expected)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Runs a verb that needs no process; panics with its words when it fails.
pub fn run(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidewater"))
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Compares all rows of a table with a file of the oracle, as multisets of canonical lines.
pub fn compare(node: &Node, table: &str, expected: &Path) -> Result<usize, String> {
    let text = std::fs::read_to_string(expected).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let Some(columns) = columns(&text) else {
        return match node.number(&format!("SELECT count(*) FROM {table}")) {
            Some(0) | None => Ok(0),
            Some(count) => Err(format!("{table}: {count} rows, none expected")),
        };
    };
    let list = columns
        .iter()
        .map(|column| format!("\"{column}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let actual = node
        .query(&format!("SELECT {list} FROM {table}"))
        .map_err(|error| format!("{table}: {error}"))?;
    let count = |rows: &[Value]| {
        let mut lines: BTreeMap<String, i64> = BTreeMap::new();
        for row in rows {
            *lines.entry(canonical(row).to_string()).or_default() += 1;
        }
        lines
    };
    let (expected, actual) = (count(&rows), count(&actual));
    if expected == actual {
        return Ok(rows.len());
    }
    let missing: Vec<&String> = expected.keys().filter(|line| !actual.contains_key(*line)).collect();
    let extra: Vec<&String> = actual.keys().filter(|line| !expected.contains_key(*line)).collect();
    Err(format!(
        "{table}: {} rows expected; {} missing, such as {:?}; {} too many, such as {:?}",
        rows.len(),
        missing.len(),
        missing.iter().take(2).collect::<Vec<_>>(),
        extra.len(),
        extra.iter().take(2).collect::<Vec<_>>()
    ))
}

/// The members of the first line, in order.
fn columns(text: &str) -> Option<Vec<String>> {
    let first: serde_json::Map<String, Value> = serde_json::from_str(text.lines().next()?).unwrap();
    Some(first.keys().cloned().collect())
}

/// Numbers as text, decimals without trailing zeros, times without a trailing fraction of zeros: the two sides print them
/// differently.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(trimmed(&number.to_string())),
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::String(text) => Value::String(trimmed(text)),
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), canonical(value)))
            .collect(),
        Value::Null => Value::Null,
    }
}

fn trimmed(text: &str) -> String {
    let (body, zone) = match text.strip_suffix('Z') {
        Some(body) => (body, "Z"),
        None => (text, ""),
    };
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match body.rsplit_once('.') {
        Some((whole, fraction)) if numeric(fraction) && whole.ends_with(|last: char| last.is_ascii_digit()) => {
            let fraction = fraction.trim_end_matches('0');
            if fraction.is_empty() {
                format!("{whole}{zone}")
            } else {
                format!("{whole}.{fraction}{zone}")
            }
        }
        _ => text.to_owned(),
    }
}
