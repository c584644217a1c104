//! Values of a filter as values of a column.

use iceberg::spec::{Datum, Literal, PrimitiveLiteral, PrimitiveType, Type};
use serde_json::Value;

/// The value as one of the column's type; none when it is not written the way the specification has it. Such a condition prunes nothing.
pub(super) fn datum(value: &Value, kind: &PrimitiveType) -> Option<Datum> {
    let value = match (kind, value) {
        (PrimitiveType::Decimal { .. }, Value::Number(number)) => Value::String(number.to_string()),
        // Some writers leave the offset out, which is always zero, or call it Z.
        (PrimitiveType::Timestamptz | PrimitiveType::TimestamptzNs, Value::String(text)) => Value::String(in_utc(text)),
        (_, value) => value.clone(),
    };
    let literal = Literal::try_from_json(value.clone(), &Type::Primitive(kind.clone())).ok()??;
    let literal = literal.as_primitive_literal()?;
    if !is_exact(&value, &literal, kind) {
        return None;
    }
    Datum::try_from_bytes(&bytes(&literal)?, kind.clone()).ok()
}

fn in_utc(text: &str) -> String {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let time = text.split_once('T').map_or("", |(_, time)| time);
    match time.contains(['+', '-']) {
        true => text.to_owned(),
        false => format!("{text}+00:00"),
    }
}

/// Whether nothing was rounded: a rounded bound could leave out rows.
fn is_exact(value: &Value, literal: &PrimitiveLiteral, kind: &PrimitiveType) -> bool {
    match (literal, kind, value) {
        (PrimitiveLiteral::Float(float), _, Value::Number(number)) => number.as_f64() == Some(f64::from(float.0)),
        (PrimitiveLiteral::Int128(_), PrimitiveType::Decimal { scale, .. }, Value::String(text)) => {
            let digits = text.split_once('.').map_or(0, |(_, after)| after.len());
            !text.contains(['e', 'E']) && digits <= *scale as usize
        }
        _ => true,
    }
}

/// The value's bytes as the table format writes single values: the only way to a typed value from outside of its crate.
fn bytes(literal: &PrimitiveLiteral) -> Option<Vec<u8>> {
    Some(match literal {
        PrimitiveLiteral::Boolean(value) => vec![u8::from(*value)],
        PrimitiveLiteral::Int(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::Long(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::Float(value) => value.0.to_le_bytes().to_vec(),
        PrimitiveLiteral::Double(value) => value.0.to_le_bytes().to_vec(),
        PrimitiveLiteral::String(value) => value.as_bytes().to_vec(),
        PrimitiveLiteral::Binary(value) => value.clone(),
        PrimitiveLiteral::Int128(value) => value.to_be_bytes().to_vec(),
        PrimitiveLiteral::UInt128(value) => value.to_be_bytes().to_vec(),
        PrimitiveLiteral::AboveMax | PrimitiveLiteral::BelowMin => return None,
    })
}
