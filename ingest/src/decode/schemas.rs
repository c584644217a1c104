//! `{"schema": …, "payload": …}`: JsonConverter with schemas enabled.
//!
//! The schema is most of such a record and nearly always the same bytes as in the record before. So its bytes are compared,
//! and only the payload is parsed.

use std::sync::Arc;

use super::fault::RecordFault;
use super::json::{self, Document, Scratch, Value};
use super::wire::{self, Wire};

/// Most schemas remembered of one topic. A topic has two (rows and deletes) for each version of its table.
const SCHEMAS_MAX: usize = 32;

/// A schema seen in records of a topic.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Hash of its bytes: the same schema has the same id everywhere.
    pub(crate) id: i32,
    /// Its name.
    pub(crate) name: String,
    /// How the payload travels.
    pub(crate) wire: Wire,
}

/// A payload and the schema that came with it.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) document: Document<'a>,
    pub(crate) schema: Option<Arc<Schema>>,
}

/// The schemas of one topic's keys or values.
#[derive(Debug)]
pub(crate) struct Schemas {
    part: &'static str,
    /// Most recently used first: the record's bytes up to the payload.
    known: Vec<(Box<[u8]>, Arc<Schema>)>,
}

impl Schemas {
    /// `part` is what messages call it.
    pub(crate) fn new(part: &'static str) -> Self {
        Self {
            part,
            known: Vec::new(),
        }
    }

    /// Parses a key or a value.
    pub(crate) fn read<'a>(&mut self, bytes: &'a [u8], scratch: &'a mut Scratch) -> Result<Payload<'a>, RecordFault> {
        json::check_size(bytes, self.part)?;
        if let Some((text, schema)) = self.read_known(bytes, scratch) {
            let document = Document::new(text, scratch);
            return Ok(Payload { document, schema });
        }
        let text = json::parse(bytes, self.part, scratch)?;
        let document = Document::new(text, scratch);
        let Some(schema) = wrapped_schema(document.root()) else {
            return Ok(Payload { document, schema: None });
        };
        let payload = document.of_field("payload");
        if schema.is_null() {
            return Ok(Payload {
                document: payload,
                schema: None,
            });
        }
        let schema = Arc::new(Schema {
            id: schema_id(schema),
            name: schema
                .get("name")
                .and_then(|name| name.as_str())
                .unwrap_or_default()
                .to_owned(),
            wire: wire::from_connect(schema).map_err(|detail| RecordFault::Schema {
                part: self.part,
                detail,
            })?,
        });
        self.remember(bytes, Arc::clone(&schema));
        Ok(Payload {
            document: payload,
            schema: Some(schema),
        })
    }

    /// When the record begins with known bytes, what follows must be the payload and a brace; if it is not, the record is read
    /// as a whole.
    fn read_known<'a>(&mut self, bytes: &'a [u8], scratch: &mut Scratch) -> Option<(&'a str, Option<Arc<Schema>>)> {
        let part = self.part;
        let (payload, schema) = self.split(bytes)?;
        let text = json::parse(payload, part, scratch).ok()?;
        Some((text, Some(Arc::clone(schema))))
    }

    /// A key or a value as text, without a schema that is known, whose id is answered.
    pub(crate) fn text<'a>(&mut self, bytes: &'a [u8]) -> Option<(&'a str, Option<i32>)> {
        json::check_size(bytes, self.part).ok()?;
        let (bytes, schema) = match self.split(bytes) {
            Some((payload, schema)) => (payload, Some(schema.id)),
            None => (bytes, None),
        };
        Some((json::utf8(bytes)?, schema))
    }

    /// What follows known bytes, without its last brace, and their schema. It is the payload, if it is JSON.
    fn split<'a>(&mut self, bytes: &'a [u8]) -> Option<(&'a [u8], &Arc<Schema>)> {
        let at = self.known.iter().position(|(prefix, _)| bytes.starts_with(prefix))?;
        self.known.swap(0, at);
        let (prefix, schema) = self.known.first()?;
        let payload = bytes.get(prefix.len()..)?.strip_suffix(b"}")?;
        Some((payload, schema))
    }

    fn remember(&mut self, bytes: &[u8], schema: Arc<Schema>) {
        let Some(length) = prefix_length(bytes) else { return };
        let Some(prefix) = bytes.get(..length) else { return };
        if self.known.len() >= SCHEMAS_MAX {
            self.known.pop();
        }
        self.known.insert(0, (prefix.into(), schema));
    }
}

/// The schema of a wrapped document. A row that has columns of these names is none: its schema would have no type.
fn wrapped_schema(value: Value<'_>) -> Option<Value<'_>> {
    let object = value.as_object()?;
    // Nearly every other record has more fields, and is told by that.
    if object.iter().nth(2).is_some() {
        return None;
    }
    let (schema, _) = (object.get("schema")?, object.get("payload")?);
    let wrapped = schema.is_null() || schema.get("type").is_some_and(|kind| kind.as_str().is_some());
    wrapped.then_some(schema)
}

/// Where the payload begins, if the schema stands before it.
fn prefix_length(bytes: &[u8]) -> Option<usize> {
    let mut fields = sonic_rs::to_object_iter(bytes);
    let (first, _) = fields.next()?.ok()?;
    let (second, payload) = fields.next()?.ok()?;
    if first != "schema" || second != "payload" {
        return None;
    }
    let begin = payload.as_raw_str().as_ptr().addr();
    begin
        .checked_sub(bytes.as_ptr().addr())
        .filter(|length| *length < bytes.len())
}

/// FNV-1a of the schema, without the sign.
fn schema_id(schema: Value<'_>) -> i32 {
    let mut text = Vec::new();
    if schema.write(&mut text).is_err() {
        text.clear();
    }
    let hash = text.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    i32::try_from(hash >> 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str =
        r#"{"schema":{"type":"struct","fields":[{"type":"int32","field":"a"}],"name":"n"},"payload":{"a":1}}"#;

    // Goal: the second record of a schema is read by its bytes, to the same result. Method: read twice, then look.
    #[test]
    fn known_bytes_are_skipped() -> Result<(), RecordFault> {
        let mut schemas = Schemas::new("value");
        let mut scratch = Scratch::default();
        let first = schemas.read(ROW.as_bytes(), &mut scratch)?.schema;
        assert_eq!(schemas.known.len(), 1);
        let next = ROW.replace("1}}", "2}}");
        let (text, second) = schemas.read_known(next.as_bytes(), &mut scratch).expect("known");
        assert_eq!(first.map(|s| s.id), second.map(|s| s.id));
        let document = Document::new(text, &scratch);
        assert_eq!(document.root().get("a").and_then(Value::as_i64), Some(2));
        Ok(())
    }

    // Goal: bytes after the payload are no payload. Method: a third field behind a known prefix.
    #[test]
    fn what_follows_is_checked() -> Result<(), RecordFault> {
        let mut schemas = Schemas::new("value");
        let mut scratch = Scratch::default();
        schemas.read(ROW.as_bytes(), &mut scratch)?;
        let longer = ROW.replace("1}}", "1},\"x\":0}");
        assert!(schemas.read(longer.as_bytes(), &mut scratch)?.schema.is_none());
        Ok(())
    }

    // Goal: a row with columns `schema` and `payload` stays a row. Method: such a row.
    #[test]
    fn columns_of_that_name() -> Result<(), RecordFault> {
        let mut scratch = Scratch::default();
        let read = Schemas::new("value").read(br#"{"schema":"public","payload":"x"}"#, &mut scratch)?;
        assert!(read.document.root().is_object() && read.schema.is_none());
        Ok(())
    }
}
