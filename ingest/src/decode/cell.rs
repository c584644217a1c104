//! One JSON value into one column.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::column::{Column, Values};
use super::column_type::ColumnType;
use super::json::{Items, Object, Value};
use super::number;
use super::temporal::{self, Moment};
use super::wire::Wire;

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// It is in the column.
    Stored,
    /// Null is in the column, because tables cannot hold the value.
    OutOfRange,
    /// Null is in the column, because the source left the value out (TOAST).
    Unavailable,
    /// The column has another type. Nothing was pushed.
    OtherType,
    /// The JSON is not what the wire says. Something may have been pushed below.
    Wrong,
    /// Right JSON, unreadable content. Something may have been pushed below.
    Unreadable,
}

/// How a source marks a value that it left out.
#[derive(Debug, Clone)]
pub(crate) struct Placeholder {
    text: String,
    base64: String,
    /// The map whose only key and value it is, as JSON.
    map: String,
    /// What stands for each byte in an array that is not of texts.
    bytes: Vec<PlaceholderByte>,
    uuid: Option<&'static str>,
}

/// A byte of a placeholder, as an item of an array.
#[derive(Debug, Clone)]
struct PlaceholderByte {
    /// Of integers and floats.
    number: f64,
    /// Of decimals, whatever their scale: base64 of the unscaled integer.
    unscaled: String,
}

impl PlaceholderByte {
    /// Java's bytes have a sign.
    fn new(byte: u8) -> Self {
        Self {
            number: f64::from(i8::from_ne_bytes([byte])),
            unscaled: STANDARD.encode([byte]),
        }
    }

    fn is(&self, item: Value<'_>) -> bool {
        match item.as_object() {
            // Of decimals that have a scale each.
            Some(decimal) => decimal.len() == 2 && decimal.get("value").is_some_and(|value| self.is_unscaled(value)),
            None => item.as_f64() == Some(self.number) || self.is_unscaled(item),
        }
    }

    fn is_unscaled(&self, value: Value<'_>) -> bool {
        value.as_str() == Some(self.unscaled.as_str())
    }
}

/// What Debezium writes unless told otherwise.
pub const UNAVAILABLE_DEFAULT: &str = "__debezium_unavailable_value";

/// The version 3 UUID of [`UNAVAILABLE_DEFAULT`], which stands in arrays of UUIDs.
const UNAVAILABLE_UUID: &str = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";

impl Placeholder {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            base64: STANDARD.encode(text),
            map: serde_json::json!({ text: text }).to_string(),
            bytes: text.bytes().map(PlaceholderByte::new).collect(),
            uuid: (text == UNAVAILABLE_DEFAULT).then_some(UNAVAILABLE_UUID),
            text: text.to_owned(),
        }
    }

    /// Whether a string stands for a value left out: as it is, as the base64 of a binary column, or as the JSON of an hstore.
    #[inline]
    pub(super) fn is_text(&self, text: &str) -> bool {
        text == self.text
            || (text.len() == self.base64.len() && text == self.base64)
            || (text.len() == self.map.len() && text == self.map)
    }

    /// Whether a map does, which an hstore may be.
    pub(super) fn is_map(&self, map: Object<'_>) -> bool {
        let mut entries = map.iter().map(|(key, value)| (key, value.as_str()));
        entries.next() == Some((self.text.as_str(), Some(self.text.as_str()))) && entries.next().is_none()
    }

    /// Whether an array does: the text alone, its bytes as numbers or decimals, or its UUID.
    pub(super) fn is_list(&self, mut items: Items<'_>) -> bool {
        let mut bytes = self.bytes.iter();
        let mut as_bytes = items.clone();
        if as_bytes.all(|item| bytes.next().is_some_and(|byte| byte.is(item))) && bytes.next().is_none() {
            return true;
        }
        match (items.next().and_then(Value::as_str), items.next()) {
            (Some(only), None) => self.is_text(only) || Some(only) == self.uuid,
            _ => false,
        }
    }
}

/// Pushes `value`, which is not null, to `column`.
pub(crate) fn push(column: &mut Column, wire: &Wire, value: Value<'_>, placeholder: &Placeholder) -> Cell {
    match wire {
        Wire::Any => super::infer::push(column, value, placeholder),
        Wire::Boolean => match (&mut column.values, value.as_bool()) {
            (Values::Boolean(values), Some(value)) => {
                values.append(value);
                column.push_valid();
                Cell::Stored
            }
            (_, None) => Cell::Wrong,
            _ => Cell::OtherType,
        },
        Wire::Int | Wire::Long => push_integer(column, wire, value),
        Wire::Float | Wire::Double => push_float(column, value),
        Wire::String => with_text(value, placeholder, |text| match column.push_text(text) {
            true => Cell::Stored,
            false => Cell::OtherType,
        }),
        Wire::Bytes => with_text(value, placeholder, |text| match column.values {
            Values::Binary(_) => match column.push_written(|data| STANDARD.decode_vec(text, data)) {
                Ok(()) => Cell::Stored,
                Err(_) => Cell::Unreadable,
            },
            _ => Cell::OtherType,
        }),
        Wire::Decimal { precision, scale } => push_decimal(column, value, *precision, *scale, placeholder),
        Wire::LongDecimal { scale } => with_text(value, placeholder, |text| {
            push_text(column, number::decimal_text(text, *scale))
        }),
        Wire::VariableDecimal => match variable_decimal(value) {
            Some(text) => push_text(column, text),
            None => Cell::Wrong,
        },
        Wire::Date => with_integer(value, |days| push_day(column, temporal::date(days))),
        Wire::Time { factor, divisor } => {
            with_integer(value, |n| push_moment(column, temporal::time(n, *factor, *divisor)))
        }
        Wire::Timestamp { factor, divisor, .. } => with_integer(value, |n| {
            push_moment(column, temporal::timestamp(n, *factor, *divisor))
        }),
        Wire::ZonedTimestamp => with_text(value, placeholder, |text| {
            temporal::zoned_timestamp(text).map_or(Cell::Unreadable, |at| push_moment(column, at))
        }),
        Wire::IsoTimestamp => with_text(value, placeholder, |text| {
            temporal::iso_timestamp(text).map_or(Cell::Unreadable, |at| push_moment(column, at))
        }),
        Wire::IsoTime => with_text(value, placeholder, |text| {
            temporal::iso_time(text).map_or(Cell::Unreadable, |at| push_moment(column, at))
        }),
        Wire::IsoDate => with_text(value, placeholder, |text| {
            temporal::iso_date(text).map_or(Cell::Unreadable, |at| push_day(column, at))
        }),
        Wire::Json if value.as_object().is_some_and(|map| placeholder.is_map(map)) => Cell::Unavailable,
        Wire::Json => push_json(column, value),
        Wire::List(item) => push_list(column, item, value, placeholder),
        Wire::Struct(fields) => push_struct(column, fields, value, placeholder),
    }
}

fn with_text(value: Value<'_>, placeholder: &Placeholder, push: impl FnOnce(&str) -> Cell) -> Cell {
    match value.as_str() {
        Some(text) if placeholder.is_text(text) => Cell::Unavailable,
        Some(text) => push(text),
        None => Cell::Wrong,
    }
}

fn with_integer(value: Value<'_>, push: impl FnOnce(i64) -> Cell) -> Cell {
    value.as_i64().map_or(Cell::Wrong, push)
}

fn push_integer(column: &mut Column, wire: &Wire, value: Value<'_>) -> Cell {
    let Some(number) = value.as_i64() else {
        return Cell::Wrong;
    };
    let small = i32::try_from(number);
    match (&column.values, small) {
        (Values::Long(_), _) if *wire == Wire::Long || small.is_ok() => column.push_long(number),
        (Values::Int(_), Ok(small)) => column.push_int(small),
        (Values::Long(_) | Values::Int(_), _) => return Cell::Wrong,
        _ => return Cell::OtherType,
    }
    Cell::Stored
}

pub(super) fn push_float(column: &mut Column, value: Value<'_>) -> Cell {
    let number = match value.as_f64() {
        Some(number) => number,
        None => match value.as_str() {
            Some("NaN") => f64::NAN,
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            _ => return Cell::Wrong,
        },
    };
    match &mut column.values {
        Values::Double(values) => values.push(number),
        #[expect(clippy::cast_possible_truncation, reason = "the source's column has 32 bits")]
        Values::Float(values) => values.push(number as f32),
        _ => return Cell::OtherType,
    }
    column.push_valid();
    Cell::Stored
}

fn push_decimal(column: &mut Column, value: Value<'_>, precision: u8, scale: i8, placeholder: &Placeholder) -> Cell {
    let unscaled = match value.as_str() {
        Some(text) if placeholder.is_text(text) => return Cell::Unavailable,
        Some(text) => number::unscaled(text),
        // `decimal.format=NUMERIC` of JsonConverter.
        None => match number_text(value) {
            Some(text) => number::parse_decimal(&text, scale),
            None => return Cell::Wrong,
        },
    };
    let Values::Decimal {
        values,
        precision: column_precision,
        scale: column_scale,
    } = &mut column.values
    else {
        return Cell::OtherType;
    };
    let stored = unscaled
        .filter(|unscaled| number::fits(*unscaled, precision))
        .and_then(|unscaled| number::rescale(unscaled, scale, *column_scale))
        .filter(|rescaled| number::fits(*rescaled, *column_precision));
    match stored {
        Some(stored) => {
            values.push(stored);
            column.push_valid();
            Cell::Stored
        }
        None => Cell::Unreadable,
    }
}

/// A number as it is written, without an exponent.
fn number_text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match (value.as_i64(), value.as_number()) {
        (Some(integer), _) => Some(integer.to_string().into()),
        (None, Some(written)) if written.contains(['e', 'E']) => number::without_exponent(written).map(Cow::Owned),
        (None, written) => written.map(Cow::Borrowed),
    }
}

/// `{scale, value}` as text.
pub(super) fn variable_decimal(value: Value<'_>) -> Option<Option<String>> {
    let object = value.as_object()?;
    if object.len() != 2 {
        return None;
    }
    let scale = object.get("scale")?.as_i64()?;
    let unscaled = object.get("value")?.as_str()?;
    Some(number::decimal_text(unscaled, scale))
}

pub(super) fn push_text(column: &mut Column, text: Option<String>) -> Cell {
    match (&column.values, text) {
        (Values::String(_), Some(text)) => {
            column.push_bytes(text.as_bytes());
            Cell::Stored
        }
        (Values::String(_), None) => Cell::Unreadable,
        _ => Cell::OtherType,
    }
}

fn push_day(column: &mut Column, at: Moment) -> Cell {
    match (&column.values, at) {
        (Values::Date(_), Moment::At(days)) => {
            // The range of dates is far within 32 bits.
            column.push_int(i32::try_from(days).unwrap_or(0));
            Cell::Stored
        }
        (Values::Date(_), Moment::Beyond) => Cell::OutOfRange,
        _ => Cell::OtherType,
    }
}

fn push_moment(column: &mut Column, at: Moment) -> Cell {
    match (&column.values, at) {
        (Values::Time(_) | Values::Timestamp(_) | Values::TimestampTz(_), Moment::At(us)) => {
            column.push_long(us);
            Cell::Stored
        }
        (Values::Time(_) | Values::Timestamp(_) | Values::TimestampTz(_), Moment::Beyond) => Cell::OutOfRange,
        _ => Cell::OtherType,
    }
}

pub(super) fn push_json(column: &mut Column, value: Value<'_>) -> Cell {
    match column.values {
        Values::String(_) => match column.push_written(|data| value.write(data)) {
            Ok(()) => Cell::Stored,
            Err(_) => Cell::Unreadable,
        },
        _ => Cell::OtherType,
    }
}

pub(super) fn push_list(column: &mut Column, item: &Wire, value: Value<'_>, placeholder: &Placeholder) -> Cell {
    let Some(list) = value.as_array() else {
        return Cell::Wrong;
    };
    if placeholder.is_list(list.clone()) {
        return Cell::Unavailable;
    }
    let Values::List { items, .. } = &mut column.values else {
        return Cell::OtherType;
    };
    let mut outcome = Cell::Stored;
    for value in list {
        if value.is_null() {
            items.push_null();
            continue;
        }
        match push(items, item, value, placeholder) {
            Cell::Stored => {}
            Cell::OutOfRange => {
                items.push_null();
                outcome = Cell::OutOfRange;
            }
            Cell::Unavailable => items.push_null(),
            failed => return failed,
        }
    }
    column.push_list_end();
    outcome
}

fn push_struct(column: &mut Column, fields: &[(String, Wire)], value: Value<'_>, placeholder: &Placeholder) -> Cell {
    let Some(object) = value.as_object() else {
        return Cell::Wrong;
    };
    let row = column.len();
    let Values::Struct(columns) = &mut column.values else {
        return Cell::OtherType;
    };
    let mut outcome = Cell::Stored;
    for (key, value) in object.iter() {
        let wire = fields.iter().find(|(name, _)| name == key);
        let target = columns.iter_mut().find(|(name, _)| name == key);
        let (Some((_, wire)), Some((_, target))) = (wire, target) else {
            return Cell::Wrong;
        };
        if value.is_null() {
            continue;
        }
        if target.len() > row {
            return Cell::Wrong;
        }
        target.pad_to(row);
        match push(target, wire, value, placeholder) {
            Cell::Stored => {}
            Cell::OutOfRange => outcome = Cell::OutOfRange,
            Cell::Unavailable => {}
            failed => return failed,
        }
    }
    column.push_valid();
    outcome
}

/// The column type of a hint's or schema's wire, for tests and plans.
pub(crate) fn wanted(wire: &Wire, value: Value<'_>, placeholder: &Placeholder) -> Option<ColumnType> {
    wire.column_type()
        .or_else(|| super::infer::column_type(value, placeholder))
}

impl Placeholder {
    #[inline]
    pub(super) fn stands_for(&self, value: Value<'_>) -> bool {
        match value.as_str() {
            Some(text) => self.is_text(text),
            None => {
                value.as_array().is_some_and(|list| self.is_list(list))
                    || value.as_object().is_some_and(|map| self.is_map(map))
            }
        }
    }
}
