//! One node on its own.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;

use super::kit::{DEADLINE, command, holds, leads, single, start};
use crate::command::{Command, Op, Outcome};
use crate::raft::{Consensus, ConsensusError, RaftConsensus, RaftOptions, Role};
use tidewater_core::{Coded, NodeId, Retry, SystemClock, SystemRng};

// Goal: what was acknowledged is there after an end in order and after a kill, and a key is answered as before.
// Method: concurrent writes, both ends one after the other, compare the whole state.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything() {
    let temp = TempDir::new().unwrap();
    let node = single(temp.path()).await;
    let writes = (0..200).map(|number| node.write(command(number)));
    assert!(
        futures::future::join_all(writes)
            .await
            .into_iter()
            .all(|outcome| outcome.unwrap() == Outcome::Done)
    );
    let before = node.state();
    assert!(before.index < 200, "commands share entries, {} entries", before.index);
    node.shutdown(DEADLINE).await;
    assert!(
        node.stopped().borrow().is_none(),
        "an end that was asked for is no failure"
    );

    let node = single(temp.path()).await;
    node.barrier().await.unwrap();
    assert_eq!(node.state().state, before.state);
    assert_eq!(node.write(command(200)).await.unwrap(), Outcome::Done);
    node.kill();

    let node = single(temp.path()).await;
    assert_eq!(node.write(command(200)).await.unwrap(), Outcome::Done);
    assert!((0..=200).all(|number| holds(&node, number)));
    assert_eq!(node.state().state.namespaces_count(), 201);
}

// Goal: the first barrier of a process goes through an entry, later ones do not (a restarted leader goes on in its term
// and would confirm an old state).
// Method: kill and restart the only voter, count log entries around two barriers.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_barrier_is_an_entry() {
    let temp = TempDir::new().unwrap();
    let node = single(temp.path()).await;
    node.write(command(1)).await.unwrap();
    let written = node.state().index;
    node.kill();

    let node = single(temp.path()).await;
    assert_eq!(node.status().last_log, written, "it leads again without an election");
    node.barrier().await.unwrap();
    assert_eq!(node.state().index, written + 1);
    assert!(holds(&node, 1));
    node.barrier().await.unwrap();
    assert_eq!(node.state().index, written + 1);
}

// Goal: snapshots are taken by commands as well as by entries, the log is cut, and a restart begins with the snapshot.
// Method: small limits, then look at the marks.
#[tokio::test(flavor = "multi_thread")]
async fn snapshots_by_commands_and_by_entries() {
    let by_commands = |options: &mut RaftOptions| options.snapshot_commands = 100;
    let by_entries = |options: &mut RaftOptions| options.snapshot_entries = 20;
    for (count, tune) in [(150, by_commands as fn(&mut RaftOptions)), (40, by_entries)] {
        let temp = TempDir::new().unwrap();
        let mut options = RaftOptions::single(temp.path(), "");
        tune(&mut options);
        options.keep_entries = 5;
        let node = start(options.clone()).await.unwrap();
        leads(&node).await;
        for number in 0..count {
            node.write(command(number)).await.unwrap();
        }
        super::kit::until("a snapshot", || async { (node.status().snapshot > 0).then_some(()) }).await;
        super::kit::until("a shorter log", || async { (node.status().purged > 0).then_some(()) }).await;
        let before = node.state();
        node.shutdown(DEADLINE).await;
        let node = start(options).await.unwrap();
        leads(&node).await;
        node.barrier().await.unwrap();
        assert_eq!(node.state().state, before.state);
    }
}

// Goal: one process a directory. Method: a second node on it while the first runs, and after.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_owner() {
    let temp = TempDir::new().unwrap();
    let node = single(temp.path()).await;
    let options = RaftOptions::single(temp.path(), "");
    let second = RaftConsensus::start(options, SystemClock::shared(), SystemRng::shared()).await;
    let error = second.unwrap_err();
    assert_eq!((error.code(), error.retry()), ("CAT-1007", Retry::Never));
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    assert_eq!(node.write(command(1)).await.unwrap(), Outcome::Done);
    drop(node);
    let again = single(temp.path()).await;
    // Who leads may still have to apply what its log holds.
    again.barrier().await.unwrap();
    assert!(holds(&again, 1));
}

// Goal: a node does not take another node's files. Method: start with another id.
#[tokio::test(flavor = "multi_thread")]
async fn files_belong_to_an_id() {
    let temp = TempDir::new().unwrap();
    single(temp.path()).await.shutdown(DEADLINE).await;
    let mut options = RaftOptions::single(temp.path(), "");
    let address = options.peers.remove(&NodeId(1)).unwrap();
    options.node = NodeId(2);
    options.peers.insert(NodeId(2), address);
    assert!(matches!(start(options).await, Err(ConsensusError::ForeignNode { .. })));
}

// Goal: waiting for an index ends when it is applied, or at the deadline. Method: one wait before the write, one for an
// index that never comes.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_an_index() {
    let temp = TempDir::new().unwrap();
    let node = Arc::new(single(temp.path()).await);
    let next = node.state().index + 1;
    let (reached, outcome) = tokio::join!(node.wait_applied(next, DEADLINE), node.write(command(1)));
    outcome.unwrap();
    assert!(reached >= next);
    assert!(node.wait_applied(u64::MAX, Duration::from_millis(20)).await < u64::MAX);
}

// Goal: what cannot be kept is refused before it is proposed. Method: a command larger than the limit; the log does not
// grow.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_a_limit() {
    let temp = TempDir::new().unwrap();
    let node = single(temp.path()).await;
    let before = node.status().last_log;
    let op = Op::CreateNamespace {
        namespace: vec!["x".repeat(5 << 20)],
        properties: Default::default(),
    };
    let error = node.write(Command::new(1, op)).await.unwrap_err();
    assert_eq!(error.code(), "CAT-1005");
    assert_eq!(node.status().last_log, before);
}

// Goal: peers are not served to other machines without a secret. Method: a listener on every address.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_listener_needs_a_secret() {
    let temp = TempDir::new().unwrap();
    let node = single(temp.path()).await;
    assert_eq!(node.status().role, Role::Leader);
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    assert!(matches!(
        node.serve_peers(listener),
        Err(ConsensusError::OpenListener { .. })
    ));
}

// Goal: a long log is read back fast. Method: 100,000 entries of one command each without a snapshot, in memory where the
// machine has a file system for that since only the restart is timed; the figure is printed, and what is applied counted.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; run by hand for its figure"]
async fn a_restart_with_a_long_log() {
    const ENTRIES: u64 = 100_000;
    let memory = std::path::Path::new("/dev/shm");
    let temp = match memory.is_dir() {
        true => TempDir::new_in(memory).unwrap(),
        false => TempDir::new().unwrap(),
    };
    let options = || {
        let mut options = RaftOptions::single(temp.path(), "");
        (options.snapshot_entries, options.snapshot_commands) = (u64::MAX, u64::MAX);
        options
    };
    let node = start(options()).await.unwrap();
    leads(&node).await;
    for number in 0..ENTRIES {
        node.write(command(number)).await.unwrap();
    }
    let written = node.state();
    assert!(written.index >= ENTRIES);
    node.shutdown(DEADLINE).await;
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    let node = RaftConsensus::start(options(), SystemClock::shared(), SystemRng::shared())
        .await
        .unwrap();
    leads(&node).await;
    node.barrier().await.unwrap();
    let took = clock.monotonic() - begun;
    eprintln!("{} entries: leads and answers after {took:?}", written.index);
    assert_eq!(node.state().state, written.state);
}
