//! Benchmarks: programs that measure figures and ratios in one run and write them to `benches/results/<name>.json`.
//!
//! `scripts/bench [NAME...]` runs them in release; without a name all of them. A figure that misses its goal is told, never
//! asserted: machines differ.

use std::io::Write;

use anyhow::{Context, Result, bail};

use report::Report;

mod decode;
mod flight;
mod freshness;
mod ingest;
mod memory;
mod process;
mod report;

type Bench = fn(&mut Report) -> Result<()>;

const BENCHES: &[(&str, Bench)] = &[
    ("decode", decode::run),
    ("ingest", ingest::run),
    ("freshness", freshness::kafka::run),
    ("freshness_postgres", freshness::postgres::run),
    ("memory", memory::run),
];

fn main() -> Result<()> {
    // Cargo passes flags of its own harness.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let known = |name: &String| BENCHES.iter().any(|(bench, _)| bench == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let names: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        bail!("no benchmark {unknown:?}; there are {}", names.join(", "));
    }
    for (name, bench) in BENCHES {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        say(&format!("== {name}"));
        let mut report = Report::new(name)?;
        bench(&mut report).with_context(|| format!("benchmark {name}"))?;
        report.write()?;
    }
    Ok(())
}

/// Runs a benchmark that talks to processes.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?
        .block_on(work)
}

/// A line for whoever waits. That nobody reads it is no failure.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
