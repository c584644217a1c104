//! What clients reported about their scans and commits: the newest, in the memory of the node that leads.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;

use crate::command::Ident;

/// Most reports kept: at ten a second this is a quarter of an hour.
const REPORTS_MAX: usize = 10_000;

/// Most bytes of all kept reports together.
const REPORTS_BYTES_MAX: usize = 32 << 20;

/// Largest report: a scan with a filter of thousands of values fits in.
pub(crate) const REPORT_BYTES_MAX: usize = 256 << 10;

/// One report.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Counts up from 1; the cursor of those who read on.
    pub(crate) number: u64,
    pub(crate) at_ms: i64,
    pub(crate) table: Ident,
    pub(crate) kind: String,
    /// The report as it came.
    pub(crate) body: Box<RawValue>,
}

/// Which reports are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) after: u64,
    pub(crate) namespace: Option<Vec<String>>,
    pub(crate) table: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) limit: usize,
}

/// Reports after a cursor.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) reports: Vec<Report>,
    /// The cursor for the next call.
    pub(crate) cursor: u64,
    /// Reports after the given cursor are no longer kept.
    pub(crate) lost: bool,
}

/// The kept reports.
#[derive(Debug)]
pub(crate) struct Reports {
    kept: Mutex<Kept>,
    count_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    reports: VecDeque<Report>,
    bytes: usize,
    newest: u64,
}

impl Default for Reports {
    fn default() -> Self {
        Self::bounded(REPORTS_MAX, REPORTS_BYTES_MAX)
    }
}

impl Reports {
    fn bounded(count_max: usize, bytes_max: usize) -> Self {
        Self {
            kept: Mutex::default(),
            count_max,
            bytes_max,
        }
    }

    /// Keeps a report; the oldest go when there are too many.
    pub(crate) fn keep(&self, at_ms: i64, table: Ident, kind: String, body: Box<RawValue>) {
        let mut kept = self.lock();
        kept.newest += 1;
        let number = kept.newest;
        let report = Report {
            number,
            at_ms,
            table,
            kind,
            body,
        };
        kept.bytes += weight(&report);
        kept.reports.push_back(report);
        while kept.reports.len() > self.count_max || kept.bytes > self.bytes_max {
            let Some(oldest) = kept.reports.pop_front() else { break };
            kept.bytes -= weight(&oldest);
        }
    }

    /// The reports after a cursor, the oldest first.
    pub(crate) fn page(&self, wanted: &Wanted) -> Page {
        let kept = self.lock();
        let oldest = kept.reports.front().map_or(kept.newest + 1, |report| report.number);
        let is_wanted = |report: &&Report| {
            let ident = &report.table;
            wanted
                .namespace
                .as_ref()
                .is_none_or(|levels| *levels == ident.namespace)
                && wanted.table.as_ref().is_none_or(|name| *name == ident.name)
                && wanted.kind.as_ref().is_none_or(|kind| *kind == report.kind)
        };
        let newer = kept.reports.iter().filter(|report| report.number > wanted.after);
        let reports: Vec<Report> = newer.filter(is_wanted).take(wanted.limit).cloned().collect();
        let is_full = reports.len() == wanted.limit;
        let last = reports.last().map(|report| report.number).filter(|_| is_full);
        Page {
            cursor: last.unwrap_or_else(|| kept.newest.max(wanted.after)),
            lost: wanted.after + 1 < oldest,
            reports,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a report takes in memory, about.
fn weight(report: &Report) -> usize {
    let names: usize = report.table.namespace.iter().map(String::len).sum();
    report.body.get().len() + names + report.table.name.len() + report.kind.len() + size_of::<Report>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(reports: &Reports, name: &str, bytes: usize) {
        let table = Ident {
            namespace: vec!["a".into()],
            name: name.into(),
        };
        let body = RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).expect("JSON");
        reports.keep(0, table, "scan-report".into(), body);
    }

    // Goal: the store is bounded by number and by bytes, and tells who reads on what he missed. Method: more of both than it keeps.
    #[test]
    fn the_oldest_go() {
        let reports = Reports::bounded(4, 3_300);
        for _ in 0..6 {
            keep(&reports, "t", 1);
        }
        let all = Wanted {
            limit: 10,
            ..Wanted::default()
        };
        let page = reports.page(&all);
        let numbers: Vec<u64> = page.reports.iter().map(|report| report.number).collect();
        assert_eq!((numbers, page.cursor, page.lost), (vec![3, 4, 5, 6], 6, true));
        keep(&reports, "u", 3_000);
        let page = reports.page(&all);
        assert!(page.reports.len() < 4, "{}", page.reports.len());
        assert_eq!(page.reports.last().map(|report| report.number), Some(7));
        keep(&reports, "t", 9_000);
        assert_eq!(reports.page(&all).reports.len(), 0);
        assert_eq!(reports.page(&all).cursor, 8);
    }

    // Goal: pages go on where the last one ended, filters included. Method: pages of two over reports of two tables.
    #[test]
    fn pages_go_on() {
        let reports = Reports::default();
        for number in 0..10 {
            keep(&reports, if number % 2 == 0 { "t" } else { "u" }, 1);
        }
        let mut wanted = Wanted {
            table: Some("u".into()),
            limit: 2,
            ..Wanted::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = reports.page(&wanted);
            assert!(!page.lost);
            if page.reports.is_empty() {
                break;
            }
            seen.extend(page.reports.iter().map(|report| report.number));
            wanted.after = page.cursor;
        }
        assert_eq!((seen, wanted.after), (vec![2, 4, 6, 8, 10], 10));
    }
}
