//! Nodes on loopback and in temporary directories, and clients that try again under one key.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

use crate::command::{Command, Op, Outcome};
use crate::raft::{Consensus, ConsensusError, MemberChange, PeerAddress, RaftConsensus, RaftOptions};
use tidewater_core::{Coded, NodeId, Retry, SystemClock, SystemRng};

/// Everything here ends within this, even on a machine that does other things.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// A namespace of its own for each number; the same number is the same command.
pub(super) fn command(number: u64) -> Command {
    let op = Op::CreateNamespace {
        namespace: vec![format!("n{number}")],
        properties: BTreeMap::new(),
    };
    Command::once(Uuid::from_u128(u128::from(number) + 1), number, 1_000, op)
}

pub(super) fn holds(node: &RaftConsensus, number: u64) -> bool {
    node.state().state.namespace(&[format!("n{number}")]).is_some()
}

/// Asks again until there is an answer.
pub(super) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    while clock.monotonic() - begun < DEADLINE {
        if let Some(answer) = ask().await {
            return answer;
        }
        clock.sleep(Duration::from_millis(10)).await;
    }
    panic!("not within {DEADLINE:?}: {what}");
}

/// Starts a node, waiting for an earlier one to let go of the files.
pub(super) async fn start(options: RaftOptions) -> Result<RaftConsensus, ConsensusError> {
    until("the files are free", || async {
        match RaftConsensus::start(options.clone(), SystemClock::shared(), SystemRng::shared()).await {
            Err(ConsensusError::DirInUse { .. }) => None,
            other => Some(other),
        }
    })
    .await
}

/// One voter that leads.
pub(super) async fn single(dir: &Path) -> RaftConsensus {
    let node = start(RaftOptions::single(dir, "http://127.0.0.1:1")).await.unwrap();
    leads(&node).await;
    node
}

pub(super) async fn leads(node: &RaftConsensus) {
    let mut leadership = node.leadership();
    tokio::time::timeout(DEADLINE, leadership.wait_for(|now| now.is_leader()))
        .await
        .unwrap()
        .unwrap();
}

/// Waits until the node's state holds everything that was acknowledged before. On a busy machine a barrier may be late, or meet an
/// election that nobody asked for.
pub(super) async fn passes_barrier(node: &RaftConsensus) {
    until("a barrier", || async { node.barrier().await.ok() }).await;
}

/// Several nodes of one group in this process.
pub(super) struct Cluster {
    temp: TempDir,
    pub(super) peers: BTreeMap<NodeId, PeerAddress>,
    live: Mutex<BTreeMap<NodeId, RaftConsensus>>,
    tune: Box<dyn Fn(&mut RaftOptions) + Send + Sync>,
}

/// A way to `target` on which nothing moves while `held` says so.
#[expect(clippy::disallowed_methods, reason = "a test's own network")]
async fn door(target: String, held: watch::Receiver<bool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (target, held) = (target.clone(), held.clone());
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(&target).await else {
                    return;
                };
                let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
                tokio::select! {
                    () = carry(&mut near_in, &mut far_out, held.clone()) => {}
                    () = carry(&mut far_in, &mut near_out, held) => {}
                }
            });
        }
    });
    address
}

async fn carry(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, mut held: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if held.wait_for(|held| !held).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

impl Cluster {
    pub(super) async fn start(count: u64, tune: impl Fn(&mut RaftOptions) + Send + Sync + 'static) -> Self {
        Self::start_behind(count, tune, None).await
    }

    /// The same, with nothing moving between the nodes while `held` says so.
    pub(super) async fn start_behind(
        count: u64,
        tune: impl Fn(&mut RaftOptions) + Send + Sync + 'static,
        held: Option<watch::Receiver<bool>>,
    ) -> Self {
        let (mut peers, mut listeners) = (BTreeMap::new(), Vec::new());
        for id in (1..=count).map(NodeId) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut raft = listener.local_addr().unwrap().to_string();
            if let Some(held) = &held {
                raft = door(raft, held.clone()).await;
            }
            peers.insert(
                id,
                PeerAddress {
                    raft,
                    api: format!("http://node-{id}"),
                },
            );
            listeners.push((id, listener));
        }
        let cluster = Self {
            temp: TempDir::new().unwrap(),
            peers,
            live: Mutex::default(),
            tune: Box::new(tune),
        };
        for (id, listener) in listeners {
            cluster.start_on(id, cluster.peers.clone(), listener).await.unwrap();
        }
        cluster.leader().await;
        cluster
    }

    pub(super) fn dir(&self, id: NodeId) -> std::path::PathBuf {
        self.temp.path().join(id.to_string())
    }

    pub(super) async fn start_on(
        &self,
        id: NodeId,
        peers: BTreeMap<NodeId, PeerAddress>,
        listener: TcpListener,
    ) -> Result<RaftConsensus, ConsensusError> {
        let mut options = RaftOptions::group(id, self.dir(id), peers);
        (self.tune)(&mut options);
        let node = start(options).await?;
        node.serve_peers(listener)?;
        self.live.lock().unwrap().insert(id, node.clone());
        Ok(node)
    }

    /// Lets one more node begin, under a number that the log gives out, and adds it as a learner.
    pub(super) async fn join(&self) -> NodeId {
        let leader = self.node(self.leader().await);
        let allocate = Command::new(1_000, Op::AllocateNode);
        let Outcome::Node { id } = leader.write(allocate).await.unwrap() else {
            panic!("no number was given out")
        };
        let (id, listener) = (NodeId(id), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = PeerAddress {
            raft: listener.local_addr().unwrap().to_string(),
            api: format!("http://node-{id}"),
        };
        let mut peers: BTreeMap<_, _> = leader
            .status()
            .members
            .into_iter()
            .map(|member| (member.id, member.address))
            .collect();
        peers.insert(id, address.clone());
        self.start_on(id, peers, listener).await.unwrap();
        let added = MemberChange::AddLearner { id, address };
        self.change(&added).await;
        id
    }

    /// Makes a change wherever it is taken.
    pub(super) async fn change(&self, change: &MemberChange) {
        until("a change of members", || async {
            let leader = self.node(self.leader().await);
            match leader.change_members(change.clone()).await {
                Ok(()) => Some(()),
                Err(ConsensusError::NotLeader { .. }) => None,
                Err(error) => panic!("{change:?}: {error}"),
            }
        })
        .await;
    }

    /// The code under which a leader refuses a change.
    pub(super) async fn refused(&self, change: &MemberChange) -> &'static str {
        until("a refusal", || async {
            let leader = self.node(self.leader().await);
            match leader.change_members(change.clone()).await {
                Ok(()) => panic!("{change:?} was made"),
                Err(ConsensusError::NotLeader { .. }) => None,
                Err(error) => Some(error.code()),
            }
        })
        .await
    }

    /// Hands leadership to a node, again when an election came in between.
    pub(super) async fn transfer(&self, target: NodeId) {
        until("a transfer", || async {
            let old = self.leader().await;
            match self.node(old).transfer_leadership(Some(target)).await {
                Ok(leader) => {
                    assert_eq!(leader.id, target);
                    (self.leader().await == target).then_some(())
                }
                Err(error) if error.retry() == Retry::Never => panic!("from {old} to {target}: {error}"),
                Err(_) => None,
            }
        })
        .await;
    }

    pub(super) async fn restart(&self, id: NodeId) -> RaftConsensus {
        let address = &self.peers[&id].raft;
        let listener = until("the port is free", || async { TcpListener::bind(address).await.ok() }).await;
        self.start_on(id, self.peers.clone(), listener).await.unwrap()
    }

    pub(super) fn kill(&self, id: NodeId) {
        self.live.lock().unwrap().remove(&id).unwrap().kill();
    }

    /// A node that was ended in order.
    pub(super) fn forget(&self, id: NodeId) {
        self.live.lock().unwrap().remove(&id);
    }

    pub(super) fn node(&self, id: NodeId) -> RaftConsensus {
        self.live.lock().unwrap()[&id].clone()
    }

    pub(super) fn nodes(&self) -> Vec<RaftConsensus> {
        self.live.lock().unwrap().values().cloned().collect()
    }

    /// The node that passes a barrier: believing in itself is not enough.
    pub(super) async fn leader(&self) -> NodeId {
        until("a leader", || async {
            for node in self.nodes() {
                if node.leadership().borrow().is_leader() && node.barrier().await.is_ok() {
                    return Some(node.status().node);
                }
            }
            None
        })
        .await
    }

    /// Writes wherever it is taken, under one key, until the outcome is known.
    pub(super) async fn write(&self, number: u64) -> Outcome {
        until("a write", || async {
            for node in self.nodes() {
                if let Ok(outcome) = node.write(command(number)).await {
                    return Some(outcome);
                }
            }
            None
        })
        .await
    }
}
