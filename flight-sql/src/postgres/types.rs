//! Arrow's types as PostgreSQL's: what a column or a parameter is called on the wire.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

use tidewater_engine::pg_catalog::TYPE_KEY;
pub(super) use tidewater_engine::pg_catalog::types::*;

/// Digits of a `numeric` that tells none, as our decimals have them.
const NUMERIC_DIGITS: (u8, i8) = (38, 10);

/// Microseconds between 1970 and 2000, where PostgreSQL counts from.
pub(super) const EPOCH_US: i64 = 946_684_800_000_000;

/// Days between 1970 and 2000.
pub(super) const EPOCH_DAYS: i32 = 10_957;

/// A type as a client is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PgType {
    pub(super) oid: u32,
    /// Bytes, or -1 where they vary.
    pub(super) length: i16,
    /// Digits of a decimal, or -1.
    pub(super) modifier: i32,
}

impl PgType {
    /// What values of a field are sent as.
    pub(super) fn of_field(field: &Field) -> Self {
        match own(field) {
            Some((oid, length)) => Self {
                oid,
                length,
                modifier: -1,
            },
            None => Self::of(field.data_type()),
        }
    }

    /// What values of this Arrow type are sent as.
    pub(super) fn of(of: &DataType) -> Self {
        let oid = oid(of);
        Self {
            oid,
            length: length(oid),
            modifier: modifier(of),
        }
    }
}

/// The type of PostgreSQL's own that values of a field are, and its bytes, where the Arrow type does not tell.
pub(super) fn own(field: &Field) -> Option<(u32, i16)> {
    Some(match field.metadata().get(TYPE_KEY)?.as_str() {
        "char" => (CHAR, length(CHAR)),
        "regproc" => (REGPROC, 4),
        "regtype" => (REGTYPE, 4),
        "int2vector" => (INT2VECTOR, -1),
        "oidvector" => (OIDVECTOR, -1),
        _ => return None,
    })
}

/// The Arrow type that values of a PostgreSQL type become; `None` for one that is not told or not known, whose values are text.
pub(super) fn arrow(oid: u32) -> Option<DataType> {
    Some(match oid {
        BOOL => DataType::Boolean,
        BYTEA => DataType::Binary,
        INT2 => DataType::Int16,
        INT4 => DataType::Int32,
        INT8 | OID => DataType::Int64,
        FLOAT4 => DataType::Float32,
        FLOAT8 => DataType::Float64,
        NUMERIC => DataType::Decimal128(NUMERIC_DIGITS.0, NUMERIC_DIGITS.1),
        DATE => DataType::Date32,
        TIME => DataType::Time64(TimeUnit::Microsecond),
        TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        UUID => DataType::FixedSizeBinary(16),
        TEXT | VARCHAR | BPCHAR | NAME | CHAR | JSON | JSONB => DataType::Utf8,
        array => {
            let element = arrow(element(array)?)?;
            DataType::List(Arc::new(Field::new_list_field(element, true)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a value that goes out as a type comes in as one. Method: every type that is told, there and back.
    #[test]
    fn types_go_there_and_back() {
        for of in BUILT_IN {
            for oid in [of.oid, of.array] {
                let there = arrow(oid).expect("a type");
                let back = PgType::of(&there);
                assert_eq!(arrow(back.oid).as_ref(), Some(&there), "{oid}");
            }
        }
        assert_eq!(PgType::of(&DataType::Decimal128(12, 2)).modifier, (12 << 16) + 2 + 4);
        assert_eq!(arrow(UNKNOWN), None);
    }
}
