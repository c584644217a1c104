//! Nodes that are restarted while they are asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tidewater_catalog::raft::{Consensus, PeerAddress, RaftOptions};
use tidewater_core::{NodeId, SystemRng};
use tidewater_table::Catalog;

use super::{Node, bind, client, group, plain, token, until, user_key};

/// What a load met.
#[derive(Default)]
struct Tally {
    calls: AtomicU64,
    repeated: AtomicU64,
    /// What requests met that failed twice.
    failed: Mutex<Vec<String>>,
}

/// One request, repeated once at the next node when the first does not take it.
async fn twice_at_most(http: &reqwest::Client, apis: &[String], first: usize, number: u64, tally: &Tally) {
    let key = SystemRng::shared().uuid().to_string();
    tally.calls.fetch_add(1, Relaxed);
    let mut met = Vec::new();
    for attempt in 0..2 {
        let api = &apis[(first + attempt) % apis.len()];
        let request = match number % 3 {
            0 => http.get(format!("{api}/v1/namespaces")),
            _ => http
                .post(format!("{api}/v1/namespaces"))
                .header("idempotency-key", &key)
                .json(&json!({"namespace": [format!("n{number}")]})),
        };
        let answer = request
            .bearer_auth(token(&user_key()))
            .timeout(Duration::from_secs(30))
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                met.push(format!("{api}: {}", answer.text().await.unwrap_or_default()));
            }
            Ok(answer) => assert_eq!(answer.status(), 200, "from {api} for {number}"),
            Err(error) => met.push(format!("{api}: {error:?}")),
        }
        if attempt == 0 {
            tally.repeated.fetch_add(1, Relaxed);
        }
    }
    tally
        .failed
        .lock()
        .expect("no panic")
        .push(format!("{number}: {met:#?}"));
}

// Goal: all nodes are restarted one after the other under load and no request fails beyond one repetition at another
// node; nothing that was acknowledged is missing. Method: plain clients over all nodes and the project's own client.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test's own load")]
async fn a_rolling_restart() {
    let temp = TempDir::new().expect("a folder");
    let mut nodes = group(temp.path(), 3).await;
    let peers: BTreeMap<NodeId, PeerAddress> = nodes.iter().map(|(id, node)| (*id, node.address.clone())).collect();
    let apis: Vec<String> = peers.values().map(|address| address.api.clone()).collect();
    let (stop, tally, own) = (
        Arc::<AtomicBool>::default(),
        Arc::<Tally>::default(),
        Arc::<AtomicU64>::default(),
    );
    let mut load = Vec::new();
    for writer in 0..6_u64 {
        let (stop, tally, apis) = (Arc::clone(&stop), Arc::clone(&tally), apis.clone());
        load.push(tokio::spawn(async move {
            let (http, mut number) = (plain(), writer * 1_000_000);
            while !stop.load(Relaxed) {
                twice_at_most(
                    &http,
                    &apis,
                    usize::try_from(number + writer).unwrap_or(0),
                    number,
                    &tally,
                )
                .await;
                number += 1;
            }
        }));
    }
    let (stopping, counted, mine) = (Arc::clone(&stop), Arc::clone(&own), client(apis.clone()));
    load.push(tokio::spawn(async move {
        while !stopping.load(Relaxed) {
            let name = format!("own{}", counted.load(Relaxed));
            mine.create_namespace(&name.parse().expect("a name"))
                .await
                .expect("made");
            counted.fetch_add(1, Relaxed);
        }
    }));
    for id in [1, 2, 3].map(NodeId) {
        let before = tally.calls.load(Relaxed);
        until("load", || async {
            (tally.calls.load(Relaxed) > before + 60).then_some(())
        })
        .await;
        nodes.remove(&id).expect("it runs").end().await;
        let before = tally.calls.load(Relaxed);
        until("load without it", || async {
            (tally.calls.load(Relaxed) > before + 60).then_some(())
        })
        .await;
        let (raft, api) = (&peers[&id].raft, peers[&id].api.trim_start_matches("http://"));
        let (raft, api) = (bind(raft).await, bind(api).await);
        let options = RaftOptions::group(id, temp.path().join(id.to_string()), peers.clone());
        let node = Node::start(options, &temp.path().join("lake"), raft, api).await;
        until("it follows", || async { node.consensus.barrier().await.ok() }).await;
        nodes.insert(id, node);
    }
    stop.store(true, Relaxed);
    for ended in join_all(load).await {
        ended.expect("no request met anything else");
    }
    let (calls, repeated) = (tally.calls.load(Relaxed), tally.repeated.load(Relaxed));
    eprintln!(
        "{calls} requests, {repeated} repeated once, {} by the own client",
        own.load(Relaxed)
    );
    let failed = std::mem::take(&mut *tally.failed.lock().expect("no panic"));
    assert!(failed.is_empty(), "of {calls}, {repeated} repeated: {failed:#?}");
    let all = client(apis).list_namespaces().await.expect("a list").len() as u64;
    assert!(all >= own.load(Relaxed) && all > 100, "{all}");
    for (_, node) in nodes {
        node.end().await;
    }
}
