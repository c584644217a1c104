//! SQL's types as Iceberg's.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, TimezoneInfo};
use tidewater_table::iceberg::spec::{ListType, MapType, NestedField, PrimitiveType, StructType, Type};

use super::names;

/// The Iceberg type that a SQL type stands for; `None` if there is none. Nested fields get ids that count within this type
/// alone: whoever takes it into a schema gives them anew.
pub(super) fn iceberg_type(of: &DataType) -> Option<Type> {
    Ids(0).convert(of)
}

/// The last id that was given.
struct Ids(i32);

impl Ids {
    fn next(&mut self) -> i32 {
        self.0 += 1;
        self.0
    }

    fn convert(&mut self, of: &DataType) -> Option<Type> {
        Some(match of {
            DataType::Array(ArrayElemTypeDef::AngleBracket(element) | ArrayElemTypeDef::SquareBracket(element, _)) => {
                let id = self.next();
                let element = self.convert(element)?;
                Type::List(ListType::new(NestedField::list_element(id, element, false).into()))
            }
            DataType::Map(key, value) => {
                let (key_id, value_id) = (self.next(), self.next());
                let (key, value) = (self.convert(key)?, self.convert(value)?);
                Type::Map(MapType::new(
                    NestedField::map_key_element(key_id, key).into(),
                    NestedField::map_value_element(value_id, value, false).into(),
                ))
            }
            DataType::Struct(fields, _) => {
                let mut converted = Vec::with_capacity(fields.len());
                for field in fields {
                    let name = names::text(field.field_name.clone()?);
                    let id = self.next();
                    let of = self.convert(&field.field_type)?;
                    converted.push(Arc::new(NestedField::optional(id, name, of)));
                }
                Type::Struct(StructType::new(converted))
            }
            other => Type::Primitive(primitive(other)?),
        })
    }
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
