//! Random queries: joins, groups, windows, sets, subqueries, order and limit. Each has one answer: a limit only behind an order of all
//! columns, windows over an order that parts all rows. Moments with a zone are shown as those without one, as DuckDB's Python shows
//! them by a module that is not there.

use tidewater_core::{Rng, SeededRng};

use super::expressions::{Column, Expressions};
use super::tables::{Type, literal};

/// What is selected; those without an order stand at the end.
const TYPES: [Type; 12] = [
    Type::Int,
    Type::Int,
    Type::Text,
    Type::Text,
    Type::Decimal,
    Type::Float,
    Type::Far,
    Type::Date,
    Type::Time,
    Type::Bool,
    Type::List,
    Type::Struct,
];

/// A query, and whether its rows come in an order.
#[derive(Debug, Clone)]
pub struct Query {
    pub sql: String,
    pub ordered: bool,
}

/// The query of a number.
pub fn query(number: u64) -> Query {
    let rng = SeededRng::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let maker = Maker { rng: &rng };
    let (body, types) = maker.body();
    let names: Vec<String> = (0..types.len()).map(|at| format!("c{at}")).collect();
    let unordered = types.iter().any(|of| matches!(of, Type::List | Type::Struct));
    if unordered || rng.below(3) > 0 {
        return Query {
            sql: body,
            ordered: false,
        };
    }
    let terms: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "{name} {} NULLS {}",
                ["ASC", "DESC"][rng.below(2) as usize],
                ["FIRST", "LAST"][rng.below(2) as usize]
            )
        })
        .collect();
    let limit = match rng.below(3) {
        0 => String::new(),
        1 => format!(" LIMIT {}", rng.below(12)),
        _ => format!(" LIMIT {} OFFSET {}", rng.below(12) + 1, rng.below(5)),
    };
    Query {
        sql: format!("SELECT * FROM ({body}) AS q ORDER BY {}{limit}", terms.join(", ")),
        ordered: true,
    }
}

/// Makes the parts of a query.
pub struct Maker<'a> {
    pub rng: &'a SeededRng,
}

impl Maker<'_> {
    fn body(&self) -> (String, Vec<Type>) {
        match self.rng.below(10) {
            0..=2 => self.plain(),
            3..=5 => self.grouped(),
            6..=7 => self.windowed(),
            8 => self.set(),
            _ => self.common_table(),
        }
    }

    fn types(&self, most: u64) -> Vec<Type> {
        (0..=self.rng.below(most))
            .map(|_| TYPES[self.rng.below(TYPES.len() as u64) as usize])
            .collect()
    }

    fn plain(&self) -> (String, Vec<Type>) {
        let (from, columns) = self.from();
        let makes = Expressions {
            rng: self.rng,
            columns: &columns,
        };
        let mut types = self.types(4);
        let mut items: Vec<String> = types
            .iter()
            .enumerate()
            .map(|(at, of)| format!("{} AS c{at}", makes.of(*of, 2)))
            .collect();
        if self.rng.below(6) == 0 {
            items.push(format!("{} AS c{}", self.scalar(&columns), items.len()));
            types.push(Type::Int);
        }
        let distinct = if self.rng.below(5) == 0 { "DISTINCT " } else { "" };
        (
            format!(
                "SELECT {distinct}{} FROM {from}{}",
                items.join(", "),
                self.filter(&columns)
            ),
            types,
        )
    }

    fn aggregate(&self, makes: &Expressions<'_>) -> (String, Type) {
        let (sql, of) = match self.rng.below(12) {
            0 => ("count(*)".to_owned(), Type::Int),
            1 => (
                format!(
                    "count({})",
                    makes.of(TYPES[self.rng.below(TYPES.len() as u64) as usize], 1)
                ),
                Type::Int,
            ),
            2 => (
                format!(
                    "count(DISTINCT {})",
                    makes.of(
                        *makes.one_of(&[Type::Int, Type::Text, Type::Date, Type::Time, Type::Zoned, Type::Far]),
                        1
                    )
                ),
                Type::Int,
            ),
            3 => (format!("sum({})", makes.of(Type::Int, 1)), Type::Int),
            4 => (format!("sum({})", makes.of(Type::Decimal, 1)), Type::Decimal),
            5 => (format!("avg({})", makes.of(Type::Int, 1)), Type::Float),
            6 => (format!("sum({})", makes.of(Type::Float, 0)), Type::Float),
            7 => (
                format!("bool_{}({})", makes.one_of(&["and", "or"]), makes.condition(1)),
                Type::Bool,
            ),
            8 => (
                format!(
                    "CAST({}({}) AS TIMESTAMP)",
                    makes.one_of(&["min", "max"]),
                    makes.of(Type::Zoned, 1)
                ),
                Type::Time,
            ),
            _ => {
                let of = *makes.one_of(&[Type::Int, Type::Text, Type::Decimal, Type::Date, Type::Time, Type::Far]);
                (format!("{}({})", makes.one_of(&["min", "max"]), makes.of(of, 1)), of)
            }
        };
        let cast = sql.starts_with("CAST");
        match self.rng.below(6) {
            0 if !cast => (format!("{sql} FILTER (WHERE {})", makes.condition(1)), of),
            _ => (sql, of),
        }
    }

    fn grouped(&self) -> (String, Vec<Type>) {
        let (from, columns) = self.from();
        let makes = Expressions {
            rng: self.rng,
            columns: &columns,
        };
        let keys: Vec<(String, Type)> = match self.rng.below(4) {
            0 => Vec::new(),
            _ => self.types(2).into_iter().map(|of| (makes.of(of, 1), of)).collect(),
        };
        let mut items: Vec<(String, Type)> = keys.clone();
        for _ in 0..=self.rng.below(3) {
            items.push(self.aggregate(&makes));
        }
        let types = items.iter().map(|(_, of)| *of).collect();
        let shown: Vec<String> = items
            .iter()
            .enumerate()
            .map(|(at, (item, _))| format!("{item} AS c{at}"))
            .collect();
        let mut sql = format!("SELECT {} FROM {from}{}", shown.join(", "), self.filter(&columns));
        if !keys.is_empty() {
            let places: Vec<String> = (1..=keys.len()).map(|at| at.to_string()).collect();
            sql = format!("{sql} GROUP BY {}", places.join(", "));
            match self.rng.below(6) {
                0 => {
                    let sign = makes.one_of(&[">", "<", "="]);
                    sql = format!("{sql} HAVING count(*) {sign} {}", self.rng.below(5));
                }
                1 => {
                    let of = *makes.one_of(&[Type::Int, Type::Decimal, Type::Date, Type::Time, Type::Zoned, Type::Far]);
                    let side = makes.one_of(&["min", "max"]);
                    let sign = makes.one_of(&[">", "<=", "<>", "IS DISTINCT FROM"]);
                    let value = literal(of, self.rng);
                    sql = format!("{sql} HAVING {side}({}) {sign} {value}", makes.of(of, 1));
                }
                _ => {}
            }
        }
        (sql, types)
    }

    fn set(&self) -> (String, Vec<Type>) {
        let types = self.types(2);
        let part = |_| {
            let (from, columns) = self.relation("t0");
            let makes = Expressions {
                rng: self.rng,
                columns: &columns,
            };
            let items: Vec<String> = types
                .iter()
                .enumerate()
                .map(|(at, of)| format!("{} AS c{at}", makes.of(*of, 1)))
                .collect();
            format!("SELECT {} FROM {from}{}", items.join(", "), self.filter(&columns))
        };
        let parts: Vec<String> = (0..2).map(part).collect();
        let kinds = [
            "UNION",
            "UNION ALL",
            "INTERSECT",
            "EXCEPT",
            "INTERSECT ALL",
            "EXCEPT ALL",
        ];
        let kind = kinds[self.rng.below(6) as usize];
        (parts.join(&format!(" {kind} ")), types)
    }

    fn common_table(&self) -> (String, Vec<Type>) {
        let (inner, types) = match self.rng.below(2) {
            0 => self.grouped(),
            _ => self.plain(),
        };
        let columns: Vec<Column> = types
            .iter()
            .enumerate()
            .map(|(at, of)| Column {
                name: format!("w.c{at}"),
                of: *of,
            })
            .collect();
        let makes = Expressions {
            rng: self.rng,
            columns: &columns,
        };
        let sql = match self.rng.below(2) {
            0 => format!("WITH w AS ({inner}) SELECT * FROM w WHERE {}", makes.condition(1)),
            _ => format!("WITH w AS ({inner}) SELECT w.* FROM w WHERE w.c0 IN (SELECT c0 FROM w)"),
        };
        (sql, types)
    }
}
