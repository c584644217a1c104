//! Random queries: joins, groups, windows, sets, subqueries, order and limit. Each has one answer: a limit only behind an order of all
//! columns, windows over an order that parts all rows.

use tidewater_core::{Rng, SeededRng};

use super::expressions::{Column, Expressions};
use super::tables::{COLUMNS, TABLES, Type};

const TYPES: [Type; 6] = [
    Type::Int,
    Type::Text,
    Type::Decimal,
    Type::Float,
    Type::Date,
    Type::Bool,
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
    if rng.below(3) > 0 {
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

struct Maker<'a> {
    rng: &'a SeededRng,
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
            .map(|_| TYPES[self.rng.below(6) as usize])
            .collect()
    }

    /// A relation in FROM, its columns, and how many of them have its rows' number.
    fn relation(&self, alias: &str) -> (String, Vec<Column>) {
        let (table, _) = TABLES[self.rng.below(3) as usize];
        let columns = COLUMNS.map(|(name, of)| Column {
            name: format!("{alias}.{name}"),
            of,
        });
        let from = match self.rng.below(6) {
            0 => {
                let inner = COLUMNS.map(|(name, of)| Column { name: name.into(), of });
                let makes = Expressions {
                    rng: self.rng,
                    columns: &inner,
                };
                format!("(SELECT * FROM r.{table} WHERE {}) AS {alias}", makes.condition(1))
            }
            _ => format!("r.{table} AS {alias}"),
        };
        (from, columns.into())
    }

    /// FROM with one to three relations, and the columns in sight.
    fn from(&self) -> (String, Vec<Column>) {
        let (mut from, mut columns) = self.relation("t0");
        for at in 1..=[0, 0, 1, 1, 2][self.rng.below(5) as usize] {
            let alias = format!("t{at}");
            let (next, more) = self.relation(&alias);
            let kind = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"][self.rng.below(4) as usize];
            let key = ["id", "k", "g", "day", "n"][self.rng.below(5) as usize];
            // What else is demanded of a full join, only some plans of DuckDB can do.
            let sign = match (kind, self.rng.below(5)) {
                ("FULL JOIN", _) | (_, 1..) => "=",
                _ => ["<", ">=", "<>"][self.rng.below(3) as usize],
            };
            let mut on = format!("t{}.{key} {sign} {alias}.{key}", at - 1);
            if kind != "FULL JOIN" && self.rng.below(3) == 0 {
                let both: Vec<Column> = columns.iter().chain(&more).cloned().collect();
                let makes = Expressions {
                    rng: self.rng,
                    columns: &both,
                };
                on = format!("{on} AND {}", makes.condition(0));
            }
            from = format!("{from} {kind} {next} ON {on}");
            columns.extend(more);
        }
        (from, columns)
    }

    fn filter(&self, columns: &[Column]) -> String {
        let makes = Expressions { rng: self.rng, columns };
        match self.rng.below(8) {
            0..=1 => String::new(),
            2 => format!(" WHERE {}", self.subquery(columns)),
            3 => format!(" WHERE {} AND {}", makes.condition(1), self.subquery(columns)),
            _ => format!(" WHERE {}", makes.condition(2)),
        }
    }

    /// A condition with a query in it.
    fn subquery(&self, columns: &[Column]) -> String {
        let (table, _) = TABLES[self.rng.below(3) as usize];
        let inner = COLUMNS.map(|(name, of)| Column {
            name: format!("u.{name}"),
            of,
        });
        let makes = Expressions {
            rng: self.rng,
            columns: &inner,
        };
        let outer: Vec<&Column> = columns.iter().filter(|column| column.of == Type::Int).collect();
        let key = &outer[self.rng.below(outer.len() as u64) as usize].name;
        let condition = makes.condition(1);
        let not = ["", "NOT "][self.rng.below(2) as usize];
        match self.rng.below(4) {
            0 => format!("{key} {not}IN (SELECT u.k FROM r.{table} AS u WHERE {condition})"),
            1 => format!("{not}EXISTS (SELECT 1 FROM r.{table} AS u WHERE u.k = {key} AND {condition})"),
            2 => format!("{key} > (SELECT min(u.k) FROM r.{table} AS u WHERE {condition})"),
            _ => format!("{key} <= (SELECT max(u.n) FROM r.{table} AS u WHERE u.k = {key})"),
        }
    }

    fn plain(&self) -> (String, Vec<Type>) {
        let (from, columns) = self.from();
        let makes = Expressions {
            rng: self.rng,
            columns: &columns,
        };
        let types = self.types(4);
        let items: Vec<String> = types
            .iter()
            .enumerate()
            .map(|(at, of)| format!("{} AS c{at}", makes.of(*of, 2)))
            .collect();
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
        let (sql, of) = match self.rng.below(10) {
            0 => ("count(*)".to_owned(), Type::Int),
            1 => (
                format!("count({})", makes.of(TYPES[self.rng.below(6) as usize], 1)),
                Type::Int,
            ),
            2 => (
                format!(
                    "count(DISTINCT {})",
                    makes.of(*makes.one_of(&[Type::Int, Type::Text, Type::Date]), 1)
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
            _ => {
                let of = *makes.one_of(&[Type::Int, Type::Text, Type::Decimal, Type::Date]);
                (format!("{}({})", makes.one_of(&["min", "max"]), makes.of(of, 1)), of)
            }
        };
        match self.rng.below(6) {
            0 => (format!("{sql} FILTER (WHERE {})", makes.condition(1)), of),
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
            if self.rng.below(3) == 0 {
                sql = format!(
                    "{sql} HAVING count(*) {} {}",
                    makes.one_of(&[">", "<", "="]),
                    self.rng.below(5)
                );
            }
        }
        (sql, types)
    }

    fn windowed(&self) -> (String, Vec<Type>) {
        let (from, columns) = self.relation("t0");
        let makes = Expressions {
            rng: self.rng,
            columns: &columns,
        };
        let partition = match self.rng.below(3) {
            0 => String::new(),
            _ => format!(
                "PARTITION BY {} ",
                makes.of(*makes.one_of(&[Type::Text, Type::Int, Type::Bool]), 1)
            ),
        };
        let direction = makes.one_of(&["ASC", "DESC"]);
        let order = format!(
            "ORDER BY {} {direction} NULLS LAST, t0.id",
            makes.one_of(&["t0.k", "t0.day", "t0.d", "t0.g"])
        );
        let frame = makes.one_of(&[
            "",
            " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING",
            " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
            " ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING",
        ]);
        let mut items = vec![("t0.id".to_owned(), Type::Int)];
        for _ in 0..=self.rng.below(2) {
            let over = format!("OVER ({partition}{order})");
            let framed = format!("OVER ({partition}{order}{frame})");
            items.push(match self.rng.below(9) {
                0 => (format!("row_number() {over}"), Type::Int),
                1 => (
                    format!("rank() OVER ({partition}ORDER BY t0.k {direction} NULLS LAST)"),
                    Type::Int,
                ),
                2 => (
                    format!("dense_rank() OVER ({partition}ORDER BY t0.g {direction} NULLS FIRST)"),
                    Type::Int,
                ),
                3 => (format!("lag(t0.n, {}) {over}", self.rng.below(3) + 1), Type::Int),
                4 => (format!("lead(t0.s) {over}"), Type::Text),
                5 => (format!("sum(t0.n) {framed}"), Type::Int),
                6 => (format!("count(t0.d) {framed}"), Type::Int),
                7 => (
                    format!("{}(t0.d) {framed}", makes.one_of(&["min", "max", "sum"])),
                    Type::Decimal,
                ),
                _ => (
                    format!("{}(t0.s) {framed}", makes.one_of(&["first_value", "last_value"])),
                    Type::Text,
                ),
            });
        }
        let types: Vec<Type> = items.iter().map(|(_, of)| *of).collect();
        let shown: Vec<String> = items
            .iter()
            .enumerate()
            .map(|(at, (item, _))| format!("{item} AS c{at}"))
            .collect();
        (
            format!("SELECT {} FROM {from}{}", shown.join(", "), self.filter(&columns)),
            types,
        )
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
        let kinds = ["UNION", "UNION ALL", "INTERSECT", "EXCEPT"];
        let kind = kinds[self.rng.below(4) as usize];
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
