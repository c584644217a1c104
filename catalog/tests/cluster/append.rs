//! `append-files` while the leader dies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{DEADLINE, group, plain, token, until, user_key};
use tidewater_catalog::raft::Consensus;
use tidewater_core::{NodeId, SystemClock};
use tidewater_table::FileStore;

const TABLE: &str = "/v1/namespaces/a/tables/t";
const PRODUCERS: usize = 6;

/// Acknowledged appends before the leader dies, and after it.
const APPENDS_EACH_WAY: u64 = 40;

struct Load {
    http: reqwest::Client,
    apis: Vec<String>,
    location: String,
    acknowledged: AtomicU64,
    repeated: AtomicU64,
    over: AtomicBool,
}

impl Load {
    async fn file(&self, name: &str) -> Value {
        let path = format!("{}/data/{name}.parquet", self.location);
        let bytes = bytes::Bytes::from_static(b"not read by the catalog");
        let size = bytes.len();
        FileStore::system().put_new(&path, bytes).await.expect("written");
        json!({"content": "data", "file-path": path, "file-format": "parquet", "spec-id": 0, "partition": [],
            "file-size-in-bytes": size, "record-count": 1, "value-counts": {"keys": [1], "values": [1]},
            "null-value-counts": {"keys": [1], "values": [0]}})
    }

    /// Appends one range after the other, each again and again at one node after the other until it is acknowledged. The snapshots by
    /// range, as they were told.
    async fn produce(&self, producer: usize) -> BTreeMap<u64, i64> {
        let clock = SystemClock::shared();
        let mut told = BTreeMap::new();
        let mut node = producer;
        while !self.over.load(Relaxed) {
            let from = told.len() as u64 * 10;
            let file = self.file(&format!("p{producer}-{from}")).await;
            let body = json!({"producer-id": format!("p{producer}"), "range": {"from": from, "to": from + 10},
                "data-files": [file]});
            loop {
                let api = &self.apis[node % self.apis.len()];
                let request = self.http.post(format!("{api}{TABLE}/append-files"));
                let sent = request
                    .bearer_auth(token(&user_key()))
                    .timeout(Duration::from_secs(20))
                    .json(&body)
                    .send();
                if let Ok(answer) = sent.await {
                    let status = answer.status();
                    let answer: Value = answer.json().await.unwrap_or_default();
                    assert!(!status.is_client_error(), "{status}: {answer}");
                    if status == StatusCode::OK {
                        told.insert(from, answer["snapshot-id"].as_i64().expect("an id"));
                        self.acknowledged.fetch_add(1, Relaxed);
                        break;
                    }
                }
                self.repeated.fetch_add(1, Relaxed);
                node += 1;
                clock.sleep(Duration::from_millis(20)).await;
            }
        }
        told
    }

    async fn post(&self, api: &str, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{api}{path}")).bearer_auth(token(&user_key()));
        let answer = request.json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.expect("JSON")
    }
}

// Goal: every range that was acknowledged is in the table exactly once, under the snapshot that was told, though the leader dies under
// the producers (INV-ING-3). Method: three nodes, producers at all of them, the leader's Raft ends without a word; then the table's scan and the
// ranges that its snapshots name, at a node that is left.
#[tokio::test(flavor = "multi_thread")]
async fn appends_survive_their_leader() {
    let temp = TempDir::new().expect("a folder");
    let nodes = group(temp.path(), 3).await;
    let mut load = Load {
        http: plain(),
        apis: nodes.values().map(|node| node.address.api.clone()).collect(),
        location: String::new(),
        acknowledged: AtomicU64::new(0),
        repeated: AtomicU64::new(0),
        over: AtomicBool::new(false),
    };
    let api = load.apis[0].clone();
    load.post(&api, "/v1/namespaces", json!({"namespace": ["a"]})).await;
    let schema = json!({"type": "struct", "schema-id": 0, "fields": [
        {"id": 1, "name": "id", "type": "long", "required": true}]});
    let properties = json!({"tidewater.append.keep-snapshots": "0"});
    let table = json!({"name": "t", "schema": schema, "properties": properties});
    let made = load.post(&api, "/v1/namespaces/a/tables", table).await;
    load.location = made["metadata"]["location"].as_str().expect("a location").to_owned();

    let leads = |id| nodes[&id].consensus.leadership().borrow().is_leader();
    let fault = async {
        let reached = |count| {
            let load = &load;
            until("appends", move || async move {
                (load.acknowledged.load(Relaxed) >= count).then_some(())
            })
        };
        reached(APPENDS_EACH_WAY).await;
        let leads = &leads;
        let any = |except: Option<NodeId>| {
            let nodes = &nodes;
            until("a leader", move || async move {
                nodes.keys().copied().find(|id| Some(*id) != except && leads(*id))
            })
        };
        let leader = any(None).await;
        nodes[&leader].consensus.shutdown(DEADLINE).await;
        any(Some(leader)).await;
        // Only what comes from here on is another leader's.
        reached(load.acknowledged.load(Relaxed) + APPENDS_EACH_WAY).await;
        load.over.store(true, Relaxed);
        leader
    };
    let (dead, told) = tokio::join!(fault, join_all((0..PRODUCERS).map(|producer| load.produce(producer))));

    let left = nodes
        .iter()
        .find(|(id, _)| **id != dead)
        .expect("a node")
        .1
        .address
        .api
        .clone();
    let planned = load.post(&left, &format!("{TABLE}/plan"), json!({})).await;
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for task in planned["file-scan-tasks"].as_array().expect("tasks") {
        let path = task["data-file"]["file-path"].as_str().expect("a path");
        let name = path.rsplit('/').next().expect("a name").trim_end_matches(".parquet");
        *found.entry(name.to_owned()).or_default() += 1;
    }
    let wanted: BTreeSet<String> = told
        .iter()
        .enumerate()
        .flat_map(|(producer, ranges)| ranges.keys().map(move |from| format!("p{producer}-{from}")))
        .collect();
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    assert!(found.values().all(|count| *count == 1), "{found:?}");

    let loaded = load.http.get(format!("{left}{TABLE}")).bearer_auth(token(&user_key()));
    let loaded: Value = loaded.send().await.expect("an answer").json().await.expect("JSON");
    let mut named: Vec<BTreeMap<u64, i64>> = vec![BTreeMap::new(); PRODUCERS];
    for snapshot in loaded["metadata"]["snapshots"].as_array().expect("snapshots") {
        let text = snapshot["summary"]["tidewater.append-ranges"].as_str().expect("ranges");
        let ranges: BTreeMap<String, Vec<(u64, u64)>> = serde_json::from_str(text).expect("JSON");
        for (producer, ranges) in ranges {
            let number: usize = producer.trim_start_matches('p').parse().expect("a number");
            for (from, _) in ranges {
                let twice = named[number].insert(from, snapshot["snapshot-id"].as_i64().expect("an id"));
                assert_eq!(twice, None, "{producer} {from}");
            }
        }
    }
    assert_eq!(named, told);
    eprintln!(
        "{} appends in {} snapshots, {} requests repeated",
        wanted.len(),
        loaded["metadata"]["snapshots"].as_array().map_or(0, Vec::len),
        load.repeated.load(Relaxed)
    );
    for (_, node) in nodes {
        node.end().await;
    }
}
