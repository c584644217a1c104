//! What kind of record a value is. Its shape tells, not the topic's name: routers rename topics.

use super::fault::RecordFault;
use super::json::{Object, Value};

/// Records that Debezium writes about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    /// A sign of life.
    Heartbeat,
    /// Begin or end of a transaction.
    Transaction,
    /// A statement that changed a schema.
    SchemaChange,
}

/// A value, recognised.
#[derive(Debug)]
pub(crate) enum Kind<'a> {
    /// A change event with everything around it.
    Envelope(Envelope<'a>),
    /// A row alone, perhaps with fields about the change that begin with two underscores.
    Unwrapped(Object<'a>),
    /// Not about rows.
    Control(Control),
}

/// The parts of a change event.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) op: &'a str,
    pub(crate) before: Option<Object<'a>>,
    pub(crate) after: Option<Object<'a>>,
    pub(crate) source: Option<Object<'a>>,
    pub(crate) transaction: Option<Object<'a>>,
    pub(crate) message: Option<Object<'a>>,
    pub(crate) ts_ms: Option<i64>,
}

#[derive(Default)]
struct Parts<'a> {
    op: Option<Value<'a>>,
    before: Option<Value<'a>>,
    after: Option<Value<'a>>,
    source: Option<Value<'a>>,
    transaction: Option<Value<'a>>,
    message: Option<Value<'a>>,
    ts_ms: Option<Value<'a>>,
    status: Option<Value<'a>>,
    event_count: Option<Value<'a>>,
    data_collections: Option<Value<'a>>,
    ddl: Option<Value<'a>>,
    table_changes: Option<Value<'a>>,
}

/// Recognises a value that is not null. `key` is the record's key, `schema` the name of the value's schema.
pub(crate) fn recognise<'a>(value: Value<'a>, key: Option<Value<'_>>, schema: &str) -> Result<Kind<'a>, RecordFault> {
    let Some(object) = value.as_object() else {
        return Err(RecordFault::UnknownShape {
            detail: format!("it is {}, not an object", super::wire::found(value)),
        });
    };
    let parts = survey(object);
    if let Some(control) = control(object, &parts, key, schema) {
        return Ok(Kind::Control(control));
    }
    let op = parts.op.and_then(|op| op.as_str());
    let nested = |value: Option<Value<'_>>| value.is_some_and(|value| value.is_object());
    let row = |value: Option<Value<'_>>| value.is_some_and(|value| value.is_object() || value.is_null());
    match op {
        Some(op) if nested(parts.source) || (row(parts.before) && row(parts.after)) => {
            envelope(op, &parts).map(Kind::Envelope)
        }
        None if schema.ends_with(".Envelope") => Err(RecordFault::UnknownShape {
            detail: "an envelope without op".into(),
        }),
        _ => Ok(Kind::Unwrapped(object)),
    }
}

fn survey(object: Object<'_>) -> Parts<'_> {
    let mut parts = Parts::default();
    for (key, value) in object.iter() {
        match key {
            "before" => parts.before = Some(value),
            "after" => parts.after = Some(value),
            "source" => parts.source = Some(value),
            "op" => parts.op = Some(value),
            "ts_ms" => parts.ts_ms = Some(value),
            "transaction" => parts.transaction = Some(value),
            "message" => parts.message = Some(value),
            "status" => parts.status = Some(value),
            "event_count" => parts.event_count = Some(value),
            "data_collections" => parts.data_collections = Some(value),
            "ddl" => parts.ddl = Some(value),
            "tableChanges" => parts.table_changes = Some(value),
            _ => {}
        }
    }
    parts
}

fn control(object: Object<'_>, parts: &Parts<'_>, key: Option<Value<'_>>, schema: &str) -> Option<Control> {
    let status = parts.status.and_then(|status| status.as_str());
    if parts.event_count.is_some() && parts.data_collections.is_some() && matches!(status, Some("BEGIN" | "END")) {
        return Some(Control::Transaction);
    }
    if parts.ddl.is_some() && parts.table_changes.is_some() && parts.source.is_some() {
        return Some(Control::SchemaChange);
    }
    let only_time = parts.ts_ms.is_some() && object.iter().all(|(key, _)| matches!(key, "ts_ms" | "ts_us" | "ts_ns"));
    let of_server = key
        .and_then(|key| key.as_object())
        .is_some_and(|key| key.len() == 1 && key.get("serverName").is_some());
    (only_time && (of_server || schema.ends_with(".Heartbeat"))).then_some(Control::Heartbeat)
}

fn envelope<'a>(op: &'a str, parts: &Parts<'a>) -> Result<Envelope<'a>, RecordFault> {
    let envelope = Envelope {
        op,
        before: part("before", parts.before)?,
        after: part("after", parts.after)?,
        source: part("source", parts.source)?,
        transaction: part("transaction", parts.transaction)?,
        message: part("message", parts.message)?,
        ts_ms: parts.ts_ms.and_then(|ts| ts.as_i64()),
    };
    let missing = match op {
        "c" | "r" | "u" if envelope.after.is_none() => "after",
        "m" if envelope.message.is_none() => "message",
        "c" | "r" | "u" | "d" | "t" | "m" => return Ok(envelope),
        _ => {
            return Err(RecordFault::UnknownOperation {
                op: op.chars().take(32).collect(),
            });
        }
    };
    Err(RecordFault::UnknownShape {
        detail: format!("op {op} without {missing}"),
    })
}

fn part<'a>(name: &str, value: Option<Value<'a>>) -> Result<Option<Object<'a>>, RecordFault> {
    match value {
        Some(value) if !value.is_null() => match value.as_object() {
            Some(object) => Ok(Some(object)),
            None => Err(RecordFault::WrongType {
                column: name.into(),
                expected: "an object",
                found: super::wire::found(value),
            }),
        },
        _ => Ok(None),
    }
}

/// A field of an unwrapped row that tells about the change: where it belongs in the bronze row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About<'a> {
    Deleted,
    Operation,
    Time,
    /// A field of `source`.
    Source(&'a str),
}

/// What Debezium adds to unwrapped rows on request (`add.fields`, `delete.handling.mode=rewrite`).
#[inline]
pub(crate) fn about(field: &str) -> Option<About<'_>> {
    Some(match field.strip_prefix("__")? {
        "deleted" => About::Deleted,
        "op" => About::Operation,
        "ts_ms" => About::Time,
        name => {
            let name = name.strip_prefix("source_").unwrap_or(name);
            let known = crate::layout::source_columns()
                .iter()
                .any(|(column, _)| *column == name);
            return known.then_some(About::Source(name));
        }
    })
}
