//! The SQL types with all that ODBC asks of them (FlightSql.proto, `CommandGetXdbcTypeInfo`).

use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};
use datafusion::arrow::error::ArrowError;

/// Digits after the point of seconds.
const SECOND_DIGITS: i32 = 9;

/// Digits of a decimal.
const DECIMAL_DIGITS: i32 = 38;

/// The types, for `getTypeInfo`.
pub(super) fn type_info() -> Result<XdbcTypeInfoData, ArrowError> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    for of in numbers().into_iter().chain(texts()).chain(times()) {
        types.append(of);
    }
    types.append(plain("BOOLEAN", XdbcDataType::XdbcBit, 1));
    types
        .build()
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

fn numbers() -> Vec<XdbcTypeInfo> {
    use XdbcDataType as T;
    let number = |name, data_type, size, radix| XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(radix),
        searchable: Searchable::Full,
        ..plain(name, data_type, size)
    };
    let whole = |name, data_type, size| XdbcTypeInfo {
        fixed_prec_scale: true,
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        ..number(name, data_type, size, 10)
    };
    let decimal = |name, data_type| XdbcTypeInfo {
        create_params: Some(vec!["precision".into(), "scale".into()]),
        minimum_scale: Some(0),
        maximum_scale: Some(DECIMAL_DIGITS),
        ..number(name, data_type, DECIMAL_DIGITS, 10)
    };
    vec![
        whole("TINYINT", T::XdbcTinyint, 3),
        whole("SMALLINT", T::XdbcSmallint, 5),
        whole("INTEGER", T::XdbcInteger, 10),
        whole("BIGINT", T::XdbcBigint, 19),
        // The sizes of floats are bits of their mantissas.
        number("REAL", T::XdbcReal, 24, 2),
        number("FLOAT", T::XdbcFloat, 53, 2),
        number("DOUBLE", T::XdbcDouble, 53, 2),
        decimal("DECIMAL", T::XdbcDecimal),
        decimal("NUMERIC", T::XdbcNumeric),
    ]
}

fn texts() -> Vec<XdbcTypeInfo> {
    use XdbcDataType as T;
    let quoted = |name, data_type, prefix: &str, length: bool| XdbcTypeInfo {
        literal_prefix: Some(prefix.into()),
        literal_suffix: Some("'".into()),
        create_params: length.then(|| vec!["length".into()]),
        case_sensitive: length,
        ..plain(name, data_type, i32::MAX)
    };
    vec![
        quoted("CHAR", T::XdbcChar, "'", true),
        quoted("VARCHAR", T::XdbcVarchar, "'", true),
        quoted("BINARY", T::XdbcBinary, "X'", false),
        quoted("VARBINARY", T::XdbcVarbinary, "X'", false),
    ]
}

fn times() -> Vec<XdbcTypeInfo> {
    use XdbcDataType as T;
    use XdbcDatetimeSubcode as S;
    let time = |name: &str, data_type, size, code, digits| XdbcTypeInfo {
        literal_prefix: Some(format!("{name} '")),
        literal_suffix: Some("'".into()),
        minimum_scale: Some(0),
        maximum_scale: Some(digits),
        // All of them are "datetime", told apart by the code.
        sql_data_type: T::XdbcDatetime,
        datetime_subcode: Some(code),
        ..plain(name, data_type, size)
    };
    vec![
        time("DATE", T::XdbcDate, 10, S::XdbcSubcodeYear, 0),
        time("TIME", T::XdbcTime, 18, S::XdbcSubcodeTime, SECOND_DIGITS),
        time(
            "TIMESTAMP",
            T::XdbcTimestamp,
            29,
            S::XdbcSubcodeTimestamp,
            SECOND_DIGITS,
        ),
    ]
}

fn plain(name: &str, data_type: XdbcDataType, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.into(),
        data_type,
        column_size: Some(size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        sql_data_type: data_type,
        local_type_name: Some(name.into()),
        ..XdbcTypeInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: every type that a column or a cast can have is there once, and one can be asked for alone. Method: all rows, and those of each
    // type.
    #[test]
    fn every_type_is_told_once() {
        let info = type_info().expect("types");
        assert_eq!(info.record_batch(None).expect("all").num_rows(), 17);
        for of in numbers().into_iter().chain(texts()).chain(times()) {
            let found = info.record_batch(of.data_type as i32).expect("one");
            assert_eq!(found.num_rows(), 1, "{}", of.type_name);
        }
    }
}
