//! Cells in canonical form.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::OracleRow;
use crate::schema::{Column, PgType};
use crate::value::{Value, date_text, decimal_text, timestamp_text};

/// A cell in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A scalar.
    Text(String),
    /// A struct.
    Struct(Vec<(&'static str, Cell)>),
    /// A list.
    List(Vec<Cell>),
}

impl Cell {
    pub(super) fn of(column: &Column, value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Text(flag.to_string()),
            Value::Int(number) => Self::Text(number.to_string()),
            Value::Decimal(unscaled) => match column.pg {
                PgType::Numeric(_, scale) => Self::Text(decimal_text(*unscaled, scale)),
                _ => Self::Text(unscaled.to_string()),
            },
            Value::Date(days) => Self::Text(date_text(*days)),
            Value::Micros(micros) => Self::Text(timestamp_text(
                *micros,
                if column.pg == PgType::Timestamptz { "Z" } else { "" },
            )),
            Value::Text(text) => Self::Text(text.to_string()),
            Value::Uuid(id) => Self::Text(id.to_string()),
        }
    }

    /// Text, or NULL.
    pub(super) fn text(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.into()))
    }

    /// A count.
    pub(super) fn count(count: usize) -> Self {
        Self::Text(count.to_string())
    }

    /// A number, or NULL.
    pub(super) fn number(number: Option<i64>) -> Self {
        number.map_or(Self::Null, |number| Self::Text(number.to_string()))
    }

    /// A decimal, or NULL.
    pub(super) fn decimal(unscaled: Option<i64>, scale: u8) -> Self {
        unscaled.map_or(Self::Null, |unscaled| Self::Text(decimal_text(unscaled, scale)))
    }

    /// A date, or NULL.
    pub(super) fn date(days: Option<i32>) -> Self {
        days.map_or(Self::Null, |days| Self::Text(date_text(days)))
    }

    /// A timestamptz, or NULL.
    pub(super) fn timestamptz(micros: Option<i64>) -> Self {
        micros.map_or(Self::Null, |micros| Self::Text(timestamp_text(micros, "Z")))
    }

    /// A list, or NULL when it is empty: what `array_agg` gives for no rows.
    pub(super) fn list(cells: Vec<Self>) -> Self {
        if cells.is_empty() {
            Self::Null
        } else {
            Self::List(cells)
        }
    }

    pub(super) fn sort_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            _ => String::new(),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(cells) => cells.serialize(serializer),
            Self::Struct(members) => members_of(members, serializer),
        }
    }
}

struct Line<'a>(&'a OracleRow);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        members_of(self.0, serializer)
    }
}

fn members_of<S: Serializer>(members: &[(&'static str, Cell)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(members.len()))?;
    for (name, cell) in members {
        map.serialize_entry(name, cell)?;
    }
    map.end()
}

/// One line of JSON.
pub(super) fn line(row: &OracleRow) -> String {
    serde_json::to_string(&Line(row)).expect("cells have a JSON form")
}
