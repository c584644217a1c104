//! Kafka: partitions are assigned at offsets that the catalog holds. No consumer group, no stored offsets, no rebalance.

mod bounds;
mod context;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use regex::Regex;

use self::bounds::Bounds;
use self::context::Told;
use super::{Discovered, Poll, PollBounds, Reach, Source};
use crate::error::{IngestError, Result};
use crate::options::KafkaOptions;
use crate::record::{Partition, Record};
use tidewater_core::SharedClock;

/// Settings that exactly-once rests on; nobody may change them.
const FIXED: &[(&str, &str)] = &[
    // Offsets are the catalog's; the group only has a name because the client asks for one.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // An offset that is gone is a loss to be told, never a reason to jump.
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    // The position then passes what is no record at the end of a partition.
    ("enable.partition.eof", "true"),
    ("check.crcs", "true"),
    ("allow.auto.create.topics", "false"),
];

/// Settings that may be changed.
const DEFAULTS: &[(&str, &str)] = &[
    ("group.id", "tidewater-ingest"),
    ("client.id", "tidewater"),
    ("fetch.wait.max.ms", "50"),
    ("fetch.min.bytes", "1"),
    // The default of a second would stall a partition whose queue was full for a moment.
    ("fetch.queue.backoff.ms", "20"),
    ("queued.max.messages.kbytes", "32768"),
    ("topic.metadata.refresh.interval.ms", "30000"),
];

/// How long the client may take to let its old positions go. It takes some milliseconds, or its threads stand still.
const ASSIGN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between looks at what goes on in the client or with a broker.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Partitions of the topics that match.
pub struct KafkaSource {
    consumer: Arc<BaseConsumer<Told>>,
    clock: SharedClock,
    bounds: Bounds,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource")
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

impl KafkaSource {
    /// Connects in the background.
    pub fn new(options: &KafkaOptions, clock: SharedClock) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &options.brokers);
        for (key, value) in DEFAULTS {
            config.set(*key, *value);
        }
        for (key, value) in &options.settings {
            if FIXED.iter().any(|(fixed, _)| fixed == key) {
                return Err(IngestError::Setting {
                    setting: format!("kafka setting {key}"),
                    problem: "exactly-once rests on it, it is fixed".into(),
                });
            }
            config.set(key, value);
        }
        for (key, value) in FIXED {
            config.set(*key, *value);
        }
        let consumer = config.create_with_context(Told).map_err(failed("connect"))?;
        let topics = options
            .topics
            .iter()
            .map(|pattern| anchored(pattern))
            .collect::<Result<_>>()?;
        Ok(Self {
            consumer: Arc::new(consumer),
            clock,
            bounds: Bounds::new(topics),
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BaseConsumer<Told>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let consumer = Arc::clone(&self.consumer);
        let done = tokio::task::spawn_blocking(move || work(&consumer));
        done.await.map_err(|_| IngestError::Task { what: "polling kafka" })?
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn partitions(&mut self) -> Result<Vec<Discovered>> {
        self.bounds.serve(&self.consumer, self.clock.monotonic())?;
        // Only a reader that knows nothing yet has nothing better to do than to wait.
        while self.bounds.is_empty() && self.bounds.is_asking() {
            self.clock.sleep(LOOK_INTERVAL).await;
            self.bounds.serve(&self.consumer, self.clock.monotonic())?;
        }
        Ok(self.bounds.discovered())
    }

    fn reach(&self) -> Reach {
        Reach::Matching(self.bounds.patterns().to_vec())
    }

    fn topics(&self) -> Option<BTreeSet<String>> {
        self.bounds.there().cloned()
    }

    fn ask_anew(&mut self) {
        self.bounds.ask_anew();
    }

    /// Returns once the client has let its old positions go: it does so after the call, and a position of the assignment before
    /// would pass for read what is yet to come. From then on a position is where a record or an entry that is no record was
    /// handed out, as only [`Source::poll`] does.
    async fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for (partition, position) in positions {
            list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*position))
                .map_err(failed("name an offset"))?;
        }
        self.blocking(move |consumer| consumer.assign(&list).map_err(failed("assign partitions")))
            .await?;
        let deadline = self.clock.monotonic() + ASSIGN_TIMEOUT;
        while self.blocking(stands).await? {
            if self.clock.monotonic() > deadline {
                let late = KafkaError::SetPartitionOffset(RDKafkaErrorCode::OperationTimedOut);
                return Err(failed("let old positions go")(late));
            }
            self.clock.sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    async fn poll(&mut self, bounds: PollBounds) -> Result<Poll> {
        let names = self.bounds.names();
        let poll = self.blocking(move |consumer| poll(consumer, bounds, &names)).await?;
        for (partition, position) in &poll.positions {
            self.bounds.passed(partition, *position);
        }
        if poll.changed || poll.stalled {
            self.bounds.ask_anew();
        }
        Ok(poll)
    }
}

fn anchored(pattern: &str) -> Result<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| IngestError::Setting {
        setting: "topics".into(),
        problem: error.to_string(),
    })
}

fn failed(action: &'static str) -> impl Fn(KafkaError) -> IngestError {
    move |source| IngestError::Kafka { action, source }
}

/// Whether any partition has a position.
fn stands(consumer: &BaseConsumer<Told>) -> Result<bool> {
    let list = consumer.position().map_err(failed("tell its position"))?;
    let mut elements = list.elements().into_iter();
    Ok(elements.any(|element| matches!(element.offset(), Offset::Offset(_))))
}

fn poll(consumer: &BaseConsumer<Told>, bounds: PollBounds, names: &BTreeMap<String, Arc<str>>) -> Result<Poll> {
    let mut poll = Poll::default();
    let (mut bytes, mut wait) = (0, bounds.wait);
    while bytes < bounds.bytes && poll.records.len() < bounds.records {
        match consumer.poll(wait) {
            None => break,
            Some(Ok(message)) => {
                let record = record(&message, names);
                bytes += record.size_bytes();
                poll.records.push(record);
            }
            // The end of a partition: others may have more.
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => match error.rdkafka_error_code() {
                // The client reads the partition no more. Either its offset is gone, which its bounds will tell, or the
                // broker was mistaken for a moment.
                Some(
                    RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::OffsetOutOfRange
                    | RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownPartition,
                ) => {
                    tracing::debug!(%error, "kafka stopped reading a partition");
                    poll.stalled = true;
                    break;
                }
                // The client reconnects by itself.
                Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
                    tracing::debug!(%error, "kafka broker is away");
                }
                _ => return Err(failed("read")(error)),
            },
        }
        wait = Duration::ZERO;
    }
    poll.positions = positions(consumer, names)?;
    Ok(poll)
}

/// Where the consumer stands, entries that are no records included.
fn positions(consumer: &BaseConsumer<Told>, names: &BTreeMap<String, Arc<str>>) -> Result<Vec<(Partition, i64)>> {
    let list = consumer.position().map_err(failed("tell its position"))?;
    let standing = list
        .elements()
        .into_iter()
        .filter_map(|element| match element.offset() {
            Offset::Offset(position) => {
                let partition = Partition {
                    topic: names
                        .get(element.topic())
                        .cloned()
                        .unwrap_or_else(|| element.topic().into()),
                    number: element.partition(),
                };
                Some((partition, position))
            }
            _ => None,
        });
    Ok(standing.collect())
}

fn record(message: &BorrowedMessage<'_>, names: &BTreeMap<String, Arc<str>>) -> Record {
    let topic = names
        .get(message.topic())
        .cloned()
        .unwrap_or_else(|| message.topic().into());
    Record {
        partition: Partition {
            topic,
            number: message.partition(),
        },
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        headers: message.headers().map(|headers| {
            let pairs: Vec<_> = headers
                .iter()
                .map(|header| (header.key, header.value.map(String::from_utf8_lossy)))
                .collect();
            serde_json::to_string(&pairs).unwrap_or_default()
        }),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        fault: None,
    }
}
