//! Values of partitions in JSON, which has no numbers for NaN and the infinities: the format library writes null for them, and a file of
//! such a partition would be one of rows that have no value.

use iceberg::spec::{Literal, PrimitiveLiteral, PrimitiveType, Type};
use serde_json::Value;

use crate::error::{Result, TableError};

const NAMES: [(&str, f64); 3] = [
    ("NaN", f64::NAN),
    ("Infinity", f64::INFINITY),
    ("-Infinity", f64::NEG_INFINITY),
];

/// The name of a value that JSON has no number for.
pub fn name(value: &Literal) -> Option<&'static str> {
    let number = match value {
        Literal::Primitive(PrimitiveLiteral::Float(number)) => f64::from(number.0),
        Literal::Primitive(PrimitiveLiteral::Double(number)) => number.0,
        _ => return None,
    };
    let is = |(_, named): &&(&str, f64)| *named == number || (named.is_nan() && number.is_nan());
    NAMES.iter().find(is).map(|(name, _)| *name)
}

/// The value of a partition's field: as the table format writes it, or the name of one that JSON has no number for.
pub fn to_json(value: Option<&Literal>, of: &Type) -> Result<Value> {
    match value {
        None => Ok(Value::Null),
        Some(value) => match name(value) {
            Some(name) => Ok(Value::from(name)),
            None => value
                .clone()
                .try_into_json(of)
                .map_err(TableError::metadata("write a partition's value")),
        },
    }
}

/// The reverse of [`to_json`]; the reason where a value is none of its type.
pub fn from_json(value: Value, of: &Type) -> std::result::Result<Option<Literal>, String> {
    let float = matches!(of, Type::Primitive(PrimitiveType::Float | PrimitiveType::Double));
    let named = value.as_str().filter(|_| float);
    if let Some((_, number)) = named.and_then(|written| NAMES.iter().find(|(name, _)| *name == written)) {
        return Ok(Some(match of {
            // Each of them is the same in four bytes.
            Type::Primitive(PrimitiveType::Float) => Literal::float(*number as f32),
            _ => Literal::double(*number),
        }));
    }
    Literal::try_from_json(value, of).map_err(|error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: every value of a partition comes back as it was. Method: numbers that JSON has and those that it has not, of both widths;
    // texts that are called like them; nulls; and what is none.
    #[test]
    fn values_come_back() {
        let (float, double) = (
            Type::Primitive(PrimitiveType::Float),
            Type::Primitive(PrimitiveType::Double),
        );
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.5, -0.0] {
            let there = to_json(Some(&Literal::double(number)), &double).expect("JSON");
            assert!(!there.is_null());
            assert_eq!(from_json(there, &double), Ok(Some(Literal::double(number))));
            let narrow = Literal::float(number as f32);
            let there = to_json(Some(&narrow), &float).expect("JSON");
            assert_eq!(from_json(there, &float), Ok(Some(narrow)));
        }
        let text = Type::Primitive(PrimitiveType::String);
        let named = Literal::string("NaN");
        let there = to_json(Some(&named), &text).expect("JSON");
        assert_eq!(from_json(there, &text), Ok(Some(named)));
        assert_eq!(to_json(None, &double).expect("JSON"), Value::Null);
        assert_eq!(from_json(Value::Null, &double), Ok(None));
        assert!(from_json(Value::from("nan"), &double).is_err());
    }
}
