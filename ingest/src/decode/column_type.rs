//! The types a bronze column can have, and what one may become.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

/// Time zone of instants in Arrow, as Iceberg's `timestamptz` has it.
pub(crate) const UTC: &str = "+00:00";

/// Most digits of a decimal in Iceberg.
pub(crate) const DECIMAL_PRECISION_MAX: u8 = 38;

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal { precision: u8, scale: i8 },
    Date,
    Time,
    Timestamp,
    TimestampTz,
    String,
    Binary,
    List(Box<ColumnType>),
    Struct(Vec<(String, ColumnType)>),
}

/// Whether a column takes values of a type in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// As it is.
    Holds,
    /// Once it has this type.
    Widened(ColumnType),
    /// Never.
    No,
}

impl ColumnType {
    /// As Arrow has it.
    pub(crate) fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::String => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::List(item) => DataType::List(list_item(item)),
            Self::Struct(fields) => DataType::Struct(struct_fields(fields)),
        }
    }

    /// The reverse of [`Self::arrow`]; none for a type that ingest never writes.
    pub(crate) fn from_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int32 => Self::Int,
            DataType::Int64 => Self::Long,
            DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(precision, scale) => Self::Decimal {
                precision: *precision,
                scale: *scale,
            },
            DataType::Date32 => Self::Date,
            DataType::Time64(TimeUnit::Microsecond) => Self::Time,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::TimestampTz,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::String,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Binary,
            DataType::List(item) | DataType::LargeList(item) => {
                Self::List(Box::new(Self::from_arrow(item.data_type())?))
            }
            DataType::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|field| Some((field.name().clone(), Self::from_arrow(field.data_type())?)))
                    .collect::<Option<_>>()?,
            ),
            _ => return None,
        })
    }

    /// How the type is written in the name of a column that was split off for it.
    pub(crate) fn suffix(&self) -> String {
        match self {
            Self::Boolean => "boolean".into(),
            Self::Int => "int".into(),
            Self::Long => "long".into(),
            Self::Float => "float".into(),
            Self::Double => "double".into(),
            Self::Decimal { precision, scale } => format!("decimal_{precision}_{scale}"),
            Self::Date => "date".into(),
            Self::Time => "time".into(),
            Self::Timestamp => "timestamp".into(),
            Self::TimestampTz => "timestamptz".into(),
            Self::String => "string".into(),
            Self::Binary => "binary".into(),
            Self::List(item) => format!("list_{}", item.suffix()),
            Self::Struct(_) => "struct".into(),
        }
    }

    /// Whether a column of this type takes values of type `wanted` in. A column that stands in a committed schema changes
    /// only as Iceberg allows.
    pub(crate) fn fit(&self, wanted: &Self, committed: bool) -> Fit {
        match (self, wanted) {
            (a, b) if a == b => Fit::Holds,
            (Self::Long, Self::Int) | (Self::Double, Self::Float) => Fit::Holds,
            (Self::Int, Self::Long) | (Self::Float, Self::Double) => Fit::Widened(wanted.clone()),
            (Self::Long, Self::Double) if !committed => Fit::Widened(Self::Double),
            (
                Self::Decimal { precision, scale },
                Self::Decimal {
                    precision: wanted_precision,
                    scale: wanted_scale,
                },
            ) => decimal_fit((*precision, *scale), (*wanted_precision, *wanted_scale)),
            (Self::List(item), Self::List(wanted_item)) => match item.fit(wanted_item, committed) {
                Fit::Widened(wider) => Fit::Widened(Self::List(Box::new(wider))),
                other => other,
            },
            (Self::Struct(fields), Self::Struct(wanted_fields)) => struct_fit(fields, wanted_fields, committed),
            _ => Fit::No,
        }
    }
}

/// A decimal takes another in when all its digits fit at the same scale, or at a finer one.
fn decimal_fit((precision, scale): (u8, i8), (wanted_precision, wanted_scale): (u8, i8)) -> Fit {
    let whole = i16::from(precision) - i16::from(scale);
    let wanted_whole = i16::from(wanted_precision) - i16::from(wanted_scale);
    if scale >= wanted_scale && whole >= wanted_whole {
        Fit::Holds
    } else if scale == wanted_scale {
        Fit::Widened(ColumnType::Decimal {
            precision: wanted_precision,
            scale,
        })
    } else {
        Fit::No
    }
}

fn struct_fit(fields: &[(String, ColumnType)], wanted: &[(String, ColumnType)], committed: bool) -> Fit {
    let mut union = fields.to_vec();
    let mut changed = false;
    for (name, wanted_type) in wanted {
        match union.iter_mut().find(|(known, _)| known == name) {
            None => {
                union.push((name.clone(), wanted_type.clone()));
                changed = true;
            }
            Some((_, known_type)) => match known_type.fit(wanted_type, committed) {
                Fit::Holds => {}
                Fit::Widened(wider) => {
                    *known_type = wider;
                    changed = true;
                }
                Fit::No => return Fit::No,
            },
        }
    }
    if changed {
        Fit::Widened(ColumnType::Struct(union))
    } else {
        Fit::Holds
    }
}

pub(crate) fn list_item(item: &ColumnType) -> Arc<Field> {
    Arc::new(Field::new("element", item.arrow(), true))
}

pub(crate) fn struct_fields(fields: &[(String, ColumnType)]) -> Fields {
    fields
        .iter()
        .map(|(name, kind)| Field::new(name, kind.arrow(), true))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a committed column changes only as Iceberg allows. Method: a table of pairs.
    #[test]
    fn committed_columns_widen_as_iceberg_allows() {
        let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
        let cases = [
            (ColumnType::Int, ColumnType::Long, Fit::Widened(ColumnType::Long)),
            (ColumnType::Long, ColumnType::Int, Fit::Holds),
            (ColumnType::Long, ColumnType::Double, Fit::No),
            (ColumnType::String, ColumnType::Long, Fit::No),
            (decimal(10, 2), decimal(12, 2), Fit::Widened(decimal(12, 2))),
            (decimal(10, 2), decimal(14, 4), Fit::No),
            (decimal(14, 4), decimal(10, 2), Fit::Holds),
            (decimal(10, 4), decimal(10, 2), Fit::No),
        ];
        for (column, wanted, fit) in cases {
            assert_eq!(column.fit(&wanted, true), fit, "{column:?} <- {wanted:?}");
        }
        assert_eq!(
            ColumnType::Long.fit(&ColumnType::Double, false),
            Fit::Widened(ColumnType::Double)
        );
    }

    // Goal: types survive the way to Arrow and back. Method: one of each.
    #[test]
    fn arrow_round_trip() {
        let all = ColumnType::Struct(vec![
            ("a".into(), ColumnType::Boolean),
            ("b".into(), ColumnType::List(Box::new(ColumnType::TimestampTz))),
            (
                "c".into(),
                ColumnType::Decimal {
                    precision: 38,
                    scale: 5,
                },
            ),
            ("d".into(), ColumnType::Time),
            ("e".into(), ColumnType::Struct(vec![("f".into(), ColumnType::Binary)])),
        ]);
        assert_eq!(ColumnType::from_arrow(&all.arrow()), Some(all));
    }
}
