use datafusion::sql::sqlparser::dialect::GenericDialect;
use proptest::prelude::*;

use super::{Versioned, rewrite};

fn made(sql: &str) -> Versioned {
    rewrite(sql, &GenericDialect {}).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

// Goal: every way to write a version makes one name. Method: a table of them.
#[test]
fn versions_become_names() {
    for (written, name) in [
        ("people FOR VERSION AS OF 5", "people@5"),
        ("People version as of 5", "people@5"),
        ("\"People\" FOR SYSTEM_VERSION AS OF 5", "People@5"),
        ("people VERSION AS OF 'audit'", "people@audit"),
        ("people VERSION AS OF 'it''s'", "people@it's"),
        ("people$files FOR VERSION AS OF 5", "people@5$files"),
        ("\"people$files\" VERSION AS OF 'audit'", "people@audit$files"),
        (
            "people FOR TIMESTAMP AS OF '2026-01-01 00:00:00'",
            "people@@1767225600000",
        ),
        (
            "people FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-01 01:00:00+01:00'",
            "people@@1767225600000",
        ),
        ("people TIMESTAMP AS OF '2026-01-01'", "people@@1767225600000"),
        (
            "people FOR TIMESTAMP AS OF TIMESTAMP '2026-01-01 00:00:00.001 UTC'",
            "people@@1767225600001",
        ),
        ("people TIMESTAMP AS OF 1767225600", "people@@1767225600000"),
        ("people /* now */ FOR -- then\n VERSION AS OF 5", "people@5"),
    ] {
        let versioned = made(&format!("select 'VERSION AS OF 9', x from gold.{written} as p"));
        assert_eq!(
            versioned.names.iter().map(String::as_str).collect::<Vec<_>>(),
            [name],
            "{written}"
        );
        assert!(versioned.sql.contains(&format!("gold.\"{name}\"")), "{}", versioned.sql);
        assert!(versioned.sql.ends_with(" as p"), "{}", versioned.sql);
    }
}

// Goal: what is no version is left as it is. Method: words of the clause in other places.
#[test]
fn other_words_are_left_alone() {
    for sql in [
        "select version, timestamp as of_day from t",
        "select 1 -- t VERSION AS OF 5",
        "select 't FOR VERSION AS OF 5'",
        "select \"t VERSION AS OF\" from x",
        "select 'unfinished",
        "",
    ] {
        assert_eq!(made(sql).sql, sql);
    }
    for sql in [
        "select * from t VERSION AS OF",
        "select * from t VERSION AS OF x",
        "select * from t FOR VERSION AS OF ?",
        "select * from t FOR TIMESTAMP AS OF 'tomorrow'",
        "select * from t TIMESTAMP AS OF current_timestamp",
        "select * from t FOR VERSION AS OF 5 FOR VERSION AS OF 6",
        "select * from s.t AS x FOR VERSION AS OF 5",
        "select * from s.t x VERSION AS OF 5",
        "select * from s.t user VERSION AS OF 5",
        "select * from (select 1) FOR VERSION AS OF 5",
        "select * from (select 1) x VERSION AS OF 5",
        "update s.t AS x FOR VERSION AS OF 'audit' SET a = 1",
    ] {
        assert!(rewrite(sql, &GenericDialect {}).is_err(), "{sql}");
    }
}

proptest! {
    // Goal: what stands behind a version stays in its line and column, so that errors point to it. Method: versions among blanks,
    // breaks and letters of several bytes, with a mark behind each.
    #[test]
    fn places_stay(
        parts in prop::collection::vec(("[ \nä]{0,4}", "[a-zé]{1,9}", "[ \n]{1,4}", "[ \n]{1,4}"), 1..5),
    ) {
        let mut sql = String::from("select");
        for (before, name, one, two) in &parts {
            sql.push_str(&format!(" '{before}' from {name}{one}FOR VERSION{two}AS{one}OF{two}'{name}' <mark>"));
        }
        let place = |sql: &str| -> Vec<(usize, usize)> {
            sql.match_indices("<mark>")
                .map(|(at, _)| {
                    let before = &sql[..at];
                    let line = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
                    (before.matches('\n').count(), line)
                })
                .collect()
        };
        let versioned = made(&sql);
        prop_assert_eq!(place(&versioned.sql), place(&sql));
        prop_assert!(!versioned.sql.contains("VERSION"));
    }
}
