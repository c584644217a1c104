use std::path::Path;

use super::*;

fn query(text: &str) -> Query {
    parse(Path::new("m.sql"), text).expect("a query").expect("not empty")
}

// Goal: dependencies are all tables and nothing else. Method: common table expressions, subqueries, quotes, no namespace.
#[test]
fn references_are_found() {
    let cases: [(&str, &[&str]); 5] = [
        ("SELECT 1", &[]),
        ("SELECT * FROM patient_360", &["gold.patient_360"]),
        (
            "WITH a AS (SELECT * FROM silver.b) SELECT * FROM a JOIN silver.c ON true",
            &["silver.b", "silver.c"],
        ),
        (
            "SELECT (SELECT max(x) FROM silver.d) FROM lake.silver.e WHERE x IN (SELECT x FROM \"Bronze\".\"F\")",
            &["Bronze.F", "silver.d", "silver.e"],
        ),
        (
            "SELECT * FROM silver.a UNION ALL SELECT * FROM silver.b",
            &["silver.a", "silver.b"],
        ),
    ];
    for (text, expected) in cases {
        let found = references(Path::new("m.sql"), &query(text)).expect("references");
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            expected,
            "{text}"
        );
    }
}

// Goal: every task of a run sees the same time. Method: the calls are gone from the query, literals stand in their place.
#[test]
fn run_time_is_put_in() {
    let asked = query("SELECT run_ts() AS t FROM a WHERE day < RUN_DATE()");
    assert_eq!(RunTime::of(&asked), RunTime::Timestamp);
    assert_eq!(RunTime::of(&query("SELECT run_date()")), RunTime::Date);
    assert_eq!(RunTime::of(&query("SELECT now()")), RunTime::Unused);
    let frozen = with_run_time(Path::new("m.sql"), &asked, 1_700_000_000_123)
        .expect("a query")
        .to_string();
    assert_eq!(
        frozen,
        "SELECT arrow_cast('2023-11-14T22:13:20.123000Z', 'Timestamp(Microsecond, Some(\"+00:00\"))') AS t FROM a \
         WHERE day < CAST('2023-11-14' AS DATE)"
    );
}

// Goal: no text exhausts the stack. Method: a query nested far deeper than allowed is refused.
#[test]
fn nesting_is_limited() {
    let deep = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(matches!(
        parse(Path::new("m.sql"), &deep),
        Err(PipelineError::Sql { .. })
    ));
}
