//! What a random query reads: tables, their lists' elements, joins of them, and the conditions that they are asked by.

use tidewater_core::Rng;

use super::expressions::{Column, Expressions};
use super::queries::Maker;
use super::tables::{COLUMNS, TABLES, Type};

/// What relations are joined by; none has so few values that three tables become too many rows.
const KEYS: [&str; 14] = [
    "id", "id", "k", "n", "g", "s", "d", "day", "moment", "zoned", "p", "h.x", "h", "l",
];

/// What subqueries are asked for.
const SOUGHT: [Type; 9] = [
    Type::Int,
    Type::Int,
    Type::Int,
    Type::Text,
    Type::Decimal,
    Type::Date,
    Type::Time,
    Type::Zoned,
    Type::Far,
];

fn columns(alias: &str) -> Vec<Column> {
    let named = |(name, of)| Column {
        name: format!("{alias}.{name}"),
        of,
    };
    COLUMNS.map(named).into()
}

impl Maker<'_> {
    fn table(&self) -> &'static str {
        TABLES[self.rng.below(TABLES.len() as u64) as usize]
    }

    /// A relation in FROM whose ids are its own, and its columns.
    pub fn relation(&self, alias: &str) -> (String, Vec<Column>) {
        let table = self.table();
        let from = match self.rng.below(6) {
            0 => {
                let inner = columns("v");
                let makes = Expressions {
                    rng: self.rng,
                    columns: &inner,
                };
                format!("(SELECT * FROM r.{table} AS v WHERE {}) AS {alias}", makes.condition(1))
            }
            _ => format!("r.{table} AS {alias}"),
        };
        (from, columns(alias))
    }

    /// A table beside the elements of its lists.
    fn elements(&self, alias: &str) -> (String, Vec<Column>) {
        let table = self.table();
        let join = match self.rng.below(3) {
            0 => format!("r.{table} AS v, unnest(v.l) AS w(e)"),
            1 => format!("r.{table} AS v CROSS JOIN unnest(v.l) AS w(e)"),
            _ => format!("r.{table} AS v LEFT JOIN unnest(v.l) AS w(e) ON TRUE"),
        };
        let element = |of: &str| Column {
            name: format!("{of}.e"),
            of: Type::Int,
        };
        let mut inner = columns("v");
        inner.push(element("w"));
        let makes = Expressions {
            rng: self.rng,
            columns: &inner,
        };
        let filter = match self.rng.below(3) {
            0 => String::new(),
            1 => format!(" WHERE w.e {} {}", makes.one_of(&["=", ">", "<>"]), self.rng.below(4)),
            _ => format!(" WHERE {}", makes.condition(1)),
        };
        let mut outer = columns(alias);
        outer.push(element(alias));
        (format!("(SELECT v.*, w.e FROM {join}{filter}) AS {alias}"), outer)
    }

    /// FROM with one to three relations, and the columns in sight.
    pub fn from(&self) -> (String, Vec<Column>) {
        let (mut from, mut columns) = match self.rng.below(10) {
            0 => self.elements("t0"),
            _ => self.relation("t0"),
        };
        for at in 1..=[0, 0, 1, 1, 2][self.rng.below(5) as usize] {
            let alias = format!("t{at}");
            let (next, more) = self.relation(&alias);
            let kind = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"][self.rng.below(4) as usize];
            let key = KEYS[self.rng.below(KEYS.len() as u64) as usize];
            // What else is demanded of a full join, only some plans of DuckDB can do.
            let sign = match (kind, self.rng.below(5)) {
                _ if matches!(key, "h" | "l") => "=",
                ("FULL JOIN", _) | (_, 1..) => "=",
                _ => ["<", ">=", "<>"][self.rng.below(3) as usize],
            };
            let mut on = format!("t{}.{key} {sign} {alias}.{key}", at - 1);
            if self.rng.below(6) == 0 {
                let second = ["flag", "h.y", "k", "zoned"][self.rng.below(4) as usize];
                on = format!("{on} AND t{}.{second} = {alias}.{second}", at - 1);
            }
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

    pub fn filter(&self, columns: &[Column]) -> String {
        let makes = Expressions { rng: self.rng, columns };
        match self.rng.below(8) {
            0..=1 => String::new(),
            2 => format!(" WHERE {}", self.subquery(columns)),
            3 => format!(" WHERE {} AND {}", makes.condition(1), self.subquery(columns)),
            _ => format!(" WHERE {}", makes.condition(2)),
        }
    }

    /// A condition with a query in it.
    fn subquery(&self, outer: &[Column]) -> String {
        let table = self.table();
        let inner = columns("u");
        let makes = Expressions {
            rng: self.rng,
            columns: &inner,
        };
        let of = *makes.one_of(&SOUGHT);
        let key = self.outer(outer, of);
        let own = self.column(&inner, of);
        let condition = makes.condition(1);
        let not = ["", "NOT "][self.rng.below(2) as usize];
        match self.rng.below(5) {
            0 => format!("{key} {not}IN (SELECT {own} FROM r.{table} AS u WHERE {condition})"),
            1 => format!("{key} {not}IN (SELECT {own} FROM r.{table} AS u WHERE {own} IS NOT NULL AND {condition})"),
            2 => format!("{not}EXISTS (SELECT 1 FROM r.{table} AS u WHERE {own} = {key} AND {condition})"),
            3 => format!("{key} > (SELECT min({own}) FROM r.{table} AS u WHERE {condition})"),
            _ => {
                let (id, by) = (self.outer(outer, Type::Int), self.column(&inner, Type::Int));
                format!("{key} <= (SELECT max({own}) FROM r.{table} AS u WHERE {by} = {id})")
            }
        }
    }

    /// A number that a query finds for a row.
    pub fn scalar(&self, outer: &[Column]) -> String {
        let table = self.table();
        let of = SOUGHT[self.rng.below(SOUGHT.len() as u64) as usize];
        let (key, own) = (self.outer(outer, of), self.column(&columns("u"), of));
        let asked = ["count(*)", "max(u.n)", "min(u.id)", "sum(u.k)", "count(u.flag)"][self.rng.below(5) as usize];
        format!("(SELECT {asked} FROM r.{table} AS u WHERE {own} = {key})")
    }

    /// The name of a column of the query around, where ours takes a field by its brackets only.
    fn outer(&self, all: &[Column], of: Type) -> String {
        let name = self.column(all, of);
        match name.rsplit_once(".h.") {
            Some((table, field)) => format!("{table}.h['{field}']"),
            None => name,
        }
    }

    /// The name of one of the columns of a type.
    fn column(&self, all: &[Column], of: Type) -> String {
        let fitting: Vec<&Column> = all.iter().filter(|column| column.of == of).collect();
        fitting[self.rng.below(fitting.len() as u64) as usize].name.clone()
    }
}
