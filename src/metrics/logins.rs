//! Logins by way and outcome, which the fronts and the catalog of a process count together.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use tidewater_security::Logins;

/// Tells them at a scrape.
#[derive(Debug)]
pub(crate) struct LoginCollector(pub(crate) Arc<Logins>);

impl Collector for LoginCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Logins, by what was shown and what became of them";
        let mut metric = encoder.encode_descriptor("tidewater_logins", help, None, MetricType::Counter)?;
        for (way, outcome, count) in self.0.counts() {
            let labels = vec![("way", way.name()), ("outcome", outcome.name())];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
