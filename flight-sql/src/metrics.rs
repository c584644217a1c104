//! What is counted of statements: by front, by how they ended and by what became of them in the cache.
//!
//! Labels are texts of this program only, so that nothing a client sends becomes one.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use tidewater_core::ErrorKind;

/// By which way a statement came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Front {
    /// Arrow Flight SQL.
    FlightSql,
    /// The PostgreSQL wire.
    Postgres,
    /// HTTP.
    Http,
    /// None of them: somebody in this process.
    #[default]
    Inside,
}

impl Front {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FlightSql => "flight_sql",
            Self::Postgres => "postgres",
            Self::Http => "http",
            Self::Inside => "inside",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatementLabels {
    front: &'static str,
    outcome: &'static str,
    cache: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FrontLabels {
    front: &'static str,
}

/// A histogram for each front.
type Histograms = Family<FrontLabels, Histogram, fn() -> Histogram>;

/// From a kept answer of a millisecond to a report of four minutes.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 18))
}

/// Counters of statements since the start of the process. Clones are the same counters.
#[derive(Debug, Clone)]
pub struct QueryMetrics {
    statements: Family<StatementLabels, Counter>,
    running: Family<FrontLabels, Gauge>,
    duration: Histograms,
    queue_wait: Histograms,
    rows: Family<FrontLabels, Counter>,
    bytes: Family<FrontLabels, Counter>,
}

impl Default for QueryMetrics {
    fn default() -> Self {
        Self {
            statements: Family::default(),
            running: Family::default(),
            duration: Family::new_with_constructor(durations),
            queue_wait: Family::new_with_constructor(durations),
            rows: Family::default(),
            bytes: Family::default(),
        }
    }
}

/// How a statement went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended<'a> {
    pub(crate) front: Front,
    pub(crate) failure: Option<ErrorKind>,
    /// As the history has it: a word, maybe with a reason behind it.
    pub(crate) cache: Option<&'a str>,
    pub(crate) took: Duration,
    /// None for what never asked for a place.
    pub(crate) waited: Option<Duration>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl QueryMetrics {
    /// Lets the counters be scraped with `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let of = registry.sub_registry_with_prefix("tidewater_query");
        of.register("statements", "Statements that have ended", self.statements.clone());
        of.register(
            "running",
            "Statements at work or waiting for their turn",
            self.running.clone(),
        );
        of.register(
            "duration_seconds",
            "From a statement's arrival to its last row",
            self.duration.clone(),
        );
        of.register(
            "queue_wait_seconds",
            "Wait for a turn, of statements that ran",
            self.queue_wait.clone(),
        );
        of.register(
            "rows",
            "Rows given or changed by statements that have ended",
            self.rows.clone(),
        );
        of.register(
            "result_bytes",
            "Bytes of the rows given, as they lie in memory",
            self.bytes.clone(),
        );
    }

    pub(crate) fn began(&self, front: Front) {
        let labels = FrontLabels { front: front.name() };
        self.running.get_or_create(&labels).inc();
    }

    pub(crate) fn ended(&self, how: &Ended<'_>) {
        let front = how.front.name();
        let labels = FrontLabels { front };
        self.running.get_or_create(&labels).dec();
        let statement = StatementLabels {
            front,
            outcome: how.failure.map_or("ok", outcome),
            cache: how.cache.map_or("none", cache),
        };
        self.statements.get_or_create(&statement).inc();
        self.duration.get_or_create(&labels).observe(how.took.as_secs_f64());
        if let Some(waited) = how.waited {
            self.queue_wait.get_or_create(&labels).observe(waited.as_secs_f64());
        }
        self.rows.get_or_create(&labels).inc_by(how.rows);
        self.bytes.get_or_create(&labels).inc_by(how.bytes);
    }
}

fn cache(told: &str) -> &'static str {
    match told.split(' ').next() {
        Some("HIT") => "hit",
        Some("MISS") => "miss",
        Some("COALESCED") => "coalesced",
        _ => "bypass",
    }
}

fn outcome(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "invalid",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Denied => "denied",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Exhausted => "exhausted",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Fenced => "fenced",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Internal => "internal",
    }
}
