//! Figures, as the other benchmarks write them.

use std::path::Path;

use serde_json::{Value, json};

use crate::Result;

#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    command: &'static str,
    load_before: String,
    figures: Vec<Value>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(bench: &'static str, command: &'static str) -> Result<Self> {
        Ok(Self {
            bench,
            command,
            load_before: load()?,
            figures: Vec::new(),
            notes: Vec::new(),
        })
    }

    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &str) {
        let value = rounded(value);
        println!("{name:<44} {value:>12} {unit}");
        self.figures.push(json!({"name": name, "value": value, "unit": unit}));
    }

    /// A figure that should not be above `goal`.
    pub(crate) fn at_most(&mut self, name: &str, value: f64, unit: &str, goal: f64) {
        let (value, met) = (rounded(value), value <= goal);
        let verdict = if met { "met" } else { "MISSED" };
        println!("{name:<44} {value:>12} {unit}  (goal <= {goal}: {verdict})");
        let goal = format!("<= {goal}");
        self.figures
            .push(json!({"name": name, "value": value, "unit": unit, "goal": goal, "met": met}));
    }

    /// A figure that should not be below `goal`.
    pub(crate) fn at_least(&mut self, name: &str, value: f64, unit: &str, goal: f64) {
        let (value, met) = (rounded(value), value >= goal);
        let verdict = if met { "met" } else { "MISSED" };
        println!("{name:<44} {value:>12} {unit}  (goal >= {goal}: {verdict})");
        let goal = format!(">= {goal}");
        self.figures
            .push(json!({"name": name, "value": value, "unit": unit, "goal": goal, "met": met}));
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        println!("   {text}");
        self.notes.push(text);
    }

    pub(crate) fn write(self) -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/results");
        let document = json!({
            "bench": self.bench,
            "command": self.command,
            "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
            "machine": {
                "cores": std::thread::available_parallelism()?.get(),
                "load_average_1m_before": self.load_before.parse::<f64>()?,
            },
            "figures": self.figures,
            "notes": self.notes,
        });
        let file = folder.join(format!("{}.json", self.bench));
        Ok(std::fs::write(file, format!("{document:#}\n"))?)
    }
}

fn load() -> Result<String> {
    let all = std::fs::read_to_string("/proc/loadavg")?;
    Ok(all.split(' ').next().unwrap_or_default().to_owned())
}

fn rounded(value: f64) -> f64 {
    let digits = if value.abs() >= 1_000.0 { 1.0 } else { 1_000.0 };
    (value * digits).round() / digits
}

/// The value below which this share of the samples lies, in percent.
pub(crate) fn percentile(samples: &mut [f64], share: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    let at = (samples.len() * share / 100).min(samples.len().saturating_sub(1));
    samples.get(at).copied().unwrap_or(f64::NAN)
}
