//! How large a statement may be. What a statement costs before its first row (parsing, planning) cannot be interrupted, and
//! trees are walked by recursion, so the size of both is limited before anything is built from the text.

mod named_often;
mod tokens;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use self::tokens::Counts;
use crate::error::{EngineError, Result};

/// Bytes of a text.
pub const STATEMENT_BYTES_MAX: usize = 4 << 20;

/// Queries and tables, with those of a common table expression as often as it is named.
const PARTS_MAX: usize = 2_000;

/// Operators of a plan, with all that was put into it.
const PLAN_NODES_MAX: usize = 10_000;

/// Refuses a text that would make too large a tree. What is no statement passes: the parser says what is wrong with it.
pub(crate) fn check(sql: &str) -> Result<()> {
    limit("bytes", sql.len(), STATEMENT_BYTES_MAX)?;
    // Sessions differ in whose grammar they read by, and what is an operator to one is part of a name or a text to the other.
    counted(sql, &GenericDialect {})?;
    counted(sql, &PostgreSqlDialect {})
}

/// Counts what a grammar takes a text for. Without tokens there is no tree.
fn counted(sql: &str, dialect: &dyn Dialect) -> Result<()> {
    let Ok(tokens) = Tokenizer::new(dialect, sql).tokenize() else {
        return Ok(());
    };
    let mut counts = Counts::default();
    tokens.iter().try_for_each(|token| counts.take(token))
}

/// Refuses a statement that becomes too large when its names are replaced by what they stand for.
pub(crate) fn check_parts(statement: &Statement) -> Result<()> {
    let parts = named_often::parts(statement);
    limit(
        "queries and tables, with those of WITH as often as they are named",
        usize::try_from(parts).unwrap_or(usize::MAX),
        PARTS_MAX,
    )
}

/// Refuses a plan that is too large, whatever it was made from.
pub(crate) fn check_plan(plan: &LogicalPlan) -> Result<()> {
    let mut nodes = 0;
    plan.apply_with_subqueries(|_| {
        nodes += 1;
        Ok(match nodes > PLAN_NODES_MAX {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    limit("operators in its plan", nodes, PLAN_NODES_MAX)
}

fn limit(what: &'static str, found: usize, max: usize) -> Result<()> {
    match found > max {
        true => Err(EngineError::TooComplex { what, max }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use super::tokens::{COLUMNS_MAX, OPERATORS_MAX};
    use super::*;

    // Goal: what would make a deep or wide tree is refused, what people write is not. Method: each limit, met and passed by one.
    #[test]
    fn texts_have_limits() {
        let chain = |part: &str, between: &str, count: usize| format!("SELECT {}", vec![part; count].join(between));
        let joined = |count: usize| format!("SELECT 1 FROM t {}", "JOIN t USING (a) ".repeat(count));
        let like = |count: usize| format!("SELECT a LIKE '{}'", "%a".repeat(count));
        let cube = |count: usize| format!("SELECT 1 FROM t GROUP BY CUBE ({})", vec!["a"; count].join(", "));
        for (within, beyond) in [
            (chain("1", "+", OPERATORS_MAX + 1), chain("1", "+", OPERATORS_MAX + 2)),
            (chain("'a'", " || ", 201), chain("'a'", " || ", 202)),
            (chain("a", " OR ", 5_001), chain("a", " OR ", 5_002)),
            (chain("(a = 1)", " AND ", 5_001), chain("(a = 1)", " AND ", 5_002)),
            (chain("a", ", ", COLUMNS_MAX), chain("a", ", ", COLUMNS_MAX + 1)),
            (
                chain("1", " UNION ALL SELECT ", 500),
                chain("1", " UNION ALL SELECT ", 502),
            ),
            (joined(200), joined(201)),
            (cube(12), cube(13)),
            (like(100), like(101)),
            (
                format!("SELECT 1 FROM {}", vec!["t"; 201].join(", ")),
                format!("SELECT 1 FROM {}", vec!["t"; 202].join(", ")),
            ),
            (
                format!("SELECT '{}'", "x".repeat(STATEMENT_BYTES_MAX - 9)),
                format!("SELECT '{}'", "x".repeat(STATEMENT_BYTES_MAX - 8)),
            ),
        ] {
            let told = |sql: &str| sql.chars().take(60).collect::<String>();
            assert!(check(&within).is_ok(), "{}", told(&within));
            let refused = check(&beyond).expect_err(&told(&beyond));
            assert_eq!(refused.code(), "ENG-0020", "{}", told(&beyond));
        }
        for beyond in [
            chain("on", "+", 300),
            chain("t.on", "*", 300),
            chain("t.values", " || ", 300),
            chain("CASE WHEN a THEN 1 END", "+", 300),
            chain("a", " REGEXP ", 300),
            chain("a", " RLIKE ", 300),
            chain("a", " MEMBER OF ", 300),
            chain("1", " OPERATOR(pg_catalog.+) ", 300),
            chain("on", " AND ", 6_000),
            chain("a", " IS DISTINCT FROM ", 300),
            vec!["VALUES (1)"; 2_000].join(" UNION ALL "),
            format!("SELECT 1{}", "#1".repeat(300)),
            format!("SELECT 1 +` 1{} +` 1", "+1".repeat(300)),
            format!("SELECT q'[' {} ']'", "+1".repeat(300)),
        ] {
            let told: String = beyond.chars().take(60).collect();
            assert!(check(&beyond).is_err(), "{told}");
        }
        let many = vec!["a"; 300].join(", ");
        let two_joins = "SELECT a FROM t JOIN u USING (a) JOIN v USING (a)";
        for within in [
            format!("SELECT a IS DISTINCT FROM b, {many} FROM t"),
            vec![two_joins; 150].join(" UNION ALL "),
            format!(
                "SELECT {} FROM t",
                vec!["CASE WHEN a = 1 THEN b ELSE c END"; 300].join(", ")
            ),
            format!("SELECT {}", vec!["a * 2"; 300].join(", ")),
            "SELECT t.*, 1 FROM t, u WHERE a NOT IN (1, 2) AND b IS NOT NULL AND c AT TIME ZONE 'UTC' > d".to_owned(),
        ] {
            let told: String = within.chars().take(60).collect();
            assert!(check(&within).is_ok(), "{told}");
        }
        let list = (0..100_000)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        assert!(check(&format!("SELECT 1 FROM t WHERE a IN ({list})")).is_ok());
        assert!(check(&format!("INSERT INTO t VALUES ({})", list.replace(", ", "), ("))).is_ok());
        assert!(check("not ' a statement").is_ok());
    }
}
