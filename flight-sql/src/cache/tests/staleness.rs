//! Answers are never old.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use tidewater_core::{Coded, Rng, SeededRng};
use tidewater_engine::pg_catalog::Postgres;
use tidewater_engine::{OneMoment, SessionOptions};
use tidewater_security::Principal;
use tokio::task::JoinSet;

use crate::cache::{CacheOptions, ResultCache};
use crate::error::QueryError;
use crate::handle::Statement;
use crate::service::tests::Lake;
use crate::service::{Opened, QueryService};

/// Steps of one history.
const STEPS: u64 = 100;

/// Longest time of a statement on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// What is asked, whatever there is at the moment: some of it fails at times.
const QUERIES: &[&str] = &[
    "SELECT count(*), sum(id) FROM gold.t",
    "SELECT * FROM gold.t ORDER BY id",
    "SELECT id % 3 AS part, count(*) AS n FROM gold.t GROUP BY 1 ORDER BY 1",
    "SELECT count(*), max(id) FROM gold.v",
    "SELECT * FROM gold.v ORDER BY id LIMIT 5",
    "SELECT count(*) FROM gold.t JOIN gold.numbers ON t.id = numbers.id",
    "SELECT n.name FROM gold.numbers n WHERE n.id = (SELECT max(id) % 10 FROM gold.t)",
    "SELECT count(*) FROM gold.t FOR VERSION AS OF 'main'",
];

/// What came of a history.
#[derive(Debug, Default)]
struct Told {
    hits: usize,
    asked: usize,
    failed: usize,
    changed: usize,
    /// The first answer that was not what running the statement gave.
    wrong: Option<String>,
}

struct History {
    cached: QueryService,
    fresh: QueryService,
    user: Principal,
    rng: SeededRng,
    /// When the transaction of one client sees all tables.
    one_moment: Arc<OneMoment>,
    made: u64,
    told: Told,
}

fn shown(rows: Result<Vec<RecordBatch>, QueryError>) -> String {
    match rows {
        Ok(rows) => pretty_format_batches(&rows).expect("printable").to_string(),
        Err(error) => error.code().to_owned(),
    }
}

impl History {
    fn draw(&self, below: u64) -> u64 {
        self.rng.next_u64() % below
    }

    async fn change(&mut self) {
        self.made += 1;
        let (n, made) = (self.draw(50), self.made);
        let sql = match self.draw(12) {
            0..=2 => format!(
                "INSERT INTO gold.t (id) SELECT value FROM generate_series({n}, {})",
                n + 3
            ),
            3 => format!("DELETE FROM gold.t WHERE id % 5 = {}", n % 5),
            4 => format!("UPDATE gold.t SET id = id + 1 WHERE id > {n}"),
            5 => format!("ALTER TABLE gold.t ADD COLUMN c{made} int"),
            6 => "ALTER TABLE gold.t RENAME COLUMN id TO other, RENAME COLUMN other TO id".to_owned(),
            7 => format!("CREATE OR REPLACE TABLE gold.t AS SELECT CAST({n} AS BIGINT) AS id"),
            8 => "DROP TABLE gold.t".to_owned(),
            9 => format!(
                "CREATE OR REPLACE VIEW gold.v AS SELECT id FROM gold.t WHERE id > {}",
                n % 7
            ),
            10 => format!("CREATE OR REPLACE VIEW gold.v AS SELECT id + {n} AS id FROM gold.numbers"),
            _ => "TRUNCATE TABLE gold.t".to_owned(),
        };
        let done = self.fresh.change(&self.user, &Statement::new(sql.clone())).await;
        self.told.changed += usize::from(done.is_ok());
        if sql.starts_with("DROP") {
            let sql = format!("CREATE TABLE gold.t AS SELECT CAST({n} AS BIGINT) AS id");
            let made = self.fresh.change(&self.user, &Statement::new(sql)).await;
            made.expect("the name is free");
        }
    }

    async fn run(
        &self,
        service: &QueryService,
        sql: &str,
        postgres: Option<SessionOptions>,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let Some(client) = postgres else {
            let results = service.run(&self.user, &Statement::new(sql)).await?;
            return results.batches.try_collect().await;
        };
        let id = service.fresh_id();
        match service.open(&self.user, id, sql, Vec::new(), &client, DEADLINE).await? {
            Opened::Rows(results, _) => results.batches.try_collect().await,
            Opened::Changed(changed) => panic!("{sql} changed {changed:?}"),
        }
    }

    /// As a session that has begun a transaction some time ago.
    fn in_transaction(&mut self, mut client: SessionOptions) -> SessionOptions {
        if self.draw(6) == 0 {
            self.one_moment = Arc::default();
        }
        client.one_moment = Some(Arc::clone(&self.one_moment));
        client
    }

    async fn ask(&mut self) {
        let sql = QUERIES[usize::try_from(self.draw(QUERIES.len() as u64)).expect("few")];
        let client = SessionOptions {
            postgres: Some(Arc::new(Postgres::default())),
            ..SessionOptions::default()
        };
        let client = match self.draw(3) {
            0 => None,
            1 => Some(client),
            _ => Some(self.in_transaction(client)),
        };
        let answer = self.run(&self.cached, sql, client.clone()).await;
        let right = self.run(&self.fresh, sql, client).await;
        self.told.asked += 1;
        self.told.failed += usize::from(right.is_err());
        let (answer, right) = (shown(answer), shown(right));
        if answer != right && self.told.wrong.is_none() {
            self.told.wrong = Some(format!("{sql}\nanswered\n{answer}\nis\n{right}"));
        }
    }
}

async fn history(seed: u64, cache: ResultCache) -> Told {
    let lake = Lake::new().await;
    let runner = Arc::new(lake.engine().local_runner());
    let mut history = History {
        cached: lake.over_same(runner.clone(), cache),
        fresh: lake
            .over_same(runner, ResultCache::new(CacheOptions::default()))
            .cached(false),
        user: Principal::local(),
        rng: SeededRng::new(seed),
        one_moment: Arc::default(),
        made: 0,
        told: Told::default(),
    };
    for sql in [
        "CREATE TABLE gold.t AS SELECT CAST(value AS BIGINT) AS id FROM generate_series(1, 20)",
        "CREATE VIEW gold.v AS SELECT id FROM gold.t",
    ] {
        let made = history.fresh.change(&history.user, &Statement::new(sql)).await;
        made.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    }
    for _ in 0..STEPS {
        match history.draw(4) {
            0 => history.change().await,
            _ => history.ask().await,
        }
    }
    let records = history.cached.history().all();
    let hits = records.iter().filter(|record| record.cache.as_deref() == Some("HIT"));
    history.told.hits = hits.count();
    history.told
}

/// Histories of one run, and by what more of them are asked for: as many as a build machine has time for, or thousands over a night.
const SEEDS: u64 = 12;
const SEEDS_WANTED: &str = "TIDEWATER_STALENESS_SEEDS";
const FIRST_SEED: &str = "TIDEWATER_STALENESS_FIRST";

/// Histories at once.
const AT_ONCE: usize = 4;

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is no number"))
    })
}

/// Histories of these seeds, some at a time, with a cache each.
async fn histories(seeds: std::ops::Range<u64>, cache: fn(CacheOptions) -> ResultCache) -> Vec<(u64, Told)> {
    let (mut at_work, mut told) = (JoinSet::new(), Vec::new());
    for seed in seeds {
        if at_work.len() >= AT_ONCE {
            told.extend(at_work.join_next().await.map(|ended| ended.expect("a history")));
        }
        at_work.spawn(async move { (seed, history(seed, cache(CacheOptions::default())).await) });
    }
    told.extend(at_work.join_all().await);
    told
}

// Goal: whatever was committed, every answer is what running the statement would give at that moment, and many come from the cache.
// Method: random commits of every kind (rows, columns, tables replaced and made again, views) between random queries of clients of
// each front, one of them in a transaction; the oracle runs every statement. `TIDEWATER_STALENESS_SEEDS` makes it more histories, from
// `TIDEWATER_STALENESS_FIRST` on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_are_never_old() {
    let (first, seeds) = (setting(FIRST_SEED, 1), setting(SEEDS_WANTED, SEEDS));
    let (mut hits, mut changed) = (0, 0);
    for (seed, told) in histories(first..first + seeds, ResultCache::new).await {
        assert_eq!(told.wrong, None, "seed {seed}");
        assert!(told.failed < told.asked / 2, "seed {seed} tells nothing: {told:?}");
        hits += told.hits;
        changed += told.changed;
    }
    let each = usize::try_from(seeds).expect("so many");
    assert!(
        hits > 8 * each && changed > 8 * each,
        "{hits} hits and {changed} changes of {seeds} histories"
    );
}

// Goal: the test above tells a cache that is wrong. Method: some of its histories with a cache whose keys leave snapshots out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cache_without_snapshots_is_caught() {
    let planted = histories(1..4, ResultCache::forgetting_snapshots).await;
    for (seed, told) in planted {
        assert!(told.wrong.is_some(), "seed {seed}: old answers are not told: {told:?}");
    }
}

/// Rows that are added while others count them.
const ADDED: i64 = 40;

/// The same on a machine so busy that few answers are shared.
const ADDED_MAX: i64 = 400;

// Goal: an answer is never older than what was committed before it was asked for, also of a statement that runs for several, and never
// of what is not committed. Method: one client adds rows one by one, four count them without a pause; each count lies between what was
// acknowledged before it and what had begun after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_keep_up_with_commits() {
    let lake = Arc::new(Lake::new().await);
    let user = Principal::local();
    let made = Statement::new("CREATE TABLE gold.t (id bigint)");
    lake.service.change(&user, &made).await.expect("a table");
    let (begun, done) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let (lake, user) = (Arc::clone(&lake), user.clone());
        let (begun, done, over) = (Arc::clone(&begun), Arc::clone(&done), Arc::clone(&over));
        clients.spawn(async move {
            while !over.load(Ordering::SeqCst) {
                let least = done.load(Ordering::SeqCst);
                let statement = Statement::new("SELECT count(*) FROM gold.t");
                let rows = lake.service.run(&user, &statement).await.expect("rows").batches;
                let rows: Vec<RecordBatch> = rows.try_collect().await.expect("rows");
                let count = rows[0].column(0).as_primitive::<Int64Type>().value(0);
                let most = begun.load(Ordering::SeqCst);
                assert!((least..=most).contains(&count), "{count} is not in {least}..={most}");
            }
        });
    }
    let is_shared = || {
        let records = lake.service.history().all();
        let told = |word: &str| {
            let found = records.iter().filter(|record| record.cache.as_deref() == Some(word));
            found.count()
        };
        told("MISS") > 10 && told("HIT") + told("COALESCED") > 10
    };
    for id in 0..ADDED_MAX {
        if id >= ADDED && is_shared() {
            break;
        }
        begun.fetch_add(1, Ordering::SeqCst);
        let statement = Statement::new(format!("INSERT INTO gold.t VALUES ({id})"));
        lake.service.change(&user, &statement).await.expect("a row");
        done.fetch_add(1, Ordering::SeqCst);
    }
    over.store(true, Ordering::SeqCst);
    while let Some(client) = clients.join_next().await {
        client.expect("every count was right");
    }
    assert!(is_shared(), "nothing was shared");
}
