//! How large a statement is with each common table expression as often as it is named: the planner puts them in so, and a few
//! that name each other twice become more than there is memory for.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement, TableFactor, Visit, Visitor};

/// Queries and tables of a statement.
pub(super) fn parts(statement: &Statement) -> u64 {
    let mut counted = Counted {
        levels: vec![Level::default()],
    };
    let _: ControlFlow<()> = statement.visit(&mut counted);
    counted.levels.pop().map_or(0, |level| level.parts)
}

/// Of one query, with the parts of those in it.
#[derive(Default)]
struct Level {
    parts: u64,
    /// Names of its common table expressions, by where their queries are.
    defined: HashMap<*const Query, String>,
    /// Those that were gone through, with their parts.
    known: HashMap<String, u64>,
}

struct Counted {
    levels: Vec<Level>,
}

impl Counted {
    fn add(&mut self, parts: u64) {
        if let Some(level) = self.levels.last_mut() {
            level.parts = level.parts.saturating_add(parts);
        }
    }

    /// None where it is the name of a table.
    fn named(&self, name: &ObjectName) -> Option<u64> {
        let [name] = name.0.as_slice() else { return None };
        let name = name.as_ident()?.value.to_lowercase();
        self.levels
            .iter()
            .rev()
            .find_map(|level| level.known.get(&name).copied())
    }
}

impl Visitor for Counted {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        let defined = tables.map(|table| (std::ptr::from_ref(&*table.query), table.alias.name.value.to_lowercase()));
        self.levels.push(Level {
            parts: 1,
            defined: defined.collect(),
            known: HashMap::new(),
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let parts = self.levels.pop().map_or(0, |level| level.parts);
        let around = self.levels.last_mut();
        let name = around.and_then(|level| level.defined.remove(&std::ptr::from_ref(query)));
        match (name, self.levels.last_mut()) {
            (Some(name), Some(level)) => {
                level.known.insert(name, parts);
            }
            _ => self.add(parts),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor {
            self.add(self.named(name).unwrap_or(1));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    // Goal: what is named often counts often, also through others, and names end where they are not known any more. Method:
    // statements whose parts were counted by hand.
    #[test]
    fn each_name_counts() {
        let doubling = |levels: usize| {
            let level = |n: usize| format!("a{n} AS (SELECT x FROM a{} UNION ALL SELECT x FROM A{0})", n - 1);
            let levels: Vec<String> = (1..=levels).map(level).collect();
            format!(
                "WITH a0 AS (SELECT 1 AS x), {} SELECT * FROM a{}",
                levels.join(", "),
                levels.len()
            )
        };
        for (sql, wanted) in [
            ("SELECT 1".to_owned(), 1),
            ("SELECT * FROM t JOIN u USING (a)".to_owned(), 3),
            ("SELECT * FROM t WHERE a IN (SELECT b FROM u)".to_owned(), 4),
            ("WITH a AS (SELECT * FROM t) SELECT * FROM a, a AS b".to_owned(), 5),
            ("WITH a AS (SELECT 1) SELECT 1".to_owned(), 1),
            (
                "WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT * FROM a) SELECT * FROM a".to_owned(),
                3,
            ),
            (
                "SELECT * FROM (WITH a AS (SELECT * FROM t, u) SELECT * FROM a) AS b, a".to_owned(),
                6,
            ),
            (doubling(3), 1 + 8 + 4 + 2 + 1),
        ] {
            let parsed = Parser::parse_sql(&GenericDialect {}, &sql).expect("a statement");
            assert_eq!(parsed.first().map(parts), Some(wanted), "{sql}");
        }
        let parsed = Parser::parse_sql(&GenericDialect {}, &doubling(100)).expect("a statement");
        assert_eq!(parsed.first().map(parts), Some(u64::MAX));
    }
}
