//! How old a row is when a query over Flight SQL first sees it.

use crate::report::{Report, percentile};

pub(crate) mod kafka;
pub(crate) mod postgres;

/// The 99th percentile of bronze should be no later than this.
const GOAL_P99_MS: f64 = 3_000.0;

/// Tells percentiles of ages in milliseconds, the 99th with its goal if there is one. `ages` must not be empty.
fn tell(report: &mut Report, name: &str, ages: &mut [f64], goal_p99_ms: Option<f64>) {
    report.figure(&format!("{name}.samples"), ages.len() as f64, "rows");
    report.figure(&format!("{name}.p50"), percentile(ages, 50), "ms");
    report.figure(&format!("{name}.p90"), percentile(ages, 90), "ms");
    let (p99, name_p99) = (percentile(ages, 99), format!("{name}.p99"));
    match goal_p99_ms {
        Some(goal) => report.at_most(&name_p99, p99, "ms", goal),
        None => report.figure(&name_p99, p99, "ms"),
    }
    report.figure(&format!("{name}.max"), percentile(ages, 100), "ms");
}
