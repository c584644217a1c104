//! Records into real topics.
//!
//! Brokers give the offsets: a record's own offset is what a topic that nobody else writes to will give it.

use std::collections::VecDeque;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};

use crate::error::SynthError;
use crate::record::Record;
use tidewater_core::SharedClock;

/// Records on their way; more wait.
const IN_FLIGHT_MAX: usize = 20_000;

/// How long the producer's own queue may be full.
const QUEUE_WAIT: Duration = Duration::from_secs(60);

/// How long it waits between two tries on a full queue.
const QUEUE_RETRY: Duration = Duration::from_millis(10);

/// How long the brokers may take to answer.
const BROKER_WAIT: Duration = Duration::from_secs(30);

/// An idempotent producer.
pub struct KafkaSink {
    producer: FutureProducer,
    clock: SharedClock,
    in_flight: VecDeque<DeliveryFuture>,
}

impl std::fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSink")
            .field("in_flight", &self.in_flight.len())
            .finish_non_exhaustive()
    }
}

impl KafkaSink {
    /// Connects to `brokers` and creates the topics that are not there.
    pub async fn open(
        brokers: &str,
        topics: &[std::sync::Arc<str>],
        partitions: u32,
        clock: SharedClock,
    ) -> Result<Self, SynthError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        let admin: AdminClient<DefaultClientContext> = config.create().map_err(failed("connect"))?;
        let count = i32::try_from(partitions).unwrap_or(i32::MAX);
        let new: Vec<_> = topics
            .iter()
            .map(|topic| NewTopic::new(topic, count, TopicReplication::Fixed(1)))
            .collect();
        let options = AdminOptions::new().request_timeout(Some(BROKER_WAIT));
        for outcome in admin
            .create_topics(&new, &options)
            .await
            .map_err(failed("create topics"))?
        {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(failed("create a topic")(KafkaError::AdminOp(code))),
            }
        }
        let producer = config
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "100000")
            .create()
            .map_err(failed("connect"))?;
        Ok(Self {
            producer,
            clock,
            in_flight: VecDeque::new(),
        })
    }

    /// Sends a record. Errors of earlier ones show here or in [`Self::flush`].
    pub async fn append(&mut self, record: &Record) -> Result<(), SynthError> {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            self.settle_oldest().await?;
        }
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            });
        let mut to_send: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&record.topic)
            .partition(record.partition)
            .timestamp(record.timestamp_ms)
            .headers(headers)
            .key(&record.key);
        to_send.payload = record.value.as_deref();
        let deadline = self.clock.monotonic() + QUEUE_WAIT;
        loop {
            match self.producer.send_result(to_send) {
                Ok(delivery) => {
                    self.in_flight.push_back(delivery);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if self.clock.monotonic() < deadline =>
                {
                    to_send = back;
                    self.clock.sleep(QUEUE_RETRY).await;
                }
                Err((error, _)) => return Err(failed("send a record")(error)),
            }
        }
    }

    /// Waits until the brokers have everything.
    pub async fn flush(&mut self) -> Result<(), SynthError> {
        while !self.in_flight.is_empty() {
            self.settle_oldest().await?;
        }
        self.producer.flush(BROKER_WAIT).map_err(failed("flush"))
    }

    async fn settle_oldest(&mut self) -> Result<(), SynthError> {
        let Some(delivery) = self.in_flight.pop_front() else {
            return Ok(());
        };
        match delivery.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(failed("send a record")(error)),
            Err(_) => Err(failed("send a record")(KafkaError::Canceled)),
        }
    }
}

fn failed(action: &'static str) -> impl FnOnce(KafkaError) -> SynthError {
    move |source| SynthError::Kafka {
        action,
        source: Box::new(source),
    }
}
