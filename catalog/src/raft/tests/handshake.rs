//! The first words between nodes.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

use crate::raft::handshake::Credentials;
use tidewater_core::{NodeId, SeededRng};

/// What both ends make of one another when `caller` looks for `wanted` and finds `listening`.
async fn meet(
    caller: (u64, Option<&str>),
    wanted: u64,
    listening: (u64, Option<&str>),
) -> (io::Result<()>, io::Result<NodeId>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut calling, accepted) = tokio::join!(
        async { TcpStream::connect(listener.local_addr().unwrap()).await.unwrap() },
        listener.accept()
    );
    let mut answering = accepted.unwrap().0;
    let rng = Arc::new(SeededRng::new(1));
    let (a, b) = (
        Credentials::new(NodeId(caller.0), caller.1),
        Credentials::new(NodeId(listening.0), listening.1),
    );
    let calls = async move { a.greet(&mut calling, NodeId(wanted), &SeededRng::new(2)).await };
    let answers = async move { b.receive(&mut answering, rng.as_ref()).await };
    tokio::join!(calls, answers)
}

// Goal: only nodes that know the secret talk, and only to the node they mean. Method: one pair that fits and every way
// not to.
#[tokio::test]
async fn strangers_are_refused() {
    let (called, answered) = meet((1, Some("tide")), 2, (2, Some("tide"))).await;
    assert!(called.is_ok());
    assert_eq!(answered.unwrap(), NodeId(1));
    for (caller, wanted, listening) in [
        ((1, Some("tide")), 2, (2, Some("ebb"))),
        ((1, None), 2, (2, Some("tide"))),
        ((1, Some("tide")), 2, (2, None)),
        ((1, Some("tide")), 2, (3, Some("tide"))),
        ((2, Some("tide")), 2, (2, Some("tide"))),
    ] {
        let (called, answered) = meet(caller, wanted, listening).await;
        assert!(
            called.is_err() && answered.is_err(),
            "{caller:?} {wanted} {listening:?}"
        );
    }
}
