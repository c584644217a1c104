//! A record as a source delivers it.

use std::sync::Arc;

use bytes::Bytes;

use crate::decode::RecordFault;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: Arc<str>,
    /// Its number.
    pub number: i32,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.number)
    }
}

/// One record of a change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub partition: Partition,
    /// Its place there.
    pub offset: i64,
    /// Kafka's time of it; none if the broker knows none.
    pub timestamp_ms: Option<i64>,
    /// Its headers as a JSON array of pairs; none if there are none. Kept for dead letters.
    pub headers: Option<String>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; none is a tombstone.
    pub value: Option<Bytes>,
    /// Why the source could not even read it.
    pub fault: Option<RecordFault>,
}

impl Record {
    /// The same with payloads of its own: those of a source may be parts of all that was read at once, which they keep in memory.
    pub(crate) fn detached(mut self) -> Self {
        let own = |bytes: Option<Bytes>| bytes.map(|bytes| Bytes::copy_from_slice(&bytes));
        self.key = own(self.key);
        self.value = own(self.value);
        self
    }

    /// What it takes in memory, roughly.
    pub fn size_bytes(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        length(&self.key) + length(&self.value) + self.headers.as_ref().map_or(0, String::len) + size_of::<Self>()
    }
}
