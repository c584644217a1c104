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
        "CALL system.rollback_to_snapshot('s.t', NULL)",
        "CALL system.cherrypick_snapshot('s.t')",
        "CALL system.ancestors_of(NULL, table => 's.t')",
        "CALL system.add_files('s.t', 'x')",
        "CALL system.register_table('s.new')",
        "CALL system.register_table('s.\"t$files\"', 'memory://lake/x.metadata.json')",
        "CALL system.remove_orphan_files(table => 's.t', dry_run => NULL)",
        "CALL system.remove_orphan_files('s.t', NULL, NULL, NULL)",
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

// Goal: a table of which only a metadata file is left is there again under the name that is given, a name that is taken stays another's, and
// a table gets no second one. Method: a table with rows that is dropped; its file under its name and another one before, and under the other
// after; rows, and rows that are added.
#[tokio::test]
async fn metadata_files_become_tables() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (a int)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1), (2)").await;
    let table = lake.load("s.t").await;
    let snapshot = table.metadata.current_snapshot_id().expect("a snapshot");
    let file = table.metadata_location.as_str();
    let register = |name: &str| format!("CALL system.register_table('{name}', '{file}')");
    for taken in ["s.t", "s.back"] {
        assert_eq!(refused(&lake, &register(taken)).await.code(), "TBL-0031", "{taken}");
    }
    done(&lake, "DROP TABLE s.t").await;
    assert_eq!(
        told(done(&lake, &register("s.back")).await),
        [format!("{snapshot},2,1")]
    );
    assert_eq!(lake.lines("SELECT * FROM s.back").await, ["1", "2"]);
    rows(&lake, "INSERT INTO s.back VALUES (3)").await;
    assert_eq!(lake.lines("SELECT * FROM s.back").await, ["1", "2", "3"]);
}

fn told(done: super::Done) -> Vec<String> {
    crate::testing::lines(&[done.answer.expect("rows")])
}

// Goal: what expires is what a call, or else the table's properties, say, and snapshots that are named. Method: five snapshots; properties that
// keep three, a name of the oldest, of the middle and of the head.
#[tokio::test]
async fn snapshots_expire_as_told() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (a int)").await;
    let mut ids = Vec::new();
    for a in 0..5 {
        ids.extend(done(&lake, &format!("INSERT INTO s.t VALUES ({a})")).await.snapshot_id);
    }
    let mut chain = told(done(&lake, "CALL system.ancestors_of('s.t')").await);
    chain.retain(|line| ids.iter().any(|id| line.starts_with(&format!("{id},"))));
    assert_eq!(chain.len(), 5);
    let older = done(&lake, &format!("CALL system.ancestors_of('s.t', {})", ids[1])).await;
    assert_eq!(told(older).len(), 2);
    assert_eq!(
        refused(&lake, "CALL system.ancestors_of('s.t', 7)").await.code(),
        "TBL-0018"
    );
    let kept = async || lake.load("s.t").await.metadata.snapshots().count();
    let never = "older_than => TIMESTAMP '2000-01-01 00:00:00'";
    for (named, code) in [(ids[4], "TBL-0024"), (ids[2], "TBL-0024"), (7, "TBL-0018")] {
        let sql = format!("CALL system.expire_snapshots(table => 's.t', {never}, snapshot_ids => array({named}))");
        assert_eq!(refused(&lake, &sql).await.code(), code, "{sql}");
    }
    assert_eq!(kept().await, 5);
    done(
        &lake,
        &format!(
            "CALL system.expire_snapshots(table => 's.t', {never}, snapshot_ids => array({}), max_concurrent_deletes => 4, stream_results => true, \
             clean_expired_metadata => false)",
            ids[0]
        ),
    )
    .await;
    assert_eq!(kept().await, 4);
    done(
        &lake,
        "ALTER TABLE s.t SET TBLPROPERTIES ('history.expire.max-snapshot-age-ms' = '0', 'history.expire.min-snapshots-to-keep' = '3')",
    )
    .await;
    // What is as old as the call is not older.
    let later = lake.engine.clock().now_ms();
    while lake.engine.clock().now_ms() <= later {
        tokio::task::yield_now().await;
    }
    done(&lake, "CALL system.expire_snapshots('s.t')").await;
    assert_eq!(kept().await, 3);
    done(&lake, "CALL system.expire_snapshots(table => 's.t', retain_last => 2)").await;
    assert_eq!(kept().await, 2);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["0", "1", "2", "3", "4"]);
    let error = refused(
        &lake,
        "CALL system.expire_snapshots(table => 's.t', clean_expired_metadata => true)",
    )
    .await;
    assert_eq!(error.code(), "ENG-0017");
    assert!(error.hint().is_some());
}

// Goal: options of a rewrite say which files are written anew, and what cannot be done is refused with what can. Method: five files, numbers of
// files that are enough and are not; sizes; a branch; wrong options of each kind.
#[tokio::test]
async fn rewrites_heed_their_options() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (a int)").await;
    for a in 0..2 {
        rows(&lake, &format!("INSERT INTO s.t VALUES ({a})")).await;
    }
    done(&lake, "ALTER TABLE s.t CREATE BRANCH audit").await;
    for a in 2..5 {
        rows(&lake, &format!("INSERT INTO s.t.branch_audit VALUES ({a})")).await;
    }
    let rewrite = async |arguments: &str| {
        let sql = format!("CALL system.rewrite_data_files(table => 's.t', {arguments})");
        told(done(&lake, &sql).await).remove(0)
    };
    for idle in [
        "options => map('min-input-files', '3')",
        "options => map('min-input-files', '3', 'use-starting-sequence-number', 'false')",
        "branch => 'audit', options => map('min-input-files', '6')",
        "options => map('min-file-size-bytes', '0', 'max-file-size-bytes', '100000000000')",
        "options => map('min-file-size-bytes', '0', 'rewrite-job-order', 'bytes-asc', 'max-concurrent-file-group-rewrites', '2', 'partial-progress.enabled', 'true', 'delete-ratio-threshold', '0.3', 'output-spec-id', '0', 'use-starting-sequence-number', 'true', 'remove-dangling-deletes', 'false')",
    ] {
        assert!(rewrite(idle).await.starts_with("0,0,0,"), "{idle}");
    }
    let head = lake.load("s.t").await.metadata.current_snapshot_id();
    let done_there = rewrite("branch => 'audit', options => map('min-input-files', '5')").await;
    assert!(done_there.starts_with("5,1,"), "{done_there}");
    assert_eq!(
        lake.load("s.t").await.metadata.current_snapshot_id(),
        head,
        "main stays"
    );
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["0", "1"]);
    assert_eq!(
        lake.lines("SELECT * FROM s.t.branch_audit").await,
        ["0", "1", "2", "3", "4"]
    );
    assert!(rewrite("branch => 'main'").await.starts_with("2,1,"));
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["0", "1"]);
    for (wrong, code) in [
        ("options => map('nope', '1')", "ENG-0017"),
        ("options => map('min-input-files', '0')", "ENG-0017"),
        ("options => map('rewrite-all', 'yes')", "ENG-0017"),
        ("options => map('rewrite-job-order', 'size')", "ENG-0017"),
        ("options => map('output-spec-id', '9')", "ENG-0017"),
        ("options => map('remove-dangling-deletes', 'true')", "ENG-0017"),
        ("options => map('use-starting-sequence-number', 'no')", "ENG-0017"),
        (
            "options => map('min-file-size-bytes', '100', 'target-file-size-bytes', '50')",
            "ENG-0017",
        ),
        (
            "options => map('max-file-size-bytes', '50', 'target-file-size-bytes', '50')",
            "ENG-0017",
        ),
        ("branch => 'nope'", "ENG-0030"),
    ] {
        let sql = format!("CALL system.rewrite_data_files(table => 's.t', {wrong})");
        let error = refused(&lake, &sql).await;
        assert_eq!(error.code(), code, "{wrong}");
    }
    for (sql, says) in [
        (
            "CALL system.rewrite_data_files(table => 's.t', tabel => 'x')",
            "it takes table",
        ),
        (
            "CALL system.rewrite_manifests(table => 's.t', sort_by => array('a'))",
            "sorted",
        ),
        (
            "CALL system.remove_orphan_files(table => 's.t', file_list_view => 'f')",
            "listed",
        ),
        (
            "CALL system.remove_orphan_files(table => 's.t', prefix_mismatch_mode => 'DELETE')",
            "never removed",
        ),
    ] {
        let error = refused(&lake, sql).await;
        assert_eq!(error.code(), "ENG-0017", "{sql}");
        assert!(
            error.hint().is_some_and(|hint| hint.contains(says)),
            "{sql}: {:?}",
            error.hint()
        );
    }
    done(
        &lake,
        "CALL system.remove_orphan_files(table => 's.t', dry_run => true, prefix_mismatch_mode => 'ignore', prefix_listing => true, max_concurrent_deletes => 2)",
    )
    .await;
}
