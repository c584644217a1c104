//! SQL's types as Iceberg's.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, TimezoneInfo};
use datafusion::sql::sqlparser::tokenizer::Token;
use tidewater_table::iceberg::spec::{ListType, MapType, NestedField, PrimitiveType, StructType, Type};

use super::grammar::{Grammar, Parsed};

impl Grammar<'_> {
    /// A type, as Iceberg has it. Nested fields get ids that count within this type alone: whoever takes it into a schema gives
    /// them anew.
    pub(super) fn iceberg_type(&mut self) -> Parsed<Type> {
        let of = self.nested_type(&mut 0)?;
        match self.closing {
            0 => Ok(of),
            _ => self.expected("no > before"),
        }
    }

    fn nested_type(&mut self, last: &mut i32) -> Parsed<Type> {
        if self.opening("ARRAY") {
            let id = next(last);
            let element = self.nested_type(last)?;
            self.close()?;
            return Ok(list(id, element));
        }
        if self.opening("MAP") {
            let (key_id, value_id) = (next(last), next(last));
            let key = self.nested_type(last)?;
            self.parser.expect_token(&Token::Comma)?;
            let value = self.nested_type(last)?;
            self.close()?;
            return Ok(Type::Map(MapType::new(
                NestedField::map_key_element(key_id, key).into(),
                NestedField::map_value_element(value_id, value, false).into(),
            )));
        }
        if self.opening("STRUCT") {
            let mut fields = Vec::new();
            loop {
                let id = next(last);
                let name = self.identifier()?;
                let _ = self.parser.consume_token(&Token::Colon);
                let of = self.nested_type(last)?;
                let required = self.words(&["NOT", "NULL"]);
                let mut field = NestedField::new(id, name, of, required);
                if self.word("COMMENT") {
                    field.doc = Some(self.text()?);
                }
                fields.push(Arc::new(field));
                if self.closing > 0 || !self.parser.consume_token(&Token::Comma) {
                    break;
                }
            }
            self.close()?;
            return Ok(Type::Struct(StructType::new(fields)));
        }
        let of = self.parser.parse_data_type()?;
        match plain(&of, last) {
            Some(of) => Ok(of),
            None => self.expected(&format!("a type that Iceberg has, which {of} is not, before")),
        }
    }

    /// Takes the word and the bracket after it if both are there.
    fn opening(&mut self, word: &str) -> bool {
        matches!(self.parser.peek_nth_token(1).token, Token::Lt)
            && self.word(word)
            && self.parser.consume_token(&Token::Lt)
    }

    /// Takes a closing bracket; two of them together are one token.
    fn close(&mut self) -> Parsed<()> {
        if self.closing > 0 {
            self.closing -= 1;
            return Ok(());
        }
        if self.parser.consume_token(&Token::ShiftRight) {
            self.closing = 1;
            return Ok(());
        }
        self.parser.expect_token(&Token::Gt).map(|_| ())
    }
}

fn next(last: &mut i32) -> i32 {
    *last = last.saturating_add(1);
    *last
}

fn list(id: i32, element: Type) -> Type {
    Type::List(ListType::new(NestedField::list_element(id, element, false).into()))
}

/// A type without angle brackets; `None` if Iceberg has none of the kind.
fn plain(of: &DataType, last: &mut i32) -> Option<Type> {
    if let DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) = of {
        let id = next(last);
        return Some(list(id, plain(element, last)?));
    }
    primitive(of).map(Type::Primitive)
}

fn primitive(of: &DataType) -> Option<PrimitiveType> {
    Some(match of {
        DataType::Boolean | DataType::Bool => PrimitiveType::Boolean,
        DataType::TinyInt(_)
        | DataType::SmallInt(_)
        | DataType::Int2(_)
        | DataType::Int(_)
        | DataType::Integer(_)
        | DataType::Int4(_)
        | DataType::Int32 => PrimitiveType::Int,
        DataType::BigInt(_) | DataType::Int8(_) | DataType::Int64 => PrimitiveType::Long,
        DataType::Real | DataType::Float4 | DataType::Float32 => PrimitiveType::Float,
        // As PostgreSQL means it. Spark's float is narrower, which a wider one holds.
        DataType::Float(ExactNumberInfo::Precision(1..=24)) => PrimitiveType::Float,
        DataType::Float(_) => PrimitiveType::Double,
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float64 => PrimitiveType::Double,
        DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => decimal(info)?,
        DataType::Date => PrimitiveType::Date,
        DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => PrimitiveType::Time,
        DataType::Timestamp(digits, zone) => match (digits, zone) {
            (Some(7..=9), TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => PrimitiveType::TimestampNs,
            (Some(7..=9), _) => PrimitiveType::TimestamptzNs,
            (_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => PrimitiveType::Timestamp,
            (_, _) => PrimitiveType::Timestamptz,
        },
        DataType::TimestampNtz(_) | DataType::Datetime(_) => PrimitiveType::Timestamp,
        DataType::String(_)
        | DataType::Text
        | DataType::Varchar(_)
        | DataType::CharVarying(_)
        | DataType::CharacterVarying(_)
        | DataType::Char(_)
        | DataType::Character(_)
        | DataType::JSON
        | DataType::JSONB => PrimitiveType::String,
        DataType::Uuid => PrimitiveType::Uuid,
        DataType::Bytea | DataType::Varbinary(_) | DataType::Blob(_) | DataType::Bytes(_) => PrimitiveType::Binary,
        DataType::Binary(None) => PrimitiveType::Binary,
        DataType::Binary(Some(length)) => PrimitiveType::Fixed(*length),
        DataType::Custom(name, arguments) => custom(&name.to_string().to_lowercase(), arguments)?,
        _ => return None,
    })
}

/// Types that the parser does not know by name.
fn custom(name: &str, arguments: &[String]) -> Option<PrimitiveType> {
    Some(match (name, arguments) {
        ("long", []) => PrimitiveType::Long,
        ("timestamptz" | "timestamp_ltz", []) => PrimitiveType::Timestamptz,
        ("timestamp_ns", []) => PrimitiveType::TimestampNs,
        ("timestamptz_ns", []) => PrimitiveType::TimestamptzNs,
        ("fixed", [length]) => PrimitiveType::Fixed(length.parse().ok()?),
        _ => return None,
    })
}

fn decimal(info: &ExactNumberInfo) -> Option<PrimitiveType> {
    let (precision, scale) = match info {
        // The widest, with room on both sides: PostgreSQL's numeric has no bound.
        ExactNumberInfo::None => (38, 9),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, u64::try_from(*scale).ok()?),
    };
    let fits = (1..=38).contains(&precision) && scale <= precision;
    fits.then_some(())?;
    Some(PrimitiveType::Decimal {
        precision: u32::try_from(precision).ok()?,
        scale: u32::try_from(scale).ok()?,
    })
}
