//! What kind of record a value is. Its shape tells, not the topic's name: routers rename topics.

use super::fault::RecordFault;
use super::groups::{AFTER, BEFORE};
use super::json::{Fields, Object, Value};

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
    /// A row alone, perhaps with fields about the change.
    Unwrapped(Unwrapped<'a>),
    /// Not about rows.
    Control(Control),
}

/// The parts of a change event.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) op: &'static str,
    pub(crate) before: Option<Object<'a>>,
    pub(crate) after: Option<Object<'a>>,
    pub(crate) source: Option<Object<'a>>,
    pub(crate) transaction: Option<Object<'a>>,
    pub(crate) message: Option<Object<'a>>,
    pub(crate) ts_ms: Option<i64>,
}

/// The fields of a row that travels alone.
#[derive(Debug)]
pub(crate) struct Unwrapped<'a> {
    /// Those before the first that begins with two underscores: nearly always all of the row.
    pub(crate) own: Fields<'a>,
    /// Those from it on: about the change, or of the row all the same, see [`about`].
    pub(crate) rest: Fields<'a>,
}

/// What a record tells apart from its columns.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Said {
    /// Whether it is an envelope, not a row alone.
    pub(crate) enveloped: bool,
    /// Its operation; a row alone may tell none.
    pub(crate) op: Option<&'static str>,
    /// Whether a row alone says that it is no more.
    pub(crate) deleted: bool,
    pub(crate) ts_ms: Option<i64>,
}

impl Said {
    /// The operation of the bronze row.
    pub(crate) fn operation(&self) -> &'static str {
        match self.op {
            _ if self.deleted => "d",
            Some(op) => op,
            // The row is there now; whether it was before is not told.
            None => "u?",
        }
    }

    /// The side of a row that travels alone.
    pub(crate) fn side(&self) -> usize {
        if self.operation() == "d" { BEFORE } else { AFTER }
    }
}

/// One of the operations there are.
pub(crate) fn operation(op: &str) -> Option<&'static str> {
    ["c", "r", "u", "d", "t", "m"].into_iter().find(|known| *known == op)
}

/// That there is no such operation.
pub(crate) fn unknown_operation(op: &str) -> RecordFault {
    RecordFault::UnknownOperation {
        op: op.chars().take(32).collect(),
    }
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
    /// The fields from the first that begins with two underscores on.
    marked: Option<Fields<'a>>,
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
        _ => Ok(Kind::Unwrapped(unwrapped(object, parts.marked))),
    }
}

fn unwrapped<'a>(object: Object<'a>, marked: Option<Fields<'a>>) -> Unwrapped<'a> {
    let own = object.iter();
    match marked {
        Some(rest) => Unwrapped {
            own: own.up_to(&rest),
            rest,
        },
        None => Unwrapped {
            rest: own.clone().none(),
            own,
        },
    }
}

fn survey(object: Object<'_>) -> Parts<'_> {
    let mut parts = Parts::default();
    let mut fields = object.iter();
    loop {
        let here = fields.clone();
        let Some((key, value)) = fields.next() else { break };
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
            _ if parts.marked.is_none() && key.starts_with("__") => parts.marked = Some(here),
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

fn envelope<'a>(op: &str, parts: &Parts<'a>) -> Result<Envelope<'a>, RecordFault> {
    let envelope = Envelope {
        before: part("before", parts.before)?,
        after: part("after", parts.after)?,
        source: part("source", parts.source)?,
        transaction: part("transaction", parts.transaction)?,
        message: part("message", parts.message)?,
        ts_ms: parts.ts_ms.and_then(|ts| ts.as_i64()),
        op: operation(op).ok_or_else(|| unknown_operation(op))?,
    };
    let missing = match op {
        "c" | "r" | "u" if envelope.after.is_none() => "after",
        "m" if envelope.message.is_none() => "message",
        _ => return Ok(envelope),
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

/// Whether `__deleted` says so: it is a text unless a transform made it a boolean.
pub(crate) fn is_true(value: Value<'_>) -> bool {
    value.as_str() == Some("true") || value.as_bool() == Some(true)
}

/// What Debezium adds to unwrapped rows on request (`add.fields`, `delete.handling.mode=rewrite`).
#[inline]
pub(crate) fn about(field: &str) -> Option<About<'_>> {
    Some(match field.strip_prefix("__")? {
        "deleted" => About::Deleted,
        "op" => About::Operation,
        "ts_ms" => About::Time,
        name => About::Source(source_column(name.strip_prefix("source_").unwrap_or(name))?),
    })
}

/// The name itself, if a column of `source` has it. Spelled out, as every such field of every record is looked up.
#[inline]
fn source_column(name: &str) -> Option<&str> {
    matches!(
        name,
        "version"
            | "connector"
            | "name"
            | "ts_ms"
            | "snapshot"
            | "db"
            | "sequence"
            | "ts_us"
            | "ts_ns"
            | "schema"
            | "table"
            | "txId"
            | "lsn"
            | "xmin"
            | "origin"
            | "origin_lsn"
    )
    .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::source_columns;

    // Goal: every column of `source` is known among unwrapped rows, others are columns of the row. Method: all of them, with both
    // prefixes, and some that are none.
    #[test]
    fn columns_of_the_source_are_known() {
        for (column, _) in source_columns().iter().filter(|(column, _)| *column != "ts_ms") {
            assert_eq!(about(&format!("__{column}")), Some(About::Source(column)));
            assert_eq!(about(&format!("__source_{column}")), Some(About::Source(column)));
        }
        assert_eq!(about("__ts_ms"), Some(About::Time));
        assert_eq!(about("__source_ts_ms"), Some(About::Source("ts_ms")));
        for other in ["lsn", "_lsn", "__", "__source_", "__lsn_", "__colour"] {
            assert_eq!(about(other), None, "{other}");
        }
    }
}
