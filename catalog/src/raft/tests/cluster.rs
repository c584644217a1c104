//! Three nodes over loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::kit::{Cluster, DEADLINE, command, holds, passes_barrier, until};
use crate::command::Outcome;
use crate::raft::{Consensus, ConsensusError, MemberChange, PeerAddress, RaftOptions};
use tidewater_core::{Coded, NodeId, Retry};

// Goal: no acknowledged write is lost when the leader ends abruptly under writers, writes go on, and the old leader
// catches up (INV-CAT-1, INV-CAT-2).
// Method: writers that retry under one key, kill the leader in their midst, read behind a barrier, restart, compare
// whole states.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_ends_abruptly_under_writers() {
    let cluster = Arc::new(Cluster::start(3, |_| {}).await);
    let writers: Vec<_> = (0..8u64)
        .map(|writer| {
            let cluster = Arc::clone(&cluster);
            async move {
                for number in 0..40 {
                    assert_eq!(cluster.write(writer * 100 + number).await, Outcome::Done);
                }
            }
        })
        .collect();
    let victim = cluster.leader().await;
    let fence = cluster.node(victim).leadership().borrow().fence.unwrap();
    let kill = async {
        until("some writes", || async {
            (cluster.node(victim).state().state.namespaces_count() > 50).then_some(())
        })
        .await;
        cluster.kill(victim);
    };
    tokio::join!(futures::future::join_all(writers), kill);

    let leader = cluster.leader().await;
    assert_ne!(leader, victim);
    let node = cluster.node(leader);
    assert!(
        node.leadership().borrow().fence.unwrap() > fence,
        "a new reign is greater"
    );
    passes_barrier(&node).await;
    assert!((0..8).all(|writer| (0..40).all(|number| holds(&node, writer * 100 + number))));

    let back = cluster.restart(victim).await;
    cluster.write(9_999).await;
    let leader = cluster.node(cluster.leader().await);
    let goal = leader.state();
    assert!(back.wait_applied(goal.index, DEADLINE).await >= goal.index);
    assert_eq!(back.state().state, leader.state().state);
    assert_eq!(leader.status().members.iter().filter(|member| member.voter).count(), 3);
}

// Goal: a follower takes no writes and names the leader's address. Method: ask one.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_names_the_leader() {
    let cluster = Cluster::start(3, |options| options.secret = Some("tide".into())).await;
    // Again when the leader changes meanwhile.
    until("a follower's refusal", || async {
        let leader = cluster.leader().await;
        let nodes = cluster.nodes();
        let follower = nodes.iter().find(|node| node.status().node != leader)?;
        match follower.write(command(1)).await {
            Err(ConsensusError::NotLeader {
                leader: Some(named), ..
            }) => {
                assert_eq!(named.address.api, format!("http://node-{}", named.id));
                (named.id == leader).then_some(())
            }
            Err(ConsensusError::NotLeader { leader: None, .. }) => None,
            other => {
                assert!(cluster.leader().await != leader, "{other:?}");
                None
            }
        }
    })
    .await;
}

// Goal: a read at a follower sees every write that was acknowledged before it began (INV-CAT-2). Method: write anywhere,
// then pass a barrier at each node and look, many times, in turn with the control that an unguarded look may miss it.
#[tokio::test(flavor = "multi_thread")]
async fn followers_read_what_was_acknowledged() {
    let cluster = Cluster::start(3, |_| {}).await;
    let mut missed = 0;
    for number in 0..60 {
        cluster.write(number).await;
        missed += cluster.nodes().iter().filter(|node| !holds(node, number)).count();
        for node in cluster.nodes() {
            passes_barrier(&node).await;
            assert!(holds(&node, number), "{number} at node {}", node.status().node);
        }
    }
    assert!(missed > 0, "no follower was ever behind: the test shows nothing");
}

// Goal: a read that may be old costs no question while the last barrier is young, and is refused when it is too old and
// nobody can be asked. Method: one barrier at a follower, then kill the others.
#[tokio::test(flavor = "multi_thread")]
async fn old_reads_have_a_bound() {
    let cluster = Cluster::start(3, |options| options.read_deadline = Duration::from_millis(300)).await;
    cluster.write(1).await;
    let leader = cluster.leader().await;
    let follower = cluster
        .nodes()
        .into_iter()
        .find(|node| node.status().node != leader)
        .unwrap();
    let (hour, moment) = (Duration::from_secs(3600), Duration::from_millis(1));
    until("the leader answers in time", || async { follower.barrier().await.ok() }).await;
    assert!(holds(&follower, 1));
    follower.barrier_within(hour).await.unwrap();
    for id in [1, 2, 3]
        .map(NodeId)
        .into_iter()
        .filter(|id| *id != follower.status().node)
    {
        cluster.kill(id);
    }
    until("nobody can be asked", || async {
        follower.barrier().await.err().map(drop)
    })
    .await;
    follower.barrier_within(hour).await.unwrap();
    let error = follower.barrier_within(moment).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Safe, "{error}");
}

// Goal: followers that answer later than a heartbeat, and sooner than an election, cost a reader time and no error.
// Method: nothing moves between the nodes for four heartbeats while a barrier is on its way.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_majority_is_waited_for() {
    let (hold, held) = watch::channel(false);
    let long_reigns = |options: &mut RaftOptions| {
        options.election_min = Duration::from_millis(600);
        options.election_max = Duration::from_millis(1_200);
    };
    let cluster = Cluster::start_behind(3, long_reigns, Some(held)).await;
    let leader = cluster.node(cluster.leader().await);
    let reign = leader.leadership().borrow().fence;
    hold.send_replace(true);
    let mut barrier = std::pin::pin!(leader.barrier());
    let early = timeout(4 * Duration::from_millis(50), &mut barrier).await;
    assert!(early.is_err(), "answered while nothing moved: {early:?}");
    hold.send_replace(false);
    barrier.await.expect("a majority is there again");
    assert_eq!(leader.leadership().borrow().fence, reign, "no election came in between");
}

// Goal: without a majority nothing is confirmed. Method: kill two of three, ask the one that is left for a write and a
// barrier.
#[tokio::test(flavor = "multi_thread")]
async fn no_majority_no_answer() {
    let cluster = Cluster::start(3, |options| {
        options.write_deadline = Duration::from_secs(1);
        options.read_deadline = Duration::from_secs(1);
    })
    .await;
    let leader = cluster.leader().await;
    for id in [1, 2, 3].map(NodeId).into_iter().filter(|id| *id != leader) {
        cluster.kill(id);
    }
    let alone = cluster.node(leader);
    assert!(alone.barrier().await.is_err());
    assert!(alone.write(command(1)).await.is_err());
    assert!(!holds(&alone, 1));
    for id in [1, 2, 3].map(NodeId).into_iter().filter(|id| *id != leader) {
        cluster.restart(id).await;
    }
    assert_eq!(cluster.write(1).await, Outcome::Done);
}

// Goal: a follower that was away for longer than the log goes back gets the snapshot. Method: small limits, write past
// them while it is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_behind_the_log() {
    let cluster = Cluster::start(3, |options| {
        options.snapshot_entries = 20;
        options.keep_entries = 2;
    })
    .await;
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
    let goal = leader.state();
    assert!(back.wait_applied(goal.index, DEADLINE).await >= goal.index);
    assert_eq!(back.state().state, leader.state().state);
    assert!(back.status().snapshot > 0);
}

// Goal: a voter whose files were wiped is refused, however often it starts, and comes back under a new id. Method: wipe
// one, start it twice, add it as node 4, remove the old id.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_voter_comes_back_under_a_new_id() {
    let cluster = Cluster::start(3, |_| {}).await;
    cluster.write(1).await;
    let leader = cluster.leader().await;
    let wiped = [3, 2].map(NodeId).into_iter().find(|id| *id != leader).unwrap();
    cluster.kill(wiped);
    until("its files are free", || async {
        fs::remove_dir_all(cluster.dir(wiped)).ok()
    })
    .await;
    for _ in 0..2 {
        let node = cluster.restart(wiped).await;
        let mut stopped = node.stopped();
        let reason = timeout(DEADLINE, stopped.wait_for(Option::is_some))
            .await
            .unwrap()
            .unwrap()
            .clone();
        assert!(reason.is_some_and(|reason| reason.contains("CAT-1015")));
        assert_eq!(node.status().last_log, 0);
        cluster.kill(wiped);
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = PeerAddress {
        raft: listener.local_addr().unwrap().to_string(),
        api: "http://node-4".into(),
    };
    let mut peers: BTreeMap<_, _> = cluster.peers.clone();
    peers.remove(&wiped);
    peers.insert(NodeId(4), address.clone());
    let new = cluster.start_on(NodeId(4), peers.clone(), listener).await.unwrap();
    cluster
        .change(&MemberChange::AddLearner { id: NodeId(4), address })
        .await;
    let voters: BTreeSet<_> = peers.into_keys().collect();
    cluster.change(&MemberChange::SetVoters(voters.clone())).await;
    let leader = cluster.node(cluster.leader().await);
    let goal = leader.state();
    assert!(new.wait_applied(goal.index, DEADLINE).await >= goal.index);
    assert!(holds(&new, 1));
    let members: BTreeSet<_> = leader.status().members.into_iter().map(|member| member.id).collect();
    assert_eq!(members, voters);
    assert_eq!(cluster.write(2).await, Outcome::Done);
}
