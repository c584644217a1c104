//! Values without a schema: their JSON type decides.
//!
//! Integers are long, other numbers double unless they have more digits than any double, strings string; arrays of one type are
//! lists; objects and mixed arrays are kept as JSON text. Debezium writes a double with a point or an exponent always, so a column
//! does not change its mind from row to row.

use super::cell::{self, Cell, Placeholder};
use super::column::{Column, Values};
use super::column_type::ColumnType;
use super::json::{JsonType, Value};
use super::wire::Wire;

/// The column a value asks for. None if the value tells nothing: null, or one that the source left out.
pub(crate) fn column_type(value: Value<'_>, placeholder: &Placeholder) -> Option<ColumnType> {
    if placeholder.stands_for(value) {
        return None;
    }
    Some(match value.get_type() {
        JsonType::Null => return None,
        JsonType::Boolean => ColumnType::Boolean,
        JsonType::Number if value.as_i64().is_some() => ColumnType::Long,
        JsonType::Number if value.fits_double() => ColumnType::Double,
        // A decimal (`decimal.format=NUMERIC`), or an integer beyond 64 bits: a double would lose digits.
        JsonType::Number => ColumnType::String,
        JsonType::String if special_float(value) => ColumnType::Double,
        JsonType::String | JsonType::Object => ColumnType::String,
        JsonType::Array => list_type(value),
    })
}

/// JsonConverter writes these floats as strings. A text column that begins with one of these words is far rarer.
fn special_float(value: Value<'_>) -> bool {
    matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity"))
}

/// An array of one scalar type is a list; an empty one could be anything, and most arrays are of text.
fn list_type(value: Value<'_>) -> ColumnType {
    match item_type(value) {
        Ok(item) => ColumnType::List(Box::new(item.unwrap_or(ColumnType::String))),
        Err(Mixed) => ColumnType::String,
    }
}

/// Items of several types, or such that no list has.
struct Mixed;

/// The one type of all items; none if there is nothing but nulls.
fn item_type(value: Value<'_>) -> Result<Option<ColumnType>, Mixed> {
    let mut item: Option<ColumnType> = None;
    for value in value.as_array().into_iter().flatten() {
        let this = match value.get_type() {
            JsonType::Null => continue,
            JsonType::Boolean => ColumnType::Boolean,
            JsonType::Number if value.as_i64().is_some() => ColumnType::Long,
            JsonType::Number if value.fits_double() => ColumnType::Double,
            JsonType::String => ColumnType::String,
            _ => return Err(Mixed),
        };
        match &item {
            None => item = Some(this),
            Some(known) if *known == this => {}
            Some(_) => return Err(Mixed),
        }
    }
    Ok(item)
}

/// Pushes a value to a column that was inferred from others, or stands in the table.
#[inline]
pub(crate) fn push(column: &mut Column, value: Value<'_>, placeholder: &Placeholder) -> Cell {
    if let Some(text) = value.as_str() {
        if placeholder.is_text(text) {
            return Cell::Unavailable;
        }
        if column.push_text(text) {
            return Cell::Stored;
        }
    } else if placeholder.stands_for(value) {
        return Cell::Unavailable;
    }
    match &mut column.values {
        // Text takes everything in, so that a column that once was text stays one.
        Values::String(_) => push_text(column, value),
        Values::Boolean(values) => match value.as_bool() {
            Some(value) => {
                values.append(value);
                column.push_valid();
                Cell::Stored
            }
            None => Cell::OtherType,
        },
        Values::Long(values) => match value.as_i64() {
            Some(value) => {
                values.push(value);
                column.push_valid();
                Cell::Stored
            }
            None => Cell::OtherType,
        },
        Values::Int(values) => match value.as_i64().map(i32::try_from) {
            Some(Ok(value)) => {
                values.push(value);
                column.push_valid();
                Cell::Stored
            }
            _ => Cell::OtherType,
        },
        Values::Double(_) | Values::Float(_) if exact_float(value) => cell::push_float(column, value),
        Values::List { .. } => push_list(column, value, placeholder),
        _ => Cell::OtherType,
    }
}

/// Floats, the special ones, and integers that a double holds exactly.
fn exact_float(value: Value<'_>) -> bool {
    match value.as_i64() {
        Some(integer) => integer.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS,
        None => special_float(value) || value.fits_double(),
    }
}

fn push_text(column: &mut Column, value: Value<'_>) -> Cell {
    match value.get_type() {
        JsonType::String => {
            column.push_bytes(value.as_str().unwrap_or_default().as_bytes());
            Cell::Stored
        }
        JsonType::Object => match cell::variable_decimal(value) {
            Some(Some(text)) => cell::push_text(column, Some(text)),
            _ => cell::push_json(column, value),
        },
        _ => cell::push_json(column, value),
    }
}

fn push_list(column: &mut Column, value: Value<'_>, placeholder: &Placeholder) -> Cell {
    if !value.is_array() {
        return Cell::OtherType;
    }
    let fits = match (item_type(value), &column.values) {
        (Ok(None), _) => true,
        (Ok(Some(item)), Values::List { items, .. }) => items.kind() == item,
        _ => false,
    };
    if fits {
        cell::push_list(column, &Wire::Any, value, placeholder)
    } else {
        Cell::OtherType
    }
}
