use datafusion::logical_expr::LogicalPlan;
use tidewater_core::Coded;

use crate::testing::Lake;
use crate::{Class, SessionOptions};

const LARGEST: &str = "9223372036854775807";

// Goal: what is too large is an error, wherever it is reckoned. Method: each operation of constants that are folded, of such that become
// constants, of columns, of smaller types and of numbers without a sign; in conditions, keys, joins and aggregates; in this process and of
// a plan that travelled.
#[tokio::test]
async fn whole_numbers_do_not_wrap_around() {
    let lake = Lake::new();
    let rows = format!("(VALUES (1, {LARGEST}), (2, -{LARGEST} - 1), (3, 0)) AS v (k, x)");
    for sql in [
        format!("SELECT {LARGEST} + 1"),
        format!("SELECT -{LARGEST} - 2"),
        format!("SELECT {LARGEST} * 2"),
        format!("SELECT x + 1 FROM (SELECT {LARGEST} AS x) AS s"),
        format!("SELECT x + k FROM {rows}"),
        format!("SELECT x - k FROM {rows}"),
        format!("SELECT k * x FROM {rows}"),
        format!("SELECT -x FROM {rows}"),
        format!("SELECT abs(x) FROM {rows}"),
        format!("SELECT k FROM {rows} WHERE x + 1 > 0"),
        format!("SELECT count(*) FROM {rows} GROUP BY x + 1"),
        format!("SELECT k FROM {rows} ORDER BY x - 1"),
        format!("SELECT count(*) FROM {rows} JOIN (VALUES (1), (2)) AS w (y) ON x + 1 = y"),
        format!("SELECT max(x * 2) FROM {rows}"),
        "SELECT CAST(x AS int) + CAST(1 AS int) FROM (VALUES (2147483647), (1)) AS v (x)".to_owned(),
        "SELECT CAST(x AS smallint) * CAST(2 AS smallint) FROM (VALUES (32767), (1)) AS v (x)".to_owned(),
        "SELECT arrow_cast(x, 'UInt64') - arrow_cast(2, 'UInt64') FROM (VALUES (1), (3)) AS v (x)".to_owned(),
        format!("SELECT int_plus(x, 1), int_minus(x, 1), int_times(x, 1), int_negated(x) FROM {rows}"),
    ] {
        let error = lake.refused(&sql).await;
        assert_eq!(error.code(), "ENG-0003", "{sql}");
        assert!(
            format!("{error:?}").to_lowercase().contains("overflow"),
            "{sql}: {error:?}"
        );
        assert!(lake.travelled(&sql).await.is_err(), "{sql}");
    }
}

// Goal: numbers that fit are as they were, and so are other types. Method: each operation, of mixed types and nulls too, the answers by
// hand; in this process and of a plan that travelled.
#[tokio::test]
async fn what_fits_is_reckoned() {
    let lake = Lake::new();
    let rows = "FROM (VALUES (1, 5), (2, NULL), (3, -7)) AS v (k, x)";
    for (columns, wanted) in [
        ("k, k + x, k - x, k * x, -x", ["1,6,-4,5,-5", "2,,,,", "3,-4,10,-21,7"]),
        ("k, x + NULL, NULL - x", ["1,,", "2,,", "3,,"]),
        (
            "k, CAST(k AS int) + x, CAST(k AS smallint) * CAST(2 AS int)",
            ["1,6,2", "2,,4", "3,-4,6"],
        ),
        ("k, arrow_cast(k, 'UInt64') + x", ["1,6", "2,", "3,-4"]),
        (
            "k, x + 0.5, x * CAST(2 AS decimal(3, 1))",
            ["1,5.5,10.0", "2,,", "3,-6.5,-14.0"],
        ),
    ] {
        let sql = format!("SELECT {columns} {rows}");
        assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted, "{sql}");
    }
    let rolled = format!("SELECT k % 2 + 1, count(*) {rows} GROUP BY ROLLUP (k % 2 + 1)");
    assert_eq!(lake.lines(&rolled).await, [",3", "1,1", "2,2"]);
    let limited = format!("SELECT k {rows} ORDER BY k + 1 LIMIT 2");
    assert_eq!(lake.lines(&limited).await, ["1", "2"]);
    let compared = format!("SELECT k, k + 1 > 2 AND -x < k * 2 {rows} ORDER BY k + 1 > 2, k * 2 + 1");
    assert_eq!(lake.lines(&compared).await, ["1,false", "2,", "3,false"]);
    let counted = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r";
    assert_eq!(lake.lines(counted).await, ["1", "2", "3"]);
}

// Goal: a statement's columns are called and typed as they were. Method: the schema of a plan before it is optimised and after.
#[tokio::test]
async fn columns_keep_their_names() {
    let lake = Lake::new();
    let session = lake.engine.session(Class::Interactive, &SessionOptions::default());
    let sql = "SELECT x + 1, -x, sum(x * 2) FROM (VALUES (1), (2)) AS v (x) GROUP BY x";
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let optimized = session.state().optimize(&plan).expect("an optimised plan");
    let columns = |of: &LogicalPlan| -> Vec<_> {
        let fields = of.schema().fields().iter();
        fields
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect()
    };
    assert_eq!(columns(&plan), columns(&optimized));
    let shown = optimized.display_indent().to_string();
    for function in ["int_plus", "int_negated", "int_times"] {
        assert!(shown.contains(function), "{shown}");
    }
}
