//! Commits to one table that are under way at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::kit::{Kit, TABLE, TABLES, new_table, set};
use crate::error::{CatalogError, Result};
use crate::store::{MemoryStore, MetadataStore};

const DEADLINE: Duration = Duration::from_secs(20);

/// Writes metadata files when it is let, and refuses those of tables with a certain property.
#[derive(Debug)]
struct Gate {
    files: MemoryStore,
    open: Semaphore,
    waiting: watch::Sender<usize>,
}

/// That property.
const REFUSED: &str = "refuse-me";

#[async_trait]
impl MetadataStore for Gate {
    async fn put_new(&self, location: &str, bytes: Bytes) -> Result<()> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _let = self.open.acquire().await;
        self.waiting.send_modify(|waiting| *waiting -= 1);
        let file: Value = serde_json::from_slice(&bytes).expect("JSON");
        if file["properties"][REFUSED] == "x" {
            return Err(CatalogError::Store {
                action: "write",
                location: location.to_owned(),
                source: "the disk is full".into(),
            });
        }
        self.files.put_new(location, bytes).await
    }

    async fn get(&self, location: &str) -> Result<Option<Bytes>> {
        self.files.get(location).await
    }

    async fn exists(&self, location: &str) -> Result<bool> {
        self.files.exists(location).await
    }

    async fn delete(&self, location: &str) -> Result<()> {
        self.files.delete(location).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.files.list(folder).await
    }
}

impl Gate {
    /// Waits until so many files wait to be written.
    async fn until_waiting(&self, files: usize) {
        let mut waiting = self.waiting.subscribe();
        let reached = tokio::time::timeout(DEADLINE, waiting.wait_for(|now| *now == files)).await;
        assert!(reached.is_ok(), "{} of {files} files wait", *self.waiting.borrow());
    }
}

/// A catalog with table `a.t`, and the gate before its files, closed.
async fn gated() -> (Kit, Arc<Gate>) {
    let gate = Arc::new(Gate {
        files: MemoryStore::default(),
        open: Semaphore::new(1),
        waiting: watch::Sender::new(0),
    });
    let store = Arc::clone(&gate);
    let kit = Kit::at("memory:///lake", |options| options.store = store);
    assert_eq!(
        kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await.status,
        200
    );
    assert_eq!(kit.post(TABLES, new_table("t")).await.status, 200);
    gate.open.forget_permits(1);
    (kit, gate)
}

// Goal: commits to one table do not wait for one another's files, and the answer of each is the state that it made, in a file that exists. Method:
// a store that holds up files until those of all commits wait; then each answer is held against its file, and against those before it.
#[tokio::test]
async fn commits_follow_one_another() {
    let (kit, gate) = gated().await;
    let names = ["k0", "k1", "k2", "k3", "k4"];
    let open = async {
        gate.until_waiting(names.len()).await;
        gate.open.add_permits(names.len());
    };
    let (answers, ()) = tokio::join!(join_all(names.map(|name| kit.update(set(name, "1")))), open);
    let mut seen = BTreeSet::new();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let location = answer.body["metadata-location"].as_str().expect("a location");
        let file = gate.files.get(location).await.unwrap().expect("it exists");
        assert_eq!(serde_json::from_slice::<Value>(&file).unwrap(), answer.body["metadata"]);
        let made: BTreeSet<String> = answer.body["metadata"]["properties"]
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        assert!(seen.insert(made.len()), "two answers tell the same state");
    }
    assert_eq!(seen, (1..=names.len()).collect());
    let last = kit.get(TABLE).await;
    let log = last.body["metadata"]["metadata-log"].as_array().expect("a log").len();
    assert_eq!(log, names.len());
    assert_eq!(
        last.body["metadata"]["properties"]
            .as_object()
            .expect("an object")
            .len(),
        names.len()
    );
}

// Goal: a commit whose predecessor does not come about is planned again, and neither holds what that one wanted nor is refused for it. Method:
// a first commit whose file is refused; behind it one that demands what the first would have changed, and plain ones. All are under way when
// the first fails. The one that is refused leaves no file.
#[tokio::test]
async fn a_commit_that_fails_takes_no_other_with_it() {
    let (kit, gate) = gated().await;
    let files = gate.files.len();
    let field = json!({"id": 3, "name": "more", "type": "long", "required": false});
    let schema = json!({"type": "struct", "schema-id": 1, "fields": [field]});
    let doomed = json!([{"action": "set-properties", "updates": {REFUSED: "x"}},
        {"action": "add-schema", "schema": schema, "last-column-id": 3}]);
    let demand = json!({"requirements": [{"type": "assert-last-assigned-field-id", "last-assigned-field-id": 2}],
        "updates": set("k0", "1")});
    let open = async {
        // The one that demands what would not be true any more waits for the first one's end.
        gate.until_waiting(1).await;
        gate.open.add_permits(100);
    };
    let (first, demanding, plain, other, ()) = tokio::join!(
        kit.update(doomed),
        kit.post(TABLE, demand),
        kit.update(set("k1", "1")),
        kit.update(set("k2", "1")),
        open
    );
    assert_eq!(
        (first.status, first.kind()),
        (503, "ServiceUnavailableException"),
        "{}",
        first.body
    );
    for answer in [&demanding, &plain, &other] {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["metadata"]["last-column-id"], 2);
    }
    assert_eq!(kit.properties().await, json!({"k0": "1", "k1": "1", "k2": "1"}));
    assert_eq!(gate.files.len(), files + 3);
}
