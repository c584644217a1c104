//! Kafka: partitions are assigned at offsets that the catalog holds. No consumer group, no stored offsets, no rebalance.

mod context;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use regex::Regex;

use self::context::Told;
use super::{Discovered, Poll, PollBounds, Source};
use crate::error::{IngestError, Result};
use crate::options::KafkaOptions;
use crate::record::{Partition, Record};
use tidewater_core::SharedClock;

/// Longest wait for an answer about topics or offsets.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Topics of Kafka itself begin like this.
const INTERNAL_PREFIX: &str = "__consumer_offsets";

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

/// How often brokers are asked for topics and bounds. Each partition costs a round trip, and reading stands still meanwhile.
const QUERY_INTERVAL: Duration = Duration::from_secs(5);

/// Partitions of the topics that match.
pub struct KafkaSource {
    consumer: Arc<BaseConsumer<Told>>,
    clock: SharedClock,
    topics: Vec<Regex>,
    names: Arc<BTreeMap<String, Arc<str>>>,
    /// What the brokers said last, and when. The end moves on with what is read.
    found: BTreeMap<Partition, (i64, i64)>,
    asked_at: Option<Duration>,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource")
            .field("topics", &self.topics)
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
            topics,
            names: Arc::default(),
            found: BTreeMap::new(),
            asked_at: None,
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

    fn partition(&mut self, topic: &str, number: i32) -> Partition {
        let topic = match self.names.get(topic) {
            Some(name) => Arc::clone(name),
            None => {
                let name: Arc<str> = topic.into();
                Arc::make_mut(&mut self.names).insert(topic.to_owned(), Arc::clone(&name));
                name
            }
        };
        Partition { topic, number }
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn partitions(&mut self) -> Result<Vec<Discovered>> {
        let now = self.clock.monotonic();
        if self.asked_at.is_none_or(|at| now.saturating_sub(at) >= QUERY_INTERVAL) {
            let topics = self.topics.clone();
            let found = self.blocking(move |consumer| discover(consumer, &topics)).await?;
            self.found.clear();
            for (topic, number, low, high) in found {
                let partition = self.partition(&topic, number);
                self.found.insert(partition, (low, high));
            }
            self.asked_at = Some(now);
        }
        let discovered = self.found.iter().map(|(partition, (low, high))| Discovered {
            partition: partition.clone(),
            low: *low,
            high: *high,
        });
        Ok(discovered.collect())
    }

    async fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for (partition, position) in positions {
            list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*position))
                .map_err(failed("name an offset"))?;
        }
        self.blocking(move |consumer| consumer.assign(&list).map_err(failed("assign partitions")))
            .await
    }

    async fn poll(&mut self, bounds: PollBounds) -> Result<Poll> {
        let names = Arc::clone(&self.names);
        let poll = self.blocking(move |consumer| poll(consumer, bounds, &names)).await?;
        for (partition, position) in &poll.positions {
            if let Some((_, high)) = self.found.get_mut(partition) {
                *high = (*high).max(*position);
            }
        }
        if poll.changed {
            self.asked_at = None;
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

fn discover(consumer: &BaseConsumer<Told>, topics: &[Regex]) -> Result<Vec<(String, i32, i64, i64)>> {
    let metadata = consumer
        .fetch_metadata(None, QUERY_TIMEOUT)
        .map_err(failed("list topics"))?;
    let mut found = Vec::new();
    for topic in metadata.topics() {
        let name = topic.name();
        if name.starts_with(INTERNAL_PREFIX) || !topics.iter().any(|pattern| pattern.is_match(name)) {
            continue;
        }
        for partition in topic.partitions() {
            let (low, high) = consumer
                .fetch_watermarks(name, partition.id(), QUERY_TIMEOUT)
                .map_err(failed("ask for the bounds of a partition"))?;
            found.push((name.to_owned(), partition.id(), low, high));
        }
    }
    Ok(found)
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
                // The offset is gone: the bounds of the partitions will tell which.
                Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                    poll.changed = true;
                    break;
                }
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition) => {
                    poll.changed = true;
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
