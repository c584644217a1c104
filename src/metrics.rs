//! `/metrics`: what the process counts, and how its roles stand at a scrape, in Prometheus' text.
//!
//! Counters are kept by the roles themselves and registered once; what others know already (queues, lags, jobs) is gathered when it
//! is asked for. No label holds what a client sent: labels are this program's own words, routes, topics and models.

mod audit;
mod gather;
mod logins;
mod process;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub(crate) use self::audit::AuditCollector;
pub(crate) use self::gather::Gatherer;
pub(crate) use self::logins::LoginCollector;
use self::process::ProcessCollector;

/// The media type of what [`Metrics::text`] gives.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Everything that is counted in this process. Clones are the same.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// With the figures of the process itself.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let build = Build {
            version: env!("CARGO_PKG_VERSION"),
        };
        registry.register("tidewater_build", "What this process was built from", Info::new(build));
        registry.register_collector(Box::new(ProcessCollector));
        Self(Arc::new(Mutex::new(registry)))
    }

    /// Adds what a role counts; once for each role.
    pub(crate) fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.lock());
    }

    /// All that is counted, and what was gathered beside it.
    pub(crate) fn text(&self, gathered: &Registry) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.lock())?;
        encode_registry(&mut text, gathered)?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
