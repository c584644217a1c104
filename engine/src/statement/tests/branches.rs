use tidewater_core::{Coded, ErrorKind};

use super::{MODES, done, lake, refused, rows};
use crate::SessionOptions;
use crate::sql::{Command, Sql, parse};
use crate::statement::Workshop;

// Goal: a change of a branch rests on what the branch has, and on nothing that main has. Method: what others do to either of them between the
// look at the rows and the commit, in every mode.
#[tokio::test]
async fn conflicts_are_judged_against_the_branch() {
    let update = "UPDATE s.t.branch_dev SET n = n + 1 WHERE id = 2";
    for mode in MODES {
        for (meanwhile, conflict) in [
            ("DELETE FROM s.t", false),
            ("INSERT INTO s.t VALUES (2, 99)", false),
            ("UPDATE s.t.branch_other SET n = 0", false),
            ("INSERT INTO s.t.branch_dev VALUES (9, 9)", false),
            ("INSERT INTO s.t.branch_dev VALUES (2, 99)", true),
            ("DELETE FROM s.t.branch_dev WHERE id = 1", true),
            ("ALTER TABLE s.t DROP BRANCH dev", true),
            ("CALL system.fast_forward('s.t', 'dev', 'ahead')", true),
        ] {
            let lake = lake().await;
            done(
                &lake,
                &format!("CREATE TABLE s.t (id int, n int) TBLPROPERTIES ({mode})"),
            )
            .await;
            rows(&lake, "INSERT INTO s.t VALUES (1, 1), (2, 2), (3, 3)").await;
            for branch in ["dev", "other", "ahead"] {
                done(&lake, &format!("ALTER TABLE s.t CREATE BRANCH {branch}")).await;
            }
            rows(&lake, "DELETE FROM s.t.branch_ahead WHERE id = 2").await;
            let Ok(Sql::Command(command)) = parse(update) else {
                panic!("no command");
            };
            let Command::Merge(merge) = *command else {
                panic!("no change of rows");
            };
            let (runner, options) = (lake.engine.local_runner(), SessionOptions::default());
            let shop = Workshop {
                engine: &lake.engine,
                runner: &runner,
                options: &options,
                deadline: None,
            };
            let target = lake.engine.row_target(&options, &merge.table).await.expect("a branch");
            let mut attempt = shop.attempt(&merge, &target).await.expect("a look");
            done(&lake, meanwhile).await;
            match attempt.carry_out().await {
                Ok(_) => {
                    assert!(!conflict, "{mode}: went over {meanwhile}");
                    let now = lake.lines("SELECT n FROM s.t.branch_dev WHERE id = 2").await;
                    assert_eq!(now, ["3"], "{mode}: {meanwhile}");
                }
                Err(error) => assert!(
                    conflict && error.kind() == ErrorKind::Conflict,
                    "{mode}: {meanwhile}: {error:?}"
                ),
            }
        }
    }
}

// Goal: what was settled is written to, whatever a name means later; a branch that is gone is told. Method: a table is made that is called as
// the branch was, and the branch is dropped, between the two.
#[tokio::test]
async fn what_was_settled_stays() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id int)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1)").await;
    done(&lake, "ALTER TABLE s.t CREATE BRANCH dev").await;
    let options = SessionOptions {
        default_schema: Some("s".into()),
        ..SessionOptions::default()
    };
    let runner = lake.engine.local_runner();
    let shop = Workshop {
        engine: &lake.engine,
        runner: &runner,
        options: &options,
        deadline: None,
    };
    let Ok(Sql::Command(mut command)) = parse("INSERT INTO t.branch_dev VALUES (2)") else {
        panic!("no command");
    };
    lake.engine.settle(&options, &mut command).await.expect("a branch");
    done(&lake, "CREATE SCHEMA t").await;
    done(&lake, "CREATE TABLE t.branch_dev (id int)").await;
    assert_eq!(shop.execute(&command).await.expect("rows").rows, Some(1));
    assert_eq!(lake.lines("SELECT id FROM s.t.branch_dev").await, ["1", "2"]);
    assert_eq!(lake.lines("SELECT count(*) FROM t.branch_dev").await, ["0"]);
    rows(&lake, "INSERT INTO t.branch_dev VALUES (5)").await;
    assert_eq!(lake.lines("SELECT id FROM t.branch_dev").await, ["5"]);
    done(&lake, "ALTER TABLE s.t DROP BRANCH dev").await;
    let gone = shop.execute(&command).await.expect_err("a branch that is gone");
    assert_eq!(gone.code(), "ENG-0030");
    assert_eq!(lake.lines("SELECT id FROM s.t").await, ["1"]);
}

// Goal: a name that means two things is not guessed at. Method: a schema that is called as a table is, with a table that is called as a branch.
#[tokio::test]
async fn two_meanings_are_refused() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id int)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1)").await;
    done(&lake, "ALTER TABLE s.t CREATE BRANCH dev").await;
    done(&lake, "CREATE SCHEMA s.t").await;
    done(&lake, "CREATE TABLE s.t.branch_dev (id int)").await;
    let error = refused(&lake, "INSERT INTO s.t.branch_dev VALUES (2)").await;
    assert_eq!(error.code(), "ENG-0017");
    assert!(error.to_string().contains("t@dev"), "{error}");
    assert_eq!(rows(&lake, "INSERT INTO s.\"t@dev\" VALUES (2)").await, 1);
    assert_eq!(lake.lines("SELECT id FROM s.\"t@dev\"").await, ["1", "2"]);
}

// Goal: a branch that was left behind when its table was replaced keeps its rows as they were, and neither they nor new ones are read with
// columns of the other table. Method: a table of the same names, each way to write to the branch and to bring it to main.
#[tokio::test]
async fn what_is_left_behind_stays_as_it_was() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id int, v text)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1, 'a'), (2, 'b')").await;
    done(&lake, "ALTER TABLE s.t CREATE BRANCH old").await;
    done(&lake, "CREATE OR REPLACE TABLE s.t (id int, v text NOT NULL)").await;
    rows(&lake, "INSERT INTO s.t VALUES (3, 'c')").await;
    for sql in [
        "INSERT INTO s.t.branch_old VALUES (4, 'd')",
        "UPDATE s.t.branch_old SET id = id + 1",
        "DELETE FROM s.t.branch_old",
        "INSERT OVERWRITE s.t.branch_old VALUES (4, 'd')",
        "CALL system.rewrite_data_files(table => 's.t', branch => 'old', options => map('rewrite-all', 'true'))",
        "CALL system.set_current_snapshot(table => 's.t', ref => 'old')",
        "CALL system.fast_forward('s.t', 'main', 'old')",
    ] {
        assert_eq!(refused(&lake, sql).await.code(), "TBL-0024", "{sql}");
    }
    for name in ["s.t.branch_old", "s.\"t@old\""] {
        let sql = format!("SELECT id, v FROM {name}");
        assert_eq!(lake.lines(&sql).await, ["1,a", "2,b"], "{name}");
    }
    assert_eq!(rows(&lake, "INSERT INTO s.t SELECT id, v FROM s.t.branch_old").await, 2);
    assert_eq!(lake.lines("SELECT id, v FROM s.t").await, ["1,a", "2,b", "3,c"]);
    done(&lake, "ALTER TABLE s.t DROP BRANCH old").await;
}
