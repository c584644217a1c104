//! How long writes stop when the leader of three nodes is killed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tidewater_core::{SharedClock, SystemClock, Tasks};

use crate::Result;
use crate::process::Group;
use crate::report::{Report, percentile};

const WRITERS: usize = 8;

/// Writes between two kills, at least.
const WRITES_BETWEEN: usize = 100;

/// A client gives up on a node and asks the next one.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two tries of a client.
const PAUSE: Duration = Duration::from_millis(10);

const DEADLINE: Duration = Duration::from_secs(60);

/// A namespace that was acknowledged, and when it was asked for and answered.
type Write = (String, Duration, Duration);

struct Load {
    http: reqwest::Client,
    clock: SharedClock,
    uris: Vec<String>,
    written: Mutex<Vec<Write>>,
    over: AtomicBool,
}

impl Load {
    /// One writer: each namespace again and again, at one node after the other, until it is made.
    async fn write(&self, writer: usize) {
        let mut node = writer;
        for number in 0.. {
            let name = format!("w{writer}n{number}");
            let begun = self.clock.monotonic();
            loop {
                if self.over.load(Relaxed) {
                    return;
                }
                let uri = &self.uris[node % self.uris.len()];
                let request = self.http.post(format!("{uri}/v1/namespaces"));
                let answer = request.json(&json!({"namespace": [name]})).send().await;
                // 409: an earlier try whose answer was lost.
                if answer.is_ok_and(|answer| matches!(answer.status().as_u16(), 200 | 409)) {
                    break;
                }
                node += 1;
                self.clock.sleep(PAUSE).await;
            }
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.push((name, begun, self.clock.monotonic()));
        }
    }

    fn written<T>(&self, look: impl FnOnce(&[Write]) -> T) -> T {
        look(&self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn get(&self, url: String) -> Result<Value> {
        Ok(self.http.get(url).send().await?.error_for_status()?.json().await?)
    }

    async fn leader(&self) -> Option<usize> {
        for uri in &self.uris {
            if let Ok(status) = self.get(format!("{uri}/internal/v1/cluster")).await
                && let Some(leader) = status["leader"].as_u64()
            {
                return usize::try_from(leader).ok()?.checked_sub(1);
            }
        }
        None
    }
}

async fn wait<T>(clock: &SharedClock, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let begun = clock.monotonic();
    while clock.monotonic() - begun < DEADLINE {
        if let Some(found) = look().await {
            return Ok(found);
        }
        clock.sleep(PAUSE).await;
    }
    Err(format!("{what} did not come within {DEADLINE:?}").into())
}

pub(crate) async fn run(kills: usize) -> Result<Report> {
    let mut report = Report::new("failover", "scripts/chaos failover")?;
    let (dir, clock, tasks) = (tempfile::TempDir::new()?, SystemClock::shared(), Tasks::new("load"));
    let group = Group::new(dir.path(), 3)?;
    let mut nodes = group.start_all().await?;
    let load = Arc::new(Load {
        http: reqwest::Client::builder().timeout(PATIENCE).build()?,
        clock: Arc::clone(&clock),
        uris: nodes.iter().map(|node| node.uri.clone()).collect(),
        written: Mutex::default(),
        over: AtomicBool::new(false),
    });
    for writer in 0..WRITERS {
        let load = Arc::clone(&load);
        tasks.spawn("writer", async move { load.write(writer).await });
    }
    let mut outages = Vec::with_capacity(kills);
    for _ in 0..kills {
        let before = load.written(<[Write]>::len);
        let enough = async || load.written(|all| (all.len() > before + WRITES_BETWEEN).then_some(()));
        wait(&clock, "writes before a kill", enough).await?;
        let victim = wait(&clock, "a leader", async || load.leader().await).await?;
        nodes[victim].kill().await?;
        let killed = clock.monotonic();
        let first = async || {
            load.written(|all| {
                let after = all.iter().rev().take_while(|(.., ended)| *ended > killed);
                after
                    .filter(|(_, begun, _)| *begun >= killed)
                    .map(|(.., ended)| *ended)
                    .min()
            })
        };
        let resumed = wait(&clock, "a write after a kill", first).await?;
        outages.push((resumed - killed).as_secs_f64() * 1_000.0);
        nodes[victim] = group.start(victim).await?;
        let back = async || {
            let status = load.get(format!("{}/internal/v1/cluster", nodes[victim].uri)).await;
            status.ok()?["leader"].as_u64()
        };
        wait(&clock, "the killed node", back).await?;
    }
    load.over.store(true, Relaxed);
    tasks.shutdown(DEADLINE).await;
    let expected: BTreeSet<String> = load.written(|all| all.iter().map(|(name, ..)| name.clone()).collect());
    let lists = join_all(load.uris.iter().map(|uri| load.get(format!("{uri}/v1/namespaces")))).await;
    for list in lists {
        let list = list?;
        let found: BTreeSet<&str> = list["namespaces"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|levels| levels[0].as_str())
            .collect();
        let lost = expected.iter().filter(|name| !found.contains(name.as_str())).count();
        if lost > 0 {
            return Err(format!("{lost} of {} acknowledged namespaces are lost", expected.len()).into());
        }
    }
    report.note(format!(
        "{kills} leaders killed under {WRITERS} writers, {} writes acknowledged, none lost",
        expected.len()
    ));
    report.at_most("outage.p50", percentile(&mut outages, 50), "ms", 1_000.0);
    report.figure("outage.p90", percentile(&mut outages, 90), "ms");
    report.at_most("outage.max", percentile(&mut outages, 100), "ms", 3_000.0);
    report.figure("outage.min", percentile(&mut outages, 0), "ms");
    Ok(report)
}
