use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use tidewater_core::{Rng, SeededRng, TableName};

use crate::error::{EngineError, Result};
use crate::pg_catalog::Postgres;
use crate::statement::tests::{done, lake};
use crate::testing::{Lake, lines};
use crate::{Class, Engine, PlanRequest, PlanRunner, SessionOptions};

/// What is asked of tables of which any may be another one, or none, the next time.
const STATEMENTS: &[&str] = &[
    "SELECT * FROM a",
    "SELECT count(*) FROM s.a",
    "SELECT a.id, b.* FROM a JOIN b ON a.id = b.id",
    "SELECT * FROM a WHERE id IN (SELECT id FROM t.b)",
    "WITH a AS (SELECT id FROM b) SELECT sum(id) FROM a",
    "SELECT * FROM s.a.history",
    "SELECT 1.5 AS x, '1' || count(*) AS y FROM b",
    "SELECT * FROM s.v",
    "SELECT count(*) FROM s.w JOIN s.v ON w.id = v.id",
];

/// What may become of the tables in between.
const CHANGES: &[&[&str]] = &[
    &[],
    &["INSERT INTO s.a (id) VALUES (1), (2)"],
    &["INSERT INTO s.b (id) VALUES (2), (3)"],
    &["INSERT INTO t.a (id) VALUES (7)"],
    &["DELETE FROM s.a WHERE id = 1"],
    &["ALTER TABLE s.a ADD COLUMN more string"],
    &[
        "ALTER TABLE s.b RENAME COLUMN id TO no",
        "ALTER TABLE s.b RENAME COLUMN no TO id",
    ],
    &["DROP TABLE s.a", "CREATE TABLE s.a (id bigint, name string)"],
    &["DROP TABLE s.b", "CREATE VIEW s.b AS SELECT id FROM t.b"],
    &["DROP VIEW s.b", "CREATE TABLE s.b (id bigint)"],
    &["CREATE OR REPLACE VIEW s.v AS SELECT id FROM s.a WHERE id < 5"],
    &["CREATE OR REPLACE VIEW s.v AS SELECT id FROM t.b UNION ALL SELECT id FROM s.b"],
    &["CREATE OR REPLACE VIEW s.w AS SELECT id FROM s.v"],
    &["DROP VIEW s.v"],
    &["DROP VIEW s.v", "CREATE TABLE s.v (id bigint)"],
    &["DROP TABLE s.v", "CREATE VIEW s.v AS SELECT 1 AS id"],
    &[
        "DROP TABLE s.a",
        "ALTER TABLE t.a RENAME TO s.a",
        "CREATE TABLE t.a (id bigint)",
    ],
];

async fn answer(engine: &Engine, lake: &Lake, options: &SessionOptions, sql: &str) -> Result<Vec<String>> {
    let session = engine.session(Class::Interactive, options);
    let plan = engine.plan(&session, sql).await?;
    let request = PlanRequest {
        job: lake.job(),
        session,
        plan,
        class: Class::Interactive,
        deadline: None,
    };
    let output = engine.local_runner().run(request).await?;
    Ok(lines(&output.collect().await?))
}

fn sessions() -> Vec<SessionOptions> {
    let postgres = |user: &str, schema: &str| Postgres {
        user: user.into(),
        schemas: vec![schema.into()],
        settings: BTreeMap::new(),
        ..Postgres::default()
    };
    let options = |schema: &str, postgres: Option<Postgres>| SessionOptions {
        postgres: postgres.map(Arc::new),
        ..SessionOptions::default().default_schema(schema)
    };
    vec![
        options("s", None),
        options("t", None),
        options("s", Some(postgres("ana", "s"))),
        options("s", Some(postgres("ben", "s"))),
    ]
}

/// Wrong answers of plans that forget their tables, after which no more histories are asked for them.
const FOUND_MIN: usize = 10;

/// Asks and changes at random. How many answers are not those of an engine that remembers nothing, and how many plans were used again.
async fn differences(seed: u64, forgets: bool) -> (usize, usize) {
    let (lake, rng) = (lake().await, SeededRng::new(seed));
    done(&lake, "CREATE SCHEMA t").await;
    for table in ["s.a", "s.b", "t.a", "t.b"] {
        done(&lake, &format!("CREATE TABLE {table} (id bigint)")).await;
    }
    lake.engine.parts.plans.forgets_tables.store(forgets, Ordering::SeqCst);
    let (sessions, mut different) = (sessions(), 0);
    let pick = |count: usize| usize::try_from(rng.below(count as u64)).expect("few");
    for _ in 0..60 {
        for change in CHANGES[pick(CHANGES.len())] {
            // Those of a table that is a view by now fail.
            let _ = crate::statement::tests::tried(&lake, change).await;
        }
        for _ in 0..3 {
            let (sql, options) = (STATEMENTS[pick(STATEMENTS.len())], &sessions[pick(sessions.len())]);
            let fresh = lake.engine_over(lake.catalog.clone());
            let wanted = answer(&fresh, &lake, options, sql)
                .await
                .map_err(|error| error.to_string());
            let given = answer(&lake.engine, &lake, options, sql)
                .await
                .map_err(|error| error.to_string());
            different += usize::from(wanted != given);
        }
    }
    (different, lake.engine.parts.plans.used())
}

// Goal: a plan that is used again is the one that would be made. Method: random statements between random changes of what they name,
// in sessions that read them differently, each compared with an engine that remembers nothing; and the same with plans that are used
// whatever became of the tables, which must be found out.
#[tokio::test]
async fn plans_follow_what_they_name() {
    let (mut used, mut found) = (0, 0);
    for seed in 0..3 {
        let (different, again) = differences(seed, false).await;
        assert_eq!(different, 0, "seed {seed}");
        used += again;
        if found <= FOUND_MIN {
            found += differences(seed, true).await.0;
        }
    }
    assert!(used > 50, "{used} plans were used again");
    assert!(
        found > FOUND_MIN,
        "{found} wrong answers of plans that forget their tables"
    );
}

// Goal: a plan that is used again is optimised once, and one that a time is put into each time. Method: statements twice, and what is
// kept of them.
#[tokio::test]
async fn plans_are_optimised_once() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.a (id bigint)").await;
    done(&lake, "INSERT INTO s.a VALUES (1), (2)").await;
    let options = SessionOptions::default().default_schema("s");
    for (sql, once) in [
        ("SELECT id FROM a WHERE id > 1", true),
        (
            "SELECT id FROM a WHERE now() > TIMESTAMP '2000-01-01' AND id > 1",
            false,
        ),
        (
            "SELECT id FROM a WHERE id > 1 AND id IN (SELECT id FROM a WHERE random() < 2)",
            false,
        ),
    ] {
        let session = lake.engine.session(Class::Interactive, &options);
        let mut made = Vec::new();
        for _ in 0..2 {
            assert_eq!(answer(&lake.engine, &lake, &options, sql).await.expect(sql), ["2"]);
            let plan = lake.engine.plan(&session, sql).await.expect(sql);
            made.push(lake.engine.parts.plans.optimized(&session.state(), &plan).expect(sql));
        }
        let inputs = made.iter().map(|plan| std::ptr::from_ref(plan.inputs()[0]));
        let inputs: BTreeSet<_> = inputs.collect();
        assert_eq!(inputs.len() == 1, once, "{sql}");
    }
}

// Goal: small statements are planned for one thread, others are not. Method: what EXPLAIN tells of statements around the limit.
#[tokio::test]
async fn small_statements_are_not_cut() {
    let lake = lake().await;
    for table in ["s.a", "s.b"] {
        done(&lake, &format!("CREATE TABLE {table} (id bigint)")).await;
        done(&lake, &format!("INSERT INTO {table} VALUES (1), (2)")).await;
    }
    done(&lake, "INSERT INTO s.b VALUES (3), (4)").await;
    for (sql, cut) in [
        ("SELECT id, count(*) FROM s.a GROUP BY id", false),
        ("SELECT id, count(*) FROM s.b GROUP BY id", true),
        (
            "SELECT a.id, count(*) FROM s.a JOIN s.a AS b ON a.id = b.id GROUP BY a.id",
            true,
        ),
        (
            "SELECT a.id, count(*) FROM s.a JOIN (VALUES (1)) AS b (id) ON a.id = b.id GROUP BY a.id",
            false,
        ),
        (
            "SELECT b.id, count(*) FROM s.a JOIN (VALUES (1)) AS b (id) ON a.id < b.id GROUP BY b.id",
            true,
        ),
        ("SELECT value, count(*) FROM generate_series(1, 2) GROUP BY value", true),
    ] {
        let told = lake.lines(&format!("EXPLAIN {sql}")).await.join(" ");
        assert_eq!(told.contains("RepartitionExec"), cut, "{sql}: {told}");
    }
}

// Goal: what a plan depends on besides its tables keeps it from being used again. Method: each such statement twice, beside one of
// which the plan is used.
#[tokio::test]
async fn what_is_planned_each_time() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.a (id bigint)").await;
    done(&lake, "INSERT INTO s.a VALUES (1)").await;
    done(&lake, "CREATE VIEW s.v AS SELECT * FROM s.a").await;
    let plain = SessionOptions::default().default_schema("s");
    let postgres = &sessions()[2];
    for (sql, options, again) in [
        ("SELECT id FROM a", &plain, true),
        ("SELECT now(), id FROM a", &plain, true),
        ("SELECT 1", postgres, true),
        ("SELECT current_user", postgres, true),
        ("SELECT * FROM v", &plain, true),
        ("SELECT * FROM \"a$snapshots\"", &plain, false),
        (
            "SELECT * FROM a FOR TIMESTAMP AS OF '2100-01-01 00:00:00'",
            &plain,
            false,
        ),
        ("SELECT * FROM information_schema.tables", &plain, false),
        ("SELECT pg_backend_pid()", postgres, false),
        ("EXPLAIN SELECT * FROM a", &plain, false),
        ("SHOW TABLES", &plain, false),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
            &plain,
            false,
        ),
    ] {
        let before = lake.engine.parts.plans.used();
        for _ in 0..2 {
            answer(&lake.engine, &lake, options, sql)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        assert_eq!(lake.engine.parts.plans.used() - before, usize::from(again), "{sql}");
    }
}

/// A session that brings the view `p` over `s.a`, made by the engine or by hand.
async fn brings_a_view(lake: &Lake, by_hand: bool) -> SessionOptions {
    let (a, p): (TableName, TableName) = ("s.a".parse().expect("a name"), "s.p".parse().expect("a name"));
    let moment = lake.engine.moment(vec![a.clone()]).await.expect("a table");
    let options = SessionOptions {
        moment: Arc::new(moment),
        ..SessionOptions::default().default_schema("s")
    };
    let text = "SELECT id + 1 AS id FROM s.a";
    let session = lake.engine.session(Class::Interactive, &options);
    let made = async {
        let plan = session.state().create_logical_plan(text).await?;
        Ok::<_, EngineError>(Arc::new(ViewTable::new(plan, None)) as Arc<dyn TableProvider>)
    };
    let view = match by_hand {
        true => made.await,
        false => lake.engine.view(&options, text, &BTreeSet::from([a]), made).await,
    };
    options.overlay(p, view.expect("a view"))
}

// Goal: a plan over what a session brings is used again as long as it brings the same, and a view of a project is the same as long as
// its tables are. Method: the same statement in sessions that bring a view, before and after a change of its table, beside views of
// which each is another one.
#[tokio::test]
async fn what_sessions_bring() {
    let lake = lake().await;
    for table in ["s.a", "s.b"] {
        done(&lake, &format!("CREATE TABLE {table} (id bigint)")).await;
    }
    let plans = &lake.engine.parts.plans;
    for (change, wanted, by_hand, again) in [
        ("INSERT INTO s.a VALUES (1)", "2", false, 2),
        ("DELETE FROM s.a WHERE id = 1", "", false, 2),
        ("INSERT INTO s.a VALUES (5)", "6", true, 0),
        ("INSERT INTO s.b VALUES (9)", "6", false, 2),
    ] {
        done(&lake, change).await;
        let before = plans.used();
        for _ in 0..3 {
            let options = brings_a_view(&lake, by_hand).await;
            let given = answer(&lake.engine, &lake, &options, "SELECT * FROM p").await;
            assert_eq!(given.expect("rows").join(" "), wanted, "{change}");
        }
        assert_eq!(plans.used() - before, again, "{change}");
    }
    let other = SessionOptions::default().default_schema("s");
    answer(&lake.engine, &lake, &other, "SELECT * FROM p")
        .await
        .expect_err("another session brings none");
}

// Goal: nobody is given the plan of somebody who may see more, or of another user. Method: the names of two users.
#[tokio::test]
async fn users_have_their_own_plans() {
    let lake = lake().await;
    for (at, name) in [(2, "ana"), (3, "ben"), (2, "ana")] {
        let given = answer(&lake.engine, &lake, &sessions()[at], "SELECT current_user").await;
        assert_eq!(given.expect("a name"), [name]);
    }
}

// Goal: what changes of rows plan for themselves, by texts that are the same for all tables, is of their table. Method: the same
// change of two tables.
#[tokio::test]
async fn changes_are_of_their_table() {
    let lake = lake().await;
    for (table, id) in [("s.a", 1), ("s.b", 5)] {
        done(&lake, &format!("CREATE TABLE {table} (id bigint)")).await;
        done(&lake, &format!("INSERT INTO {table} VALUES ({id}), ({id} + 1)")).await;
    }
    for _ in 0..2 {
        for table in ["s.a", "s.b"] {
            done(&lake, &format!("UPDATE {table} SET id = id + 10 WHERE id % 2 = 1")).await;
        }
    }
    assert_eq!(lake.lines("SELECT id FROM s.a").await, ["2", "21"]);
    assert_eq!(lake.lines("SELECT id FROM s.b").await, ["25", "6"]);
}
