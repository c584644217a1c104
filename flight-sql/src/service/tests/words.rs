//! What people read: plans and mistakes.

use datafusion::logical_expr::LogicalPlan;
use futures::FutureExt;
use futures::future::{self, BoxFuture};

use tidewater_core::JobId;
use tidewater_engine::{EngineError, LocalRunner, PlanOutput, PlanRequest, PlanRunner, Route};

use super::*;
use crate::cache::{CacheOptions, ResultCache};

// Goal: EXPLAIN tells where a statement would run and what it would read, ANALYZE too. Method: explain a scan, both ways.
#[tokio::test]
async fn explanations_tell_the_route() {
    let lake = Lake::new().await;
    let rows = lake
        .rows("EXPLAIN SELECT id FROM numbers WHERE id > 3")
        .await
        .join("\n");
    for expected in [
        "logical_plan",
        "route",
        "local",
        "reason",
        "gold.numbers",
        "1 of 1 files",
    ] {
        assert!(rows.contains(expected), "no {expected} in:\n{rows}");
    }
    assert!(rows.contains("manifests") && !rows.contains("footers"), "{rows}");
    let analyzed = lake.rows("EXPLAIN ANALYZE SELECT id FROM numbers WHERE id > 3").await;
    let analyzed = analyzed.join("\n");
    for expected in [
        "output_rows",
        "route",
        "analyzed",
        "gold.numbers",
        "1 of 1 files",
        "manifests",
        "footers",
        "cache",
    ] {
        assert!(analyzed.contains(expected), "no {expected} in:\n{analyzed}");
    }
}

/// Runs everything here, and says that executors did.
#[derive(Debug)]
struct There(LocalRunner);

impl PlanRunner for There {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        let analyzes = matches!(request.plan, LogicalPlan::Analyze(_));
        assert!(!analyzes, "executors run the statement itself");
        let run = async move {
            let output = self.0.run(request).await?;
            Ok(PlanOutput {
                route: Route::cluster("it is large; run 2 times"),
                ..output
            })
        };
        run.boxed()
    }

    fn route<'a>(&'a self, _: &'a PlanRequest) -> BoxFuture<'a, Result<Route, EngineError>> {
        future::ready(Ok(Route::cluster("it is large"))).boxed()
    }

    fn stages(&self, _: JobId) -> Vec<String> {
        vec!["1 done: 4 tasks".to_owned(), "2 done: 1 tasks".to_owned()]
    }
}

// Goal: EXPLAIN ANALYZE of what belongs on executors runs there; its rows are counted, and its stages and how it went are told. What only
// this process would know is not. Method: a runner that says that it is a cluster; a statement, and one that fails while it runs.
#[tokio::test]
async fn explanations_follow_the_route() {
    let mut lake = Lake::new().await;
    let runner = Arc::new(There(lake.engine().local_runner()));
    lake.service = lake.over_same(runner, ResultCache::new(CacheOptions::default()));
    let told = lake.rows("EXPLAIN ANALYZE SELECT id FROM numbers WHERE id > 3").await;
    let of = |kind: &str| -> Vec<String> {
        let rows = told.iter().filter_map(|row| row.split_once('|'));
        let of_kind = rows.filter(|(found, _)| found.trim() == kind);
        of_kind.map(|(_, says)| says.trim().to_owned()).collect()
    };
    assert_eq!(of("rows"), ["6, counted and thrown away"], "{told:#?}");
    assert_eq!(of("stage"), ["1 done: 4 tasks", "2 done: 1 tasks"]);
    assert_eq!(of("route"), ["cluster"]);
    assert_eq!(of("reason"), ["it is large; run 2 times"]);
    assert_eq!(of("analyzed"), ["on the executors"]);
    for (kind, rows) in [("files", 1), ("manifests", 1), ("cache", 1), ("footers", 0)] {
        assert_eq!(of(kind).len(), rows, "{kind}: {told:#?}");
    }
    let noted = lake.service.history().all();
    assert_eq!(noted[0].route.as_deref(), Some("cluster"), "{noted:?}");
    let fails = "EXPLAIN ANALYZE SELECT 1 / (id - 5) FROM numbers";
    lake.text(fails, Bytes::new()).await.expect_err("a division by zero");
}

// Goal: an error names what is wrong with the statement. Method: the usual mistakes.
#[tokio::test]
async fn mistakes_are_named() {
    let lake = Lake::new().await;
    for (sql, word) in [
        ("SELEC 1", "SELEC"),
        ("SELECT nothing FROM numbers", "nothing"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT CAST(name AS INT) FROM numbers", "n0"),
        ("SELECT 1; SELECT 2", "statement"),
    ] {
        let error = lake.text(sql, Bytes::new()).await.expect_err(sql);
        assert!(
            matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported),
            "{sql}: {}",
            error.chain()
        );
        assert!(error.chain().contains(word), "{sql}: {}", error.chain());
    }
}
