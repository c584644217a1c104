use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use tidewater_core::Coded;
use tidewater_security::{Access, Grant, Grantee, Object, Policy, Privilege, Resource};
use tidewater_table::{Change, CommitOptions, commit_changes};

use crate::error::Result;
use crate::statement::tests::{done, lake};
use crate::testing::{Lake, lines, table_name};
use crate::{Class, PlanRequest, PlanRunner, SessionOptions};

/// A session that sees all tables as they stand when it asks for the first one.
fn at_one_moment() -> SessionOptions {
    SessionOptions {
        one_moment: Some(Arc::default()),
        ..now()
    }
}

fn now() -> SessionOptions {
    SessionOptions::default().default_schema("s")
}

async fn answer(lake: &Lake, options: &SessionOptions, sql: &str) -> Result<String> {
    let session = lake.engine.session(Class::Interactive, options);
    let plan = lake.engine.plan(&session, sql).await?;
    let request = PlanRequest {
        job: lake.job(),
        session,
        plan,
        class: Class::Interactive,
        deadline: None,
    };
    let output = lake.engine.local_runner().run(request).await?;
    Ok(lines(&output.collect().await?).join(" "))
}

// Goal: of a commit over two tables, statements that follow one another see nothing if they began before it, whichever way they reach the
// tables. Method: one table is read, the commit is made, and both are read by their names, by a view, together, in parts of their
// metadata; twice each, as plans are remembered; and by another session, which sees all of it.
#[tokio::test]
async fn a_commit_over_two_tables_is_not_seen_half() {
    let lake = lake().await;
    for sql in [
        "CREATE TABLE s.a (id bigint)",
        "CREATE TABLE s.b (id bigint)",
        "CREATE VIEW s.v AS SELECT id FROM s.b",
    ] {
        done(&lake, sql).await;
    }
    let began = at_one_moment();
    let first = answer(&lake, &began, "SELECT count(*) FROM a").await;
    assert_eq!(first.expect("rows"), "0");
    let mut changes = Vec::new();
    for name in ["s.a", "s.b"] {
        let ids = Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef;
        let rows = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
        changes.push((table_name(name), Change::append(lake.write(name, rows).await)));
    }
    let options = CommitOptions::default();
    commit_changes(lake.catalog.as_ref(), &lake.store, &changes, &options)
        .await
        .expect("a commit");
    for (sql, after) in [
        ("SELECT count(*) FROM b", "2"),
        ("SELECT count(*) FROM v", "2"),
        ("SELECT count(*) FROM a", "2"),
        ("SELECT count(*) FROM a JOIN v ON a.id = v.id", "2"),
        ("SELECT count(*) FROM s.b.snapshots", "1"),
        ("SELECT count(*) FROM \"b$files\"", "1"),
    ] {
        for _ in 0..2 {
            let before = answer(&lake, &began, sql).await;
            assert_eq!(before.unwrap_or_else(|error| panic!("{sql}: {error:?}")), "0", "{sql}");
            let seen = answer(&lake, &now(), sql).await;
            assert_eq!(seen.unwrap_or_else(|error| panic!("{sql}: {error:?}")), after, "{sql}");
        }
    }
}

// Goal: a table that was made later is not there, one that was dropped still is, and a name keeps what it stood for. Method: each of them
// after the moment, and a session of now.
#[tokio::test]
async fn names_stand_for_what_they_stood_for() {
    let lake = lake().await;
    for sql in [
        "CREATE TABLE s.a (id bigint)",
        "CREATE TABLE s.b (id bigint)",
        "INSERT INTO s.b VALUES (1)",
    ] {
        done(&lake, sql).await;
    }
    let began = at_one_moment();
    answer(&lake, &began, "SELECT 1 AS one").await.expect("a row");
    done(&lake, "INSERT INTO s.b VALUES (2)").await;
    let seen = answer(&lake, &began, "SELECT count(*) FROM a").await;
    assert_eq!(seen.expect("rows"), "0");
    for sql in [
        "DROP TABLE s.b",
        "CREATE TABLE s.b AS SELECT 'x' AS letter",
        "CREATE TABLE s.late (id bigint)",
        "DROP TABLE s.a",
        "CREATE VIEW s.a AS SELECT letter FROM s.b",
    ] {
        done(&lake, sql).await;
    }
    let seen = answer(&lake, &began, "SELECT sum(id) FROM b").await;
    assert_eq!(seen.expect("rows"), "3", "the moment is when the first table was read");
    let seen = answer(&lake, &began, "SELECT count(id) FROM a").await;
    assert_eq!(seen.expect("rows"), "0");
    let late = answer(&lake, &began, "SELECT id FROM late").await.expect_err("later");
    assert!(format!("{late:?}").contains("not found"), "{late:?}");
    let seen = answer(&lake, &now(), "SELECT count(letter) FROM a LEFT JOIN late ON true").await;
    assert_eq!(seen.expect("rows"), "1");
}

// Goal: where the file of a state is gone, the newest state tells it, or the statement is refused. Method: a table that only got rows, and one
// that got a column too.
#[tokio::test]
async fn states_whose_files_are_gone() {
    let lake = lake().await;
    for table in ["t1", "t2", "t3"] {
        done(&lake, &format!("CREATE TABLE s.{table} (id bigint)")).await;
        done(&lake, &format!("INSERT INTO s.{table} VALUES (1)")).await;
    }
    let began = at_one_moment();
    answer(&lake, &began, "SELECT id FROM t1").await.expect("rows");
    for table in ["s.t2", "s.t3"] {
        let file = lake.load(table).await.metadata_location;
        if table == "s.t3" {
            done(&lake, "ALTER TABLE s.t3 ADD COLUMN more string").await;
        }
        done(&lake, &format!("INSERT INTO {table} (id) VALUES (2)")).await;
        lake.store.delete(&file).await.expect("a file that goes");
    }
    let seen = answer(&lake, &began, "SELECT id FROM t2").await;
    assert_eq!(seen.expect("rows"), "1");
    let gone = answer(&lake, &began, "SELECT id FROM t3").await.expect_err("gone");
    assert_eq!(gone.code(), "ENG-0040", "{gone:?}");
    assert!(gone.hint().is_some());
}

// Goal: rights on a name are rights on the table that bears it now, not on the one that bore it. Method: a table that is dropped after the
// moment and another one of its name, which is granted; its rows and what its metadata tells, then and now.
#[tokio::test]
async fn rights_on_a_name_are_those_on_its_table_of_now() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t AS SELECT 7 AS id").await;
    let mut began = at_one_moment();
    let seen = answer(&lake, &began, "SELECT id FROM t").await;
    assert_eq!(seen.expect("rows"), "7", "no grant binds");
    for sql in ["DROP TABLE s.t", "CREATE TABLE s.t AS SELECT 8 AS id"] {
        done(&lake, sql).await;
    }
    let uuid = lake.load("s.t").await.metadata.uuid();
    let policy = Policy {
        in_force: true,
        objects: vec![Object {
            id: uuid,
            uuid,
            namespace: vec!["s".into()],
            name: "t".into(),
        }],
        grants: vec![Grant {
            to: Grantee::User("ana".into()),
            on: Resource::Object(uuid),
            privileges: Privilege::Select.into(),
        }],
        ..Policy::default()
    };
    began.access = Some(Arc::new(Access::compile(&policy, "ana")));
    let today = SessionOptions {
        access: began.access.clone(),
        ..now()
    };
    for sql in ["SELECT id FROM t", "SELECT count(*) FROM \"t$files\""] {
        let hidden = answer(&lake, &began, sql).await.expect_err("another table");
        assert!(format!("{hidden:?}").contains("not found"), "{sql}: {hidden:?}");
        let seen = answer(&lake, &today, sql).await;
        seen.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}
