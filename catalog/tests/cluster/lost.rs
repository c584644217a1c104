//! Answers that are lost between nodes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use serde_json::json;
use tempfile::TempDir;
use tidewater_catalog::raft::Consensus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{bind, group_behind, plain, token, user_key};

/// What stands before the nodes: while it is armed, the next answer is lost with its connection.
#[derive(Debug, Default)]
pub(super) struct Door {
    armed: AtomicBool,
    lost: AtomicU64,
}

impl Door {
    /// The URL by which the node at `node` is reached through this door.
    #[expect(clippy::disallowed_methods, reason = "a test's own proxy")]
    pub(super) async fn before(self: &Arc<Self>, node: SocketAddr) -> String {
        let listener = bind("127.0.0.1:0").await;
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let door = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let door = Arc::clone(&door);
                tokio::spawn(async move { door.pass(near, node).await });
            }
        });
        url
    }

    async fn pass(&self, mut near: TcpStream, node: SocketAddr) -> std::io::Result<()> {
        let mut far = TcpStream::connect(node).await?;
        let ((mut asked, mut told), (mut answers, mut asks)) = (near.split(), far.split());
        let back = async {
            let mut bytes = [0; 4096];
            loop {
                let count = answers.read(&mut bytes).await?;
                if count == 0 {
                    return Ok::<_, std::io::Error>(());
                }
                if self.armed.swap(false, Relaxed) {
                    self.lost.fetch_add(1, Relaxed);
                    return Ok(());
                }
                told.write_all(&bytes[..count]).await?;
            }
        };
        tokio::select! {
            ended = tokio::io::copy(&mut asked, &mut asks) => ended.map(drop),
            ended = back => ended,
        }
    }
}

// Goal: a change whose answer is lost between a follower and the leader is done once, and the client, which gave no
// idempotency key, hears what it did. Method: a door between the nodes that loses the answer to a follower's first
// request; making a namespace, which cannot be done twice
// unnoticed.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_on_the_way() {
    let temp = TempDir::new().expect("a folder");
    let door = Arc::<Door>::default();
    let nodes = group_behind(temp.path(), 3, Some(&door)).await;
    let follower = nodes
        .values()
        .find(|node| !node.consensus.leadership().borrow().is_leader());
    let api = follower.expect("a follower").address.api.clone();
    let http = plain();
    let post = |path: &str, body: &serde_json::Value| {
        http.post(format!("{api}{path}"))
            .bearer_auth(token(&user_key()))
            .json(body)
    };
    for (number, name) in ["a", "b"].into_iter().enumerate() {
        let made = json!({"namespace": [name]});
        door.armed.store(true, Relaxed);
        let answer = post("/v1/namespaces", &made).send().await;
        assert_eq!(answer.expect("an answer").status(), 200, "{name}");
        assert_eq!(door.lost.load(Relaxed), number as u64 + 1, "an answer was lost");
        let again = post("/v1/namespaces", &made).send().await;
        assert_eq!(again.expect("an answer").status(), 409, "{name} is there");
    }
    for (_, node) in nodes {
        node.end().await;
    }
}
