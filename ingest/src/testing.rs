//! What tests of this crate share.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::{Partition, Record};
use crate::source::file::parse_line;

/// The records of `fixtures/debezium-3.6.3-pg15.jsonl`.
pub(crate) fn fixtures() -> Vec<Record> {
    let text = include_str!("../fixtures/debezium-3.6.3-pg15.jsonl");
    text.lines().map(|line| parse_line(line.as_bytes()).expect("a fixture is a record")).collect()
}

/// A record with a JSON key and value.
pub(crate) fn record(topic: &str, offset: i64, key: Option<&str>, value: Option<&str>) -> Record {
    let bytes = |text: Option<&str>| text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    Record {
        partition: Partition {
            topic: Arc::from(topic),
            number: 0,
        },
        offset,
        timestamp_ms: Some(1_767_225_600_000 + offset),
        headers: None,
        key: bytes(key),
        value: bytes(value),
        fault: None,
    }
}
