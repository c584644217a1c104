//! The tables that random queries are about: few values, so that they meet, with nulls and the ends of their types among them.

use std::fmt::Write as _;

use tidewater_core::{Rng, SeededRng};

/// What an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Int,
    Text,
    Decimal,
    Float,
    /// A floating-point number of which both infinities are among the values. Nothing is reckoned with it: a sum of both is a NaN with a
    /// sign, which is another value here than there.
    Far,
    Date,
    Time,
    /// A moment with a zone.
    Zoned,
    Bool,
    List,
    Struct,
}

/// All tables.
pub const TABLES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Name and rows of the tables that were only added to: DuckDB reads their files. The others' are told by what was done to them.
pub const ADDED: [(&str, u64); 3] = [("a", 160), ("b", 50), ("c", 12)];

/// What can be asked of each table: its columns, and what is within them.
pub const COLUMNS: [(&str, Type); 18] = [
    ("id", Type::Int),
    ("k", Type::Int),
    ("n", Type::Int),
    ("g", Type::Text),
    ("s", Type::Text),
    ("d", Type::Decimal),
    ("f", Type::Float),
    ("p", Type::Far),
    ("day", Type::Date),
    ("flag", Type::Bool),
    ("moment", Type::Time),
    ("zoned", Type::Zoned),
    ("h", Type::Struct),
    ("h.x", Type::Int),
    ("h.y", Type::Text),
    ("l", Type::List),
    ("l[1]", Type::Int),
    ("l[2]", Type::Int),
];

/// The columns as they are made, `h` and `l` at the end: each engine writes their types in its own way.
pub const MADE: &str = "id bigint, k int, n bigint, g text, s text, d decimal(12, 2), f double, p double, day date, flag boolean, \
                        moment timestamp, zoned timestamptz";

/// Words with blanks at their ends, letters beyond ASCII, an empty one, and characters that patterns know.
const WORDS: [&str; 12] = [
    "",
    "a",
    "A",
    "ab",
    "abc",
    "b c",
    " x ",
    "äöü",
    "日本",
    "100%",
    "under_score",
    "zz",
];

/// A moment of a few days, as text.
fn moment(rng: &SeededRng) -> String {
    let times = ["00:00:00", "06:30:00", "12:00:00.000001", "23:59:59.999999"];
    format!("2025-03-{:02} {}", rng.below(4) + 1, times[rng.below(4) as usize])
}

/// A value of a type as SQL writes it.
pub fn literal(of: Type, rng: &SeededRng) -> String {
    match of {
        Type::Int => format!("{}", rng.below(20) as i64 - 6),
        Type::Text => format!("'{}'", WORDS[rng.below(WORDS.len() as u64) as usize]),
        Type::Decimal => format!(
            "CAST('{}.{:02}' AS DECIMAL(12, 2))",
            rng.below(40) as i64 - 20,
            rng.below(4) * 25
        ),
        Type::Float => format!("CAST({} AS DOUBLE)", (rng.below(80) as f64 - 40.0) / 4.0),
        Type::Far => {
            let all = ["'NaN'", "'Infinity'", "'-Infinity'", "-1.5", "0.25", "2", "3"];
            format!("CAST({} AS DOUBLE)", all[rng.below(7) as usize])
        }
        Type::Date => format!(
            "DATE '{}-{:02}-{:02}'",
            [1969, 2024, 2025, 2026][rng.below(4) as usize],
            rng.below(12) + 1,
            rng.below(28) + 1
        ),
        Type::Time => format!("TIMESTAMP '{}'", moment(rng)),
        Type::Zoned => format!("TIMESTAMPTZ '{}{}'", moment(rng), ["+00", "+02"][rng.below(2) as usize]),
        Type::Bool => ["true", "false"][rng.below(2) as usize].to_owned(),
        Type::List => {
            let all = ["[]", "[1]", "[2, 1]", "[1, NULL]", "[NULL]", "[3, 2, 1]"];
            format!("CAST({} AS BIGINT[])", all[rng.below(6) as usize])
        }
        Type::Struct => format!(
            "{{'x': CAST({} AS BIGINT), 'y': {}}}",
            rng.below(4),
            ["'a'", "'b'", "''"][rng.below(3) as usize]
        ),
    }
}

/// Statements that make and fill the tables of which DuckDB reads the files, each in several, one of them partitioned.
pub fn statements(seed: u64) -> Vec<String> {
    let rng = SeededRng::new(seed);
    let mut made = Vec::new();
    for (table, rows) in ADDED {
        let layout = if table == "b" { " PARTITIONED BY (g)" } else { "" };
        made.push(format!(
            "CREATE TABLE r.{table} ({MADE}, h struct<x: bigint, y: text>, l array<bigint>){layout}"
        ));
        for file in 0..4 {
            made.push(insert(table, file * (rows / 4) + 1, rows / 4, &rng));
        }
    }
    made
}

/// Adds so many rows with ids from this one on.
pub fn insert(table: &str, from: u64, rows: u64, rng: &SeededRng) -> String {
    let mut sql = format!("INSERT INTO r.{table} VALUES ");
    for row in 0..rows {
        let comma = if row > 0 { ", " } else { "" };
        write!(sql, "{comma}({}, {})", from + row, values(rng).join(", ")).unwrap();
    }
    sql
}

/// Values of all columns but the id, in their order.
pub fn values(rng: &SeededRng) -> [String; 13] {
    let or_null = |value: String| if rng.below(8) == 0 { "NULL".to_owned() } else { value };
    let far = |value: String, ends: &[&str]| match rng.below(25) {
        0 => ends[rng.below(ends.len() as u64) as usize].to_owned(),
        _ => value,
    };
    let small = || literal(Type::Int, rng);
    let nested = match rng.below(6) {
        0 => "{'x': NULL, 'y': 'a'}".to_owned(),
        1 => "{'x': 1, 'y': NULL}".to_owned(),
        _ => literal(Type::Struct, rng),
    };
    [
        or_null(small()),
        or_null(far(small(), &["4000000000", "-4000000000"])),
        or_null(format!("'{}'", ["x", "y", "z"][rng.below(3) as usize])),
        or_null(literal(Type::Text, rng)),
        or_null(far(
            literal(Type::Decimal, rng),
            &[
                "CAST('99999999.99' AS DECIMAL(12, 2))",
                "CAST('-0.01' AS DECIMAL(12, 2))",
            ],
        )),
        or_null(far(
            literal(Type::Float, rng),
            &["CAST('NaN' AS DOUBLE)", "CAST('Infinity' AS DOUBLE)"],
        )),
        or_null(literal(Type::Far, rng)),
        or_null(far(
            literal(Type::Date, rng),
            &["DATE '1700-01-01'", "DATE '2200-12-31'"],
        )),
        or_null(literal(Type::Bool, rng)),
        or_null(far(
            literal(Type::Time, rng),
            &[
                "TIMESTAMP '1969-12-31 23:59:59.999999'",
                "TIMESTAMP '2200-12-31 00:00:00'",
            ],
        )),
        or_null(literal(Type::Zoned, rng)),
        or_null(nested),
        or_null(literal(Type::List, rng)),
    ]
}
