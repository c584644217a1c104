//! Queries that come when too many wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use datafusion::logical_expr::LogicalPlan;
use futures::FutureExt;
use futures::future::BoxFuture;

use tidewater_engine::{Class, EngineError, LocalRunner, PlanOutput, PlanRequest, PlanRunner};

use super::*;
use crate::cache::{CacheOptions, ResultCache};

/// Has room until it is full.
#[derive(Debug)]
struct Fills {
    runner: LocalRunner,
    full: AtomicBool,
    runs: AtomicUsize,
}

impl PlanRunner for Fills {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.runner.run(request).boxed()
    }

    fn room(&self, _: &LogicalPlan, class: Class) -> Result<(), EngineError> {
        assert_eq!(class, Class::Interactive);
        match self.full.load(Ordering::SeqCst) {
            true => Err(EngineError::Unsupported {
                what: "one more".into(),
            }),
            false => Ok(()),
        }
    }
}

// Goal: where nobody is let in any more, a query is refused when it is asked about and not only when it is fetched, and stands in the
// history; what is kept is answered all the same. Method: a runner that says that it is full, and two queries, of one of which the rows are kept.
#[tokio::test]
async fn refused_before_it_is_fetched() {
    let lake = Lake::new().await;
    let runner = Arc::new(Fills {
        runner: lake.engine().local_runner(),
        full: AtomicBool::new(false),
        runs: AtomicUsize::new(0),
    });
    let service = lake.over_same(runner.clone(), ResultCache::new(CacheOptions::default()));
    let mut client = Client::over(lake);
    client.front = FlightSql::new(service.clone()).expect("a front");
    let tasks = Tasks::new("test");
    client.calls = WithSchemaCalls::new(client.front.clone(), &tasks);
    let (kept, other) = ("SELECT count(*) FROM numbers", "SELECT sum(id) FROM numbers");
    assert_eq!(client.rows(kept).await.expect("a row"), 1);
    runner.full.store(true, Ordering::SeqCst);
    assert_eq!(client.rows(kept).await.expect("a row that is kept"), 1);
    let refused = client.info(other).await.expect_err("no room");
    assert!(refused.message().contains("one more"), "{refused}");
    let noted = service.history().all();
    let last = noted
        .iter()
        .find(|run| run.statement.contains("sum"))
        .expect("it is noted");
    assert_eq!(last.error.as_deref(), Some("ENG-0015"), "{last:?}");
    assert_eq!(runner.runs.load(Ordering::SeqCst), 1, "nothing else ran");
    runner.full.store(false, Ordering::SeqCst);
    assert_eq!(client.rows(other).await.expect("room again"), 1);
}
