//! A server in the process of its client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, pending};
use http::{Method, Request, Response};
use tidewater_catalog::memory::MemoryConsensus;
use tidewater_catalog_client::{CatalogClient, ClientOptions, Nearby, NoAnswer};
use tidewater_core::{Coded, Retry, Tasks};
use tidewater_table::{Catalog, CommitOutcome, FileStore};

use super::{bronze, every_call, name, new_table, server, set};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

fn client(near: Arc<dyn Nearby>) -> CatalogClient {
    let mut options = ClientOptions::new([NOWHERE]);
    options.deadline = Duration::from_secs(5);
    let client = CatalogClient::new(options).expect("good options");
    client.nearby(NOWHERE, near).expect("a URL");
    client
}

// Goal: a node in the same process answers as one behind a connection does. Method: the calls that are judged over a connection, to a server
// that listens nowhere.
#[tokio::test]
async fn calls_need_no_connection() {
    let (consensus, tasks) = (MemoryConsensus::shared(), Tasks::new("test"));
    let server = server(&consensus, FileStore::system(), &tasks);
    every_call(&client(server.nearby())).await;
}

/// A node of which some answers are lost.
#[derive(Debug)]
struct Lossy {
    node: Arc<dyn Nearby>,
    lost: AtomicU32,
    how: Loss,
}

#[derive(Debug, Clone, Copy)]
enum Loss {
    /// What was asked for is done.
    Done,
    /// It never ends.
    Silent,
}

impl Nearby for Lossy {
    fn answer(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, NoAnswer>> {
        let loses = self
            .lost
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let (answer, how) = (self.node.answer(request), self.how);
        match (loses, how) {
            (Err(_), _) => answer,
            (Ok(_), Loss::Done) => Box::pin(async move {
                answer.await?;
                Err("broken off".into())
            }),
            (Ok(_), Loss::Silent) => Box::pin(pending()),
        }
    }
}

// Goal: an answer that is lost within the process is handled as one that is lost on the way: what is safe to repeat is repeated and done once, and
// silence has an end. Method: a server that loses the answer to a creation and to a load; one that never answers.
#[tokio::test]
async fn lost_answers() {
    let (consensus, tasks) = (MemoryConsensus::shared(), Tasks::new("test"));
    let node = server(&consensus, FileStore::system(), &tasks).nearby();
    let lossy = |lost, how| {
        let lost = AtomicU32::new(lost);
        let node = Arc::clone(&node);
        Arc::new(Lossy { node, lost, how })
    };
    bronze(&client(Arc::clone(&node))).await;
    for _ in 0..2 {
        let losing = lossy(1, Loss::Done);
        let users = name("bronze.users");
        let made = client(losing.clone()).create_table(new_table("bronze.users")).await;
        made.expect("made, and told when asked again");
        assert_eq!(losing.lost.load(Ordering::SeqCst), 0);
        let losing = lossy(1, Loss::Done);
        let loaded = client(losing.clone()).load_table(&users).await;
        loaded.expect("loaded when asked again").expect("there");
        assert_eq!(losing.lost.load(Ordering::SeqCst), 0);
        client(Arc::clone(&node))
            .drop_table(&users, true)
            .await
            .expect("dropped");
    }
    let silent = client(lossy(u32::MAX, Loss::Silent)).list_namespaces().await;
    let error = silent.expect_err("there is no answer").to_string();
    assert!(error.contains("no answer in time"), "{error}");
}

/// A node that loses its first answer, and lets nobody in after it.
#[derive(Debug)]
struct Closing {
    node: Arc<dyn Nearby>,
    closed: AtomicBool,
}

impl Nearby for Closing {
    fn answer(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, NoAnswer>> {
        if self.closed.swap(true, Ordering::SeqCst) {
            let body = r#"{"error":{"message":"the token has expired","type":"NotAuthorizedException","code":401}}"#;
            let refusal = Response::builder()
                .status(401)
                .body(Bytes::from_static(body.as_bytes()));
            return Box::pin(async move { Ok(refusal.expect("a response")) });
        }
        let answer = self.node.answer(request);
        Box::pin(async move {
            answer.await?;
            Err("broken off".into())
        })
    }
}

// Goal: a refusal that is not of what was asked for does not pass for word that it was not done: whoever believes that deletes the files of what
// he committed. Method: a server that makes a table, loses the answer, and then takes the token no more.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_tells_nothing() {
    let (consensus, tasks) = (MemoryConsensus::shared(), Tasks::new("test"));
    let node = server(&consensus, FileStore::system(), &tasks).nearby();
    bronze(&client(Arc::clone(&node))).await;
    let closed = AtomicBool::new(false);
    let closing = Arc::new(Closing {
        node: Arc::clone(&node),
        closed,
    });
    let made = client(closing).create_table(new_table("bronze.users")).await;
    let fault = made.expect_err("nobody told that it is made");
    assert_eq!(fault.retry(), Retry::Unknown, "{fault}");
    let made = client(node).load_table(&name("bronze.users")).await;
    assert!(made.expect("an answer").is_some());
}

/// A node whose answers to changes cannot be read.
#[derive(Debug)]
struct Garbling(Arc<dyn Nearby>);

impl Nearby for Garbling {
    fn answer(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, NoAnswer>> {
        let changes = *request.method() == Method::POST;
        let answer = self.0.answer(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(match changes {
                true => answer.map(|_| Bytes::from_static(b"{")),
                false => answer,
            })
        })
    }
}

// Goal: an answer to a commit that cannot be read does not pass for a failure, after which its files are deleted. Method: a server that commits, and
// whose answer is cut off.
#[tokio::test]
async fn an_answer_that_cannot_be_read_tells_nothing() {
    let (consensus, tasks) = (MemoryConsensus::shared(), Tasks::new("test"));
    let node = server(&consensus, FileStore::system(), &tasks).nearby();
    let whole = client(Arc::clone(&node));
    bronze(&whole).await;
    whole.create_table(new_table("bronze.users")).await.expect("made");
    let garbling = client(Arc::new(Garbling(node)));
    let outcome = garbling
        .commit(vec![set("bronze.users", "a")])
        .await
        .expect("an outcome");
    assert!(matches!(outcome, CommitOutcome::Unknown { .. }), "{outcome:?}");
    let table = whole.load_table(&name("bronze.users")).await.expect("an answer");
    let table = table.expect("the table");
    assert!(table.metadata.properties().contains_key("a"));
}
