//! Random expressions of a type over the columns in sight. Only what means the same to both engines: no division of whole numbers, no
//! cast that rounds, no text of floating-point numbers, no `extract` of seconds or epochs, whose type differs, no `= ANY` of a list, which
//! is false for DuckDB where the list is null, and no order of lists and structs, whose null parts each engine puts elsewhere.

use tidewater_core::{Rng, SeededRng};

use super::tables::{Type, literal};

/// What conditions are about.
const CONDITIONS: [Type; 12] = [
    Type::Int,
    Type::Int,
    Type::Int,
    Type::Text,
    Type::Decimal,
    Type::Float,
    Type::Date,
    Type::Time,
    Type::Zoned,
    Type::Far,
    Type::List,
    Type::Struct,
];

/// A column in sight.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub of: Type,
}

/// Makes expressions.
pub struct Expressions<'a> {
    pub rng: &'a SeededRng,
    pub columns: &'a [Column],
}

impl Expressions<'_> {
    pub fn one_of<'b, T>(&self, all: &'b [T]) -> &'b T {
        &all[self.rng.below(all.len() as u64) as usize]
    }

    /// An expression of this type.
    pub fn of(&self, of: Type, depth: u32) -> String {
        let fitting: Vec<&Column> = self.columns.iter().filter(|column| column.of == of).collect();
        // Of lists and structs there are columns only: not every query is taken that makes one of a column and a written one.
        if depth == 0 || matches!(of, Type::List | Type::Struct) || self.rng.below(3) == 0 {
            let written = !matches!(of, Type::List | Type::Struct) && self.rng.below(6) == 0;
            return match fitting.is_empty() || written {
                true => literal(of, self.rng),
                false => self.one_of(&fitting).name.clone(),
            };
        }
        let deeper = depth - 1;
        let sub = |of: Type| self.of(of, deeper);
        if self.rng.below(6) == 0 {
            return match self.rng.below(3) {
                0 => format!("CASE WHEN {} THEN {} ELSE {} END", sub(Type::Bool), sub(of), sub(of)),
                1 => format!("coalesce({}, {})", sub(of), sub(of)),
                _ => format!("nullif({}, {})", sub(of), sub(of)),
            };
        }
        match of {
            Type::Int => match self.rng.below(11) {
                0 => format!("({} + {})", sub(of), sub(of)),
                1 => format!("({} - {})", sub(of), sub(of)),
                2 => format!("({} % 7)", sub(of)),
                3 => format!("abs({})", sub(of)),
                4 => format!("length({})", sub(Type::Text)),
                5 => format!("strpos({}, {})", sub(Type::Text), literal(Type::Text, self.rng)),
                6 => format!(
                    "CAST(extract({} FROM {}) AS BIGINT)",
                    self.one_of(&["year", "month", "day", "quarter"]),
                    sub(Type::Date)
                ),
                7 => format!("{}({}, {})", self.one_of(&["greatest", "least"]), sub(of), sub(of)),
                8 => format!("cardinality({})", sub(Type::List)),
                9 => format!(
                    "CAST(extract({} FROM {}) AS BIGINT)",
                    self.one_of(&["hour", "minute", "day", "dow", "isodow", "doy", "week"]),
                    sub(*self.one_of(&[Type::Time, Type::Zoned]))
                ),
                _ => format!("({} * 3)", sub(of)),
            },
            Type::Text => match self.rng.below(9) {
                0 => format!("({} || {})", sub(of), sub(of)),
                1 => format!(
                    "{}({})",
                    self.one_of(&["upper", "lower", "trim", "ltrim", "rtrim", "reverse"]),
                    sub(of)
                ),
                2 => format!("substr({}, {}, {})", sub(of), self.rng.below(3) + 1, self.rng.below(4)),
                3 => format!("replace({}, 'a', 'qq')", sub(of)),
                4 => format!(
                    "{}({}, {})",
                    self.one_of(&["left", "right"]),
                    sub(of),
                    self.rng.below(4)
                ),
                5 => format!("CAST({} AS VARCHAR)", sub(Type::Int)),
                6 => format!("concat({}, '-', {})", sub(of), sub(of)),
                7 => format!("split_part({}, 'b', 1)", sub(of)),
                _ => format!("repeat({}, {})", sub(of), self.rng.below(3)),
            },
            Type::Decimal => match self.rng.below(4) {
                0 => format!("({} + {})", self.of(of, 0), self.of(of, 0)),
                1 => format!("({} - {})", self.of(of, 0), self.of(of, 0)),
                2 => format!("abs({})", sub(of)),
                _ => format!("(- {})", self.of(of, 0)),
            },
            Type::Float => match self.rng.below(6) {
                0 => format!("({} + {})", sub(of), sub(of)),
                1 => format!("({} * 0.5)", sub(of)),
                2 => format!("{}({})", self.one_of(&["floor", "ceil", "abs"]), sub(of)),
                3 => format!("CAST({} AS DOUBLE)", sub(Type::Int)),
                4 => format!("CAST({} AS DOUBLE)", sub(Type::Decimal)),
                _ => format!("sqrt(abs({}))", sub(of)),
            },
            Type::Date => match self.rng.below(3) {
                0 => format!(
                    "CAST(date_trunc('{}', {}) AS DATE)",
                    self.one_of(&["month", "year", "quarter"]),
                    self.of(of, 0)
                ),
                1 => format!("CAST(date_trunc('day', {}) AS DATE)", self.of(Type::Time, 0)),
                _ => format!("greatest({}, {})", self.of(of, 0), literal(of, self.rng)),
            },
            Type::Time => match self.rng.below(5) {
                0 => format!("date_trunc('day', CAST({} AS TIMESTAMP))", self.of(Type::Date, 0)),
                1 => format!("date_trunc('hour', CAST({} AS TIMESTAMP))", sub(Type::Zoned)),
                2 => format!(
                    "date_trunc('{}', {})",
                    self.one_of(&["hour", "day", "week", "month"]),
                    self.of(of, 0)
                ),
                3 => format!("({} {} INTERVAL '1 day')", sub(of), self.one_of(&["+", "-"])),
                _ => format!("{}({}, {})", self.one_of(&["greatest", "least"]), sub(of), sub(of)),
            },
            Type::Zoned => match self.rng.below(2) {
                0 => format!("date_trunc('{}', {})", self.one_of(&["hour", "day"]), self.of(of, 0)),
                _ => format!("{}({}, {})", self.one_of(&["greatest", "least"]), sub(of), sub(of)),
            },
            Type::Far => format!("{}({}, {})", self.one_of(&["greatest", "least"]), sub(of), sub(of)),
            Type::Bool => self.condition(deeper),
            Type::List | Type::Struct => literal(of, self.rng),
        }
    }

    /// A condition.
    pub fn condition(&self, depth: u32) -> String {
        let of = *self.one_of(&CONDITIONS);
        if matches!(of, Type::List | Type::Struct) {
            return self.of_parts(of);
        }
        let sub = |of: Type| self.of(of, depth.min(1));
        match self.rng.below(if depth == 0 { 10 } else { 13 }) {
            0..=2 => format!(
                "{} {} {}",
                sub(of),
                self.one_of(&["=", "<>", "<", "<=", ">", ">="]),
                sub(of)
            ),
            3 => format!("{} IS {}NULL", sub(of), self.one_of(&["", "NOT "])),
            4 => format!(
                "{} {}IN ({}, {}, NULL)",
                sub(of),
                self.one_of(&["", "NOT "]),
                literal(of, self.rng),
                literal(of, self.rng)
            ),
            5 => format!(
                "{} BETWEEN {} AND {}",
                sub(of),
                literal(of, self.rng),
                literal(of, self.rng)
            ),
            6 => format!(
                "{} {}LIKE '{}'",
                sub(Type::Text),
                self.one_of(&["", "NOT "]),
                self.one_of(&["a%", "%b%", "_", "%\u{e4}%", "%c", "a_c", "%"])
            ),
            7 => format!(
                "({} IS {}DISTINCT FROM {})",
                sub(of),
                self.one_of(&["", "NOT "]),
                sub(of)
            ),
            8 => format!("{} IN ({}, {})", sub(of), literal(of, self.rng), literal(of, self.rng)),
            9 => self.of_days(),
            10 => format!("({} AND {})", self.condition(depth - 1), self.condition(depth - 1)),
            11 => format!("({} OR {})", self.condition(depth - 1), self.condition(depth - 1)),
            _ => format!("NOT ({})", self.condition(depth - 1)),
        }
    }

    /// A condition of a moment's day or hours. Casts of a column are held against written values only: against another column the
    /// planner's estimate may fail (docs/limits.md).
    fn of_days(&self) -> String {
        let sign = self.one_of(&["=", "<>", "<", "<=", ">", ">="]);
        let day = self.rng.below(5) + 1;
        match self.rng.below(4) {
            0 => format!(
                "CAST({} AS DATE) {sign} DATE '2025-03-{day:02}'",
                self.of(Type::Time, 0)
            ),
            1 => format!(
                "CAST({} AS TIMESTAMP) {sign} {}",
                self.of(Type::Zoned, 0),
                literal(Type::Time, self.rng)
            ),
            2 => format!(
                "date_trunc('day', {}) {sign} TIMESTAMP '2025-03-{day:02}'",
                self.of(Type::Time, 0)
            ),
            _ => {
                let moment = self.of(Type::Time, 0);
                let end = day + self.rng.below(2) + 1;
                format!("({moment} >= TIMESTAMP '2025-03-{day:02}' AND {moment} < TIMESTAMP '2025-03-{end:02}')")
            }
        }
    }

    /// A condition of a list or a struct.
    fn of_parts(&self, of: Type) -> String {
        let left = self.of(of, 0);
        let right = match self.rng.below(2) {
            0 => literal(of, self.rng),
            _ => self.of(of, 0),
        };
        match self.rng.below(3) {
            0 => format!("{left} IS {}NULL", self.one_of(&["", "NOT "])),
            1 => format!("{left} IS {}DISTINCT FROM {right}", self.one_of(&["", "NOT "])),
            _ => format!("{left} {} {right}", self.one_of(&["=", "<>"])),
        }
    }
}
