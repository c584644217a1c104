//! What SQL calls the types of columns, as drivers read it from the metadata of a schema (FlightSql.proto, `CommandGetTables` and
//! `CommandStatementQuery`).

use datafusion::arrow::datatypes::{DataType, TimeUnit};

/// What the keys of a column's metadata begin with.
const KEY: &str = "ARROW:FLIGHT:SQL:";

/// A column's metadata under the protocol's name for it.
pub(crate) fn entry(key: &str, value: impl Into<String>) -> (String, String) {
    (format!("{KEY}{key}"), value.into())
}

/// Name, precision and scale of a type, as far as it has them.
pub(crate) fn entries(data_type: &DataType) -> impl Iterator<Item = (String, String)> {
    let (name, precision, scale) = named(data_type);
    let numbers = [("PRECISION", precision), ("SCALE", scale)];
    let numbers = numbers
        .into_iter()
        .filter_map(|(key, number)| Some(entry(key, number?.to_string())));
    std::iter::once(entry("TYPE_NAME", name)).chain(numbers)
}

fn named(data_type: &DataType) -> (String, Option<i32>, Option<i32>) {
    let plain = |name: &str, precision| (name.to_owned(), precision, None);
    match data_type {
        DataType::Boolean => plain("BOOLEAN", Some(1)),
        DataType::Int8 => plain("TINYINT", Some(3)),
        DataType::Int16 => plain("SMALLINT", Some(5)),
        DataType::Int32 => plain("INTEGER", Some(10)),
        DataType::Int64 => plain("BIGINT", Some(19)),
        DataType::Float32 => plain("REAL", Some(7)),
        DataType::Float64 => plain("DOUBLE", Some(15)),
        DataType::Decimal128(precision, scale) => ("DECIMAL".into(), Some((*precision).into()), Some((*scale).into())),
        DataType::Utf8 => plain("VARCHAR", None),
        DataType::Binary | DataType::FixedSizeBinary(_) => plain("VARBINARY", None),
        DataType::Date32 => plain("DATE", Some(10)),
        DataType::Time64(_) | DataType::Time32(_) => plain("TIME", Some(15)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => plain("TIMESTAMP", Some(29)),
        DataType::Timestamp(..) => plain("TIMESTAMP", Some(26)),
        DataType::List(_) | DataType::FixedSizeList(..) => plain("ARRAY", None),
        DataType::Struct(_) => plain("STRUCT", None),
        DataType::Map(..) => plain("MAP", None),
        other => (other.to_string(), None, None),
    }
}
