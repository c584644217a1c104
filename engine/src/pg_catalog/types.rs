//! PostgreSQL's types and their numbers, and which of them stand for Arrow's.

use datafusion::arrow::datatypes::{DataType, Field};

/// `bool`.
pub const BOOL: u32 = 16;
/// `bytea`.
pub const BYTEA: u32 = 17;
/// `"char"`.
pub const CHAR: u32 = 18;
/// `name`.
pub const NAME: u32 = 19;
/// `int8`.
pub const INT8: u32 = 20;
/// `int2`.
pub const INT2: u32 = 21;
/// `int2vector`: an array of `int2` whose places begin at 0.
pub const INT2VECTOR: u32 = 22;
/// `int4`.
pub const INT4: u32 = 23;
/// `regproc`: the number of a function, shown as its name.
pub const REGPROC: u32 = 24;
/// `text`.
pub const TEXT: u32 = 25;
/// `oid`.
pub const OID: u32 = 26;
/// `oidvector`: an array of `oid` whose places begin at 0.
pub const OIDVECTOR: u32 = 30;
/// An array of object numbers.
pub const OIDS: u32 = 1028;
/// `json`.
pub const JSON: u32 = 114;
/// `float4`.
pub const FLOAT4: u32 = 700;
/// `float8`.
pub const FLOAT8: u32 = 701;
/// A literal whose type nobody has said.
pub const UNKNOWN: u32 = 705;
/// `char(n)`.
pub const BPCHAR: u32 = 1042;
/// `varchar`.
pub const VARCHAR: u32 = 1043;
/// `date`.
pub const DATE: u32 = 1082;
/// `time`.
pub const TIME: u32 = 1083;
/// `timestamp`.
pub const TIMESTAMP: u32 = 1114;
/// `timestamptz`.
pub const TIMESTAMPTZ: u32 = 1184;
/// `interval`.
pub const INTERVAL: u32 = 1186;
/// `numeric`.
pub const NUMERIC: u32 = 1700;
/// `regtype`: the number of a type, shown as its name.
pub const REGTYPE: u32 = 2206;
/// `record`.
pub const RECORD: u32 = 2249;
/// `uuid`.
pub const UUID: u32 = 2950;
/// `jsonb`.
pub const JSONB: u32 = 3802;

/// One type of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its number.
    pub oid: u32,
    /// The number of its array type.
    pub array: u32,
    /// Its name in `pg_type`.
    pub name: &'static str,
    /// Its name in SQL.
    pub sql: &'static str,
    /// Bytes of a value; -1 where they vary.
    pub length: i16,
    /// What it is among its like: `N` a number, `S` a text, and so on.
    pub category: char,
}

const fn of(oid: u32, array: u32, name: &'static str, sql: &'static str, length: i16, category: char) -> BuiltIn {
    BuiltIn {
        oid,
        array,
        name,
        sql,
        length,
        category,
    }
}

/// The types that there are here.
pub const BUILT_IN: &[BuiltIn] = &[
    of(BOOL, 1000, "bool", "boolean", 1, 'B'),
    of(BYTEA, 1001, "bytea", "bytea", -1, 'U'),
    of(CHAR, 1002, "char", "\"char\"", 1, 'Z'),
    of(NAME, 1003, "name", "name", 64, 'S'),
    of(INT8, 1016, "int8", "bigint", 8, 'N'),
    of(INT2, 1005, "int2", "smallint", 2, 'N'),
    of(INT4, 1007, "int4", "integer", 4, 'N'),
    of(TEXT, 1009, "text", "text", -1, 'S'),
    of(OID, OIDS, "oid", "oid", 4, 'N'),
    of(JSON, 199, "json", "json", -1, 'U'),
    of(FLOAT4, 1021, "float4", "real", 4, 'N'),
    of(FLOAT8, 1022, "float8", "double precision", 8, 'N'),
    of(BPCHAR, 1014, "bpchar", "character", -1, 'S'),
    of(VARCHAR, 1015, "varchar", "character varying", -1, 'S'),
    of(DATE, 1182, "date", "date", 4, 'D'),
    of(TIME, 1183, "time", "time without time zone", 8, 'D'),
    of(TIMESTAMP, 1115, "timestamp", "timestamp without time zone", 8, 'D'),
    of(TIMESTAMPTZ, 1185, "timestamptz", "timestamp with time zone", 8, 'D'),
    of(INTERVAL, 1187, "interval", "interval", 16, 'T'),
    of(NUMERIC, 1231, "numeric", "numeric", -1, 'N'),
    of(UUID, 2951, "uuid", "uuid", 16, 'U'),
    of(JSONB, 3807, "jsonb", "jsonb", -1, 'U'),
];

/// A type that stands in `pg_type` and that no column of a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Internal {
    /// Its number.
    pub oid: u32,
    /// The number of its array type; 0 where there is none.
    pub array: u32,
    /// The number of its elements' type; 0 where it has none.
    pub element: u32,
    /// Its name, which is the same in SQL.
    pub name: &'static str,
    /// Bytes of a value; -1 where they vary, -2 of a text that ends with a zero.
    pub length: i16,
    /// `b` for values, `p` for what only functions speak of.
    pub kind: char,
    /// What it is among its like.
    pub category: char,
}

const fn internal(oid: u32, array: u32, element: u32, name: &'static str, length: i16, like: (char, char)) -> Internal {
    Internal {
        oid,
        array,
        element,
        name,
        length,
        kind: like.0,
        category: like.1,
    }
}

/// Types of PostgreSQL's own tables and functions.
pub const INTERNAL: &[Internal] = &[
    internal(INT2VECTOR, 1006, INT2, "int2vector", -1, ('b', 'A')),
    internal(REGPROC, 1008, 0, "regproc", 4, ('b', 'N')),
    internal(OIDVECTOR, 1013, OID, "oidvector", -1, ('b', 'A')),
    internal(UNKNOWN, 0, 0, "unknown", -2, ('p', 'X')),
    internal(2205, 2210, 0, "regclass", 4, ('b', 'N')),
    internal(REGTYPE, 2211, 0, "regtype", 4, ('b', 'N')),
    internal(RECORD, 2287, 0, "record", -1, ('p', 'P')),
    internal(2275, 1263, 0, "cstring", -2, ('p', 'P')),
    internal(2276, 0, 0, "any", 4, ('p', 'P')),
    internal(2277, 0, 0, "anyarray", -1, ('p', 'P')),
    internal(2278, 0, 0, "void", 4, ('p', 'P')),
    internal(2279, 0, 0, "trigger", 4, ('p', 'P')),
    internal(2281, 0, 0, "internal", 8, ('p', 'P')),
    internal(2283, 0, 0, "anyelement", 4, ('p', 'P')),
    internal(3838, 0, 0, "event_trigger", 4, ('p', 'P')),
];

/// The number of the type that a name of SQL or of `pg_type` means, of an array's too (`text[]`).
pub fn named(name: &str) -> Option<u32> {
    let plain = name.trim().to_lowercase();
    let plain = plain.strip_prefix("pg_catalog.").unwrap_or(&plain);
    let array = plain.strip_suffix("[]").or_else(|| plain.strip_prefix('_'));
    let name = array.unwrap_or(plain);
    let name = if name == "int" { "integer" } else { name };
    let of = BUILT_IN.iter().find(|of| of.name == name || of.sql == name);
    let found = of.map(|of| (of.oid, of.array)).or_else(|| {
        let of = INTERNAL.iter().find(|of| of.name == name)?;
        Some((of.oid, of.array))
    });
    let (oid, of_array) = found?;
    match array {
        Some(_) => Some(of_array).filter(|oid| *oid != 0),
        None => Some(oid),
    }
}

/// The type of this number.
pub fn built_in(oid: u32) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|built_in| built_in.oid == oid)
}

/// The type of an array's elements, if the number is an array's.
pub fn element(array: u32) -> Option<u32> {
    BUILT_IN.iter().find(|of| of.array == array).map(|of| of.oid)
}

/// Bytes of a value; -1 where they vary.
pub fn length(oid: u32) -> i16 {
    built_in(oid).map_or(-1, |of| of.length)
}

/// What values of an Arrow type are sent as. Structs, maps and lists in lists are JSON.
pub fn oid(of: &DataType) -> u32 {
    match of {
        DataType::Boolean => BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => INT2,
        DataType::Int32 | DataType::UInt16 => INT4,
        DataType::Int64 | DataType::UInt32 => INT8,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => NUMERIC,
        DataType::Float16 | DataType::Float32 => FLOAT4,
        DataType::Float64 => FLOAT8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => BYTEA,
        DataType::FixedSizeBinary(16) => UUID,
        DataType::FixedSizeBinary(_) => BYTEA,
        DataType::Date32 | DataType::Date64 => DATE,
        DataType::Time32(_) | DataType::Time64(_) => TIME,
        DataType::Timestamp(_, None) => TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => array(item),
        DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) => JSON,
        DataType::Dictionary(_, value) => oid(value),
        _ => TEXT,
    }
}

fn array(item: &Field) -> u32 {
    let item = oid(item.data_type());
    let built_in = built_in(item).filter(|of| of.oid != JSON);
    built_in.map_or(JSON, |of| of.array)
}

/// Digits of a decimal as PostgreSQL packs them; -1 for other types.
pub fn modifier(of: &DataType) -> i32 {
    match of {
        DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale) if *scale >= 0 => {
            ((i32::from(*digits) << 16) | i32::from(*scale)) + 4
        }
        _ => -1,
    }
}

/// A type as SQL writes it, as `format_type` gives it.
pub fn formatted(oid: u32, modifier: i64) -> Option<String> {
    if let Some(element) = element(oid) {
        return formatted(element, modifier).map(|element| format!("{element}[]"));
    }
    let Some(of) = built_in(oid) else {
        let array = |of: &&Internal| of.array == oid;
        let of = INTERNAL.iter().find(|of| of.oid == oid);
        let array = || INTERNAL.iter().find(array).map(|of| format!("{}[]", of.name));
        return of.map(|of| of.name.to_owned()).or_else(array);
    };
    let packed = modifier - 4;
    Some(match oid {
        NUMERIC if packed >= 0 => format!("numeric({},{})", packed >> 16, packed & 0xffff),
        VARCHAR | BPCHAR if packed > 0 => format!("{}({packed})", of.sql),
        _ => of.sql.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: types are called what `format_type` of PostgreSQL 15 calls them. Method: what it said.
    #[test]
    fn types_have_their_names() {
        let decimal = DataType::Decimal128(12, 2);
        assert_eq!(
            formatted(oid(&decimal), modifier(&decimal).into()).as_deref(),
            Some("numeric(12,2)")
        );
        assert_eq!(formatted(1009, -1).as_deref(), Some("text[]"));
        assert_eq!(formatted(1043, 24).as_deref(), Some("character varying(20)"));
        assert_eq!(formatted(INT2VECTOR, -1).as_deref(), Some("int2vector"));
        assert_eq!(formatted(2287, -1).as_deref(), Some("record[]"));
        assert_eq!(formatted(99_999, -1), None);
        for (name, oid) in [
            ("int", INT4),
            ("pg_catalog.text", TEXT),
            ("text[]", 1009),
            ("_text", 1009),
            ("trigger", 2279),
            ("timestamp with time zone", TIMESTAMPTZ),
        ] {
            assert_eq!(named(name), Some(oid), "{name}");
        }
        assert_eq!((named("trigger[]"), named("mood")), (None, None));
    }
}
