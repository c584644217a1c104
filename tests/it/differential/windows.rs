//! Random queries with windows.

use tidewater_core::Rng;

use super::expressions::Expressions;
use super::queries::Maker;
use super::tables::Type;

impl Maker<'_> {
    /// A query with windows, each over an order that parts all rows or of an answer that is the same for rows it does not part.
    pub fn windowed(&self) -> (String, Vec<Type>) {
        let (from, columns) = self.relation("t0");
        let makes = Expressions {
            rng: self.rng,
            columns: &columns,
        };
        let partition = match self.rng.below(3) {
            0 => String::new(),
            _ => format!(
                "PARTITION BY {} ",
                makes.of(
                    *makes.one_of(&[Type::Text, Type::Int, Type::Bool, Type::Time, Type::Far]),
                    1
                )
            ),
        };
        let direction = makes.one_of(&["ASC", "DESC"]);
        let order = format!(
            "ORDER BY {} {direction} NULLS LAST, t0.id",
            makes.one_of(&[
                "t0.k",
                "t0.day",
                "t0.d",
                "t0.g",
                "t0.moment",
                "t0.zoned",
                "t0.p",
                "t0.h.x"
            ])
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
            items.push(match self.rng.below(14) {
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
                8 => (format!("ntile({}) {over}", self.rng.below(4) + 1), Type::Int),
                9 => (
                    format!("{}(t0.moment) {framed}", makes.one_of(&["min", "max", "first_value"])),
                    Type::Time,
                ),
                10 => (
                    format!("{}(t0.p) {framed}", makes.one_of(&["min", "max", "last_value"])),
                    Type::Far,
                ),
                11 => (
                    format!("{}() {over}", makes.one_of(&["cume_dist", "percent_rank"])),
                    Type::Float,
                ),
                12 => (
                    format!(
                        "{} OVER ({partition}ORDER BY t0.{} NULLS LAST RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING)",
                        makes.one_of(&["sum(t0.n)", "count(t0.s)", "max(t0.k)"]),
                        makes.one_of(&["id", "k"])
                    ),
                    Type::Int,
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
}
