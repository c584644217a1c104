//! From sending an INSERT to PostgreSQL until a query sees the row in bronze and in silver, through Debezium and Kafka.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{GOAL_P99_MS, tell};
use crate::block_on;
use crate::flight::Sql;
use crate::process::{Stack, Tidewater};
use crate::report::{Report, percentile};
use tidewater_core::{SharedClock, SystemClock, Tasks};

/// How long rows are inserted.
const WINDOW: Duration = Duration::from_secs(60);

/// Pause between two rows: far from any rate that Debezium would feel.
const INSERT_PAUSE: Duration = Duration::from_millis(50);

/// Longest time until the first row is in silver: table, topic and models are new.
const FIRST_ROW_DEADLINE: Duration = Duration::from_secs(120);

/// Longest time until the last row is in silver.
const LAST_ROW_DEADLINE: Duration = Duration::from_secs(30);

/// Pause between two rounds of queries.
const ROUND_PAUSE: Duration = Duration::from_millis(20);

const MODEL: &str = "/*---
kind: cdc
source: bronze.probe
key: [id]
target_lag: 1 second
---*/
SELECT after.id AS id, after.note AS note FROM bronze.probe
";

/// Rows in the order of their ids, which count from 1: when each was sent.
type Sent = Arc<Mutex<Vec<Duration>>>;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    block_on(async {
        let clock = SystemClock::shared();
        // One partition: rows become visible in the order of their ids, so the newest id tells of all.
        let stack = Stack::up(&["pg", "kafka", "connect"], &[("CDC_PARTITIONS", "1")])?;
        stack.kit(
            "psql",
            &[
                "-q",
                "-c",
                "create table public.probe (id bigint primary key, note text)",
            ],
        )?;
        let connector = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/peers/cdc/connectors/envelope-json-schemas.properties");
        let connector = connector.to_str().context("the clone's path is UTF-8")?;
        stack.kit(
            "connector",
            &[connector, "table.include.list=public.probe", "poll.interval.ms=50"],
        )?;
        let project = stack.path().join("project");
        std::fs::create_dir_all(project.join("models/silver"))?;
        std::fs::write(project.join("lakehouse.yml"), "name: probe\n")?;
        std::fs::write(project.join("models/silver/probe.sql"), MODEL)?;
        let config = format!(
            "[[ingest.sources]]\ntype = \"kafka\"\nbootstrap = \"{}\"\ntopics = [\"envs\\\\.public\\\\.probe\"]\n[pipelines]\nproject = {project:?}\n",
            stack.env("KAFKA_BOOTSTRAP")?,
        );
        let mut database = Psql::open(&stack.env("PG_URL")?)?;
        database.insert(1)?;
        let node = Tidewater::start(&stack.path().join("node"), &["up"], &config, &clock).await?;
        measure(report, &node, database, &clock)
            .await
            .with_context(|| node.log())
    })
}

async fn measure(report: &mut Report, node: &Tidewater, mut database: Psql, clock: &SharedClock) -> Result<()> {
    let mut sql = Sql::connect(&node.flight()).await?;
    wait_for_first_row(&mut sql, clock).await?;
    let sent: Sent = Arc::new(Mutex::new(vec![clock.monotonic()]));
    let tasks = Tasks::new("bench");
    let inserter = {
        let (clock, sent) = (Arc::clone(clock), Arc::clone(&sent));
        async move {
            let until = clock.monotonic() + WINDOW;
            let mut id = 1;
            while clock.monotonic() < until {
                id += 1;
                let at = clock.monotonic();
                // The reader misses the row and says so, should an insert fail.
                if database.insert(id).is_err() {
                    return;
                }
                sent.lock().unwrap_or_else(PoisonError::into_inner).push(at);
                clock.sleep(INSERT_PAUSE).await;
            }
        }
    };
    let inserting = tasks.spawn("inserter", inserter);
    let (mut bronze, mut silver, mut rounds_ms) = (Vec::new(), Vec::new(), Vec::new());
    let deadline = clock.monotonic() + WINDOW + LAST_ROW_DEADLINE;
    loop {
        let round = clock.monotonic();
        look(
            &mut sql,
            "SELECT max(after.id) FROM bronze.probe",
            &sent,
            clock,
            &mut bronze,
        )
        .await?;
        look(&mut sql, "SELECT max(id) FROM silver.probe", &sent, clock, &mut silver).await?;
        clock.sleep(ROUND_PAUSE).await;
        rounds_ms.push((clock.monotonic() - round).as_secs_f64() * 1e3);
        let rows = sent.lock().unwrap_or_else(PoisonError::into_inner).len();
        if inserting.is_finished() && silver.len() == rows {
            break;
        }
        if clock.monotonic() > deadline {
            bail!(
                "of {rows} rows {} are in bronze and {} in silver",
                bronze.len(),
                silver.len()
            );
        }
    }
    ensure!(bronze.len() > 100, "only {} rows were inserted", bronze.len());
    report.figure("round_of_queries.p50", percentile(&mut rounds_ms, 50), "ms");
    report.figure("round_of_queries.p99", percentile(&mut rounds_ms, 99), "ms");
    // The first row was there before.
    tell(report, "postgres_to_bronze", &mut bronze[1..], Some(GOAL_P99_MS));
    tell(report, "postgres_to_silver", &mut silver[1..], None);
    report.note(
        "one INSERT at a time, 20 a second at most; Debezium's poll.interval.ms 50; target_lag of the model 1 second",
    );
    report.note("an age begins when the INSERT is sent and ends when the answer that covers its row has arrived");
    Ok(())
}

async fn wait_for_first_row(sql: &mut Sql, clock: &SharedClock) -> Result<()> {
    let deadline = clock.monotonic() + FIRST_ROW_DEADLINE;
    loop {
        // Until then there is no such table, which is an error.
        let newest = sql.number("SELECT max(id) FROM silver.probe").await;
        match newest {
            Ok(Some(_)) => return Ok(()),
            outcome if clock.monotonic() > deadline => bail!("the first row is not in silver: {outcome:?}"),
            _ => clock.sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Asks for the newest id, and gives all rows up to it, as far as they have none, their age.
async fn look(sql: &mut Sql, query: &str, sent: &Sent, clock: &SharedClock, ages: &mut Vec<f64>) -> Result<()> {
    let newest = usize::try_from(sql.number(query).await?.unwrap_or(0))?;
    let now = clock.monotonic();
    let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
    // An insert may be seen before its own answer was; it is counted in the next round.
    for at in sent.iter().take(newest).skip(ages.len()) {
        ages.push((now - *at).as_secs_f64() * 1e3);
    }
    Ok(())
}

/// One session of psql, so that an insert costs no process.
#[derive(Debug)]
struct Psql {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Psql {
    fn open(url: &str) -> Result<Self> {
        let mut child = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start psql")?;
        let input = child.stdin.take().context("psql takes statements")?;
        let output = BufReader::new(child.stdout.take().context("psql gives answers")?);
        Ok(Self { child, input, output })
    }

    /// Inserts a row and waits for the commit's answer.
    fn insert(&mut self, id: u64) -> Result<()> {
        writeln!(self.input, "insert into probe values ({id}, 'a note') returning id;")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.trim() == id.to_string(), "psql answered {line:?} to insert {id}");
        Ok(())
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
