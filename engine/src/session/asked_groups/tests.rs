use super::KEYS;
use crate::testing::Lake;

/// Keys of which a condition leaves some, a table beside them, and many rows to be grouped. Nulls and keys that are nowhere else are
/// among all of them.
const TABLES: &str = "WITH s (k, t) AS (VALUES (1, 'x'), (2, 'x'), (3, 'y'), (NULL, 'x'), (9, 'x')), \
    c (k, w) AS (VALUES (1, 1), (1, 5), (2, 2), (3, 3), (NULL, 4)), \
    b (k, v) AS (VALUES (1, 1), (1, 2), (1, 6), (2, 2), (2, 2), (3, 1), (3, 9), (3, 9), (4, 4), (4, 5), (5, 5), (5, 6), \
        (NULL, 1), (NULL, 2), (6, NULL), (6, 1), (7, 7), (7, NULL), (8, 8), (8, 8), (2, NULL), (1, NULL))";

/// Groups that a rule may reach into, and the same behind a limit, which none does.
const GROUPS: [&str; 2] = [
    "(SELECT k, max(v) AS m, count(*) AS n FROM b GROUP BY k)",
    "(SELECT k, max(v) AS m, count(*) AS n FROM b GROUP BY k LIMIT 1000)",
];

/// The rows, and whether groups were left out.
async fn asked(lake: &Lake, sql: &str) -> (Vec<String>, bool) {
    let sql = format!("{TABLES} {sql}");
    let session = lake.session();
    let plan = lake.engine.plan(&session, &sql).await.expect("a plan");
    let plan = session.state().optimize(&plan).expect("an optimised plan");
    let narrowed = plan.display_indent().to_string().contains(KEYS);
    (lake.lines(&sql).await, narrowed)
}

// Goal: groups that nobody asks for are not made, and no answer changes by it. Method: joins of all kinds with groups, each beside the
// same with a limit between that no rule passes.
#[tokio::test]
async fn groups_that_are_asked_for_stay() {
    let lake = Lake::new();
    for (sql, narrowed) in [
        ("SELECT * FROM s JOIN {g} AS g ON g.k = s.k WHERE t = 'x'", true),
        ("SELECT * FROM s LEFT JOIN {g} AS g ON g.k = s.k WHERE t = 'x'", true),
        ("SELECT * FROM s RIGHT JOIN {g} AS g ON g.k = s.k AND t = 'x'", false),
        ("SELECT * FROM s FULL JOIN {g} AS g ON g.k = s.k AND t = 'x'", false),
        ("SELECT * FROM s JOIN {g} AS g ON g.k = s.k", false),
        ("SELECT * FROM s JOIN {g} AS g ON g.m = s.k WHERE t = 'x'", false),
        ("SELECT * FROM s JOIN {g} AS g ON g.k = s.k + 1 WHERE t = 'x'", false),
        (
            "SELECT * FROM s JOIN {g} AS g ON g.k = s.k AND g.n > s.k WHERE t = 'x'",
            true,
        ),
        (
            "SELECT * FROM s JOIN (SELECT m AS a, k AS z FROM {g} AS i WHERE n > 1) AS g ON g.z = s.k WHERE t = 'x'",
            true,
        ),
        (
            "SELECT * FROM s WHERE t = 'x' AND EXISTS (SELECT 1 FROM {g} AS g WHERE g.k = s.k AND m > 2)",
            true,
        ),
        (
            "SELECT * FROM s WHERE t = 'x' AND NOT EXISTS (SELECT 1 FROM {g} AS g WHERE g.k = s.k AND m > 2)",
            true,
        ),
        (
            "SELECT * FROM s WHERE t = 'x' AND k NOT IN (SELECT k FROM {g} AS g WHERE k IS NOT NULL AND m > 2)",
            false,
        ),
        (
            "SELECT * FROM s JOIN c ON c.k = s.k JOIN {g} AS g ON g.k = c.k WHERE t = 'x'",
            true,
        ),
        (
            "SELECT * FROM c LEFT JOIN s ON c.k = s.k AND t = 'x' JOIN {g} AS g ON g.k = c.k",
            false,
        ),
        (
            "SELECT * FROM (SELECT * FROM c WHERE k IN (SELECT k FROM s WHERE t = 'x')) AS c JOIN {g} AS g ON g.k = c.k",
            true,
        ),
        (
            "SELECT * FROM c JOIN {g} AS g ON g.k = c.k WHERE c.k IN (SELECT k FROM s WHERE t = 'x')",
            false,
        ),
        (
            "SELECT * FROM c JOIN {g} AS g ON g.k = c.k WHERE c.k NOT IN (SELECT k FROM s WHERE t = 'x' AND k > 0)",
            false,
        ),
        (
            "SELECT * FROM (SELECT k AS key, t FROM s) AS s JOIN {g} AS g ON g.k = s.key WHERE t = 'x'",
            true,
        ),
    ] {
        let [(given, is_narrowed), (wanted, never)] = [
            asked(&lake, &sql.replace("{g}", GROUPS[0])).await,
            asked(&lake, &sql.replace("{g}", GROUPS[1])).await,
        ];
        assert_eq!(given, wanted, "{sql}");
        assert!(!never, "{sql}: behind a limit");
        assert_eq!(is_narrowed, narrowed, "{sql}");
    }
}

// Goal: the same of subqueries that are correlated by a key, where the engine makes the groups. Method: answers that are known.
#[tokio::test]
async fn correlated_subqueries_make_few_groups() {
    let lake = Lake::new();
    for (sql, rows) in [
        (
            "SELECT k FROM s WHERE t = 'x' AND 2 < (SELECT avg(v) FROM b WHERE b.k = s.k)",
            &["1"][..],
        ),
        (
            "SELECT k FROM s WHERE t = 'x' AND 0 = (SELECT count(*) FROM b WHERE b.k = s.k)",
            &["", "9"],
        ),
        (
            "SELECT k, (SELECT sum(v) FROM b WHERE b.k = s.k) FROM s WHERE t = 'x'",
            &[",", "1,9", "2,4", "9,"],
        ),
        (
            "SELECT c.k, w FROM c JOIN s ON s.k = c.k WHERE t = 'x' AND w < (SELECT max(v) FROM b WHERE b.k = c.k)",
            &["1,1", "1,5"],
        ),
    ] {
        let (given, narrowed) = asked(&lake, sql).await;
        assert_eq!(given, rows, "{sql}");
        assert!(narrowed, "{sql}");
    }
}
