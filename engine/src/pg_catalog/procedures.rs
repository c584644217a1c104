//! The functions that `pg_proc` lists, and their numbers: those that read and write values have PostgreSQL's, by which drivers know
//! arrays (`array_recv`); the others have numbers of our own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{functions, types};

/// Numbers below this are PostgreSQL's.
const OWN_FIRST: u32 = 10_000;

/// What the four functions of a type do, behind its name.
const ENDINGS: [&str; 4] = ["in", "out", "recv", "send"];

/// The four functions of every array type.
const ARRAY: [u32; 4] = [750, 751, 2400, 2401];

/// Functions of arrays and lists that `pg_type` names besides.
const FURTHER: &[(u32, &str)] = &[
    (ARRAY_ANALYZE, "array_typanalyze"),
    (ARRAY_SUBSCRIPT, "array_subscript_handler"),
    (RAW_ARRAY_SUBSCRIPT, "raw_array_subscript_handler"),
];

/// `array_typanalyze`.
pub(super) const ARRAY_ANALYZE: u32 = 3816;

/// `array_subscript_handler`.
pub(super) const ARRAY_SUBSCRIPT: u32 = 6179;

/// `raw_array_subscript_handler`.
pub(super) const RAW_ARRAY_SUBSCRIPT: u32 = 6180;

/// Types, how the names of their functions begin, and the numbers of these as in PostgreSQL 15; 0 where there is none.
const INPUT_OUTPUT: &[(u32, &str, [u32; 4])] = &[
    (types::BOOL, "bool", [1242, 1243, 2436, 2437]),
    (types::BYTEA, "bytea", [1244, 31, 2412, 2413]),
    (types::CHAR, "char", [1245, 33, 2434, 2435]),
    (types::NAME, "name", [34, 35, 2422, 2423]),
    (types::INT8, "int8", [460, 461, 2408, 2409]),
    (types::INT2, "int2", [38, 39, 2404, 2405]),
    (types::INT2VECTOR, "int2vector", [40, 41, 2410, 2411]),
    (types::INT4, "int4", [42, 43, 2406, 2407]),
    (types::REGPROC, "regproc", [44, 45, 2444, 2445]),
    (types::TEXT, "text", [46, 47, 2414, 2415]),
    (types::OID, "oid", [1798, 1799, 2418, 2419]),
    (types::OIDVECTOR, "oidvector", [54, 55, 2420, 2421]),
    (types::JSON, "json_", [321, 322, 323, 324]),
    (types::FLOAT4, "float4", [200, 201, 2424, 2425]),
    (types::FLOAT8, "float8", [214, 215, 2426, 2427]),
    (types::UNKNOWN, "unknown", [109, 110, 2416, 2417]),
    (types::BPCHAR, "bpchar", [1044, 1045, 2430, 2431]),
    (types::VARCHAR, "varchar", [1046, 1047, 2432, 2433]),
    (types::DATE, "date_", [1084, 1085, 2468, 2469]),
    (types::TIME, "time_", [1143, 1144, 2470, 2471]),
    (types::TIMESTAMP, "timestamp_", [1312, 1313, 2474, 2475]),
    (types::TIMESTAMPTZ, "timestamptz_", [1150, 1151, 2476, 2477]),
    (types::INTERVAL, "interval_", [1160, 1161, 2478, 2479]),
    (types::NUMERIC, "numeric_", [1701, 1702, 2460, 2461]),
    (2205, "regclass", [2218, 2219, 2452, 2453]),
    (types::REGTYPE, "regtype", [2220, 2221, 2454, 2455]),
    (types::RECORD, "record_", [2290, 2291, 2402, 2403]),
    (2275, "cstring_", [2292, 2293, 2500, 2501]),
    (2276, "any_", [2294, 2295, 0, 0]),
    (2277, "anyarray_", [2296, 2297, 2502, 2503]),
    (2278, "void_", [2298, 2299, 3120, 3121]),
    (2279, "trigger_", [2300, 2301, 0, 0]),
    (2281, "internal_", [2304, 2305, 0, 0]),
    (2283, "anyelement_", [2312, 2313, 0, 0]),
    (types::UUID, "uuid_", [2952, 2953, 2961, 2962]),
    (types::JSONB, "jsonb_", [3806, 3804, 3805, 3803]),
    (3838, "event_trigger_", [3594, 3595, 0, 0]),
];

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Procedure {
    pub(super) oid: u32,
    pub(super) name: String,
    /// `f` for functions, `a` for aggregates and `w` for window functions.
    pub(super) kind: &'static str,
}

/// All functions.
pub(super) fn all() -> &'static [Procedure] {
    static ALL: LazyLock<Vec<Procedure>> = LazyLock::new(|| {
        let plain = |oid: u32, name: String| Procedure { oid, name, kind: "f" };
        let of_type = INPUT_OUTPUT.iter().map(|(_, begins, oids)| (*begins, oids));
        let of_type = of_type.chain([("array_", &ARRAY)]).flat_map(|(begins, oids)| {
            let four = ENDINGS.into_iter().zip(*oids).filter(|(_, oid)| *oid != 0);
            four.map(move |(ends, oid)| (oid, format!("{begins}{ends}")))
        });
        let further = FURTHER.iter().map(|(oid, name)| (*oid, (*name).to_owned()));
        let known = of_type.chain(further).map(|(oid, name)| plain(oid, name));
        let own = functions::names().into_iter().zip(OWN_FIRST..);
        let own = own.map(|((name, kind), oid)| Procedure { oid, name, kind });
        known.chain(own).collect()
    });
    &ALL
}

/// The functions that read and write values of a type in text and binary; 0 where there is none.
pub(super) fn of_type(oid: u32) -> [u32; 4] {
    let found = INPUT_OUTPUT.iter().find(|(of, ..)| *of == oid);
    found.map_or(ARRAY, |(_, _, oids)| *oids)
}

/// The number of a function by its name, which may have the schema before it and its arguments behind it.
pub(super) fn number(name: &str) -> Option<u32> {
    static NUMBERS: LazyLock<BTreeMap<&str, u32>> =
        LazyLock::new(|| all().iter().map(|of| (of.name.as_str(), of.oid)).collect());
    let name = name.trim();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    let name = name.split_once('(').map_or(name, |(name, _)| name);
    if name == "-" {
        return Some(0);
    }
    NUMBERS.get(name).copied()
}

/// What a number shows as; `-` for none.
pub fn name(oid: u32) -> Option<&'static str> {
    static NAMES: LazyLock<BTreeMap<u32, &str>> =
        LazyLock::new(|| all().iter().map(|of| (of.oid, of.name.as_str())).collect());
    match oid {
        0 => Some("-"),
        oid => NAMES.get(&oid).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: functions are known by name and number, each once, and every type has its own four or those of arrays. Method: all of
    // them, there and back, and some numbers of PostgreSQL 15.
    #[test]
    fn functions_have_numbers() {
        for of in all() {
            assert_eq!(name(of.oid), Some(of.name.as_str()));
            assert_eq!(number(&of.name), Some(of.oid), "{}", of.name);
        }
        for (called, oid) in [
            ("array_recv", 2400),
            ("pg_catalog.array_in", 750),
            ("boolrecv", 2436),
            ("date_in(cstring)", 1084),
            ("-", 0),
        ] {
            assert_eq!(number(called), Some(oid), "{called}");
        }
        assert_eq!((number("nothing"), name(9)), (None, None));
        for of in types::BUILT_IN {
            assert!(INPUT_OUTPUT.iter().any(|(oid, ..)| *oid == of.oid), "{}", of.name);
            assert_eq!(of_type(of.array), ARRAY);
        }
        assert!(types::INTERNAL.iter().all(|of| of_type(of.oid) != ARRAY));
    }
}
