//! Changes of rows whose plans go to other processes, and those that stay.

use tidewater_core::{Coded, Rng, SeededRng};

use super::{MODES, done, lake, tried_by};
use crate::testing::Journeys;
use crate::{Class, KeptHere, SessionOptions};

/// Statements of each table.
const STEPS: usize = 12;

/// A change of rows of the table `{t}`, with nulls and keys that are not there; one in ten is refused.
fn statement(rng: &SeededRng) -> String {
    let (key, group, by) = (rng.below(70), rng.below(7), 2 + rng.below(4));
    let source = format!(
        "(SELECT * FROM (VALUES ({key}, {group}, 'a'), ({}, NULL, NULL), ({}, 9, 'c')) AS v (id, g, note)) AS c",
        key + 100,
        key + 7
    );
    match rng.below(10) {
        0 => format!("DELETE FROM s.{{t}} WHERE g = {group}"),
        1 => format!("DELETE FROM s.{{t}} WHERE id IN (SELECT id FROM s.{{t}} WHERE g < {group} AND id > {key})"),
        2 => format!("UPDATE s.{{t}} SET g = g + 1, note = 'u{key}' WHERE id % {by} = 0"),
        3 => format!("UPDATE s.{{t}} SET g = NULL WHERE note IS NULL OR id = {key}"),
        4 => "MERGE INTO s.{t} AS t USING (SELECT max(id) AS id, g, count(*) AS n FROM s.{t} GROUP BY g) AS c ON t.id = c.id \
              WHEN MATCHED AND c.n > 6 THEN UPDATE SET note = 'many' WHEN MATCHED AND c.n < 3 THEN DELETE"
            .to_owned(),
        5 => format!(
            "MERGE INTO s.{{t}} AS t USING {source} ON t.g = c.g AND t.id < c.id + 100 AND c.g = {group} \
             WHEN MATCHED THEN UPDATE SET note = c.note"
        ),
        6 => format!(
            "MERGE INTO s.{{t}} AS t USING {source} ON t.id = c.id \
             WHEN MATCHED AND c.g > 5 THEN DELETE \
             WHEN MATCHED THEN UPDATE SET g = c.g, note = c.note \
             WHEN NOT MATCHED THEN INSERT (id, g, note) VALUES (c.id, c.g, c.note) \
             WHEN NOT MATCHED BY SOURCE AND t.g = {group} THEN UPDATE SET note = 'left'"
        ),
        7 => format!(
            "MERGE INTO s.{{t}} AS t USING (SELECT id, g, n FROM \
             (SELECT id, g, row_number() OVER (PARTITION BY g ORDER BY id) AS n FROM s.{{t}}) AS r WHERE n < 3) AS c ON t.id = c.id \
             WHEN MATCHED AND c.n = 2 AND c.g = {group} THEN DELETE \
             WHEN MATCHED AND c.n = 1 THEN UPDATE SET g = c.g + 1, note = 'first'"
        ),
        8 => format!(
            "DELETE FROM s.{{t}} WHERE id IN (SELECT id FROM s.{{t}} WHERE g = {group} ORDER BY id LIMIT 2)"
        ),
        _ => "MERGE INTO s.{t} AS t USING (SELECT id FROM s.{t} UNION ALL SELECT id FROM s.{t}) AS c ON t.id = c.id \
              WHEN MATCHED THEN DELETE"
            .to_owned(),
    }
}

// Goal: a change of rows whose plans go to other processes leaves the rows that one leaves whose plans stay, counts as many, and is refused
// for the same reason. Method: random statements, the same for two tables of each mode, of several files, partitioned and not; each plan
// of one of them is sent, and its scans tell positions.
#[tokio::test]
async fn changes_of_rows_travel() {
    for (number, mode) in (0_u64..).zip(MODES) {
        for partitioned in ["", "PARTITIONED BY (bucket(3, id))"] {
            let lake = lake().await;
            let rng = SeededRng::new(4_100 + number);
            let (local, journeys) = (lake.engine.local_runner(), Journeys::of(&lake.engine));
            for name in ["here", "there"] {
                let sql = format!(
                    "CREATE TABLE s.{name} (id bigint, g bigint, note string) {partitioned} TBLPROPERTIES ({mode})"
                );
                done(&lake, &sql).await;
                for first in [0, 20, 40] {
                    let values: Vec<String> = (first..first + 20)
                        .map(|id| match id % 5 {
                            0 => format!("({id}, NULL, 'n{id}')"),
                            1 => format!("({id}, {}, NULL)", id % 7),
                            _ => format!("({id}, {}, 'n{id}')", id % 7),
                        })
                        .collect();
                    done(&lake, &format!("INSERT INTO s.{name} VALUES {}", values.join(", "))).await;
                }
            }
            let mut changed = 0;
            for _ in 0..STEPS {
                let sql = statement(&rng);
                let here = tried_by(&lake, &local, &sql.replace("{t}", "here")).await;
                let there = tried_by(&lake, &journeys, &sql.replace("{t}", "there")).await;
                match (here, there) {
                    (Ok(here), Ok(there)) => {
                        assert_eq!(here.rows, there.rows, "{mode}: {sql}");
                        changed += here.rows.unwrap_or_default();
                    }
                    (Err(here), Err(there)) => assert_eq!(here.code(), there.code(), "{mode}: {sql}"),
                    (here, there) => panic!("{mode}: {sql}: {here:?} here, {there:?} there"),
                }
                let rows = lake.lines("SELECT * FROM s.here").await;
                assert_eq!(lake.lines("SELECT * FROM s.there").await, rows, "{mode}: {sql}");
            }
            assert!(changed > 0, "{mode}");
            assert!(journeys.positions() > 0, "{mode}: nothing travelled");
        }
    }
}

// Goal: what a statement asks for more than once leaves the process only where it is told alike each time. Method: sources that go by the
// order of rows and sources that do not, and what their sessions say.
#[tokio::test]
async fn what_hangs_on_an_order_stays() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id bigint, g bigint, f double, note string)").await;
    for (source, stays) in [
        ("SELECT id FROM s.t WHERE f > 1.5 ORDER BY id", false),
        ("SELECT DISTINCT id FROM s.t", false),
        (
            "SELECT max(id) AS id, count(*) AS n, sum(g) AS s FROM s.t GROUP BY g",
            false,
        ),
        ("SELECT id FROM s.t UNION SELECT g FROM s.t", false),
        ("SELECT n FROM unnest([1, 2]) AS u (n)", false),
        (
            "WITH RECURSIVE r AS (SELECT id FROM s.t UNION ALL SELECT id + 1 FROM r WHERE id < 9) SELECT id FROM r",
            false,
        ),
        ("SELECT id FROM s.t LIMIT 3", true),
        ("SELECT id FROM s.t ORDER BY g LIMIT 3", true),
        ("SELECT DISTINCT f FROM s.t", true),
        ("SELECT f, count(*) AS n FROM s.t GROUP BY f", true),
        (
            "SELECT max(id) AS id, string_agg(note, ',') AS s FROM s.t GROUP BY g",
            true,
        ),
        ("SELECT max(id) AS id, first_value(note) AS s FROM s.t GROUP BY g", true),
        (
            "SELECT max(id) AS id, approx_distinct(note) AS n FROM s.t GROUP BY g",
            true,
        ),
        ("SELECT file_path AS note FROM s.\"t$files\"", true),
        ("SELECT id, row_number() OVER (ORDER BY g) AS n FROM s.t", true),
        ("SELECT DISTINCT ON (g) id FROM s.t", true),
        ("SELECT max(id) AS id, sum(f) AS s FROM s.t GROUP BY g", true),
        (
            "SELECT id FROM s.t WHERE g < (SELECT sum(CASE WHEN g = 1 THEN 0 ELSE f END) FROM s.t)",
            true,
        ),
        ("SELECT max(id) AS id, array_agg(note) AS s FROM s.t GROUP BY g", true),
        ("SELECT id FROM s.t WHERE id IN (SELECT g FROM s.t LIMIT 1)", true),
    ] {
        let session = lake.engine.session(Class::Batch, &SessionOptions::default());
        let plan = lake.engine.plan(&session, source).await.expect(source);
        let state = session.state();
        let repeats = super::super::settled::repeats(&plan, state.config_options());
        assert_eq!(repeats.expect(source), !stays, "{source}");
        assert_eq!(KeptHere::of(&session), None);
        KeptHere::attach(&session, "a reason");
        assert_eq!(KeptHere::of(&session), Some("a reason"));
    }
}
