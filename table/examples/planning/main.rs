//! What it takes to plan scans of a table of 100,000 files in 10,000 manifests: `planning`. Each case is a process of its own, so that
//! its memory is its own too. Figures are printed and go to `benches/results`.
#![expect(clippy::print_stdout, reason = "figures are this program's result")]

mod case;
mod large;
// One form of results for all such programs, without a crate for it.
#[path = "../../../catalog/examples/measure/report.rs"]
#[expect(dead_code, reason = "other programs report more kinds of figures")]
mod report;

use std::path::Path;
use std::process::Command;

use case::{Case, Measured};
use report::Report;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Runs of each case, of which the best time and the greatest memory count: on a busy machine times are upper bounds.
const RUNS: usize = 5;

/// Goals of issue 5.
const COLD_MS_MAX: f64 = 2_000.0;
const WARM_MS_MAX: f64 = 200.0;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => {
            let folder = tempfile::TempDir::new()?;
            all(folder.path())?.write()
        }
        // What this program starts itself.
        ["make", folder] => large::make(Path::new(folder)).await,
        ["case", folder, case] => {
            let measured = case::measure(Path::new(folder), case.parse()?).await?;
            println!("{}", serde_json::to_string(&measured)?);
            Ok(())
        }
        _ => Err("usage: planning".into()),
    }
}

fn all(folder: &Path) -> Result<Report> {
    let mut report = Report::new("planning", "scripts/bench-tables planning")?;
    itself(&["make", &folder.to_string_lossy()])?;
    for case in [Case::All, Case::Partition, Case::Column] {
        let name = |figure: &str| format!("{case}: {figure}");
        let mut runs = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let output = itself(&["case", &folder.to_string_lossy(), &case.to_string()])?;
            runs.push(serde_json::from_slice::<Measured>(&output)?);
        }
        let least = |figure: fn(&Measured) -> f64| runs.iter().map(figure).fold(f64::INFINITY, f64::min);
        let most = |figure: fn(&Measured) -> f64| runs.iter().map(figure).fold(0.0, f64::max);
        report.figure(&name("files"), most(|run| run.files as f64), "files");
        report.at_most(&name("cold"), least(|run| run.cold_ms), "ms", COLD_MS_MAX);
        report.at_most(&name("warm"), least(|run| run.warm_ms), "ms", WARM_MS_MAX);
        report.figure(&name("cold, worst"), most(|run| run.cold_ms), "ms");
        report.figure(&name("warm, worst"), most(|run| run.warm_ms), "ms");
        report.figure(&name("processor time, cold"), least(|run| run.cold_processor_ms), "ms");
        report.figure(&name("memory, peak"), most(|run| run.peak_bytes) / 1e6, "MB");
        report.figure(
            &name("memory kept with the plan"),
            most(|run| run.planned_bytes) / 1e6,
            "MB",
        );
        report.figure(&name("memory kept without it"), most(|run| run.kept_bytes) / 1e6, "MB");
    }
    report.note(format!(
        "{} files in {} manifests, {} columns; best of {RUNS} runs, each in a process of its own with default options",
        large::FILES,
        large::FILES / large::FILES_PER_MANIFEST,
        large::COLUMNS,
    ));
    report.note("cold: nothing is cached by the process, the files are in the page cache; warm: the best of three plans after it");
    report.note("memory: resident, beyond what the process had before it planned; peak is that of the first plan");
    Ok(report)
}

fn itself(arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}
