//! Answers are as old as their tables bear, and no older.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use tidewater_core::{ManualClock, Rng, SeededRng, SharedRng, SystemClock};
use tidewater_engine::SessionOptions;
use tidewater_security::authenticator::hash_password;
use tidewater_security::{Authenticator, Principal, Role, TokenKey, UserSettings};

use crate::cache::{CacheOptions, CacheUse, PolicyFingerprint, Question, ResultCache};
use crate::handle::Statement;
use crate::service::tests::Lake;
use crate::service::{QueryOptions, QueryService};

const SECOND: Duration = Duration::from_secs(1);

/// A service, and the hand that moves its clock.
struct Kit {
    lake: Lake,
    clock: Arc<ManualClock>,
    user: Principal,
}

impl Kit {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(1_767_323_045_000));
        Self {
            lake: Lake::with(QueryOptions::default(), clock.clone()).await,
            clock,
            user: Principal::local(),
        }
    }

    async fn change(&self, sql: &str) {
        let done = self.lake.service.change(&self.user, &Statement::new(sql)).await;
        done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    }

    /// The rows, and what became of the statement in the cache.
    async fn ask(&self, service: &QueryService, sql: &str) -> (String, CacheUse) {
        let asked = service.run_and_tell(&self.user, &Statement::new(sql)).await;
        let (results, how) = asked.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        let rows: Vec<RecordBatch> = results.batches.try_collect().await.expect("rows");
        (pretty_format_batches(&rows).expect("printable").to_string(), how)
    }
}

fn choose(bound: Option<u64>) -> String {
    match bound {
        Some(seconds) => {
            format!("ALTER TABLE gold.t SET TBLPROPERTIES ('tidewater.cache.max-staleness' = '{seconds}s')")
        }
        None => "ALTER TABLE gold.t UNSET TBLPROPERTIES ('tidewater.cache.max-staleness')".to_owned(),
    }
}

// Goal: rows are given as long as the table bears it and no longer, whoever asks is told how old they are and the history of which
// snapshot, and what is asked of an exact version or in a transaction is exact. Method: one commit, the clock moved to the bound and over it,
// and the choice changed between two askings.
#[tokio::test]
async fn a_table_chooses_how_old_answers_may_be() {
    let kit = Kit::new().await;
    kit.change("CREATE TABLE gold.t (id bigint) TBLPROPERTIES ('tidewater.cache.max-staleness' = '10s')")
        .await;
    kit.change("INSERT INTO gold.t VALUES (1)").await;
    let (count, service) = ("SELECT count(*) AS n FROM gold.t", &kit.lake.service);
    let (one, how) = kit.ask(service, count).await;
    assert_eq!(how, CacheUse::Miss);
    let read = service.history().all()[0].snapshots.clone();
    kit.clock.advance(SECOND * 4);
    assert_eq!(kit.ask(service, count).await, (one.clone(), CacheUse::Hit));
    kit.change("INSERT INTO gold.t VALUES (2)").await;
    // It was seen as the newest four seconds after it was made: from then on it is older.
    kit.clock.advance(SECOND * 10);
    let age = SECOND * 10;
    assert_eq!(kit.ask(service, count).await, (one.clone(), CacheUse::Older { age }));
    let told = &service.history().all()[0];
    assert_eq!(told.cache.as_deref(), Some("HIT (at most 10000 ms old)"));
    assert_eq!(told.snapshots, read, "what was read and not what is there now");
    let explained = kit.ask(service, &format!("EXPLAIN {count}")).await.0;
    assert!(explained.contains("at most 10000 ms old"), "{explained}");
    let (two, how) = kit
        .ask(service, "SELECT count(*) AS n FROM gold.t FOR VERSION AS OF 'main'")
        .await;
    assert!(two != one && how == CacheUse::Miss, "a version is meant exactly");
    kit.clock.advance(Duration::from_millis(1));
    assert_eq!(kit.ask(service, count).await, (two.clone(), CacheUse::Miss));

    kit.change("INSERT INTO gold.t VALUES (3)").await;
    assert_eq!(kit.ask(service, count).await.0, two);
    kit.change(&choose(None)).await;
    let (three, how) = kit.ask(service, count).await;
    assert!(
        three != two && how == CacheUse::Miss,
        "the choice is taken back at once"
    );
    kit.change("INSERT INTO gold.t VALUES (4)").await;
    kit.change(&choose(Some(3_600))).await;
    kit.clock.advance(SECOND * 3_600);
    assert!(matches!(kit.ask(service, count).await.1, CacheUse::Older { .. }));
    kit.change(&choose(Some(3_599))).await;
    assert_eq!(kit.ask(service, count).await.1, CacheUse::Miss);
    for wrong in ["2h", "soon"] {
        let sql = format!("ALTER TABLE gold.t SET TBLPROPERTIES ('tidewater.cache.max-staleness' = '{wrong}')");
        let refused = service.change(&kit.user, &Statement::new(sql)).await;
        assert!(refused.is_err(), "{wrong}");
    }
}

// Goal: older rows are those of the table that is named, and of no other one of its uuid: a lake of an earlier version may have two names of one
// table, which go apart. Method: a table of which older rows are given moves on under another name, and is asked for under an alias by both.
#[tokio::test]
async fn older_rows_are_of_the_table_that_is_named() {
    let kit = Kit::new().await;
    kit.change("CREATE TABLE gold.t (id bigint) TBLPROPERTIES ('tidewater.cache.max-staleness' = '10s')")
        .await;
    kit.change("INSERT INTO gold.t VALUES (1)").await;
    let (count, service) = ("SELECT count(*) AS n FROM gold.t AS x", &kit.lake.service);
    let (one, how) = kit.ask(service, count).await;
    assert_eq!(how, CacheUse::Miss);
    kit.change("INSERT INTO gold.t VALUES (2)").await;
    let (older, how) = kit.ask(service, count).await;
    assert!(older == one && matches!(how, CacheUse::Older { .. }), "{how:?}");
    kit.change("ALTER TABLE gold.t RENAME TO u").await;
    let (two, how) = kit.ask(service, "SELECT count(*) AS n FROM gold.u AS x").await;
    assert!(two != one && how == CacheUse::Miss, "{how:?}");
}

// Goal: rows are never given to whoever may see something else. Method: the keys of one statement, of a reader, another reader and a writer.
#[tokio::test]
async fn older_rows_stay_within_their_policy() {
    let kit = Kit::new().await;
    kit.change("CREATE TABLE gold.t (id bigint) TBLPROPERTIES ('tidewater.cache.max-staleness' = '10s')")
        .await;
    let rng: SharedRng = Arc::new(SeededRng::new(1));
    let users = [("ana", Role::Reader), ("eva", Role::Reader), ("ben", Role::Writer)];
    let users = users.map(|(name, role)| UserSettings {
        name: name.to_owned(),
        password_hash: hash_password("x", &rng).expect("a hash"),
        scram: None,
        role,
    });
    let authenticator = Authenticator::new(Vec::from(users), TokenKey::derive(b"test"), SystemClock::shared());
    let authenticator = authenticator.expect("good users");
    let mut keys = Vec::new();
    for name in ["ana", "eva", "ben"] {
        let policy = PolicyFingerprint::of(&Principal::named(name), &authenticator, None, None);
        let options = SessionOptions::default();
        let asked = kit
            .lake
            .question("SELECT * FROM gold.t", Bytes::new(), &options, &policy);
        let Question { bears, .. } = asked.await.expect("it may be kept");
        keys.push(bears.expect("it bears older rows").key);
    }
    assert!(keys[0] == keys[1] && keys[0] != keys[2]);
}

/// Histories in which tables choose early.
const SEEDS: [u64; 3] = [3, 4, 8];

/// Steps of one history.
const STEPS: u64 = 240;

/// What has versions: the rows of two tables, a view, and the columns of the first table.
const PARTS: usize = 4;
const ROWS: usize = 0;
const OTHER: usize = 1;
const VIEW: usize = 2;
const COLUMNS: usize = 3;

/// What is asked, what it follows from, and whether it is about a version.
const QUERIES: &[(&str, &[usize], bool)] = &[
    ("SELECT count(*), sum(id) FROM gold.t", &[ROWS, COLUMNS], false),
    ("SELECT * FROM gold.t ORDER BY id", &[ROWS, COLUMNS], false),
    (
        "SELECT * FROM gold.v ORDER BY id LIMIT 5",
        &[ROWS, COLUMNS, VIEW],
        false,
    ),
    (
        "SELECT count(*) FROM gold.t JOIN gold.numbers ON t.id = numbers.id",
        &[ROWS, COLUMNS],
        false,
    ),
    (
        "SELECT count(*), sum(t.id) FROM gold.t JOIN gold.u ON t.id = u.id",
        &[ROWS, COLUMNS, OTHER],
        false,
    ),
    (
        "SELECT count(*) FROM gold.t FOR VERSION AS OF 'main'",
        &[ROWS, COLUMNS],
        true,
    ),
];

/// What all queries are answered with while each part had one version.
struct World {
    versions: [usize; PARTS],
    answers: Vec<String>,
}

struct History {
    kit: Kit,
    cached: QueryService,
    fresh: QueryService,
    rng: SeededRng,
    /// When each version of each part was followed by the next one.
    ends: [Vec<Duration>; PARTS],
    bounds: [Duration; PARTS],
    worlds: Vec<World>,
    made: u64,
    wrong: Option<String>,
}

impl History {
    fn draw(&self, below: u64) -> u64 {
        self.rng.next_u64() % below
    }

    async fn note(&mut self) {
        let mut answers = Vec::new();
        for (sql, ..) in QUERIES {
            answers.push(self.kit.ask(&self.fresh, sql).await.0);
        }
        let versions = [ROWS, OTHER, VIEW, COLUMNS].map(|part| self.ends[part].len());
        self.worlds.push(World { versions, answers });
    }

    async fn change(&mut self) {
        self.made += 1;
        let (n, made) = (self.draw(40), self.made);
        let last = n + 3;
        let (part, sql) = match self.draw(10) {
            0..=2 => (
                ROWS,
                format!("INSERT INTO gold.t (id) SELECT value FROM generate_series({n}, {last})"),
            ),
            3 => (ROWS, format!("DELETE FROM gold.t WHERE id % 5 = {}", n % 5)),
            4 => (ROWS, format!("UPDATE gold.t SET id = id + 1 WHERE id > {n}")),
            5..=6 => (
                OTHER,
                format!("INSERT INTO gold.u SELECT value FROM generate_series({n}, {last})"),
            ),
            7 => (
                VIEW,
                format!(
                    "CREATE OR REPLACE VIEW gold.v AS SELECT id FROM gold.t WHERE id > {}",
                    n % 7
                ),
            ),
            8 => (COLUMNS, format!("ALTER TABLE gold.t ADD COLUMN c{made} int")),
            _ => {
                let chosen = [None, Some(10), Some(60)][usize::try_from(n % 3).expect("few")];
                self.bounds[ROWS] = Duration::from_secs(chosen.unwrap_or_default());
                self.kit.change(&choose(chosen)).await;
                return;
            }
        };
        self.kit.change(&sql).await;
        let now = self.fresh.clock().monotonic();
        self.ends[part].push(now);
        self.note().await;
    }

    /// Whether an answer of then may be given now.
    fn borne(&self, then: &World, parts: &[usize], exact: bool) -> bool {
        let now = self.fresh.clock().monotonic();
        parts
            .iter()
            .all(|part| match self.ends[*part].get(then.versions[*part]) {
                None => true,
                Some(end) => !exact && now - *end <= self.bounds[*part] && !self.bounds[*part].is_zero(),
            })
    }

    async fn ask(&mut self) {
        let at = usize::try_from(self.draw(QUERIES.len() as u64)).expect("few");
        let (sql, parts, exact) = QUERIES[at];
        let (answer, how) = self.kit.ask(&self.cached, sql).await;
        let mut borne = self.worlds.iter().filter(|world| self.borne(world, parts, exact));
        if !borne.any(|world| world.answers[at] == answer) && self.wrong.is_none() {
            let now = &self.worlds.last().expect("a world").answers[at];
            self.wrong = Some(format!("{sql}\nanswered {how}\n{answer}\nis\n{now}"));
        }
    }
}

/// How many answers were older, and the first that was older than it may be.
async fn history(seed: u64, cache: ResultCache) -> (usize, Option<String>) {
    let kit = Kit::new().await;
    kit.change("CREATE TABLE gold.t AS SELECT CAST(value AS BIGINT) AS id FROM generate_series(1, 20)")
        .await;
    kit.change(
        "CREATE TABLE gold.u TBLPROPERTIES ('tidewater.cache.max-staleness' = '30s') \
         AS SELECT CAST(value AS BIGINT) AS id FROM generate_series(1, 20)",
    )
    .await;
    kit.change("CREATE VIEW gold.v AS SELECT id FROM gold.t").await;
    let runner = Arc::new(kit.lake.engine().local_runner());
    let cached = kit.lake.over_same(runner.clone(), cache);
    let fresh = kit.lake.over_same(runner, ResultCache::new(CacheOptions::default()));
    let mut bounds = [Duration::ZERO; PARTS];
    bounds[OTHER] = SECOND * 30;
    let mut history = History {
        kit,
        cached,
        fresh: fresh.cached(false),
        rng: SeededRng::new(seed),
        ends: Default::default(),
        bounds,
        worlds: Vec::new(),
        made: 0,
        wrong: None,
    };
    history.note().await;
    for _ in 0..STEPS {
        match history.draw(8) {
            0..=1 => history.change().await,
            2 => history
                .kit
                .clock
                .advance(SECOND * u32::try_from(history.draw(30)).expect("few")),
            _ => history.ask().await,
        }
    }
    let records = history.cached.history().all();
    let older = records.iter().filter_map(|record| record.cache.as_deref());
    (older.filter(|told| told.starts_with("HIT (")).count(), history.wrong)
}

// Goal: whatever was committed and chosen, every answer is one of a moment that the tables bear, of their columns and views as they are now,
// and many are older. Method: random commits of every kind to two tables that choose apart, with a clock that is moved; the oracle knows when
// each state ended. The same with a cache that leaves snapshots out, and one to which nothing grows older: both must be caught.
#[tokio::test]
async fn answers_are_never_older_than_borne() {
    for seed in SEEDS {
        let (older, wrong) = history(seed, ResultCache::new(CacheOptions::default())).await;
        assert_eq!(wrong, None, "seed {seed}");
        assert!(older > 5, "seed {seed}: only {older} were older");
    }
    let planted: [fn() -> ResultCache; 2] = [
        || ResultCache::forgetting_snapshots(CacheOptions::default()),
        || ResultCache::forgetting_time(CacheOptions::default()),
    ];
    for (at, planted) in planted.into_iter().enumerate() {
        let mut told = false;
        for seed in SEEDS {
            told = history(seed, planted()).await.1.is_some();
            if told {
                break;
            }
        }
        assert!(told, "bug {at} is not told");
    }
}
