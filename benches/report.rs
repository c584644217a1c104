//! What a benchmark found: printed as it comes, and kept as JSON with the machine and the command that made it.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::say;

/// The figures of one benchmark.
#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    machine: Value,
    figures: Vec<Value>,
    notes: Vec<String>,
}

impl Report {
    /// Notes the machine as it is before the work.
    pub(crate) fn new(bench: &'static str) -> Result<Self> {
        Ok(Self {
            bench,
            machine: machine()?,
            figures: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// A figure without a goal.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &str) {
        let value = rounded(value);
        say(&format!("{name:<44} {value:>12} {unit}"));
        self.figures.push(json!({"name": name, "value": value, "unit": unit}));
    }

    /// A figure that should not be below `goal`.
    pub(crate) fn at_least(&mut self, name: &str, value: f64, unit: &str, goal: f64) {
        self.judged(name, value, unit, &format!(">= {goal}"), value >= goal);
    }

    /// A figure that should not be above `goal`.
    pub(crate) fn at_most(&mut self, name: &str, value: f64, unit: &str, goal: f64) {
        self.judged(name, value, unit, &format!("<= {goal}"), value <= goal);
    }

    fn judged(&mut self, name: &str, value: f64, unit: &str, goal: &str, met: bool) {
        let value = rounded(value);
        let verdict = if met { "met" } else { "MISSED" };
        say(&format!("{name:<44} {value:>12} {unit}  (goal {goal}: {verdict})"));
        self.figures
            .push(json!({"name": name, "value": value, "unit": unit, "goal": goal, "met": met}));
    }

    /// A fact that the figures need to be understood.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        say(&format!("   {text}"));
        self.notes.push(text);
    }

    /// Writes `benches/results/<name>.json`.
    pub(crate) fn write(self) -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = folder.join(format!("{}.json", self.bench));
        let document = json!({
            "bench": self.bench,
            "command": format!("scripts/bench {}", self.bench),
            "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
            "machine": self.machine,
            "figures": self.figures,
            "notes": self.notes,
        });
        std::fs::write(&file, format!("{document:#}\n")).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Three decimals, or whole numbers where those are noise.
fn rounded(value: f64) -> f64 {
    let digits = if value.abs() >= 1_000.0 { 1.0 } else { 1_000.0 };
    (value * digits).round() / digits
}

/// Cores, memory, and how busy others kept them: a figure of a busy machine is an upper bound of times.
fn machine() -> Result<Value> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let memory_kib: u64 = read("/proc/meminfo")?
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .context("/proc/meminfo tells MemTotal")?;
    let load: f64 = read("/proc/loadavg")?
        .split(' ')
        .next()
        .and_then(|load| load.parse().ok())
        .context("/proc/loadavg begins with a number")?;
    Ok(json!({
        "cores": std::thread::available_parallelism()?.get(),
        "memory_mb": memory_kib * 1_024 / 1_000_000,
        "load_average_1m_before": load,
    }))
}

/// The value below which this share of the samples lies, in percent. Samples must not be empty.
pub(crate) fn percentile(samples: &mut [f64], share: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    let at = (samples.len() * share / 100).min(samples.len().saturating_sub(1));
    samples.get(at).copied().unwrap_or(f64::NAN)
}
