//! Snapshots on their way to another node.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::kit::{Cluster, DEADLINE, until};
use crate::command::{Command, Op};
use crate::raft::{Consensus, snapshot_stream};
use crate::state::State;
use tidewater_core::NodeId;

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (calling, accepted) = tokio::join!(
        async { TcpStream::connect(listener.local_addr().unwrap()).await.unwrap() },
        listener.accept()
    );
    (calling, accepted.unwrap().0)
}

/// A state of several pieces.
fn large() -> State {
    let mut state = State::default();
    for number in 0..3_000_u64 {
        let op = Op::CreateNamespace {
            namespace: vec![format!("n{number}")],
            properties: [("filler".to_owned(), "x".repeat(1_000))].into(),
        };
        state.apply(number + 1, Command::new(1, op));
    }
    state
}

// Goal: a state of many pieces arrives as it was; one that is cut or changed on its way is refused. Method: send it whole;
// send the bytes of a whole transfer with one flipped, and cut at many places.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_travels_in_pieces() {
    let state = large();
    let (mut from, mut to) = connected().await;
    let (sent, received) = tokio::join!(
        snapshot_stream::send(&mut from, state.clone()),
        snapshot_stream::receive(&mut to)
    );
    sent.unwrap();
    assert_eq!(received.unwrap(), state);

    let (mut from, mut to) = connected().await;
    let whole = async {
        snapshot_stream::send(&mut from, state).await.unwrap();
        drop(from);
    };
    let mut bytes = Vec::new();
    let (_, read) = tokio::join!(whole, tokio::io::AsyncReadExt::read_to_end(&mut to, &mut bytes));
    assert!(read.unwrap() > 3 << 20, "several pieces");
    for place in 0..12 {
        for cut in [false, true] {
            let at = 10 + place * (bytes.len() - 20) / 12;
            let mut damaged = bytes.clone();
            if cut {
                damaged.truncate(at);
            } else {
                damaged[at] ^= 4;
            }
            let (mut from, mut to) = connected().await;
            let send = async {
                // The other end may hang up first.
                drop(from.write_all(&damaged).await);
                drop(from);
            };
            let receive = async {
                let received = snapshot_stream::receive(&mut to).await;
                drop(to);
                received
            };
            let (_, received) = tokio::join!(send, receive);
            assert!(received.is_err(), "cut {cut} at {at}");
        }
    }
}

// Goal: a node serves reads while a snapshot is installed on it, and never one that is half old. Method: a follower that
// was away behind the log comes back under writers, and its state is read all the time: it goes only forward.
#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_while_a_snapshot_is_installed() {
    let cluster = Arc::new(
        Cluster::start(3, |options| {
            options.snapshot_entries = 20;
            options.keep_entries = 2;
        })
        .await,
    );
    cluster.write(0).await;
    let leader = cluster.leader().await;
    let away = [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader).unwrap();
    let left_at = cluster.node(away).status().last_log;
    cluster.kill(away);
    for number in 1..80 {
        cluster.write(number).await;
    }
    let leader = cluster.node(cluster.leader().await);
    until("the log is cut", || async {
        (leader.status().purged > left_at + 5).then_some(())
    })
    .await;
    let back = cluster.restart(away).await;
    let writes = async {
        for number in 80..140 {
            cluster.write(number).await;
        }
    };
    let reads = async {
        let last = std::sync::atomic::AtomicU64::new(0);
        until("the snapshot is there and the log behind it", || async {
            let now = back.state();
            let before = last.swap(now.index, std::sync::atomic::Ordering::Relaxed);
            assert!(before <= now.index, "from {before} back to {}", now.index);
            assert!(now.state.index() <= now.index);
            (back.status().snapshot > 0 && now.index > leader.status().purged).then_some(())
        })
        .await;
    };
    tokio::join!(writes, reads);
    let goal = leader.state();
    assert!(back.wait_applied(goal.index, DEADLINE).await >= goal.index);
    until("equal states", || async {
        (back.state().state == leader.state().state).then_some(())
    })
    .await;
}
