//! One record of a topic, and the line it is in a file.

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A record as a broker would hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the whole delivery, from 0.
    pub sequence: u64,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Its place in the partition, from 0 without gaps.
    pub offset: i64,
    /// When the broker got it, in milliseconds since the Unix epoch; never falls within a partition.
    pub timestamp_ms: i64,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The key: JSON text.
    pub key: Vec<u8>,
    /// The value: JSON text, or nothing for a tombstone.
    pub value: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    headers: &'a [(String, String)],
    key: Payload<'a>,
    value: Option<Payload<'a>>,
}

#[derive(Serialize)]
struct Payload<'a> {
    text: &'a str,
}

/// Where the record of a line stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Record {
    /// Appends the record as one line of a file source: a JSON object and a line feed.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let text = |bytes| std::str::from_utf8(bytes).expect("keys and values are JSON text, which is UTF-8");
        let line = Line {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp_ms,
            headers: &self.headers,
            key: Payload { text: text(&self.key) },
            value: self.value.as_ref().map(|value| Payload { text: text(value) }),
        };
        serde_json::to_writer(&mut *out, &line).expect("a line has a JSON form and memory does not fail");
        out.write_all(b"\n").expect("memory does not fail");
    }
}
