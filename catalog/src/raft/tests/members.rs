//! Who takes part, and who leads, while writes go on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures::future::join_all;
use openraft::ChangeMembers;

use super::kit::{Cluster, DEADLINE, holds, passes_barrier, start, until};
use crate::command::Outcome;
use crate::raft::members::is_joint;
use crate::raft::{Consensus, ConsensusError, MemberChange, RaftOptions};
use tidewater_core::{Coded, NodeId};

/// Writers that go on until they are told to stop; what they answer was acknowledged.
struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    running: Vec<tokio::task::JoinHandle<Vec<u64>>>,
}

impl Writers {
    #[expect(clippy::disallowed_methods, reason = "a test's own load")]
    fn start(cluster: &Arc<Cluster>) -> Self {
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let running = (0..4_u64).map(|writer| {
            let (cluster, stop, acknowledged) = (Arc::clone(cluster), Arc::clone(&stop), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut done = Vec::new();
                while !stop.load(Relaxed) {
                    let number = writer * 1_000_000 + done.len() as u64;
                    assert_eq!(cluster.write(number).await, Outcome::Done, "the key makes it new");
                    done.push(number);
                    acknowledged.fetch_add(1, Relaxed);
                }
                done
            })
        });
        Self {
            running: running.collect(),
            stop,
            acknowledged,
        }
    }

    /// Waits until something more is acknowledged.
    async fn go_on(&self) {
        let before = self.acknowledged.load(Relaxed);
        until("writes go on", || async {
            (self.acknowledged.load(Relaxed) > before + 8).then_some(())
        })
        .await;
    }

    async fn end(self) -> Vec<u64> {
        self.stop.store(true, Relaxed);
        let done = join_all(self.running).await;
        done.into_iter().flat_map(|done| done.unwrap()).collect()
    }
}

fn voters(cluster: &Cluster, leader: NodeId) -> BTreeSet<NodeId> {
    let members = cluster.node(leader).status().members;
    members
        .into_iter()
        .filter(|member| member.voter)
        .map(|member| member.id)
        .collect()
}

// Goal: the only voter reads without asking anybody once its first barrier is passed, and never again after it has begun to make
// others voters, also when that was refused. Method: barriers before and after; a learner changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_voter_alone_asks_nobody() {
    let cluster = Cluster::start(1, |_| {}).await;
    let first = cluster.node(cluster.leader().await);
    assert!(first.reads_alone(), "the leader was found by a barrier");
    let applied = first.state().index;
    first.barrier().await.unwrap();
    assert_eq!(first.state().index, applied);
    let joined = cluster.join().await;
    assert!(first.reads_alone());
    assert_eq!(cluster.write(1).await, Outcome::Done);
    first.barrier().await.unwrap();
    assert!(holds(&first, 1));
    let other = cluster.node(joined);
    passes_barrier(&other).await;
    assert!(holds(&other, 1) && !other.reads_alone());
    cluster.change(&MemberChange::Promote([joined].into())).await;
    assert!(!first.reads_alone());
    cluster.kill(joined);
    assert!(first.barrier().await.is_err(), "one of two voters is no majority");
    assert!(!first.reads_alone());
}

// Goal: a group grows from one voter to three and five and shrinks back to one while it is written to, and nothing that
// was acknowledged is lost; who left learns it and does not start again (INV-CAT-1).
// Method: writers throughout; the leader is among those who leave; at the end the last voter holds every number.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_grows_and_shrinks_under_writers() {
    let cluster = Arc::new(Cluster::start(1, |_| {}).await);
    let writers = Writers::start(&cluster);
    let first = cluster.leader().await;
    for _ in 0..2 {
        let joined = BTreeSet::from([cluster.join().await, cluster.join().await]);
        cluster.change(&MemberChange::Promote(joined)).await;
        writers.go_on().await;
    }
    let leader = cluster.leader().await;
    let five = voters(&cluster, leader);
    assert_eq!(five, [1, 2, 3, 4, 5].map(NodeId).into());

    let mut left = Vec::new();
    for keep in [3, 1] {
        let leader = cluster.leader().await;
        // The leader goes first.
        let others = voters(&cluster, leader)
            .into_iter()
            .filter(|id| *id != leader)
            .skip(keep);
        let leave: BTreeSet<NodeId> = others.chain([leader]).collect();
        cluster.change(&MemberChange::Remove(leave.clone())).await;
        writers.go_on().await;
        left.extend(leave);
    }
    assert!(
        left.contains(&first) || left.len() == 4,
        "the first leader or every other has left: {left:?}"
    );
    for id in &left {
        let mut stopped = cluster.node(*id).stopped();
        let told = tokio::time::timeout(DEADLINE, stopped.wait_for(Option::is_some)).await;
        let reason = told
            .unwrap_or_else(|_| panic!("node {id} was not told"))
            .unwrap()
            .clone();
        assert!(reason.is_some_and(|reason| reason.contains("CAT-1016")));
        let error = cluster.node(*id).write(super::kit::command(1)).await.unwrap_err();
        assert_eq!(error.code(), "CAT-1016");
        cluster.kill(*id);
        let again = start(RaftOptions::group(
            *id,
            cluster.dir(*id),
            [(*id, Default::default())].into(),
        ))
        .await;
        assert!(matches!(again, Err(ConsensusError::Removed { .. })), "{again:?}");
    }
    let acknowledged = writers.end().await;
    let last = cluster.node(cluster.leader().await);
    assert_eq!(voters(&cluster, last.status().node).len(), 1);
    passes_barrier(&last).await;
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    let lost: Vec<_> = acknowledged.iter().filter(|number| !holds(&last, **number)).collect();
    assert!(lost.is_empty(), "of {} lost {lost:?}", acknowledged.len());
}

// Goal: leadership goes where it is asked to, under writers, in groups that need the others' votes and in those that do
// not; no write is lost. Method: each node of three and of five in turn, twice; then a target that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_over() {
    for count in [3, 5] {
        let cluster = Arc::new(Cluster::start(count, |_| {}).await);
        let writers = Writers::start(&cluster);
        for target in (1..=count).chain(1..=count).map(NodeId) {
            cluster.transfer(target).await;
            writers.go_on().await;
        }
        let leader = cluster.leader().await;
        let missing = (1..=count).map(NodeId).find(|id| *id != leader).unwrap();
        cluster.kill(missing);
        until("a transfer that is refused", || async {
            let leader = cluster.node(cluster.leader().await);
            match leader.transfer_leadership(Some(missing)).await.unwrap_err() {
                // Another leads by now.
                ConsensusError::NotLeader { .. } => None,
                error => {
                    assert_eq!(error.code(), "CAT-1017", "{error}");
                    assert!(leader.transfer_leadership(Some(NodeId(99))).await.is_err());
                    Some(())
                }
            }
        })
        .await;
        writers.go_on().await;
        let acknowledged = writers.end().await;
        let leader = cluster.node(cluster.leader().await);
        assert!(acknowledged.iter().all(|number| holds(&leader, *number)));
    }
}

// Goal: a change of voters whose leader ended between its two steps is finished. Method: take the first step and drop the
// second; the configuration is joint, and then it is not, with the voters that were wanted.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_left_half_way_is_finished() {
    let cluster = Cluster::start(3, |_| {}).await;
    let leader = cluster.node(cluster.leader().await);
    let goal = BTreeSet::from([leader.status().node.0]);
    let raft = leader.raft();
    let mut metrics = raft.metrics();
    let change = ChangeMembers::ReplaceAllVoters(goal.clone());
    tokio::select! {
        biased;
        _ = metrics.wait_for(is_joint) => {}
        _ = raft.change_membership(change, false) => panic!("it was not cut short"),
    }
    assert!(is_joint(&raft.metrics().borrow()));
    let finished = raft.metrics().wait_for(|now| !is_joint(now)).await.is_ok();
    assert!(finished);
    until("the voters that were wanted", || async {
        let now = raft.metrics().borrow().clone();
        (now.membership_config.voter_ids().collect::<BTreeSet<_>>() == goal).then_some(())
    })
    .await;
}

// Goal: nothing is changed that would leave the group without a majority, and no number comes back. Method: with a dead
// voter, remove the one that keeps up; add nodes under numbers that were taken; too many voters; strangers.
#[tokio::test(flavor = "multi_thread")]
async fn changes_that_are_refused() {
    let cluster = Cluster::start(3, |_| {}).await;
    let leader = cluster.node(cluster.leader().await);
    let others: Vec<NodeId> = [1, 2, 3]
        .map(NodeId)
        .into_iter()
        .filter(|id| *id != leader.status().node)
        .collect();
    cluster.kill(others[0]);
    let alive = MemberChange::Remove([others[1]].into());
    assert_eq!(cluster.refused(&alive).await, "CAT-1012");
    let stranger = MemberChange::Promote([NodeId(77)].into());
    assert_eq!(cluster.refused(&stranger).await, "CAT-1012");
    let dead = MemberChange::Remove([others[0]].into());
    cluster.change(&dead).await;
    let again = MemberChange::AddLearner {
        id: others[0],
        address: Default::default(),
    };
    assert_eq!(cluster.refused(&again).await, "CAT-1018");
    let nobody = MemberChange::Remove(voters(&cluster, cluster.leader().await));
    let leader = cluster.node(cluster.leader().await);
    assert_eq!(voters(&cluster, leader.status().node).len(), 2);
    let error = leader.change_members(nobody.clone()).await.unwrap_err();
    // It hands over first, and the next leader refuses to remove everybody.
    assert!(matches!(error, ConsensusError::NotLeader { .. }), "{error}");
    let next = cluster.node(cluster.leader().await);
    assert!(next.change_members(nobody).await.is_err());
}

// Goal: an end in order costs the others no election. Method: end the leader under writers, and compare the reign of the next one with
// that after the end. On a busy machine somebody may stand for election for another reason: it must be seen in one of some tries.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_ends_hands_over() {
    for _ in 0..TRIES {
        if ends_without_an_election().await {
            return;
        }
    }
    panic!("somebody had to be elected, {TRIES} times");
}

/// How often a busy machine may hold its own elections.
const TRIES: u32 = 5;

async fn ends_without_an_election() -> bool {
    let cluster = Arc::new(Cluster::start(3, |_| {}).await);
    let writers = Writers::start(&cluster);
    writers.go_on().await;
    let old = cluster.leader().await;
    let node = cluster.node(old);
    node.hand_over(Duration::from_secs(5)).await;
    let now = cluster.leader().await;
    let fence = cluster.node(now).leadership().borrow().fence;
    node.shutdown(DEADLINE).await;
    cluster.forget(old);
    writers.go_on().await;
    let acknowledged = writers.end().await;
    let leader = cluster.node(cluster.leader().await);
    assert!(acknowledged.iter().all(|number| holds(&leader, *number)));
    now != old && fence.is_some() && leader.leadership().borrow().fence == fence
}
