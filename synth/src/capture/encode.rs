//! Keys and values of records as Debezium and Connect's JSON converter write them.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::format::TableFormat;
use super::{Capture, Message, Origin, OtherKey, SnapshotMark, UNAVAILABLE};
use crate::dice::TOAST_BYTES;
use crate::options::Shape;
use crate::schema::{self, Column, PgType};
use crate::value::{Value, timestamp_text};
use crate::world::{Change, Op, Row};

/// What the connector was built from.
const VERSION: &str = "3.6.3.Final";

/// The payload of one record.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Capture {
    /// The key of a record.
    pub(crate) fn key(&self, message: &Message) -> Vec<u8> {
        let (change, row) = match message {
            Message::Heartbeat { service, .. } => {
                return self
                    .services
                    .get(*service)
                    .map(|of| of.heartbeat_key.clone().into_bytes())
                    .unwrap_or_default();
            }
            Message::Row { change, .. } | Message::Tombstone { change, .. } => (change, change.after.as_ref()),
        };
        let (Some(format), Some(row)) = (self.tables.get(change.table.index), row.or(change.before.as_ref())) else {
            return Vec::new();
        };
        let mut key = Vec::with_capacity(format.key_prefix.len() + 64);
        key.extend_from_slice(format.key_prefix.as_bytes());
        key_payload(format, row, &mut key);
        if !format.key_prefix.is_empty() {
            key.push(b'}');
        }
        key
    }

    /// When a record reaches the broker, in milliseconds since the Unix epoch.
    pub(crate) fn timestamp_ms(message: &Message) -> i64 {
        match message {
            Message::Row { change, origin, .. } | Message::Tombstone { change, origin, .. } => {
                captured_us(change, origin).div_euclid(1_000) + 5
            }
            Message::Heartbeat { at_us, .. } => at_us.div_euclid(1_000),
        }
    }

    /// All of a record but its key and its place.
    pub(crate) fn encode(&self, message: &Message) -> Encoded {
        match message {
            Message::Heartbeat { service, at_us } => {
                let prefix = self.services.get(*service).map_or("", |of| of.heartbeat_value_prefix);
                let end = if prefix.is_empty() { "" } else { "}" };
                let value = format!(r#"{prefix}{{"ts_ms":{}}}{end}"#, at_us.div_euclid(1_000));
                Encoded {
                    headers: Vec::new(),
                    value: Some(value.into_bytes()),
                }
            }
            Message::Tombstone { change, other_key, .. } => Encoded {
                headers: self.headers(change, other_key.as_ref()),
                value: None,
            },
            Message::Row {
                change,
                origin,
                other_key,
            } => {
                let headers = self.headers(change, other_key.as_ref());
                let Some(format) = self.tables.get(change.table.index) else {
                    return Encoded { headers, value: None };
                };
                let mut value = Vec::with_capacity(format.value_prefix.len() + 1_024);
                match self.shape {
                    Shape::Unwrapped => unwrapped(format, change, origin, &mut value),
                    Shape::Envelope | Shape::EnvelopeSchemas => self.envelope(format, change, origin, &mut value),
                }
                Encoded {
                    headers,
                    value: Some(value),
                }
            }
        }
    }

    fn headers(&self, change: &Change, other: Option<&OtherKey>) -> Vec<(String, String)> {
        let mut headers = Vec::with_capacity(5);
        if let (Some(format), Some(other)) = (self.tables.get(change.table.index), other) {
            let (name, row) = match other {
                OtherKey::New(row) => ("__debezium.newkey", row),
                OtherKey::Old(row) => ("__debezium.oldkey", row),
            };
            let mut key = Vec::new();
            key_payload(format, row, &mut key);
            headers.push((name.to_owned(), String::from_utf8_lossy(&key).into_owned()));
        }
        if let Some(service) = self.services.get(change.table.service) {
            headers.extend(service.headers.iter().cloned());
        }
        headers
    }

    fn envelope(&self, format: &TableFormat, change: &Change, origin: &Origin, out: &mut Vec<u8>) {
        let Some(service) = self.services.get(change.table.service) else {
            return;
        };
        out.extend_from_slice(format.value_prefix.as_bytes());
        out.extend_from_slice(br#"{"before":"#);
        match (&change.before, change.op) {
            (Some(before), Op::Delete) => gone(format, before, out),
            // Under REPLICA IDENTITY DEFAULT an update tells nothing of the row before.
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(br#","after":"#);
        match &change.after {
            Some(after) => {
                out.push(b'{');
                cells(format, change, after, out);
                out.push(b'}');
            }
            None => out.extend_from_slice(b"null"),
        }
        let (committed_us, captured_us) = (origin.committed_us, captured_us(change, origin));
        let sequence = match origin.mark {
            SnapshotMark::Streaming => format!(r#"[\"{}\",\"{}\"]"#, origin.last_commit_lsn, change.lsn),
            _ => format!(r#"[null,\"{}\"]"#, change.lsn),
        };
        write(
            out,
            format_args!(
                concat!(
                    r#","source":{{"version":"{}","connector":"postgresql","name":"{}","ts_ms":{},"snapshot":"{}","db":"{}","#,
                    r#""sequence":"{}","ts_us":{},"ts_ns":{},"schema":"public","table":"{}","txId":{},"lsn":{},"xmin":null,"#,
                    r#""origin":null,"origin_lsn":null}},"transaction":null,"op":"{}","ts_ms":{},"ts_us":{},"ts_ns":{}}}"#,
                ),
                VERSION,
                service.name,
                committed_us.div_euclid(1_000),
                origin.mark.name(),
                service.database,
                sequence,
                committed_us,
                committed_us.saturating_mul(1_000),
                format.table.name,
                origin.transaction,
                change.lsn,
                change.op.letter(),
                captured_us.div_euclid(1_000),
                captured_us,
                captured_us.saturating_mul(1_000),
            ),
        );
        if !format.value_prefix.is_empty() {
            out.push(b'}');
        }
    }
}

/// `ExtractNewRecordState` with `delete.tombstone.handling.mode=rewrite` and
/// `add.fields=op,ts_ms,table,lsn,source.ts_ms,txId,source.snapshot`.
fn unwrapped(format: &TableFormat, change: &Change, origin: &Origin, out: &mut Vec<u8>) {
    match (&change.after, &change.before) {
        (Some(after), _) => {
            out.push(b'{');
            cells(format, change, after, out);
        }
        (None, Some(before)) => {
            gone(format, before, out);
            out.pop();
        }
        (None, None) => out.push(b'{'),
    }
    let snapshot = match origin.mark {
        SnapshotMark::Streaming => "null".to_owned(),
        mark => format!("\"{}\"", mark.name()),
    };
    write(
        out,
        format_args!(
            concat!(
                r#","__deleted":"{}","__op":"{}","__ts_ms":{},"__table":"{}","__lsn":{},"__source_ts_ms":{},"#,
                r#""__txId":{},"__source_snapshot":{}}}"#,
            ),
            change.op == Op::Delete,
            change.op.letter(),
            captured_us(change, origin).div_euclid(1_000),
            format.table.name,
            change.lsn,
            origin.committed_us.div_euclid(1_000),
            origin.transaction,
            snapshot,
        ),
    );
}

fn key_payload(format: &TableFormat, row: &Row, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, position) in format.key.iter().enumerate() {
        if let (Some(column), Some(value)) = (format.table.columns.get(*position), row.get(*position)) {
            named(index, column, out);
            cell(column, value, out);
        }
    }
    out.push(b'}');
}

/// The cells of a row, without the brace that ends it.
fn cells(format: &TableFormat, change: &Change, row: &Row, out: &mut Vec<u8>) {
    for (index, (column, value)) in format.table.columns.iter().zip(row.iter()).enumerate() {
        named(index, column, out);
        if is_left_out(change, index, column, value) {
            string(UNAVAILABLE, out);
        } else {
            cell(column, value, out);
        }
    }
}

/// Does the row carry a placeholder for an unchanged long value?
pub(crate) fn is_unavailable(change: &Change) -> bool {
    let (Some((_, table)), Some(after)) = (schema::tables().get(change.table.index), &change.after) else {
        return false;
    };
    let mut cells = table.columns.iter().zip(after.iter()).enumerate();
    cells.any(|(index, (column, value))| is_left_out(change, index, column, value))
}

/// PostgreSQL does not log a value that is stored out of line and stays as it was.
fn is_left_out(change: &Change, index: usize, column: &Column, value: &Value) -> bool {
    let before = change.before.as_ref().and_then(|before| before.get(index));
    change.op == Op::Update && is_out_of_line(column, value) && before == Some(value)
}

/// Does PostgreSQL keep this value outside the row?
fn is_out_of_line(column: &Column, value: &Value) -> bool {
    column.is_toasted() && value.as_text().is_some_and(|text| text.len() >= TOAST_BYTES)
}

/// What is left of a deleted row: the key, and zeros where NULL is not allowed.
fn gone(format: &TableFormat, row: &Row, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (column, value)) in format.table.columns.iter().zip(row.iter()).enumerate() {
        named(index, column, out);
        if format.key.contains(&index) {
            cell(column, value, out);
        } else if column.nullable {
            out.extend_from_slice(b"null");
        } else {
            out.extend_from_slice(match column.pg {
                PgType::Uuid | PgType::Text => b"\"\"",
                PgType::Jsonb => b"\"{}\"",
                PgType::Int | PgType::BigInt | PgType::Date | PgType::Timestamp => b"0",
                PgType::Bool => b"false",
                PgType::Numeric(..) => b"\"AA==\"",
                PgType::Timestamptz => b"\"1970-01-01T00:00:00.000000Z\"",
            });
        }
    }
    out.push(b'}');
}

fn named(index: usize, column: &Column, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(column.name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn cell(column: &Column, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(flag) => write(out, format_args!("{flag}")),
        Value::Int(number) => write(out, format_args!("{number}")),
        Value::Date(days) => write(out, format_args!("{days}")),
        Value::Micros(micros) if column.pg == PgType::Timestamptz => string(&timestamp_text(*micros, "Z"), out),
        Value::Micros(micros) => write(out, format_args!("{micros}")),
        Value::Decimal(unscaled) => string(&BASE64.encode(big_endian(*unscaled)), out),
        Value::Text(text) => string(text, out),
        Value::Uuid(id) => write(out, format_args!("\"{id}\"")),
    }
}

/// The fewest bytes that hold a number in two's complement, as Java's `BigInteger` gives them.
fn big_endian(number: i64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let sign = if number < 0 { 0xff } else { 0 };
    let redundant = bytes
        .windows(2)
        .take_while(|pair| matches!(pair, [first, next] if *first == sign && (first ^ next) & 0x80 == 0));
    bytes.iter().skip(redundant.count()).copied().collect()
}

fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string has a JSON form and memory does not fail");
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory does not fail");
}

/// When the connector saw the change: a tenth of a second after the commit.
fn captured_us(change: &Change, origin: &Origin) -> i64 {
    origin
        .committed_us
        .saturating_add(80_000 + change.lsn.rem_euclid(97) * 500)
}

impl SnapshotMark {
    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::FirstOfTable => "first_in_data_collection",
            Self::Middle => "true",
            Self::LastOfTable => "last_in_data_collection",
            Self::Last => "last",
            Self::Streaming => "false",
        }
    }
}

impl Op {
    fn letter(self) -> char {
        match self {
            Self::Read => 'r',
            Self::Create => 'c',
            Self::Update => 'u',
            Self::Delete => 'd',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: decimals are Java's bytes. Method: captured ones and the edges of a byte.
    #[test]
    fn decimals_are_javas() {
        for (unscaled, expected) in [
            (1_250, "BOI="),
            (2_000, "B9A="),
            (9_999_999_999, "AlQL4/8="),
            (0, "AA=="),
            (-1, "/w=="),
            (127, "fw=="),
            (128, "AIA="),
            (-128, "gA=="),
            (-129, "/38="),
        ] {
            assert_eq!(BASE64.encode(big_endian(unscaled)), expected, "{unscaled}");
        }
    }
}
