//! One line of a segment: a record with its place, or something broken.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;

use super::ends::Known;
use super::fields::{Field, Fields, NoObject, text_of};
use super::line_fault;
use crate::decode::RecordFault;
use crate::record::{Partition, Record};

/// The place of a record, read without looking at the rest.
pub(super) struct LineHead<'a> {
    pub(super) topic: Cow<'a, str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Fields found on the way to the place.
    seen: Vec<Field<'a>>,
    rest: Fields<'a>,
}

impl<'a> LineHead<'a> {
    pub(super) fn of(line: &'a [u8]) -> Result<Self, RecordFault> {
        let mut rest = Fields::of(line);
        let mut seen = Vec::new();
        let (mut topic, mut partition, mut offset) = (None, None, None);
        let (topic, partition, offset) = loop {
            if let (Some(topic), Some(partition), Some(offset)) = (&topic, partition, offset) {
                break (Cow::clone(topic), partition, offset);
            }
            let field = rest
                .next()
                .ok_or_else(|| line_fault("topic, partition or offset is missing"))?;
            let (name, value) = field.map_err(no_object)?;
            match name.as_ref() {
                "topic" => topic = Some(text(value)?),
                "partition" => partition = Some(number(value)?),
                "offset" => offset = Some(number(value)?),
                _ => seen.push((name, value)),
            }
        };
        let partition = i32::try_from(partition).map_err(|_| line_fault("partition is no 32-bit number"))?;
        if topic.is_empty() || partition < 0 || offset < 0 {
            return Err(line_fault("topic is empty, or partition or offset is negative"));
        }
        Ok(Self {
            topic,
            partition,
            offset,
            seen,
            rest,
        })
    }

    /// The record. Payloads that stand in the line as they are stay there: `chunk` is what the line was read with.
    pub(super) fn record(
        mut self,
        partition: Partition,
        chunk: &Bytes,
        known: &mut Known,
    ) -> Result<Record, RecordFault> {
        let mut record = Record {
            partition,
            offset: self.offset,
            timestamp_ms: None,
            headers: None,
            key: None,
            value: None,
            fault: None,
        };
        for (name, value) in &self.seen {
            match &**name {
                "key" => record.key = payload(first_of(value)?, chunk)?,
                "value" => record.value = payload(first_of(value)?, chunk)?,
                name => take_field(&mut record, name, value)?,
            }
        }
        while let Some(name) = self.rest.name().map_err(no_object)? {
            match &*name {
                "key" => record.key = payload(self.rest.first_of_value(known).map_err(no_payload)?, chunk)?,
                "value" => record.value = payload(self.rest.first_of_value(known).map_err(no_payload)?, chunk)?,
                name => take_field(&mut record, name, self.rest.plain_value().map_err(no_object)?)?,
            }
        }
        Ok(record)
    }
}

/// What a payload's object says it is, and what it holds.
type Payload<'a> = Option<Field<'a>>;

fn first_of(value: &[u8]) -> Result<Payload<'_>, RecordFault> {
    if value == b"null" {
        return Ok(None);
    }
    match Fields::of(value).next() {
        Some(Ok(first)) => Ok(Some(first)),
        _ => Err(no_payload(NoObject)),
    }
}

fn no_object(_: NoObject) -> RecordFault {
    line_fault("not a JSON object")
}

fn no_payload(_: NoObject) -> RecordFault {
    line_fault("a payload is not an object or null")
}

fn take_field(record: &mut Record, name: &str, value: &[u8]) -> Result<(), RecordFault> {
    match name {
        "timestamp" => record.timestamp_ms = Some(number(value)?),
        "headers" => record.headers = headers(value)?,
        _ => {}
    }
    Ok(())
}

/// Reads a line as a record, whose payloads are parts of the line.
pub fn parse_line(line: &Bytes) -> Result<Record, RecordFault> {
    let head = LineHead::of(line)?;
    let partition = Partition {
        topic: Arc::from(&*head.topic),
        number: head.partition,
    };
    head.record(partition, line, &mut Known::default())
}

/// A record that says what is wrong with a line. It may wait for long, so it holds the line and not all that was read with it.
pub(super) fn broken(partition: Partition, offset: i64, line: &[u8], fault: RecordFault) -> Record {
    Record {
        partition,
        offset,
        timestamp_ms: None,
        headers: None,
        key: None,
        value: Some(Bytes::copy_from_slice(line)),
        fault: Some(fault),
    }
}

/// As they stand in the line; none if there are none.
fn headers(value: &[u8]) -> Result<Option<String>, RecordFault> {
    if matches!(value, b"[]" | b"null") {
        return Ok(None);
    }
    let text = std::str::from_utf8(value).ok();
    let text = text.filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    match text {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(line_fault("headers are not JSON")),
    }
}

/// `{"json": …}`, `{"text": …}`, `{"b64": …}` or null. JSON is taken as it stands in the line, which spares escaping it and
/// undoing that.
fn payload(first: Payload<'_>, chunk: &Bytes) -> Result<Option<Bytes>, RecordFault> {
    let Some((name, value)) = first else {
        return Ok(None);
    };
    match &*name {
        "json" => Ok(Some(chunk.slice_ref(value))),
        "text" => Ok(Some(match text(value)? {
            Cow::Borrowed(text) => chunk.slice_ref(text.as_bytes()),
            Cow::Owned(text) => text.into(),
        })),
        "b64" => {
            let decoded = STANDARD.decode(&*text(value)?);
            decoded
                .map(|bytes| Some(bytes.into()))
                .map_err(|_| line_fault("a payload is not base64"))
        }
        _ => Err(line_fault("a payload has neither json nor text nor b64")),
    }
}

fn text(value: &[u8]) -> Result<Cow<'_, str>, RecordFault> {
    text_of(value).ok_or_else(|| line_fault("a string was expected"))
}

fn number(value: &[u8]) -> Result<i64, RecordFault> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| line_fault("an integer was expected"))
}
