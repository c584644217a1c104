//! Reports of engines about their scans and commits.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MetricsReport {
    /// Counts up from 1 on each node that leads.
    pub number: u64,
    /// When it came.
    pub at_ms: i64,
    /// Levels of the table's namespace.
    pub namespace: Vec<String>,
    /// The table's name in there.
    pub table: String,
    /// `scan-report` or `commit-report`.
    pub report_type: String,
    /// The report as the engine sent it.
    pub report: Box<RawValue>,
}

/// Reports after a cursor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MetricsReportPage {
    /// The reports, oldest first.
    pub reports: Vec<MetricsReport>,
    /// The cursor for the next call.
    pub cursor: u64,
    /// Reports after the given cursor are no longer kept.
    pub lost: bool,
}
