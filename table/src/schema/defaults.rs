//! What a column is where nothing was written for it. It travels in the metadata of the column's Arrow field, as text: whoever reads a
//! file that the column is younger than has no more of the table than its Arrow schema.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, StringArray, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Decimal128Type, DecimalType, Field};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use iceberg::spec::{Literal, NestedField, PrimitiveLiteral, PrimitiveType, Type};
use serde_json::Value;

use super::Within;
use crate::error::{Result, TableError};

/// What a column is in rows of files that lack it.
pub(super) const INITIAL_KEY: &str = "iceberg.initial-default";

/// What it is in rows that are written without it.
pub(super) const WRITE_KEY: &str = "iceberg.write-default";

/// The default of a struct that is not null: what its fields are, each of them tells itself.
pub(super) const EMPTY_STRUCT: &str = "{}";

/// The defaults of a column, for the metadata of its Arrow field.
pub(super) fn told(field: &NestedField) -> Result<Vec<(String, String)>> {
    let pairs = [(INITIAL_KEY, &field.initial_default), (WRITE_KEY, &field.write_default)];
    let mut told = Vec::new();
    for (key, default) in pairs {
        if let Some(text) = text(field, default.as_ref())? {
            told.push((key.to_owned(), text));
        }
    }
    Ok(told)
}

/// As JSON has it (spec, "JSON single-value serialization"), but for bytes, which are hexadecimal digits and nothing else.
pub(super) fn text(field: &NestedField, default: Option<&Literal>) -> Result<Option<String>> {
    let Some(default) = default else { return Ok(None) };
    // With its fields, each of them null, as the format library has it.
    if let Literal::Struct(parts) = default
        && parts.fields().iter().all(Option::is_none)
    {
        return Ok(Some(EMPTY_STRUCT.to_owned()));
    }
    // As digits: what is small has an exponent there, which no decimal is read from.
    if let (Type::Primitive(PrimitiveType::Decimal { precision, scale }), Literal::Primitive(literal)) =
        (field.field_type.as_ref(), default)
        && let PrimitiveLiteral::Int128(value) = literal
        && let (Ok(precision), Ok(scale)) = (u8::try_from(*precision), i8::try_from(*scale))
    {
        return Ok(Some(Decimal128Type::format_decimal(*value, precision, scale)));
    }
    let json = default.clone().try_into_json(&field.field_type);
    Ok(
        match json.map_err(TableError::metadata(format!("the default of column {}", field.name)))? {
            Value::Null => None,
            Value::String(text) if *field.field_type == Type::Primitive(PrimitiveType::Uuid) => {
                Some(text.replace('-', ""))
            }
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        },
    )
}

/// What the column is in rows of files that lack it: one value; `None` if it is null there. A struct of which a partition tells a field
/// is there.
///
/// # Errors
/// [`TableError::Encode`] for a default that is none of the column's type; those of [`Within::absent`] for a struct.
pub fn initial_default(field: &Field) -> Result<Option<ArrayRef>> {
    match field.data_type() {
        DataType::Struct(_) => Within::of(field)?.absent(field),
        _ => value(field, INITIAL_KEY),
    }
}

/// What the column is in rows that are written without it: one value; `None` if it is null there.
///
/// # Errors
/// As [`initial_default`].
pub fn write_default(field: &Field) -> Result<Option<ArrayRef>> {
    match field.data_type() {
        DataType::Struct(_) => Within::written(field)?.absent(field),
        _ => value(field, WRITE_KEY),
    }
}

/// So many times the one value.
pub(crate) fn repeated(one: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    let first = UInt32Array::from(vec![0; rows]);
    take(one, &first, None).map_err(TableError::encode("repeat a default"))
}

fn value(field: &Field, key: &str) -> Result<Option<ArrayRef>> {
    let text = field.metadata().get(key);
    text.map(|text| read(field, text)).transpose()
}

/// The value that a text tells of a field.
pub(super) fn read(field: &Field, text: &str) -> Result<ArrayRef> {
    if field.data_type().is_nested() {
        let reason = format!("the default of {} is of a type that has none but null", field.name());
        return Err(TableError::damaged(reason));
    }
    parsed(text, field.data_type()).map_err(TableError::encode(format!(
        "read the default of column {}",
        field.name()
    )))
}

/// The one value of an array, which is not null, as the text that it is read from again.
pub(crate) fn as_text(value: &ArrayRef) -> Result<String> {
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if let Some(bytes) = value.as_binary_opt::<i32>() {
        return Ok(hexadecimal(bytes.value(0)));
    }
    if let Some(bytes) = value.as_fixed_size_binary_opt() {
        return Ok(hexadecimal(bytes.value(0)));
    }
    let text = cast_with_options(value, &DataType::Utf8, &strict());
    let text = text.map_err(TableError::encode("write a value as text"))?;
    Ok(text.as_string::<i32>().value(0).to_owned())
}

/// A value that does not fit is an error, never a null.
fn strict() -> CastOptions<'static> {
    CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    }
}

fn parsed(text: &str, of: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    Ok(match of {
        DataType::Binary => Arc::new(BinaryArray::from_vec(vec![bytes(text)?.as_slice()])),
        DataType::FixedSizeBinary(length) => {
            let array = FixedSizeBinaryArray::try_from_iter([bytes(text)?].into_iter())?;
            if array.value_length() != *length {
                return Err(ArrowError::ParseError(format!("{text:?} are not {length} bytes")));
            }
            Arc::new(array)
        }
        other => cast_with_options(&StringArray::from(vec![text]), other, &strict())?,
    })
}

fn bytes(text: &str) -> std::result::Result<Vec<u8>, ArrowError> {
    let refused = || ArrowError::ParseError(format!("{text:?} are no hexadecimal digits"));
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .ok_or_else(refused)
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::to_arrow;
    use iceberg::spec::Schema;

    // Goal: a default is read as it was made, in every type. Method: each through the Arrow field's metadata, shown as text.
    #[test]
    fn defaults_travel() {
        use PrimitiveType as P;
        let micros = 1_767_225_600_000_001;
        for (of, default, wanted) in [
            (P::Boolean, Literal::bool(true), "true"),
            (P::Int, Literal::int(-7), "-7"),
            (P::Long, Literal::long(1_i64 << 40), "1099511627776"),
            (P::Float, Literal::float(0.1), "0.1"),
            (P::Double, Literal::double(-2.5e-3), "-0.0025"),
            (
                P::Decimal {
                    precision: 20,
                    scale: 4,
                },
                Literal::decimal(-123_456),
                "-12.3456",
            ),
            (
                P::Decimal {
                    precision: 38,
                    scale: 10,
                },
                Literal::decimal(1),
                "0.0000000001",
            ),
            (
                P::Decimal {
                    precision: 38,
                    scale: 10,
                },
                Literal::decimal(0),
                "0.0000000000",
            ),
            (P::Date, Literal::date(20_454), "2026-01-01"),
            (P::Time, Literal::time(3_600_000_001), "01:00:00.000001"),
            (P::Timestamp, Literal::timestamp(micros), "2026-01-01T00:00:00.000001"),
            (
                P::Timestamptz,
                Literal::timestamptz(micros),
                "2026-01-01T00:00:00.000001Z",
            ),
            (P::String, Literal::string("it's – ok"), "it's – ok"),
            (P::String, Literal::string(""), ""),
            (P::Binary, Literal::binary(vec![0, 255, 16]), "00ff10"),
            (P::Fixed(2), Literal::fixed(vec![1, 171]), "01ab"),
            (
                P::Uuid,
                Literal::Primitive(PrimitiveLiteral::UInt128(0x0123_4567_89ab_cdef)),
                "00000000000000000123456789abcdef",
            ),
        ] {
            let mut field = NestedField::required(1, "c", Type::Primitive(of.clone()));
            field.initial_default = Some(default.clone());
            let schema = Schema::builder()
                .with_fields([Arc::new(field)])
                .build()
                .expect("a schema");
            let arrow = to_arrow(&schema).expect("a schema");
            let value = initial_default(arrow.field(0)).expect("a value").expect("a default");
            assert_eq!((value.data_type(), value.len()), (arrow.field(0).data_type(), 1));
            let shown = arrow::util::display::array_value_to_string(&value, 0).expect("text");
            assert_eq!(shown, wanted, "{of}");
            assert!(write_default(arrow.field(0)).expect("none").is_none());
            let again = read(arrow.field(0), &as_text(&value).expect("text")).expect("the same");
            assert_eq!(&again, &value, "{of}");
            assert_eq!(repeated(&value, 3).expect("rows").len(), 3);
        }
    }

    // Goal: damage is told. Method: texts that are no values.
    #[test]
    fn what_is_no_value_is_refused() {
        for (text, of) in [
            ("x", DataType::Int32),
            ("0", DataType::Binary),
            ("zz", DataType::Binary),
            ("00", DataType::FixedSizeBinary(2)),
            ("2026-13-01", DataType::Date32),
        ] {
            let metadata = [(INITIAL_KEY.to_owned(), text.to_owned())];
            let field = Field::new("c", of, true).with_metadata(metadata.into());
            let value = initial_default(&field);
            assert!(matches!(value, Err(TableError::Encode { .. })), "{text}: {value:?}");
        }
    }
}
