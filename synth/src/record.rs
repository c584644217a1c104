//! One record of a topic, and the line it is in a file.

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
    /// The key: JSON text without line feeds.
    pub key: Vec<u8>,
    /// The value: JSON text without line feeds, or nothing for a tombstone.
    pub value: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct LineHead<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    headers: &'a [(String, String)],
}

/// Where the record of a line stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Record {
    /// Appends the record as one line of a file source: a JSON object and a line feed. Key and value stand in it as they are.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let head = LineHead {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp_ms,
            headers: &self.headers,
        };
        serde_json::to_writer(&mut *out, &head).expect("it has a JSON form and memory does not fail");
        // The members that follow take the place of the object's end.
        out.pop();
        out.extend_from_slice(b",\"key\":{\"json\":");
        out.extend_from_slice(&self.key);
        out.extend_from_slice(b"},\"value\":");
        match &self.value {
            Some(value) => {
                out.extend_from_slice(b"{\"json\":");
                out.extend_from_slice(value);
                out.push(b'}');
            }
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}\n");
    }
}
