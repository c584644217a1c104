use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{col, lit};
use datafusion::physical_plan::displayable;
use tidewater_core::Coded;

use super::*;
use crate::sql::{Sql, parse};
use crate::statement::tests::{done, lake};
use crate::testing::{Lake, lines};
use crate::{BulkLoad, Class, IfExists, PlanRequest, PlanRunner, SessionOptions, Workshop};

/// Rows of `s.a` from this number on, and no names.
#[derive(Debug)]
struct Since(i64);

impl RowPolicies for Since {
    fn fingerprint(&self) -> [u8; 32] {
        *blake3::hash(&self.0.to_le_bytes()).as_bytes()
    }

    fn of(&self, table: &LoadedTable) -> Option<RowPolicy> {
        (table.name.to_string() == "s.a").then(|| RowPolicy {
            filter: Some(col("id").gt_eq(lit(self.0))),
            masks: BTreeMap::from([("name".to_owned(), lit("hidden"))]),
        })
    }
}

/// A policy that leaves everything of every table.
#[derive(Debug)]
struct Everything;

impl RowPolicies for Everything {
    fn fingerprint(&self) -> [u8; 32] {
        [1; 32]
    }

    fn of(&self, _: &LoadedTable) -> Option<RowPolicy> {
        Some(RowPolicy::default())
    }
}

fn under(policies: impl RowPolicies + 'static) -> SessionOptions {
    SessionOptions {
        policies: Some(Arc::new(policies)),
        ..SessionOptions::default().default_schema("s")
    }
}

/// Two tables of several files, and a view over the first.
async fn hospital() -> Lake {
    let lake = lake().await;
    for table in ["s.a", "s.b"] {
        done(&lake, &format!("CREATE TABLE {table} (id bigint, name string)")).await;
        for ids in [
            "(1, 'x'), (2, 'y'), (3, NULL)",
            "(4, 'x'), (5, 'z')",
            "(6, 'y'), (7, 'x')",
        ] {
            done(&lake, &format!("INSERT INTO {table} VALUES {ids}")).await;
        }
    }
    done(&lake, "CREATE VIEW s.v AS SELECT id, name FROM s.a WHERE id < 7").await;
    lake
}

async fn answer(lake: &Lake, options: &SessionOptions, sql: &str) -> Result<Vec<String>> {
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
    Ok(lines(&output.collect().await?))
}

/// Statements over `{a}`, which is the table or what is left of it, and over the view `{v}`.
const STATEMENTS: &[&str] = &[
    "SELECT * FROM {a} AS a",
    "SELECT count(*) FROM {a} AS a",
    "SELECT min(id), max(id), min(name), max(name), count(name) FROM {a} AS a",
    "SELECT count(*) FROM {a} AS a WHERE id > 0",
    "SELECT count(*) FROM {a} AS a WHERE id <= 4",
    "SELECT count(*) FROM {a} AS a WHERE name = 'x'",
    "SELECT DISTINCT name FROM {a} AS a",
    "SELECT name, count(*) FROM {a} AS a GROUP BY name",
    "SELECT count(*) FROM (SELECT 1 FROM {a} AS a LIMIT 100) AS few",
    "SELECT a.id, b.name FROM {a} AS a JOIN b ON a.id = b.id",
    "SELECT b.id FROM b LEFT JOIN {a} AS a ON a.id = b.id WHERE a.id IS NULL",
    "SELECT id FROM b WHERE id IN (SELECT id FROM {a} AS a)",
    "SELECT id FROM b WHERE NOT EXISTS (SELECT 1 FROM {a} AS a WHERE a.id = b.id)",
    "SELECT (SELECT max(id) FROM {a} AS a) - (SELECT min(id) FROM {a} AS c)",
    "WITH c AS (SELECT id FROM {a} AS a) SELECT count(*) FROM c",
    "SELECT id FROM {a} AS a UNION ALL SELECT id FROM b",
    "SELECT count(*), max(id), min(name) FROM {v} AS v",
];

// Goal: whoever sees a part of a table is answered as if there were nothing but this part, whatever others asked before and after them,
// also where all rows are counted without being read. Method: statements of somebody who sees everything, and of two who see two parts,
// in one engine that remembers plans, in turns; each compared with the same statement over what the part is, asked by who sees all.
#[tokio::test]
async fn nothing_but_what_is_left() {
    let lake = hospital().await;
    let all = SessionOptions::default().default_schema("s");
    let parts = [(3, under(Since(3))), (6, under(Since(6)))];
    let mut hidden = 0;
    for _ in 0..2 {
        for sql in STATEMENTS {
            let asked = sql.replace("{a}", "s.a").replace("{v}", "s.v");
            let whole = answer(&lake, &all, &asked).await.expect(&asked);
            for (from, options) in &parts {
                let left = format!("(SELECT id, 'hidden' AS name FROM s.a WHERE id >= {from})");
                let view = format!("(SELECT id, name FROM {left} AS l WHERE id < 7)");
                let oracle = sql.replace("{a}", &left).replace("{v}", &view);
                let wanted = answer(&lake, &all, &oracle).await.expect(&oracle);
                let given = answer(&lake, options, &asked).await.expect(&asked);
                assert_eq!(given, wanted, "{asked} from {from}");
                hidden += usize::from(given != whole);
            }
        }
    }
    assert!(hidden > STATEMENTS.len() * 2, "the parts are no parts: {hidden}");
}

// Goal: rows are not counted from manifests where a policy stands before them, whatever it leaves; where none does, they are. Method: the
// physical plans of aggregates that manifests can answer, with a policy that leaves everything and without one.
#[tokio::test]
async fn statistics_answer_nobody_under_a_policy() {
    let lake = hospital().await;
    for sql in ["SELECT count(*) FROM s.a", "SELECT min(id), max(id) FROM s.a"] {
        for (options, reads) in [(SessionOptions::default(), false), (under(Everything), true)] {
            let session = lake.engine.session(Class::Interactive, &options);
            let plan = lake.engine.plan(&session, sql).await.expect(sql);
            let plan = session.state().create_physical_plan(&plan).await.expect(sql);
            let text = displayable(plan.as_ref()).indent(false).to_string();
            assert_eq!(text.contains("DataSourceExec"), reads, "{sql}: {text}");
        }
    }
}

// Goal: versions of a table are left in the same parts. Method: the first snapshot, by its number.
#[tokio::test]
async fn versions_are_parts_too() {
    let lake = hospital().await;
    let table = lake.load("s.a").await;
    let snapshots = table.metadata.snapshots();
    let first = snapshots.min_by_key(|snapshot| snapshot.sequence_number());
    let first = first.expect("a snapshot").snapshot_id();
    let sql = format!("SELECT count(*) FROM s.a FOR VERSION AS OF {first}");
    let counted = async |options: SessionOptions| answer(&lake, &options, &sql).await.expect("a count");
    assert_eq!(counted(SessionOptions::default()).await, ["3"]);
    assert_eq!(counted(under(Since(3))).await, ["1"]);
}

// Goal: what tells of rows otherwise than by giving them is refused. Method: explanations, parts of metadata and changes of a table that
// is seen in part; the same of one that is not.
#[tokio::test]
async fn nothing_is_told_of_the_rest() {
    let lake = hospital().await;
    let options = under(Since(3));
    for sql in [
        "EXPLAIN SELECT * FROM s.{t}",
        "EXPLAIN VERBOSE SELECT count(*) FROM s.b WHERE id IN (SELECT id FROM s.{t})",
        "EXPLAIN ANALYZE SELECT count(*) FROM s.{t}",
        "SELECT * FROM s.\"{t}$files\"",
        "SELECT * FROM s.\"{t}$snapshots\"",
        "SELECT * FROM s.\"{t}$partitions\"",
        "SELECT * FROM s.\"{t}$changes\"",
    ] {
        let (part, whole) = (sql.replace("{t}", "a"), sql.replace("{t}", "b"));
        let refused = answer(&lake, &options, &part).await.expect_err(&part);
        assert_eq!(refused.code(), "ENG-0032", "{part}: {refused}");
        answer(&lake, &options, &whole).await.expect(&whole);
    }
}

// Goal: nobody changes what they do not see, nor learns how much of it there is from what a change says. Method: a statement of each kind
// and a bulk load, of a table that is seen in part; the table is as it was, and one that is seen whole is changed.
#[tokio::test]
async fn nothing_is_changed_unseen() {
    let lake = hospital().await;
    let options = under(Since(3));
    let shop = Workshop {
        engine: &lake.engine,
        runner: &lake.engine.local_runner(),
        options: &options,
        deadline: None,
    };
    let tried = async |sql: &str| {
        let Ok(Sql::Command(command)) = parse(sql) else {
            panic!("{sql} is no command");
        };
        shop.execute(&command).await
    };
    let before = lake.lines("SELECT * FROM s.a").await;
    for sql in [
        "DELETE FROM a",
        "DELETE FROM a WHERE id = 1",
        "UPDATE s.a SET name = 'w' WHERE id < 3",
        "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE",
        "INSERT INTO a VALUES (8, 'w')",
        "INSERT OVERWRITE a VALUES (8, 'w')",
        "TRUNCATE TABLE a",
        "DROP TABLE a",
        "ALTER TABLE a DROP COLUMN name",
        "ALTER TABLE a RENAME TO c",
        "CREATE OR REPLACE TABLE a AS SELECT * FROM a",
        "CALL system.rewrite_data_files(table => 's.a')",
    ] {
        let refused = tried(sql).await.expect_err(sql);
        assert_eq!(refused.code(), "ENG-0032", "{sql}: {refused}");
    }
    let load = BulkLoad {
        table: "s.a".parse().expect("a name"),
        schema: Arc::new(Schema::empty()),
        create: true,
        if_exists: IfExists::Replace,
    };
    let nothing = futures::stream::empty::<Result<RecordBatch>>();
    let refused = shop.load(&load, nothing).await.expect_err("a load");
    assert_eq!(refused.code(), "ENG-0032");
    assert_eq!(lake.lines("SELECT * FROM s.a").await, before);

    tried("CREATE TABLE c AS SELECT * FROM a")
        .await
        .expect("of what is seen");
    assert_eq!(
        lake.lines("SELECT count(*), min(id), max(name) FROM s.c").await,
        ["5,3,hidden"]
    );
    tried("DELETE FROM b WHERE id IN (SELECT id FROM a)")
        .await
        .expect("of what is seen");
    assert_eq!(lake.lines("SELECT id FROM s.b").await, ["1", "2"]);
}
