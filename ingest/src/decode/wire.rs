//! How a value travels, as Kafka Connect's schema says it, and the column type that it becomes.
//!
//! The map is that of the Debezium documentation: a logical type is known by its name, anything else by its base type.

use std::collections::HashSet;

use super::column_type::{ColumnType, DECIMAL_PRECISION_MAX};
use super::json::{JsonType, Object, Value};

/// Deepest nesting of structs and arrays in a row. PostgreSQL's composites need two or three.
const NESTING_MAX: usize = 16;

/// How a value travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    /// No schema says it: the value itself does.
    Any,
    Boolean,
    /// 8, 16 or 32 bits.
    Int,
    Long,
    Float,
    Double,
    String,
    /// Base64.
    Bytes,
    /// Base64 of the unscaled integer; a plain number or text is read too.
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// The same with more digits than a column can have: kept as text.
    LongDecimal {
        scale: i64,
    },
    /// `{scale, value}`, kept as text.
    VariableDecimal,
    /// Days since 1970.
    Date,
    /// A number since midnight: times `factor`, by `divisor`, in microseconds.
    Time {
        factor: i64,
        divisor: i64,
    },
    /// A number since 1970, likewise.
    Timestamp {
        factor: i64,
        divisor: i64,
        zoned: bool,
    },
    ZonedTimestamp,
    IsoDate,
    IsoTime,
    IsoTimestamp,
    /// Anything, kept as JSON text.
    Json,
    List(Box<Wire>),
    Struct(Vec<(String, Wire)>),
}

impl Wire {
    /// The column it becomes; none if only a value can tell.
    pub(crate) fn column_type(&self) -> Option<ColumnType> {
        Some(match self {
            Self::Any => return None,
            Self::Boolean => ColumnType::Boolean,
            Self::Int => ColumnType::Int,
            Self::Long => ColumnType::Long,
            Self::Float => ColumnType::Float,
            Self::Double => ColumnType::Double,
            Self::String | Self::LongDecimal { .. } | Self::VariableDecimal | Self::Json => ColumnType::String,
            Self::Bytes => ColumnType::Binary,
            Self::Decimal { precision, scale } => ColumnType::Decimal {
                precision: *precision,
                scale: *scale,
            },
            Self::Date | Self::IsoDate => ColumnType::Date,
            Self::Time { .. } | Self::IsoTime => ColumnType::Time,
            Self::Timestamp { zoned: false, .. } | Self::IsoTimestamp => ColumnType::Timestamp,
            Self::Timestamp { zoned: true, .. } | Self::ZonedTimestamp => ColumnType::TimestampTz,
            Self::List(item) => ColumnType::List(Box::new(item.column_type()?)),
            Self::Struct(fields) => ColumnType::Struct(
                fields
                    .iter()
                    .map(|(name, wire)| Some((name.clone(), wire.column_type()?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }

    /// What the JSON must be, for messages.
    pub(crate) fn expects(&self) -> &'static str {
        match self {
            Self::Any | Self::Json => "any value",
            Self::Boolean => "a boolean",
            Self::Int => "a 32-bit integer",
            Self::Long => "a 64-bit integer",
            Self::Float | Self::Double => "a number",
            Self::String => "a string",
            Self::Bytes => "base64",
            Self::Decimal { .. } | Self::LongDecimal { .. } => "base64 of a decimal",
            Self::VariableDecimal => "a decimal with its scale",
            Self::Date => "a number of days",
            Self::Time { .. } => "a time as a number",
            Self::Timestamp { .. } => "a timestamp as a number",
            Self::ZonedTimestamp => "an ISO timestamp with offset",
            Self::IsoDate => "an ISO date",
            Self::IsoTime => "an ISO time",
            Self::IsoTimestamp => "an ISO timestamp",
            Self::List(_) => "an array",
            Self::Struct(_) => "an object",
        }
    }
}

/// A schema as JsonConverter writes it, or what is wrong with it.
pub(crate) fn from_connect(schema: Value<'_>) -> Result<Wire, String> {
    wire(schema, 0)
}

fn wire(schema: Value<'_>, depth: usize) -> Result<Wire, String> {
    if depth > NESTING_MAX {
        return Err(format!("nested deeper than {NESTING_MAX} levels"));
    }
    let object = schema.as_object().ok_or("a schema is not an object")?;
    if let Some(logical) = text(object, "name").and_then(|name| logical(name, object)) {
        return Ok(logical);
    }
    let base = text(object, "type").ok_or("a schema has no type")?;
    Ok(match base {
        "boolean" => Wire::Boolean,
        "int8" | "int16" | "int32" => Wire::Int,
        "int64" => Wire::Long,
        "float" | "float32" => Wire::Float,
        "double" | "float64" => Wire::Double,
        "string" => Wire::String,
        "bytes" => Wire::Bytes,
        "map" => Wire::Json,
        "array" => {
            let items = object.get("items").ok_or("an array schema has no items")?;
            Wire::List(Box::new(wire(items, depth + 1)?))
        }
        "struct" => Wire::Struct(fields(object, depth)?),
        other => return Err(format!("unknown type {other:?}")),
    })
}

fn fields(object: Object<'_>, depth: usize) -> Result<Vec<(String, Wire)>, String> {
    let list = object.get("fields").and_then(|fields| fields.as_array());
    let list = list.ok_or("a struct schema has no fields")?;
    // Connect has no such schema. By a name that stands twice a value would find one column or the other.
    let mut names = HashSet::new();
    list.map(|field| {
        let object = field.as_object().ok_or("a field is not an object")?;
        let name = text(object, "field").ok_or("a field has no name")?;
        match names.insert(name) {
            true => Ok((name.to_owned(), wire(field, depth + 1)?)),
            false => Err(format!("field {name:?} stands twice")),
        }
    })
    .collect()
}

/// A logical type. None for names that mean nothing to us: they are ordinary structs and strings.
fn logical(name: &str, object: Object<'_>) -> Option<Wire> {
    let timestamp = |factor, divisor| Wire::Timestamp {
        factor,
        divisor,
        zoned: false,
    };
    Some(match name {
        "org.apache.kafka.connect.data.Decimal" => decimal(object)?,
        "io.debezium.data.VariableScaleDecimal" => Wire::VariableDecimal,
        "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => Wire::Date,
        "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time" => Wire::Time {
            factor: 1_000,
            divisor: 1,
        },
        "io.debezium.time.MicroTime" => Wire::Time { factor: 1, divisor: 1 },
        "io.debezium.time.NanoTime" => Wire::Time {
            factor: 1,
            divisor: 1_000,
        },
        "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => timestamp(1_000, 1),
        "io.debezium.time.MicroTimestamp" => timestamp(1, 1),
        "io.debezium.time.NanoTimestamp" => timestamp(1, 1_000),
        "io.debezium.time.ZonedTimestamp" => Wire::ZonedTimestamp,
        "io.debezium.time.IsoDate" => Wire::IsoDate,
        "io.debezium.time.IsoTime" => Wire::IsoTime,
        "io.debezium.time.IsoTimestamp" => Wire::IsoTimestamp,
        _ => return None,
    })
}

/// Scale and precision are texts among the parameters. Without a precision (money has none) the widest column is taken.
fn decimal(object: Object<'_>) -> Option<Wire> {
    let parameters = object.get("parameters").and_then(|parameters| parameters.as_object());
    let number = |key: &str| {
        parameters
            .and_then(|p| text(p, key))
            .and_then(|t| t.parse::<i64>().ok())
    };
    // Connect demands a scale; without one the bytes mean nothing and stay bytes.
    let scale = number("scale")?;
    let precision = number("connect.decimal.precision").unwrap_or_else(|| i64::from(DECIMAL_PRECISION_MAX));
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision), Ok(scale))
            if (1..=DECIMAL_PRECISION_MAX).contains(&precision)
                && (0..=i16::from(precision)).contains(&i16::from(scale)) =>
        {
            Some(Wire::Decimal { precision, scale })
        }
        _ => Some(Wire::LongDecimal { scale }),
    }
}

fn text<'a>(object: Object<'a>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(|value| value.as_str())
}

/// What a JSON value is, for messages.
pub(crate) fn found(value: Value<'_>) -> &'static str {
    match value.get_type() {
        JsonType::Null => "null",
        JsonType::Boolean => "a boolean",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Object => "an object",
        JsonType::Array => "an array",
    }
}
