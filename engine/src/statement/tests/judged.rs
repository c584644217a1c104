use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidewater_core::Coded;
use tidewater_security::SecurityError;

use super::{done, lake, rows, tried_in, tried_with};
use crate::error::{EngineError, Result};
use crate::testing::Lake;
use crate::{IcebergTable, Judge, LocalRunner, Named, PlanOutput, PlanRequest, PlanRunner, SessionOptions};

/// Commands that read `s.v`, one of each kind.
const READERS: &[&str] = &[
    "INSERT INTO s.t SELECT id, 2 FROM s.v",
    "INSERT OVERWRITE s.t SELECT id, 2 FROM s.v",
    "INSERT INTO s.t SELECT id, 2 FROM s.v ON CONFLICT (id) DO NOTHING",
    "INSERT INTO s.t VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET x = (SELECT max(id) FROM s.v)",
    "UPDATE s.t SET x = (SELECT max(id) FROM s.v)",
    "DELETE FROM s.t WHERE id IN (SELECT id FROM s.v)",
    "MERGE INTO s.t AS t USING (SELECT id FROM s.v) AS v ON t.id = v.id WHEN NOT MATCHED THEN INSERT (id, x) VALUES (v.id, 1)",
    "CREATE TABLE s.made AS SELECT id FROM s.v",
    "CREATE OR REPLACE TABLE s.t AS SELECT id, 2 AS x FROM s.v",
    "CREATE VIEW s.w AS SELECT id FROM s.v",
    "CREATE VIEW s.w (other) AS SELECT id FROM s.v",
];

/// Lets nobody read `s.secret`, and counts what it was asked.
#[derive(Debug, Default)]
struct Keeps {
    asked: AtomicUsize,
}

impl Judge for Keeps {
    fn may_read(&self, _: &SessionOptions, _: &Named, plan: &LogicalPlan) -> Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut found = false;
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let provider = source_as_provider(&scan.source)?;
                let table = provider.downcast_ref::<IcebergTable>();
                found |= table.is_some_and(|table| table.table().name.name() == "secret");
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        match found {
            true => Err(EngineError::Denied(Box::new(SecurityError::PermissionDenied {
                user: "ana".into(),
                privilege: "SELECT".into(),
                what: "table s.secret".into(),
            }))),
            false => Ok(()),
        }
    }
}

fn judged() -> (Arc<Keeps>, SessionOptions) {
    let judge = Arc::new(Keeps::default());
    let options = SessionOptions {
        judge: Some(judge.clone()),
        ..SessionOptions::default()
    };
    (judge, options)
}

/// A lake with a table, a secret one, and a view that says nothing of it.
async fn with_a_secret() -> Lake {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.secret (id bigint)").await;
    rows(&lake, "INSERT INTO s.secret VALUES (77)").await;
    done(&lake, "CREATE TABLE s.t (id bigint, x bigint)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1, 1)").await;
    done(&lake, "CREATE VIEW s.v AS SELECT CAST(1 AS bigint) AS id").await;
    lake
}

/// Looks that a command was refused by the judge, and changed nothing.
async fn is_refused(lake: &Lake, told: Result<super::Done>, sql: &str) {
    let error = told.expect_err(sql);
    assert!(matches!(error, EngineError::Denied(_)), "{sql}: {error:?}");
    assert_eq!(error.code(), "SEC-0008", "{sql}");
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1"], "{sql}");
}

// Goal: no command runs a plan that its judge has not let through, whatever its names stood for when it was asked who may. Method: each kind of
// command that reads, over a view that says nothing, over the view with another text, and over the function of a table's changes.
#[tokio::test]
async fn what_a_command_runs_is_judged() {
    for sql in READERS {
        let lake = with_a_secret().await;
        let (judge, options) = judged();
        let told = tried_with(&lake, &options, sql).await;
        told.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert!(judge.asked.load(Ordering::SeqCst) > 0, "{sql}");

        let lake = with_a_secret().await;
        done(&lake, "CREATE OR REPLACE VIEW s.v AS SELECT id FROM s.secret").await;
        let told = tried_with(&lake, &options, sql).await;
        is_refused(&lake, told, sql).await;

        let lake = with_a_secret().await;
        let changes = sql.replace("s.v", "changes('s.secret')");
        let told = tried_with(&lake, &options, &changes).await;
        is_refused(&lake, told, &changes).await;
    }
}

/// Runs plans, and before the first of them what others do.
struct Amid<'a> {
    lake: &'a Lake,
    runner: LocalRunner,
    others: Mutex<Vec<&'static str>>,
}

impl fmt::Debug for Amid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("amid")
    }
}

impl PlanRunner for Amid<'_> {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput>> {
        async move {
            let others = {
                let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *others)
            };
            for sql in others {
                done(self.lake, sql).await;
            }
            self.runner.run(request).await
        }
        .boxed()
    }
}

// Goal: a command that is carried out anew, because others changed the rows it looked at, is judged anew. Method: while its first attempt runs
// a row comes, which makes it end, and the view that it reads gets another text.
#[tokio::test]
async fn each_attempt_is_judged() {
    let lake = with_a_secret().await;
    let (_, options) = judged();
    let runner = Amid {
        lake: &lake,
        runner: lake.engine.local_runner(),
        others: Mutex::new(vec![
            "INSERT INTO s.t VALUES (2, 2)",
            "CREATE OR REPLACE VIEW s.v AS SELECT id FROM s.secret",
        ]),
    };
    let sql = "UPDATE s.t SET x = (SELECT max(id) FROM s.v)";
    let error = tried_in(&lake, &runner, &options, sql).await.expect_err(sql);
    assert!(matches!(error, EngineError::Denied(_)), "{error:?}");
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1", "2,2"]);
}

// Goal: a query is judged each time that it is planned, also where its plan is remembered. Method: one query three times, by a judge and by
// nobody.
#[tokio::test]
async fn remembered_plans_are_judged() {
    let lake = with_a_secret().await;
    let (judge, options) = judged();
    let sql = "SELECT id FROM s.secret";
    let plain = lake.session();
    for _ in 0..3 {
        lake.engine.plan(&plain, sql).await.expect(sql);
        let session = lake.engine.session(crate::Class::Interactive, &options);
        let refused = lake.engine.plan(&session, sql).await.expect_err(sql);
        assert!(matches!(refused, EngineError::Denied(_)), "{refused:?}");
        let known = lake.engine.known_plan(&options, sql).await;
        assert!(
            matches!(known, Err(EngineError::Denied(_))),
            "it is remembered: {known:?}"
        );
    }
    assert_eq!(judge.asked.load(Ordering::SeqCst), 6);
}
