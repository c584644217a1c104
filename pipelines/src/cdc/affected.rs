//! Which stored files can hold rows of the changed keys.

use std::collections::BTreeSet;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use iceberg::spec::{Datum, PrimitiveType, Schema, Type};
use tidewater_table::Predicate;

/// Keys that are told one by one; with more of them nearly every bucket is touched, and looking no longer pays.
pub(super) const KEYS_COUNT_MAX: usize = 20_000;

/// A condition that every stored row of these keys fulfils. Files are pruned by it, by partition and by bounds.
pub(super) fn rows_of(key: &[String], schema: &Schema, keys: &[RecordBatch]) -> Predicate {
    let count: usize = keys.iter().map(RecordBatch::num_rows).sum();
    if count > KEYS_COUNT_MAX {
        return Predicate::Always;
    }
    if count == 0 {
        return Predicate::Never;
    }
    let columns = key.iter().filter_map(|name| {
        let field = schema.field_by_name(name)?;
        let Type::Primitive(primitive) = field.field_type.as_ref() else {
            return None;
        };
        let values = values(name, primitive, keys)?;
        Some(Predicate::In {
            field_id: field.id,
            values,
        })
    });
    // A composite key is narrowed by each of its columns; columns that cannot be told narrow nothing.
    let columns: Vec<Predicate> = columns.collect();
    if columns.is_empty() {
        Predicate::Always
    } else {
        Predicate::And(columns)
    }
}

/// The distinct values of a column; none if one of them has no counterpart.
fn values(name: &str, of: &PrimitiveType, keys: &[RecordBatch]) -> Option<Vec<Datum>> {
    let mut seen = BTreeSet::new();
    let mut values = Vec::new();
    for batch in keys {
        let column = batch.column_by_name(name)?;
        for row in 0..batch.num_rows() {
            let value = datum(of, &ScalarValue::try_from_array(column, row).ok()?)?;
            if seen.insert(value.to_string()) {
                values.push(value);
            }
        }
    }
    Some(values)
}

fn datum(of: &PrimitiveType, value: &ScalarValue) -> Option<Datum> {
    use PrimitiveType as P;
    use ScalarValue as S;
    let integer = match value {
        S::Int8(v) => v.map(i64::from),
        S::Int16(v) => v.map(i64::from),
        S::Int32(v) => v.map(i64::from),
        S::Int64(v) => *v,
        S::UInt8(v) => v.map(i64::from),
        S::UInt16(v) => v.map(i64::from),
        S::UInt32(v) => v.map(i64::from),
        _ => None,
    };
    match (of, value) {
        (P::Int, _) => i32::try_from(integer?).ok().map(Datum::int),
        (P::Long, _) => integer.map(Datum::long),
        (P::String, S::Utf8(v) | S::LargeUtf8(v) | S::Utf8View(v)) => v.as_ref().map(Datum::string),
        (P::Date, S::Date32(v)) => v.map(Datum::date),
        (P::Timestamp, S::TimestampMicrosecond(v, None)) => v.map(Datum::timestamp_micros),
        (P::Timestamptz, S::TimestampMicrosecond(v, Some(_))) => v.map(Datum::timestamptz_micros),
        _ => None,
    }
}
