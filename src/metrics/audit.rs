//! What became of the lines of the audit log.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

use tidewater_security::AuditLog;

/// Tells it at a scrape.
#[derive(Debug)]
pub(crate) struct AuditCollector(pub(crate) AuditLog);

impl Collector for AuditCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.counts();
        let figures = [
            (
                "tidewater_audit_lines",
                "Lines that the audit log was given and has written",
                counts.written,
            ),
            (
                "tidewater_audit_lost",
                "Lines that the audit log was given and has not written",
                counts.lost,
            ),
            (
                "tidewater_audit_failures",
                "Times that the disk of the audit log failed",
                counts.failures,
            ),
            (
                "tidewater_audit_removed_early",
                "Files of the audit log removed before their time, to make room",
                counts.removed_early,
            ),
        ];
        for (name, help, count) in figures {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}
