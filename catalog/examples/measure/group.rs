//! Commits a second of three nodes against those of one, under the same writers on the same machine.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tidewater_core::{SharedClock, SystemClock};

use crate::Result;
use crate::process::Group;
use crate::report::Report;

/// Writers, each with a table of its own.
const WRITERS: usize = 8;

/// Commits of a writer in a round.
const COMMITS: usize = 250;

/// Rounds, in which one node and three take turns.
const ROUNDS: usize = 4;

const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at a group that has no leader yet.
const PAUSE: Duration = Duration::from_millis(20);

/// Goal: three nodes for one.
const RATIO_MIN: f64 = 0.5;

struct Client {
    http: reqwest::Client,
    clock: SharedClock,
    uri: String,
}

impl Client {
    async fn post(&self, path: &str, body: &Value) -> Result<()> {
        let request = self.http.post(format!("{}{path}", self.uri)).json(body);
        request.send().await?.error_for_status()?.bytes().await?;
        Ok(())
    }

    async fn commits(&self, writer: usize) -> Result<()> {
        let path = format!("/v1/namespaces/a/tables/t{writer}");
        for number in 0..COMMITS {
            let update = json!({"action": "set-properties", "updates": {"k": number.to_string()}});
            self.post(&path, &json!({"requirements": [], "updates": [update]}))
                .await?;
        }
        Ok(())
    }

    /// The node that leads, by its place.
    async fn leader(&self) -> Result<usize> {
        let begun = self.clock.monotonic();
        while self.clock.monotonic() - begun < DEADLINE {
            let asked = self.http.get(format!("{}/internal/v1/cluster", self.uri)).send().await;
            if let Ok(answer) = asked
                && let Some(leader) = answer.json::<Value>().await?["leader"].as_u64()
            {
                return Ok(usize::try_from(leader)?.saturating_sub(1));
            }
            self.clock.sleep(PAUSE).await;
        }
        Err("the group has no leader".into())
    }
}

/// Seconds that all commits of a round took at the leader of a new group.
async fn round(nodes: u64) -> Result<f64> {
    let (dir, clock) = (tempfile::TempDir::new()?, SystemClock::shared());
    let served = Group::new(dir.path(), nodes)?.start_all().await?;
    let mut client = Client {
        http: reqwest::Client::builder().timeout(DEADLINE).build()?,
        clock,
        uri: served[0].uri.clone(),
    };
    client.uri = served[client.leader().await?].uri.clone();
    client.post("/v1/namespaces", &json!({"namespace": ["a"]})).await?;
    let field = json!({"id": 1, "name": "id", "type": "long", "required": false});
    let schema = json!({"type": "struct", "schema-id": 0, "fields": [field]});
    for writer in 0..WRITERS {
        let table = json!({"name": format!("t{writer}"), "schema": schema});
        client.post("/v1/namespaces/a/tables", &table).await?;
    }
    let begun = client.clock.monotonic();
    for done in join_all((0..WRITERS).map(|writer| client.commits(writer))).await {
        done?;
    }
    Ok((client.clock.monotonic() - begun).as_secs_f64())
}

pub(crate) async fn run() -> Result<Report> {
    let mut report = Report::new("catalog_group", "scripts/bench-tables group")?;
    let (mut one, mut three) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        one += round(1).await?;
        three += round(3).await?;
    }
    let commits = (ROUNDS * WRITERS * COMMITS) as f64;
    report.figure("one node", commits / one, "commits/s");
    report.figure("three nodes", commits / three, "commits/s");
    report.at_least("three nodes for one", one / three, "x", RATIO_MIN);
    report.note(format!(
        "{WRITERS} writers, each on a table of its own, at the leader; the three nodes share the disk and the cores of one machine"
    ));
    Ok(report)
}
