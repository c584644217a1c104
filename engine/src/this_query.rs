//! The expressions of one query only: those that stand in a part of it, without those of queries within the part.
//!
//! A part is whatever stands in a query: an expression, the columns of a SELECT, what it is sorted by. A whole query has no part of its
//! own here: all of it is within.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Visit, VisitMut, Visitor, VisitorMut};

/// What is done to each expression.
pub(crate) trait Change {
    /// Before its parts: those of what it is by then are next.
    fn before(&mut self, _: &mut Expr) {}

    /// After its parts.
    fn after(&mut self, _: &mut Expr) {}
}

/// Does it to the expressions of a part.
pub(crate) fn change(part: &mut impl VisitMut, change: &mut impl Change) {
    let _: ControlFlow<()> = part.visit(&mut Outside { does: change, depth: 0 });
}

/// Whether an expression of a part is one that is looked for.
pub(crate) fn has(part: &impl Visit, is_wanted: impl FnMut(&Expr) -> bool) -> bool {
    let mut found = Outside {
        does: Finds(is_wanted),
        depth: 0,
    };
    part.visit(&mut found).is_break()
}

/// Does something outside of queries only.
struct Outside<D> {
    does: D,
    /// Queries around what is visited.
    depth: usize,
}

struct Finds<F>(F);

impl<C: Change> VisitorMut for Outside<&mut C> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0 {
            self.does.before(expression);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0 {
            self.does.after(expression);
        }
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&Expr) -> bool> Visitor for Outside<Finds<F>> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match self.depth == 0 && (self.does.0)(expression) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    /// Names of this query, with others in queries within: after, between and around them.
    const NAMES: &str = "a + (SELECT b FROM t WHERE c = (SELECT d)) + CASE WHEN e IN (SELECT f) THEN g \
                         ELSE CAST(EXISTS (SELECT h) AS int) + i END";

    fn parsed(text: &str) -> Expr {
        let parser = Parser::new(&GenericDialect {}).try_with_sql(text);
        parser.expect("tokens").parse_expr().expect("an expression")
    }

    fn is_named(wanted: &str) -> impl FnMut(&Expr) -> bool {
        move |part| matches!(part, Expr::Identifier(name) if name.value == wanted)
    }

    /// Tells what it sees, and marks it.
    #[derive(Default)]
    struct Seen {
        before: Vec<String>,
        after: Vec<String>,
    }

    impl Change for Seen {
        fn before(&mut self, expression: &mut Expr) {
            self.before.push(expression.to_string());
        }

        fn after(&mut self, expression: &mut Expr) {
            if let Expr::Identifier(name) = expression {
                name.value = name.value.to_uppercase();
            }
            self.after.push(expression.to_string());
        }
    }

    // Goal: what is looked for is found in this query, not in those within. Method: names of both, before, in and behind such queries.
    #[test]
    fn finds_what_is_of_this_query() {
        let part = parsed(NAMES);
        for (name, found) in [
            ("a", true),
            ("b", false),
            ("c", false),
            ("d", false),
            ("e", true),
            ("f", false),
            ("g", true),
            ("h", false),
            ("i", true),
        ] {
            assert_eq!(has(&part, is_named(name)), found, "{name}");
        }
        let columns = vec![parsed("(SELECT b)"), parsed("a")];
        assert!(has(&columns, is_named("a")) && !has(&columns, is_named("b")));
    }

    // Goal: what is of this query is changed, and nothing else. Method: names are written large, in the text afterwards.
    #[test]
    fn changes_what_is_of_this_query() {
        let mut part = parsed(NAMES);
        change(&mut part, &mut Seen::default());
        let wanted = parsed(
            "A + (SELECT b FROM t WHERE c = (SELECT d)) + CASE WHEN E IN (SELECT f) THEN G \
             ELSE CAST(EXISTS (SELECT h) AS int) + I END",
        );
        assert_eq!(part.to_string(), wanted.to_string());
    }

    // Goal: an expression is seen before and after its parts, with what became of them. Method: both lists of a product.
    #[test]
    fn sees_expressions_around_their_parts() {
        let mut seen = Seen::default();
        change(&mut parsed("-a * (SELECT b)"), &mut seen);
        assert_eq!(seen.before, ["-a * (SELECT b)", "-a", "a", "(SELECT b)"]);
        assert_eq!(seen.after, ["A", "-A", "(SELECT b)", "-A * (SELECT b)"]);
    }

    // Goal: nothing in a whole query is of the query around it. Method: one, as the part.
    #[test]
    fn whole_queries_are_within() {
        let Expr::Subquery(mut query) = parsed("(SELECT a WHERE a > 1 ORDER BY a)") else {
            panic!("a query")
        };
        assert!(!has(&query, |_| true));
        let mut seen = Seen::default();
        change(&mut query, &mut seen);
        assert!(seen.before.is_empty() && seen.after.is_empty());
    }
}
