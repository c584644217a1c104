use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::json;
use tidewater_catalog_client::dto::JobPhase;
use tidewater_core::{SystemClock, Tasks};
use tokio::sync::Notify;

use super::*;
use crate::error::Result;
use crate::testing::{Lake, change, log_columns, patient, table_name};

/// A feed that the test speaks through.
#[derive(Debug, Default)]
struct Spoken {
    tables: Mutex<Vec<TableName>>,
    said: Notify,
}

impl Spoken {
    fn say(&self, table: &str) {
        self.tables.lock().expect("no panic").push(table_name(table));
        self.said.notify_one();
    }
}

#[async_trait]
impl Feed for Spoken {
    async fn news(&self, after: Option<u64>, wait: Duration) -> Result<News> {
        let from = after.unwrap_or(0) as usize;
        if !wait.is_zero() && self.tables.lock().expect("no panic").len() <= from {
            self.said.notified().await;
        }
        let tables = self.tables.lock().expect("no panic");
        Ok(News {
            tables: tables.iter().skip(from).cloned().collect(),
            cursor: tables.len() as u64,
            lost: false,
        })
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    while !holds().await {
        assert!(
            clock.monotonic() - begun < Duration::from_secs(60),
            "{what} did not come"
        );
        clock.sleep(Duration::from_millis(20)).await;
    }
}

// Goal: a commit to bronze reaches silver and then gold without anybody asking. Method: a feed told of each commit; the
// follower must bring both tables up to date, and again after the next commit.
#[tokio::test]
async fn changes_run_through_the_graph() {
    let lake = Lake::new();
    let pipelines = lake.pipelines(&[
        (
            "silver.patients",
            "/*---\nkind: cdc\nsource: bronze.patients\nkey: id\ntarget_lag: 10ms\n---*/",
        ),
        (
            "gold.sums",
            "/*---\nkind: table\ntarget_lag: 10ms\n---*/ SELECT count(*) AS n, sum(score) AS s FROM silver.patients",
        ),
    ]);
    lake.create("bronze.patients", &log_columns(patient())).await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 10, Some("a"))])
        .await;
    let (feed, tasks) = (Arc::new(Spoken::default()), Tasks::new("test"));
    pipelines.follow(feed.clone(), &tasks);
    until("silver", async || {
        lake.noted
            .all()
            .contains(&(table_name("silver.patients"), JobPhase::Succeeded))
    })
    .await;
    feed.say("silver.patients");
    until("gold", async || {
        lake.noted
            .all()
            .contains(&(table_name("gold.sums"), JobPhase::Succeeded))
    })
    .await;
    // Not the empty table that silver was before its first run.
    assert_eq!(lake.lines("SELECT n, s FROM gold.sums").await, ["1,10"]);

    lake.append("bronze.patients", &[change("u", 2, 1, 1, 32, Some("a"))])
        .await;
    feed.say("bronze.patients");
    let begun = (table_name("silver.patients"), JobPhase::Running);
    assert_eq!(lake.noted.all().first(), Some(&begun), "a run is noted when it begins");
    let ended = (table_name("silver.patients"), JobPhase::Succeeded);
    until("silver again", async || {
        lake.noted.all().iter().filter(|noted| **noted == ended).count() == 2
    })
    .await;
    feed.say("silver.patients");
    until("gold again", async || {
        lake.lines("SELECT n, s FROM gold.sums").await == ["1,32"]
    })
    .await;
    assert!(tasks.shutdown(Duration::from_secs(10)).await);
}

// Goal: what asks for the time, itself or by a view, runs on a new day. Method: models that do and one that does not.
#[tokio::test]
async fn a_new_day_is_news() {
    let lake = Lake::new();
    let pipelines = lake.pipelines(&[
        ("gold.by_view", "/*---\nkind: table\n---*/ SELECT d FROM silver.today"),
        ("gold.fixed", "/*---\nkind: table\n---*/ SELECT op FROM bronze.patients"),
        (
            "gold.now",
            "/*---\nkind: table\n---*/ SELECT run_ts() AS t, run_date() AS d FROM bronze.patients",
        ),
        (
            "silver.today",
            "/*---\nkind: view\n---*/ SELECT run_date() AS d FROM bronze.patients",
        ),
    ]);
    let asks: Vec<(String, bool)> = pipelines
        .followed()
        .iter()
        .map(|unit| (unit.unit.models[0].to_string(), unit.asks_for_date))
        .collect();
    let wanted = [("gold.by_view", true), ("gold.fixed", false), ("gold.now", true)];
    assert_eq!(asks, wanted.map(|(name, asks)| (name.to_owned(), asks)));
}

// Goal: waits fit the lag and the backoff grows to its limit. Method: arithmetic on a unit without a project.
#[test]
fn waits_and_backoff() {
    let mut unit = Followed {
        unit: Unit {
            models: Vec::new(),
            after: BTreeSet::new(),
        },
        inputs: BTreeSet::new(),
        lag: Duration::from_secs(60),
        asks_for_date: false,
        dirty_since: Some(Duration::from_secs(100)),
        running: false,
        failures_count: 0,
        not_before: Duration::ZERO,
        took: Duration::from_secs(10),
    };
    assert_eq!(unit.due(), Some(Duration::from_secs(120)));
    unit.took = Duration::from_secs(50);
    assert_eq!(unit.due(), Some(Duration::from_secs(100)));
    unit.running = true;
    assert_eq!(unit.due(), None);
    assert_eq!(backoff(1), BACKOFF_MIN);
    assert_eq!(backoff(40), BACKOFF_MAX);
    assert_eq!(json!(Mode::UpToDate), json!("up_to_date"));
}
