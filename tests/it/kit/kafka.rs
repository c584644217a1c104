//! Reads whole topics of a real Kafka, apart from tidewater: what there is to be found in bronze.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::Value;

/// Longest wait for one answer of the broker.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// One record that carries a change: where it stands, and what of it is easy to tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub topic: String,
    pub partition: i64,
    pub offset: i64,
    pub op: String,
    pub lsn: Option<i64>,
}

/// The changes in all topics whose names begin so, from their first record to the one that is the last now.
pub fn changes(bootstrap: &str, prefix: &str) -> Vec<Change> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "tidewater-test")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(None, ANSWER_MAX).unwrap();
    let mut wanted = TopicPartitionList::new();
    for topic in metadata
        .topics()
        .iter()
        .filter(|topic| topic.name().starts_with(prefix))
    {
        for partition in topic.partitions() {
            wanted
                .add_partition_offset(topic.name(), partition.id(), Offset::Beginning)
                .unwrap();
        }
    }
    consumer.assign(&wanted).unwrap();
    let mut open = wanted.count();
    let mut found = Vec::new();
    while open > 0 {
        match consumer.poll(ANSWER_MAX) {
            Some(Ok(record)) => found.extend(change(&record)),
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => panic!("reading {prefix}: {error}"),
            None => panic!("the broker is silent, {open} partitions are open"),
        }
    }
    found.sort();
    found
}

/// A record without a value is the delete of its key; other records tell their operation, or are no changes.
fn change(record: &impl Message) -> Option<Change> {
    let (op, lsn) = match record.payload() {
        None => ("d".to_owned(), None),
        Some(value) => {
            let value: Value = serde_json::from_slice(value).ok()?;
            let payload = value.get("payload").unwrap_or(&value);
            (payload["op"].as_str()?.to_owned(), payload["source"]["lsn"].as_i64())
        }
    };
    Some(Change {
        topic: record.topic().to_owned(),
        partition: record.partition().into(),
        offset: record.offset(),
        op,
        lsn,
    })
}
