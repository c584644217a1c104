//! What happens to the group, in an order that follows from the seed.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::time::{Instant, sleep};

use super::node::{NODES, boot, boot_later, crash, ids};
use super::world::{Shared, World, with};
use crate::raft::Consensus;
use tidewater_core::NodeId;

/// Calls of the disk within which the power goes, in the midst of a write.
const CALLS_MAX: u64 = 40;

/// Faults until `end`.
pub(super) async fn rage(world: Shared, end: Instant) {
    while Instant::now() < end {
        let (pause, what, victim, other, lasting) = with(&world, |w| {
            (
                w.rng.gen_range(50..600),
                w.rng.gen_range(0..14),
                victim(w),
                NodeId(w.rng.gen_range(1..=NODES)),
                Duration::from_millis(w.rng.gen_range(10..1_800)),
            )
        });
        sleep(Duration::from_millis(pause)).await;
        let others = || ids().filter(move |id| *id != victim);
        match what {
            0..3 => {
                crash(&world, victim);
                boot_later(&world, victim, lasting / 4);
            }
            3 => everybody(&world, lasting / 8).await,
            4..6 => with(&world, |w| {
                if w.slots[&victim].live.is_some() {
                    w.slots[&victim].disk.fail_after(w.rng.gen_range(0..CALLS_MAX));
                }
            }),
            6..8 => with(&world, |w| {
                w.slots.get_mut(&victim).unwrap().stalled_until = Some(Instant::now() + lasting);
                w.report.faults.stalls += 1;
                w.note(format_args!("stall {victim} for {lasting:?}"));
            }),
            // Cut off from everybody, both ways or one.
            8..10 => cut(
                &world,
                others().flat_map(|id| [(id, victim), (victim, id)]).collect(),
                lasting,
            ),
            10 => cut(&world, others().map(|id| (id, victim)).collect(), lasting),
            11 => cut(&world, others().map(|id| (victim, id)).collect(), lasting),
            12 if victim != other => cut(&world, vec![(victim, other)], lasting),
            _ => {
                let live = with(&world, |w| w.slots[&victim].live.clone());
                let Some(live) = live else { continue };
                with(&world, |w| w.report.faults.transfers += 1);
                // It may be refused, or fail, as it likes: what counts is that nothing is lost.
                tokio::spawn(async move { drop(live.node.transfer_leadership(Some(other)).await) });
            }
        }
    }
}

/// Half of the time the leader.
fn victim(w: &mut World) -> NodeId {
    let any = NodeId(w.rng.gen_range(1..=NODES));
    let leader = w
        .live()
        .into_iter()
        .find(|(_, live)| live.node.leadership().borrow().is_leader());
    match leader {
        Some((id, _)) if w.rng.gen_bool(0.5) => id,
        _ => any,
    }
}

/// The whole group loses power.
async fn everybody(world: &Shared, dark: Duration) {
    for id in ids() {
        crash(world, id);
    }
    with(world, |w| w.report.faults.whole_group_crashes += 1);
    sleep(dark).await;
    for id in ids() {
        wake(world, id).await;
    }
}

fn cut(world: &Shared, ways: Vec<(NodeId, NodeId)>, lasting: Duration) {
    with(world, |w| {
        let is_one_way = ways.iter().any(|(from, to)| !ways.contains(&(*to, *from)));
        w.report.faults.cuts += 1;
        w.report.faults.one_way_cuts += u64::from(is_one_way);
        w.cut.extend(ways.iter().copied());
        w.note(format_args!("cut {ways:?} for {lasting:?}"));
    });
    let world = Arc::clone(world);
    tokio::spawn(async move {
        sleep(lasting).await;
        with(&world, |w| w.cut.retain(|way| !ways.contains(way)));
    });
}

/// Everything is as it should be again.
pub(super) async fn heal(world: &Shared) {
    with(world, |w| {
        w.quiet = true;
        w.cut.clear();
        w.note("healed");
        for slot in w.slots.values_mut() {
            slot.stalled_until = None;
        }
    });
    // A disk that was about to fail does so now, and is replaced.
    let failing: Vec<NodeId> = with(world, |w| {
        let all = w.slots.iter();
        all.filter(|(_, slot)| slot.disk.is_failing())
            .map(|(id, _)| *id)
            .collect()
    });
    for id in failing {
        crash(world, id);
    }
    for id in ids() {
        wake(world, id).await;
    }
}

async fn wake(world: &Shared, id: NodeId) {
    let due = with(world, |w| w.slots[&id].live.is_none() && !w.slots[&id].booting);
    if due {
        boot(world, id).await;
    }
}
