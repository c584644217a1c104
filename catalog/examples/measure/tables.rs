//! A catalog of many tables: what it takes to list, load, start and write a snapshot, and how that grows.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tidewater_core::{SharedClock, SystemClock};

use crate::Result;
use crate::process::{Served, free_port};
use crate::report::{Report, percentile};

/// Namespaces of each size, with this many tables in each.
const SIZES: [usize; 2] = [50, 500];
const TABLES_PER_NAMESPACE: usize = 20;

const WRITERS: usize = 8;
const LOOKS: usize = 1_000;

const DEADLINE: Duration = Duration::from_secs(60);

/// Goal for the state's memory.
const BYTES_PER_TABLE_MAX: f64 = 2_048.0;

struct Client {
    http: reqwest::Client,
    clock: SharedClock,
    uri: String,
}

impl Client {
    async fn post(&self, path: &str, body: serde_json::Value) -> Result<()> {
        let request = self.http.post(format!("{}{path}", self.uri)).json(&body);
        request.send().await?.error_for_status()?.bytes().await?;
        Ok(())
    }

    /// How long an answer takes, in milliseconds.
    async fn get(&self, path: &str) -> Result<f64> {
        let begun = self.clock.monotonic();
        let request = self.http.get(format!("{}{path}", self.uri));
        request.send().await?.error_for_status()?.bytes().await?;
        Ok(self.ms_since(begun))
    }

    fn ms_since(&self, begun: Duration) -> f64 {
        (self.clock.monotonic() - begun).as_secs_f64() * 1_000.0
    }

    /// Makes every `WRITERS`th namespace from `first` on, with its tables.
    async fn fill(&self, first: usize, namespaces: usize) -> Result<()> {
        let fields: Vec<_> = (1..=20)
            .map(|id| json!({"id": id, "name": format!("c{id}"), "type": "long", "required": false}))
            .collect();
        let schema = json!({"type": "struct", "schema-id": 0, "fields": fields});
        for namespace in (first..namespaces).step_by(WRITERS) {
            self.post("/v1/namespaces", json!({"namespace": [format!("n{namespace}")]}))
                .await?;
            for table in 0..TABLES_PER_NAMESPACE {
                let body = json!({"name": format!("t{table}"), "schema": schema});
                self.post(&format!("/v1/namespaces/n{namespace}/tables"), body).await?;
            }
        }
        Ok(())
    }
}

/// Spreads looks over all of them, without chance.
fn spread(look: usize, of: usize) -> usize {
    look.wrapping_mul(7_919) % of
}

async fn measure(report: &mut Report, namespaces: usize) -> Result<f64> {
    let (dir, clock) = (tempfile::TempDir::new()?, SystemClock::shared());
    let tables = namespaces * TABLES_PER_NAMESPACE;
    let name = |figure: &str| format!("{tables} tables: {figure}");
    let port = free_port()?;
    let mut served = Served::start(dir.path(), port, &[]).await?;
    let client = Client {
        http: reqwest::Client::builder().timeout(DEADLINE).build()?,
        clock,
        uri: served.uri.clone(),
    };
    client.get("/v1/namespaces").await?;
    let begun = client.clock.monotonic();
    for done in join_all((0..WRITERS).map(|first| client.fill(first, namespaces))).await {
        done?;
    }
    let rate = tables as f64 / (client.ms_since(begun) / 1_000.0);
    report.figure(&name("made"), rate, "tables/s");
    let begun = client.clock.monotonic();
    client.post("/internal/v1/cluster/snapshot", json!({})).await?;
    report.figure(&name("snapshot"), client.ms_since(begun), "ms");
    // From here on a process that has read the state and nothing else.
    served.kill().await?;
    drop(served);
    let begun = client.clock.monotonic();
    let served = Served::start(dir.path(), port, &[]).await?;
    client.get("/v1/config").await?;
    client.get("/v1/namespaces/n0").await?;
    report.figure(&name("start to first answer"), client.ms_since(begun), "ms");
    let memory = served.memory_bytes()?;
    report.figure(&name("memory after the start"), memory / 1e6, "MB");
    let mut times = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS / 10 {
        times.push(client.get("/v1/namespaces").await?);
    }
    report.figure(&name("list all namespaces, p50"), percentile(&mut times, 50), "ms");
    report.figure(&name("list all namespaces, p99"), percentile(&mut times, 99), "ms");
    times.clear();
    for look in 0..LOOKS {
        times.push(
            client
                .get(&format!("/v1/namespaces/n{}/tables", spread(look, namespaces)))
                .await?,
        );
    }
    report.figure(&name("list a namespace, p50"), percentile(&mut times, 50), "ms");
    report.figure(&name("list a namespace, p99"), percentile(&mut times, 99), "ms");
    times.clear();
    for look in 0..LOOKS {
        let table = spread(look, tables);
        let (namespace, table) = (table / TABLES_PER_NAMESPACE, table % TABLES_PER_NAMESPACE);
        let path = format!("/v1/namespaces/n{namespace}/tables/t{table}");
        times.push(client.get(&path).await?);
    }
    report.figure(&name("load a table, p50"), percentile(&mut times, 50), "ms");
    report.figure(&name("load a table, p99"), percentile(&mut times, 99), "ms");
    Ok(memory)
}

pub(crate) async fn run() -> Result<Report> {
    let mut report = Report::new("tables", "scripts/bench-tables")?;
    let mut found = Vec::new();
    for namespaces in SIZES {
        found.push((
            (namespaces * TABLES_PER_NAMESPACE) as f64,
            measure(&mut report, namespaces).await?,
        ));
    }
    if let [(few, small), (many, large)] = found[..] {
        let each = (large - small) / (many - few);
        report.at_most("memory a table, between the two", each, "bytes", BYTES_PER_TABLE_MAX);
    }
    report.note("each load is the first of its table since the start: its metadata file is read from the disk");
    Ok(report)
}
