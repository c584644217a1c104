use std::collections::BTreeMap;

use tidewater_core::{Coded, Rng, SeededRng};

use super::{MODES, done, lake, refused, rows};

// Goal: inserted rows are in the columns they were meant for, and what overwrites takes the place of what it must. Method: each form
// once, then the rows.
#[tokio::test]
async fn rows_are_inserted() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id bigint NOT NULL, region string, n int) PARTITIONED BY (region)",
    )
    .await;
    assert_eq!(
        rows(&lake, "INSERT INTO s.t VALUES (1, 'a', 10), (2, 'b', 20)").await,
        2
    );
    assert_eq!(rows(&lake, "INSERT INTO s.t (n, id) SELECT 30, 3").await, 1);
    assert_eq!(
        rows(&lake, "INSERT INTO s.t SELECT id + 10, region, n FROM s.t WHERE n < 0").await,
        0
    );
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,a,10", "2,b,20", "3,,30"]);

    assert_eq!(rows(&lake, "INSERT OVERWRITE s.t VALUES (4, 'a', 40)").await, 1);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["2,b,20", "3,,30", "4,a,40"]);
    assert_eq!(
        rows(
            &lake,
            "INSERT OVERWRITE s.t PARTITION (region = 'b') (id, n) VALUES (5, 50), (6, 60)"
        )
        .await,
        2
    );
    assert_eq!(
        lake.lines("SELECT * FROM s.t").await,
        ["3,,30", "4,a,40", "5,b,50", "6,b,60"]
    );

    done(
        &lake,
        "CREATE TABLE s.e AS SELECT 1e300 AS a, -2.5e-3 AS b, 12345678901234567890.5 AS c",
    )
    .await;
    assert_eq!(
        lake.lines("SELECT * FROM s.e").await,
        ["1e300,-0.0025,12345678901234567890.5"]
    );

    assert_eq!(refused(&lake, "INSERT INTO s.t VALUES (1)").await.code(), "ENG-0011");
    assert_eq!(
        refused(&lake, "INSERT INTO s.t (id, nope) VALUES (1, 2)").await.code(),
        "ENG-0011"
    );
    assert_eq!(
        refused(&lake, "INSERT INTO s.t (region) VALUES ('a')").await.code(),
        "ENG-0011"
    );
    refused(&lake, "INSERT INTO s.t VALUES (NULL, 'a', 1)").await;
    refused(&lake, "INSERT INTO s.t VALUES (1, 'a', 99999999999)").await;
    assert_eq!(refused(&lake, "INSERT INTO s.nope VALUES (1)").await.code(), "ENG-0001");
    assert_eq!(lake.lines("SELECT count(*) FROM s.t").await, ["4"]);
}

// Goal: of the rows that make way for a partition, all have the value that the new ones get, and no others have it. Method: a number for a
// text column that has other texts of the same number, one with a point for a column of four bytes, and a moment for a day.
#[tokio::test]
async fn what_is_overwritten_has_the_value_that_is_written() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id int, code string, x real) PARTITIONED BY (code)",
    )
    .await;
    let insert = "INSERT INTO s.t VALUES (1, '7', 0.1), (2, '07', 0.1), (3, 'x', 0.5), (4, '7', 0.5)";
    assert_eq!(rows(&lake, insert).await, 4);
    let by_text = "INSERT OVERWRITE s.t PARTITION (code = 7) (id, x) VALUES (5, 0.1)";
    assert_eq!(rows(&lake, by_text).await, 1);
    assert_eq!(lake.lines("SELECT id, code FROM s.t").await, ["2,07", "3,x", "5,7"]);
    let by_number = "INSERT OVERWRITE s.t PARTITION (x = 0.1) (id, code) VALUES (6, 'y')";
    assert_eq!(rows(&lake, by_number).await, 1);
    assert_eq!(lake.lines("SELECT id, code FROM s.t").await, ["3,x", "6,y"]);
    done(&lake, "CREATE TABLE s.d (id int, day date) PARTITIONED BY (day)").await;
    let insert = "INSERT INTO s.d VALUES (1, DATE '2026-01-31'), (2, DATE '2026-02-01')";
    assert_eq!(rows(&lake, insert).await, 2);
    let by_moment = "INSERT OVERWRITE s.d PARTITION (day = TIMESTAMP '2026-01-31 10:00:00') VALUES (3)";
    assert_eq!(rows(&lake, by_moment).await, 1);
    assert_eq!(lake.lines("SELECT * FROM s.d").await, ["2,2026-02-01", "3,2026-01-31"]);
}

// Goal: a key that is there already is changed or left, one that is not is added. Method: both forms, keys by name and from the table.
#[tokio::test]
async fn conflicts_are_told_apart() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id bigint PRIMARY KEY, n int)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1, 1), (2, 2)").await;
    let sql = "INSERT INTO s.t VALUES (2, 20), (3, 30) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n";
    assert_eq!(rows(&lake, sql).await, 2);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1", "2,22", "3,30"]);
    assert_eq!(
        rows(&lake, "INSERT INTO s.t VALUES (3, 0), (4, 40) ON CONFLICT DO NOTHING").await,
        1
    );
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1", "2,22", "3,30", "4,40"]);
    let twice = "INSERT INTO s.t VALUES (5, 0), (5, 1) ON CONFLICT DO NOTHING";
    assert_eq!(refused(&lake, twice).await.code(), "ENG-0019");
}

// Goal: UPDATE and DELETE touch the rows of their condition and no other, in every mode. Method: conditions of all kinds (nulls,
// subqueries, other tables, none), then the rows.
#[tokio::test]
async fn rows_are_changed_and_deleted() {
    for mode in MODES {
        let lake = lake().await;
        done(
            &lake,
            &format!("CREATE TABLE s.t (id bigint NOT NULL, n int, d decimal(20, 4)) TBLPROPERTIES ({mode})"),
        )
        .await;
        for first in [1, 4, 7] {
            rows(&lake, &format!("INSERT INTO s.t VALUES ({first}, 1, 0.1), ({first} + 1, NULL, 12345678901234.5678), ({first} + 2, 3, 0.3)")).await;
        }
        done(
            &lake,
            "CREATE TABLE s.u AS SELECT * FROM (VALUES (1, 100), (5, 500)) AS v (id, n)",
        )
        .await;
        assert_eq!(
            rows(
                &lake,
                "UPDATE s.t SET n = n + 1, d = id * 1.5 WHERE n = 1 AND s.t.id < 7"
            )
            .await,
            2
        );
        assert_eq!(
            lake.lines("SELECT * FROM s.t").await,
            [
                "1,2,1.5000",
                "2,,12345678901234.5678",
                "3,3,0.3000",
                "4,2,6.0000",
                "5,,12345678901234.5678",
                "6,3,0.3000",
                "7,1,0.1000",
                "8,,12345678901234.5678",
                "9,3,0.3000"
            ],
            "{mode}"
        );
        assert_eq!(
            rows(&lake, "UPDATE s.t AS x SET n = u.n FROM s.u AS u WHERE x.id = u.id").await,
            2
        );
        assert_eq!(
            rows(&lake, "UPDATE s.t SET n = 0 WHERE id IN (SELECT id + 1 FROM s.u)").await,
            2
        );
        assert_eq!(rows(&lake, "DELETE FROM s.t WHERE n = 3").await, 2);
        assert_eq!(
            lake.lines("SELECT id, n FROM s.t").await,
            ["1,100", "2,0", "4,2", "5,500", "6,0", "7,1", "8,"],
            "{mode}"
        );
        assert_eq!(
            rows(
                &lake,
                "DELETE FROM s.t WHERE id NOT IN (SELECT n FROM s.t WHERE n IS NOT NULL) AND id < 5"
            )
            .await,
            1
        );
        assert_eq!(rows(&lake, "DELETE FROM s.t USING s.u WHERE t.id = u.id").await, 2);
        assert_eq!(rows(&lake, "DELETE FROM s.t WHERE n > 1000").await, 0);
        assert_eq!(
            lake.lines("SELECT id, n FROM s.t").await,
            ["2,0", "6,0", "7,1", "8,"],
            "{mode}"
        );
        let before = lake.load("s.t").await.metadata.snapshots().count();
        assert_eq!(rows(&lake, "UPDATE s.t SET n = 7").await, 4);
        assert_eq!(
            lake.load("s.t").await.metadata.snapshots().count(),
            before + 1,
            "one snapshot"
        );
        assert_eq!(rows(&lake, "DELETE FROM s.t").await, 4);
        assert_eq!(rows(&lake, "TRUNCATE TABLE s.t").await, 0);
        assert_eq!(lake.lines("SELECT count(*) FROM s.t").await, ["0"], "{mode}");
    }
}

// Goal: each row meets the first clause that is for it. Method: all kinds of clauses over one source, in every mode.
#[tokio::test]
async fn rows_are_merged() {
    for mode in MODES {
        let lake = lake().await;
        done(
            &lake,
            &format!(
                "CREATE TABLE s.t (id int, n int, note string) PARTITIONED BY (bucket(3, id)) TBLPROPERTIES ({mode})"
            ),
        )
        .await;
        rows(
            &lake,
            "INSERT INTO s.t SELECT value, value * 10, 'old' FROM generate_series(1, 8) AS g (value)",
        )
        .await;
        done(&lake, "CREATE TABLE s.c AS SELECT * FROM (VALUES (2, 2, 'd'), (3, 3, 'u'), (4, 4, 'n'), (9, 9, 'i'), (10, 10, 'x')) AS v (id, n, op)").await;
        let sql = "MERGE INTO s.t AS t USING s.c AS c ON t.id = c.id \
            WHEN MATCHED AND c.op = 'd' THEN DELETE \
            WHEN MATCHED AND c.op = 'n' THEN DO NOTHING \
            WHEN MATCHED THEN UPDATE SET n = t.n + c.n, note = 'new' \
            WHEN NOT MATCHED AND c.op = 'i' THEN INSERT (id, n) VALUES (c.id, c.n * 100) \
            WHEN NOT MATCHED BY SOURCE AND t.id > 7 THEN DELETE \
            WHEN NOT MATCHED BY SOURCE AND t.id = 1 THEN UPDATE SET note = 'alone'";
        assert_eq!(rows(&lake, sql).await, 5, "{mode}");
        assert_eq!(
            lake.lines("SELECT * FROM s.t").await,
            [
                "1,10,alone",
                "3,33,new",
                "4,40,old",
                "5,50,old",
                "6,60,old",
                "7,70,old",
                "9,900,"
            ],
            "{mode}"
        );
        let whole = "MERGE INTO s.t USING (SELECT id, n, 'all' AS note FROM s.c) AS c ON t.id = c.id \
            WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *";
        assert_eq!(rows(&lake, whole).await, 5);
        assert_eq!(
            lake.lines("SELECT * FROM s.t WHERE note = 'all'").await,
            ["10,10,all", "2,2,all", "3,3,all", "4,4,all", "9,9,all"],
            "{mode}"
        );
        let many =
            "MERGE INTO s.t USING (SELECT 3 AS id UNION ALL SELECT 3) AS c ON t.id = c.id WHEN MATCHED THEN DELETE";
        assert_eq!(refused(&lake, many).await.code(), "ENG-0019", "{mode}");
        assert_eq!(
            refused(&lake, "DELETE FROM s.t WHERE random() < 0.5").await.code(),
            "ENG-0017"
        );
        assert_eq!(refused(&lake, "UPDATE s.t SET nope = 1").await.code(), "ENG-0017");
    }
}

// Goal: any history of statements leaves the rows that a map would hold. Method: random statements over few keys, so that they meet,
// in every mode; after each the whole table is compared.
#[tokio::test]
async fn histories_end_like_a_map() {
    for (seed, mode) in MODES.iter().enumerate() {
        let rng = SeededRng::new(seed as u64 + 1);
        let lake = lake().await;
        done(
            &lake,
            &format!(
                "CREATE TABLE s.t (id int NOT NULL, n int) PARTITIONED BY (truncate(5, id)) TBLPROPERTIES ({mode})"
            ),
        )
        .await;
        let mut model: BTreeMap<i64, Option<i64>> = BTreeMap::new();
        for step in 0..40 {
            let (key, low, n) = (rng.below(20) as i64, rng.below(20) as i64, rng.below(100) as i64);
            let (sql, count) = match rng.below(5) {
                0 => {
                    let count = model
                        .values()
                        .filter(|value| value.is_some_and(|value| value < n))
                        .count();
                    model.retain(|_, value| !value.is_some_and(|value| value < n));
                    (format!("DELETE FROM s.t WHERE n < {n}"), count)
                }
                1 => {
                    let touched = model.iter_mut().filter(|(id, _)| **id >= low);
                    let count = touched
                        .map(|(_, value)| *value = value.map(|value| (value + n) % 100))
                        .count();
                    (format!("UPDATE s.t SET n = (n + {n}) % 100 WHERE id >= {low}"), count)
                }
                2 => {
                    let count = usize::from(model.contains_key(&key));
                    model.entry(key).and_modify(|value| *value = None);
                    (
                        format!("UPDATE s.t SET n = NULL WHERE id IN (SELECT id FROM s.t WHERE id = {key})"),
                        count,
                    )
                }
                3 => {
                    let keys: Vec<i64> = (low..(low + 3).min(20)).collect();
                    let count = keys.len();
                    for key in &keys {
                        model.insert(*key, Some(n));
                    }
                    let values: Vec<String> = keys.iter().map(|key| format!("({key}, {n})")).collect();
                    (
                        format!(
                            "INSERT INTO s.t VALUES {} ON CONFLICT (id) DO UPDATE SET n = excluded.n",
                            values.join(", ")
                        ),
                        count,
                    )
                }
                _ => {
                    let before = model.len();
                    let count =
                        usize::from(!model.contains_key(&key)) + usize::from(model.contains_key(&low) && low != key);
                    if low != key {
                        model.remove(&low);
                    }
                    model.entry(key).or_insert(Some(n));
                    assert!(model.len() <= before + 1);
                    let sql = format!(
                        "MERGE INTO s.t USING (SELECT {key} AS id, 'i' AS op UNION SELECT {low}, CASE WHEN {low} = {key} THEN 'i' ELSE 'd' END) AS c \
                         ON t.id = c.id WHEN MATCHED AND c.op = 'd' THEN DELETE WHEN NOT MATCHED AND c.op = 'i' THEN INSERT (id, n) VALUES (c.id, {n})"
                    );
                    (sql, count)
                }
            };
            assert_eq!(rows(&lake, &sql).await, count as u64, "{mode}, step {step}: {sql}");
            let mut wanted: Vec<String> = model
                .iter()
                .map(|(id, n)| format!("{id},{}", n.map(|n| n.to_string()).unwrap_or_default()))
                .collect();
            wanted.sort();
            assert_eq!(
                lake.lines("SELECT id, n FROM s.t").await,
                wanted,
                "{mode}, step {step}: {sql}"
            );
        }
    }
}

// Goal: a list may be set from what is written out and from another table, whichever rows a batch has. Method: a table of several batches
// in every mode: few rows changed, then a merge whose clauses differ.
#[tokio::test]
async fn lists_are_set_from_anywhere() {
    for mode in MODES {
        let lake = lake().await;
        done(
            &lake,
            &format!("CREATE TABLE s.t (id bigint, l array<string>) TBLPROPERTIES ({mode})"),
        )
        .await;
        rows(
            &lake,
            "INSERT INTO s.t SELECT value, make_array('a') FROM generate_series(1, 20000)",
        )
        .await;
        done(
            &lake,
            "CREATE TABLE s.u AS SELECT id, make_array('u', NULL) AS l FROM (VALUES (1), (2), (20001)) AS v (id)",
        )
        .await;
        let counts = "SELECT array_to_string(l, ',', 'null') AS t, count(*) FROM s.t GROUP BY 1";
        assert_eq!(
            rows(&lake, "UPDATE s.t SET l = make_array('b') WHERE id = 12000").await,
            1
        );
        assert_eq!(lake.lines(counts).await, ["a,19999", "b,1"], "{mode}");
        let merge = "MERGE INTO s.t AS t USING s.u AS u ON t.id = u.id WHEN MATCHED AND t.id = 1 THEN UPDATE SET l = u.l \
                     WHEN MATCHED THEN UPDATE SET l = make_array('m', 'n') WHEN NOT MATCHED THEN INSERT (id, l) VALUES (u.id, u.l)";
        assert_eq!(rows(&lake, merge).await, 3);
        assert_eq!(
            lake.lines(counts).await,
            ["a,19997", "b,1", "m,n,1", "u,null,2"],
            "{mode}"
        );
    }
}

// Goal: a number that is put into a column of whole numbers is rounded as a cast rounds it. Method: values, a query, an update and a
// merge, of decimals and floating-point numbers.
#[tokio::test]
async fn whole_columns_round() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id int, n int, l bigint)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1, 2.5, -2.5), (2, 0.4, 1.5)").await;
    rows(
        &lake,
        "INSERT INTO s.t SELECT 3, CAST('2.5' AS double), CAST('3.5' AS decimal(4, 1))",
    )
    .await;
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,3,-3", "2,0,2", "3,2,4"]);
    rows(&lake, "UPDATE s.t SET n = l * 1.5, l = NULL WHERE id = 1").await;
    let merge = "MERGE INTO s.t AS t USING (SELECT 2 AS id, CAST('6.5' AS decimal(4, 1)) AS v) AS u ON t.id = u.id \
                 WHEN MATCHED THEN UPDATE SET n = u.v";
    rows(&lake, merge).await;
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,-5,", "2,7,2", "3,2,4"]);
}
