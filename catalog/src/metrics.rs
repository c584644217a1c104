//! What is counted of the catalog: requests by route, writes to the log, and how the group stands.

mod metered;
mod raft;

use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub(crate) use metered::Metered;
pub use raft::RaftCollector;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    /// As the router has it, with the places of names.
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    outcome: &'static str,
}

/// From a look into memory to the deadline of a request; coarse, as there are many routes.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 9))
}

/// Counters since the start of the process. Clones are the same counters.
#[derive(Debug, Clone)]
pub struct CatalogMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<RouteLabels, Histogram, fn() -> Histogram>,
    writes: Family<WriteLabels, Histogram, fn() -> Histogram>,
}

impl Default for CatalogMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(durations),
            writes: Family::new_with_constructor(durations),
        }
    }
}

impl CatalogMetrics {
    /// Lets the counters be scraped with `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let of = registry.sub_registry_with_prefix("tidewater_catalog");
        of.register(
            "requests",
            "Requests answered, internal calls among them",
            self.requests.clone(),
        );
        of.register(
            "request_duration_seconds",
            "From a request to the head of its answer",
            self.duration.clone(),
        );
        of.register(
            "write_duration_seconds",
            "From a write to its being applied here: the log's latency, waiting in the group commit included",
            self.writes.clone(),
        );
    }

    pub(crate) fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let labels = RequestLabels {
            method: known(method),
            route: route.to_owned(),
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels {
            route: route.to_owned(),
        };
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    fn written(&self, applied: bool, took: Duration) {
        let outcome = if applied { "applied" } else { "failed" };
        let labels = WriteLabels { outcome };
        self.writes.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// A method as a label: a client may send any word.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    // Goal: what a client sends becomes no label. Method: requests with methods and paths of a client's own, and what is scraped.
    #[test]
    fn clients_make_no_labels() {
        let metrics = CatalogMetrics::default();
        let made_up = Method::from_bytes(b"PROPFIND-1").expect("a method");
        metrics.answered(&made_up, "none", StatusCode::NOT_FOUND, Duration::from_millis(3));
        metrics.answered(
            &Method::GET,
            "/v1/namespaces/{namespace}",
            StatusCode::OK,
            Duration::from_millis(3),
        );
        metrics.written(true, Duration::from_millis(9));
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).expect("text");
        assert!(!text.contains("PROPFIND"), "{text}");
        assert!(
            text.contains(r#"method="other",route="none",status="404"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"tidewater_catalog_write_duration_seconds_count{outcome="applied"} 1"#),
            "{text}"
        );
    }
}
