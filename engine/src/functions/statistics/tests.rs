use crate::testing::Lake;

// Goal: what left a frame is forgotten, by every function and by a plan that travelled. Method: two rows of 1 and 2 behind a very large
// number, of 3 and 5 behind a NaN, of 7 and 9 behind an infinity; answers by hand, of these rows and of those with NaN and infinity.
#[tokio::test]
async fn what_left_is_forgotten() {
    let lake = Lake::new();
    let rows = "(SELECT id, CAST(t AS double) AS y, CAST(id AS double) AS x FROM (VALUES (1, '1e20'), (2, '1'), (3, '2'), (4, 'NaN'), \
                (5, '3'), (6, '5'), (7, 'Infinity'), (8, '7'), (9, '9')) AS v (id, t)) AS t";
    for (function, at_3, at_6, at_7, at_9) in [
        ("sum(y)", "3.0", "8.0", "inf", "16.0"),
        ("avg(y)", "1.5", "4.0", "inf", "8.0"),
        ("var_samp(y)", "0.5", "2.0", "NaN", "2.0"),
        ("var_pop(y)", "0.25", "1.0", "NaN", "1.0"),
        (
            "stddev(y)",
            "0.7071067811865476",
            "1.4142135623730951",
            "NaN",
            "1.4142135623730951",
        ),
        ("stddev_pop(y)", "0.5", "1.0", "NaN", "1.0"),
        ("covar_samp(y, x)", "0.5", "1.0", "NaN", "1.0"),
        ("covar_pop(y, x)", "0.25", "0.5", "NaN", "0.5"),
        ("corr(y, x)", "1.0", "1.0", "NaN", "1.0"),
        ("regr_r2(y, x)", "1.0", "1.0", "NaN", "1.0"),
        ("regr_slope(y, x)", "1.0", "2.0", "NaN", "2.0"),
        ("regr_intercept(y, x)", "-1.0", "-7.0", "NaN", "-9.0"),
        ("regr_avgx(y, x)", "2.5", "5.5", "6.5", "8.5"),
        ("regr_avgy(y, x)", "1.5", "4.0", "inf", "8.0"),
        ("regr_sxx(y, x)", "0.5", "0.5", "0.5", "0.5"),
        ("regr_syy(y, x)", "0.5", "2.0", "NaN", "2.0"),
        ("regr_sxy(y, x)", "0.5", "1.0", "NaN", "1.0"),
        ("regr_count(y, x)", "2", "2", "2", "2"),
    ] {
        let sql = format!(
            "SELECT id, f FROM (SELECT id, {function} OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS f FROM {rows}) \
             AS told WHERE id IN (3, 6, 7, 9)"
        );
        let wanted = [
            format!("3,{at_3}"),
            format!("6,{at_6}"),
            format!("7,{at_7}"),
            format!("9,{at_9}"),
        ];
        assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted, "{sql}");
    }
}

// Goal: rows behind a NaN know nothing of it in frames that end with all rows. Method: as above, to the last row; frames that skip the
// current row, are empty, or have nulls only.
#[tokio::test]
async fn what_is_ahead_is_told() {
    let lake = Lake::new();
    let rows = "(SELECT id, CAST(t AS double) AS y FROM (VALUES (1, '1000'), (2, 'NaN'), (3, NULL), (4, '2'), (5, '4')) AS v (id, t)) AS t";
    for (columns, wanted) in [
        (
            "sum(y) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
            ["1,NaN", "2,NaN", "3,6.0", "4,6.0", "5,4.0"],
        ),
        (
            "avg(y) OVER (ORDER BY id ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)",
            ["1,NaN", "2,3.0", "3,3.0", "4,4.0", "5,"],
        ),
        (
            "var_pop(y) OVER (ORDER BY id RANGE BETWEEN 1 FOLLOWING AND 3 FOLLOWING)",
            ["1,NaN", "2,1.0", "3,1.0", "4,0.0", "5,"],
        ),
        (
            "sum(y) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING)",
            ["1,", "2,1000.0", "3,NaN", "4,NaN", "5,2.0"],
        ),
        (
            "sum(y) FILTER (WHERE id <> 2) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
            ["1,1000.0", "2,1000.0", "3,", "4,2.0", "5,6.0"],
        ),
    ] {
        let sql = format!("SELECT id, {columns} FROM {rows}");
        assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
    }
}

// Goal: with `DISTINCT` each pair counts once, in groups, in frames and by a plan that travelled. Method: every function over pairs of which
// some are there twice, with and without a null, beside the same over a query that leaves them out.
#[tokio::test]
async fn each_pair_counts_once() {
    let lake = Lake::new();
    let rows = "(VALUES (1, 1.0, 2.0), (1, 1.0, 2.0), (1, 2.0, 3.0), (1, 4.0, 9.0), (1, 4.0, 9.0), (1, NULL, 9.0), (1, NULL, 9.0), \
                (2, -0.0, 1.0), (2, 0.0, 1.0), (2, 5.0, 1.5)) AS v (k, y, x)";
    let once = format!("(SELECT k, y, x FROM {rows} WHERE y IS NOT NULL GROUP BY k, y, x) AS once");
    for function in [
        "corr",
        "covar_samp",
        "covar_pop",
        "regr_r2",
        "regr_slope",
        "regr_intercept",
        "regr_avgx",
        "regr_avgy",
        "regr_sxx",
        "regr_syy",
        "regr_sxy",
        "regr_count",
    ] {
        for groups in ["WHERE k = 1", "WHERE k = 1 GROUP BY k", "GROUP BY k"] {
            // Rounded: the order of rows decides on the last digits.
            let wanted = lake
                .lines(&format!("SELECT round({function}(y, x), 9) FROM {once} {groups}"))
                .await;
            let sql = format!("SELECT round({function}(DISTINCT y, x), 9) FROM {rows} {groups}");
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted, "{sql}");
        }
    }
    let sql = format!(
        "SELECT count(DISTINCT x), stddev(DISTINCT y) > 1.5, var_pop(DISTINCT y) < 1.6 FROM {rows} WHERE k = 1"
    );
    assert_eq!(lake.lines(&sql).await, ["3,true,true"]);
}

// Goal: a number that is none, or infinite, is nowhere near its own mean. Method: one of each, alone and beside others, with and without
// groups, of all and each once.
#[tokio::test]
async fn what_is_no_number_varies() {
    let lake = Lake::new();
    for (numbers, wanted) in [
        ("('NaN')", "NaN,NaN,,"),
        ("('Infinity')", "NaN,NaN,,"),
        ("('-Infinity'), ('1')", "NaN,NaN,NaN,NaN"),
        ("('7')", "0.0,0.0,,"),
    ] {
        let rows = format!("(SELECT 1 AS k, CAST(t AS double) AS x FROM (VALUES {numbers}) AS v (t)) AS r");
        let asked = "var_pop(x), stddev_pop(x), var_samp(x), stddev(x)";
        for groups in ["", "GROUP BY k"] {
            assert_eq!(
                lake.lines(&format!("SELECT {asked} FROM {rows} {groups}")).await,
                [wanted],
                "{numbers}"
            );
            let once = asked.replace("(x)", "(DISTINCT x)");
            assert_eq!(
                lake.lines(&format!("SELECT {once}, count(DISTINCT k) FROM {rows} {groups}"))
                    .await,
                [format!("{wanted},1")],
                "{numbers}"
            );
        }
    }
}
