use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tidewater_core::{Coded, ErrorKind};

use super::{done, lake, rows};
use crate::error::Result;
use crate::sql::{Sql, parse};
use crate::statement::{Done, Workshop};
use crate::testing::Lake;
use crate::{LocalRunner, PlanOutput, PlanRequest, PlanRunner, SessionOptions};

/// Runs plans, and before the first one of them, or before each, what somebody else does: the statement knows its tables by then.
struct Amid<'a> {
    lake: &'a Lake,
    runner: LocalRunner,
    other: Mutex<Option<&'a str>>,
    goes_on: bool,
}

impl fmt::Debug for Amid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("amid")
    }
}

impl PlanRunner for Amid<'_> {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput>> {
        async move {
            let other = {
                let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
                if self.goes_on { *other } else { other.take() }
            };
            if let Some(sql) = other {
                done(self.lake, sql).await;
            }
            self.runner.run(request).await
        }
        .boxed()
    }
}

/// Carries a statement out, and another one while its first plan runs.
async fn amid(lake: &Lake, sql: &str, other: &str) -> Result<Done> {
    beside(lake, sql, other, false).await
}

/// The same with another one while each of its plans runs, if that goes on.
async fn beside(lake: &Lake, sql: &str, other: &str, goes_on: bool) -> Result<Done> {
    let Sql::Command(command) = parse(sql)? else {
        panic!("{sql} is no command");
    };
    let runner = Amid {
        lake,
        runner: lake.engine.local_runner(),
        other: Mutex::new(Some(other)),
        goes_on,
    };
    let options = SessionOptions::default();
    let shop = Workshop {
        engine: &lake.engine,
        runner: &runner,
        options: &options,
        deadline: None,
    };
    shop.execute(&command).await
}

// Goal: rows that are committed while the query of an overwrite runs are not lost. Method: a row comes to the partition that the query reads
// and overwrites; it has to be in what the query makes of it.
#[tokio::test]
async fn an_overwrite_sees_what_it_replaces() {
    for overwrite in [
        "INSERT OVERWRITE s.t PARTITION (region = 'a') SELECT id + 10 FROM s.t WHERE region = 'a'",
        "INSERT OVERWRITE s.t SELECT id + 10, region FROM s.t WHERE region = 'a'",
    ] {
        let lake = lake().await;
        done(
            &lake,
            "CREATE TABLE s.t (id bigint, region string) PARTITIONED BY (region)",
        )
        .await;
        rows(&lake, "INSERT INTO s.t VALUES (1, 'a'), (2, 'b')").await;
        let told = amid(&lake, overwrite, "INSERT INTO s.t VALUES (3, 'a')")
            .await
            .expect(overwrite);
        assert_eq!(told.rows, Some(2), "{overwrite}");
        assert_eq!(
            lake.lines("SELECT * FROM s.t").await,
            ["11,a", "13,a", "2,b"],
            "{overwrite}"
        );
    }
}

// Goal: an overwrite of a partition is not kept from its end by others who write elsewhere in the table, and goes over no row that comes to
// its partition unseen. Method: a row comes while each of its plans runs, to another partition or to this one; in tables of each format, of
// files that are partitions and of one that has rows of two values.
#[tokio::test]
async fn overwrites_mind_their_own_partition() {
    for (version, partitioned) in [(2, true), (2, false), (3, true), (3, false)] {
        let lake = lake().await;
        let by = if partitioned { "PARTITIONED BY (region)" } else { "" };
        let create =
            format!("CREATE TABLE s.t (id bigint, region string) {by} TBLPROPERTIES ('format-version' = '{version}')");
        done(&lake, &create).await;
        rows(&lake, "INSERT INTO s.t VALUES (1, 'a'), (2, 'b')").await;
        let overwrite = "INSERT OVERWRITE s.t PARTITION (region = 'a') VALUES (7)";
        let told = beside(&lake, overwrite, "INSERT INTO s.t VALUES (3, 'b')", true).await;
        let case = format!("{version}, {partitioned}");
        assert_eq!(told.expect(&case).rows, Some(1), "{case}");
        let now = "SELECT DISTINCT id, region FROM s.t";
        assert_eq!(lake.lines(now).await, ["2,b", "3,b", "7,a"], "{case}");

        let told = beside(&lake, overwrite, "INSERT INTO s.t VALUES (4, 'a')", true).await;
        let error = told.expect_err(&case);
        assert_eq!(error.kind(), ErrorKind::Conflict, "{case}: {error:?}");
        assert_eq!(lake.lines(now).await, ["2,b", "3,b", "4,a", "7,a"], "{case}");

        let moved = "UPDATE s.t SET region = 'a' WHERE id = 2";
        let told = beside(&lake, overwrite, moved, false).await;
        assert_eq!(told.expect(&case).rows, Some(1), "{case}");
        assert_eq!(lake.lines(now).await, ["3,b", "7,a"], "{case}");
    }
}

// Goal: a table that is made of its own rows loses none that come meanwhile. Method: one comes while the query runs, which reads the table
// by its name or by a view; a query of something else replaces what came as well.
#[tokio::test]
async fn a_replaced_table_loses_no_row_unseen() {
    for (query, reads) in [
        ("SELECT id + 10 AS id FROM s.t", true),
        ("SELECT id + 10 AS id FROM s.v", true),
        ("SELECT 7 AS id", false),
    ] {
        let lake = lake().await;
        done(&lake, "CREATE TABLE s.t (id bigint)").await;
        rows(&lake, "INSERT INTO s.t VALUES (1)").await;
        done(&lake, "CREATE VIEW s.v AS SELECT id FROM s.t").await;
        let replace = format!("CREATE OR REPLACE TABLE s.t AS {query}");
        let told = amid(&lake, &replace, "INSERT INTO s.t VALUES (2)").await;
        let now = lake.lines("SELECT * FROM s.t").await;
        match told {
            Ok(_) => assert!(!reads && now == ["7"], "{query}: {now:?}"),
            Err(error) => assert!(
                reads && error.kind() == ErrorKind::Conflict && now == ["1", "2"],
                "{query}: {now:?}, {error:?}"
            ),
        }
    }
}

// Goal: rows of a statement that meets a table with new columns are in those, or the statement fails. Method: the table is replaced
// by one with the same columns, and by one with others, while each kind of statement adds a row.
#[tokio::test]
async fn rows_go_to_the_columns_that_are_there() {
    for insert in [
        "INSERT INTO s.t VALUES (1, 2)",
        "INSERT INTO s.t VALUES (1, 2) ON CONFLICT (id) DO NOTHING",
        "MERGE INTO s.t USING (SELECT 1 AS id, 2 AS n) AS c ON t.id = c.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (c.id, c.n)",
    ] {
        let lake = lake().await;
        done(&lake, "CREATE TABLE s.t (id bigint, n bigint)").await;
        amid(&lake, insert, "CREATE OR REPLACE TABLE s.t (id bigint, n bigint)")
            .await
            .expect(insert);
        assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,2"], "{insert}");

        done(&lake, "CREATE OR REPLACE TABLE s.t (id bigint, n bigint)").await;
        let told = amid(&lake, insert, "CREATE OR REPLACE TABLE s.t (other string)").await;
        assert!(told.is_err(), "{insert}: {told:?}");
        assert_eq!(lake.lines("SELECT count(*) FROM s.t").await, ["0"], "{insert}");
    }
}

// Goal: nulls do not get into a column that forbids them, and a new column keeps nobody. Method: the table is altered while a row is added;
// a statement that looked again would have a column too few in the second case.
#[tokio::test]
async fn alterations_meet_rows() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id bigint, n bigint)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1, 1)").await;
    let forbid = "ALTER TABLE s.t ALTER COLUMN n SET NOT NULL";
    let told = amid(&lake, "INSERT INTO s.t VALUES (2, NULL)", forbid).await;
    assert!(told.is_err(), "{told:?}");
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1"]);

    done(&lake, "ALTER TABLE s.t ALTER COLUMN n DROP NOT NULL").await;
    amid(&lake, "INSERT INTO s.t VALUES (2, 2)", forbid)
        .await
        .expect("a row without nulls");
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1", "2,2"]);

    let add = "ALTER TABLE s.t ADD COLUMN late string";
    amid(&lake, "INSERT INTO s.t VALUES (3, 3)", add)
        .await
        .expect("a row of the columns that were there");
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1,", "2,2,", "3,3,"]);
}
