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
    Date,
    Time,
    Bool,
}

/// Name and rows of each table.
pub const TABLES: [(&str, u64); 3] = [("a", 160), ("b", 50), ("c", 12)];

/// The columns of each table.
pub const COLUMNS: [(&str, Type); 9] = [
    ("id", Type::Int),
    ("k", Type::Int),
    ("n", Type::Int),
    ("g", Type::Text),
    ("s", Type::Text),
    ("d", Type::Decimal),
    ("f", Type::Float),
    ("day", Type::Date),
    ("flag", Type::Bool),
];

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
        Type::Date => format!(
            "DATE '{}-{:02}-{:02}'",
            [1969, 2024, 2025, 2026][rng.below(4) as usize],
            rng.below(12) + 1,
            rng.below(28) + 1
        ),
        Type::Time => format!(
            "TIMESTAMP '2025-{:02}-{:02} {:02}:30:00'",
            rng.below(12) + 1,
            rng.below(28) + 1,
            rng.below(24)
        ),
        Type::Bool => ["true", "false"][rng.below(2) as usize].to_owned(),
    }
}

/// Statements that make and fill the tables, each in several files, one of them partitioned.
pub fn statements(seed: u64) -> Vec<String> {
    let rng = SeededRng::new(seed);
    let mut made = vec!["CREATE SCHEMA r".to_owned()];
    for (table, rows) in TABLES {
        let layout = if table == "b" { " PARTITIONED BY (g)" } else { "" };
        made.push(format!(
            "CREATE TABLE r.{table} (id bigint, k int, n bigint, g string, s string, d decimal(12, 2), f double, day date, flag boolean){layout}"
        ));
        for file in 0..4 {
            let mut sql = format!("INSERT INTO r.{table} VALUES ");
            for row in 0..rows / 4 {
                let id = file * (rows / 4) + row + 1;
                let comma = if row > 0 { ", " } else { "" };
                write!(sql, "{comma}({id}, {})", values(&rng)).unwrap();
            }
            made.push(sql);
        }
    }
    made
}

fn values(rng: &SeededRng) -> String {
    let or_null = |value: String| if rng.below(8) == 0 { "NULL".to_owned() } else { value };
    let far = |value: String, ends: &[&str]| match rng.below(25) {
        0 => ends[rng.below(ends.len() as u64) as usize].to_owned(),
        _ => value,
    };
    let small = || literal(Type::Int, rng);
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
        or_null(far(
            literal(Type::Date, rng),
            &["DATE '1700-01-01'", "DATE '2200-12-31'"],
        )),
        or_null(literal(Type::Bool, rng)),
    ]
    .join(", ")
}
