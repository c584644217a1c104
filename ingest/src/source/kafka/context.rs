//! What the Kafka client tells by itself, at the level that fits: it calls the end of a partition an error.

use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Every error that a reader has to act on is also an answer to its poll, and told where that is handled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told;

impl ClientContext for Told {
    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            // The client reconnects by itself; the status tells how long nothing came.
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
                tracing::warn!(%error, reason, "kafka is away");
            }
            _ => tracing::debug!(%error, reason, "kafka client"),
        }
    }
}

impl ConsumerContext for Told {}
