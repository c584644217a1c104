use tidewater_core::Coded;

use super::super::{give, row_sql, settled};
use super::{done, lake, refused, rows};
use crate::sql::{Sql, parse};
use crate::{Class, SessionOptions};

// Goal: a time is the same in all of a statement. Method: the plan of a query that asks for it, with a time of ours.
#[tokio::test]
async fn the_time_stands_still() {
    let lake = lake().await;
    let session = lake.engine.session(Class::Batch, &SessionOptions::default());
    let sql = "SELECT now(), current_date, a FROM (VALUES (1)) AS v (a) WHERE now() > TIMESTAMP '2020-01-01' AND a IN (SELECT date_part('year', now()))";
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let names = plan.schema().field_names();
    let settled = settled::settled(plan, 1_700_000_000_123).expect("a plan");
    assert_eq!(settled.schema().field_names(), names);
    let told = settled.display_indent().to_string();
    assert!(
        !told.contains("now()\n") && told.contains("1700000000123000000"),
        "{told}"
    );
    assert!(told.contains("2023-11-14") || told.contains("19675"), "{told}");
}

// Goal: branches, tags and heads go where procedures send them. Method: a tag, a rollback, a set-back and a forward, each seen in the rows.
#[tokio::test]
async fn heads_are_moved() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t AS SELECT 1 AS a").await;
    let first = lake
        .load("s.t")
        .await
        .metadata
        .current_snapshot_id()
        .expect("a snapshot");
    done(&lake, "ALTER TABLE s.t CREATE TAG one RETAIN 30 DAYS").await;
    rows(&lake, "INSERT INTO s.t VALUES (2)").await;
    let second = lake
        .load("s.t")
        .await
        .metadata
        .current_snapshot_id()
        .expect("a snapshot");
    done(&lake, "ALTER TABLE s.t CREATE BRANCH two").await;
    let moved = done(&lake, &format!("CALL system.rollback_to_snapshot('s.t', {first})")).await;
    let answer = moved.answer.expect("rows");
    assert_eq!(crate::testing::lines(&[answer]), [format!("{second},{first}")]);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1"]);
    done(
        &lake,
        "CALL system.fast_forward(table => 's.t', branch => 'main', to => 'two')",
    )
    .await;
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1", "2"]);
    done(&lake, "CALL system.set_current_snapshot(table => 's.t', ref => 'one')").await;
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1"]);
    done(&lake, &format!("CALL system.cherrypick_snapshot('s.t', {second})")).await;
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1", "2"]);
    done(&lake, "ALTER TABLE s.t DROP TAG one").await;
    for wrong in [
        "CALL system.nope('s.t')",
        "CALL system.fast_forward('s.t', 'main', 'two', 'more')",
        "CALL system.fast_forward('s.t', tabel => 'x')",
        "CALL system.rollback_to_snapshot('s.t', 'x')",
        "CALL system.rollback_to_timestamp('s.t', 'yesterday')",
    ] {
        assert_eq!(refused(&lake, wrong).await.code(), "ENG-0017", "{wrong}");
    }
}

// Goal: procedures tidy a table and change none of its rows. Method: many small files and deletes, compacted and expired; then files, snapshots
// and rows.
#[tokio::test]
async fn tables_are_tidied() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (a int) TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')",
    )
    .await;
    for a in 0..6 {
        rows(&lake, &format!("INSERT INTO s.t VALUES ({a}), ({a} + 10)")).await;
    }
    rows(&lake, "DELETE FROM s.t WHERE a = 3").await;
    let before = lake.lines("SELECT * FROM s.t").await;
    let told = done(
        &lake,
        "CALL system.rewrite_data_files(table => 's.t', options => map('min-input-files', '2'))",
    )
    .await;
    let told = crate::testing::lines(&[told.answer.expect("rows")]);
    assert!(told[0].starts_with("6,1,"), "{told:?}");
    assert_eq!(lake.lines("SELECT * FROM s.t").await, before);
    assert_eq!(lake.lines("SELECT count(*) FROM s.\"t$files\"").await, ["1"]);
    let told = done(
        &lake,
        "CALL system.expire_snapshots('s.t', TIMESTAMP '2100-01-01 00:00:00', 2)",
    )
    .await;
    let told = crate::testing::lines(&[told.answer.expect("rows")]);
    assert_eq!(told, ["0,0,0,5,6,0"], "manifests, and a list for each snapshot");
    assert_eq!(lake.load("s.t").await.metadata.snapshots().count(), 2);
    done(&lake, "CALL system.rewrite_manifests('s.t')").await;
    let told = done(
        &lake,
        "CALL system.compute_table_stats(table => 's.t', columns => array('a'))",
    )
    .await;
    let told = crate::testing::lines(&[told.answer.expect("rows")]);
    assert!(told[0].ends_with(".stats") || told[0].ends_with(".puffin"), "{told:?}");
    let stray = format!("{}/data/stray.parquet", lake.load("s.t").await.metadata.location());
    lake.store.put_new(&stray, "nobody's".into()).await.expect("written");
    // Too young to tell: its writer may be at work.
    let told = done(
        &lake,
        "CALL system.remove_orphan_files(table => 's.t', dry_run => true)",
    )
    .await;
    assert_eq!(told.answer.expect("rows").num_rows(), 0);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, before);
}

// Goal: a change reads the files that its condition reaches, and no other. Method: the plan of its look at the rows, over a table of ten files.
#[tokio::test]
async fn files_out_of_reach_are_not_read() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (a int, b int)").await;
    for a in 0..10 {
        rows(&lake, &format!("INSERT INTO s.t VALUES ({a}, 1), ({a}, 2)")).await;
    }
    let name = crate::testing::table_name("s.t");
    let table = lake.load("s.t").await;
    let session = lake.session();
    give(
        &session,
        vec![(
            row_sql::TARGET,
            lake.engine.all_rows_provider(&table, None).expect("rows"),
        )],
    )
    .expect("given");
    let Sql::Command(command) = parse("DELETE FROM s.t WHERE a = 4 AND b = 2").expect("a command") else {
        panic!("a query");
    };
    let crate::sql::Command::Merge(merge) = *command else {
        panic!("no change of rows");
    };
    let columns = tidewater_table::schema::to_arrow(table.metadata.current_schema()).expect("columns");
    let sql = row_sql::RowSql::new(&merge, "t", columns.into()).expect("columns that are there");
    let plan = lake.engine.plan(&session, &sql.counts()).await.expect("a plan");
    let plan = session
        .state()
        .create_physical_plan(&plan)
        .await
        .expect("a physical plan");
    let told = datafusion::physical_plan::displayable(plan.as_ref())
        .indent(false)
        .to_string();
    assert_eq!(told.matches(".parquet").count(), 1, "{told}");
    assert_eq!(rows(&lake, "DELETE FROM s.t WHERE a = 4 AND b = 2").await, 1, "{name}");
}
