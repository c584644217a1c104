//! Producers that append ranges to one table, and what folds them: as `append-files` does it, with the table's metadata files in the world.
//!
//! A file holds all that the table holds, so that a range that was appended twice, or got lost, is seen in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::node::{NODES, ids};
use super::workload::{PATIENCE, id_of, ident, think};
use super::world::{Bug, Live, Shared, World, with};
use crate::command::{AppendChange, Command, Expect, Op, Outcome, Pointer, ProducerRange, Refusal, TableChange};
use crate::raft::Consensus;
use crate::state::{AppendedRange, Meeting, State};
use tidewater_core::NodeId;

/// The table that is appended to.
pub(super) const APPENDED: &str = "appended";

const PRODUCERS: u64 = 2;

/// Ranges of one producer under way at a time.
const LANES: u64 = 2;

/// How far a producer goes on while one of its ranges is open; behind that a range counts as appended.
const AHEAD_MAX: u64 = 8;

const POSITIONS: u64 = 10;

/// From a request to the snapshot that it is folded into.
const GATHER: Duration = Duration::from_millis(5);

/// How often a fold that lost a race is planned again.
const ATTEMPTS: usize = 3;

/// A range with where it went, as a metadata file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    range: ProducerRange,
    snapshot_id: i64,
    sequence: i64,
}

/// What producers did and were told.
#[derive(Debug, Default)]
pub(super) struct Appends {
    /// Metadata files by location, with all that the table holds.
    files: BTreeMap<String, Arc<Vec<Stored>>>,
    /// Files that were looked through.
    judged: BTreeSet<String>,
    /// Answers, with their moment.
    told: BTreeMap<ProducerRange, (Instant, i64, i64)>,
    /// Of each producer the number of the next range, and those under way.
    next: BTreeMap<u64, u64>,
    open: BTreeMap<u64, BTreeSet<u64>>,
    files_written: u64,
}

struct Waiting {
    range: ProducerRange,
    answer: oneshot::Sender<AppendedRange>,
}

type Inboxes = Vec<mpsc::UnboundedSender<Waiting>>;

fn location(file: u64) -> String {
    format!("mem://lake/{APPENDED}/{file}.json")
}

fn pointer(metadata_location: String) -> Pointer {
    Pointer {
        uuid: id_of(APPENDED),
        location: format!("mem://lake/{APPENDED}"),
        metadata_location,
        snapshot_id: None,
    }
}

/// The command that makes the table, under its key.
pub(super) fn creation(world: &Shared, key: u128) -> Command {
    with(world, |w| w.appends.files.insert(location(0), Arc::default()));
    let change = TableChange {
        table: ident(APPENDED),
        expect: Expect::Absent { id: id_of(APPENDED) },
        pointer: pointer(location(0)),
    };
    let op = Op::Commit { changes: vec![change] };
    Command::once(Uuid::from_u128(key), 1, 0, op)
}

pub(super) fn start(world: &Shared, clients: &mut tokio::task::JoinSet<()>) {
    let (inboxes, queues): (Inboxes, Vec<_>) = ids().map(|_| mpsc::unbounded_channel()).unzip();
    for (node, queue) in ids().zip(queues) {
        clients.spawn(fold(Arc::clone(world), node, queue));
    }
    for (producer, lane) in (0..PRODUCERS).flat_map(|producer| (0..LANES).map(move |lane| (producer, lane))) {
        clients.spawn(produce(Arc::clone(world), producer, lane, inboxes.clone()));
    }
}

/// Appends the next range that is nobody's, again and again until it is answered; now and then once more after that.
async fn produce(world: Shared, producer: u64, lane: u64, inboxes: Inboxes) {
    let mut node = NodeId(lane % NODES + 1);
    while think(&world).await {
        let Some(number) = with(&world, |w| w.appends.begin(producer)) else {
            continue;
        };
        let range = ProducerRange {
            producer: format!("p{producer}"),
            from: number * POSITIONS,
            to: (number + 1) * POSITIONS,
        };
        let Some(first) = until_answered(&world, &mut node, &range, &inboxes).await else {
            return;
        };
        with(&world, |w| w.told(&range, &first));
        if with(&world, |w| w.rng.gen_bool(0.2)) {
            node = NodeId(node.0 % NODES + 1);
            let Some(again) = until_answered(&world, &mut node, &range, &inboxes).await else {
                return;
            };
            if again != first {
                with(&world, |w| {
                    w.wrong(format!("{range:?} was answered {first:?} and then {again:?}"))
                });
            }
            with(&world, |w| w.report.appends_repeated += 1);
        }
        with(&world, |w| w.appends.open.entry(producer).or_default().remove(&number));
    }
}

async fn until_answered(
    world: &Shared,
    node: &mut NodeId,
    range: &ProducerRange,
    inboxes: &Inboxes,
) -> Option<AppendedRange> {
    loop {
        let (answer, answered) = oneshot::channel();
        let inbox = &inboxes[usize::try_from(node.0 - 1).unwrap()];
        let range = range.clone();
        let _gone = inbox.send(Waiting { range, answer });
        if let Ok(Ok(answer)) = timeout(PATIENCE, answered).await {
            return Some(answer);
        }
        if with(world, |w| w.over) {
            return None;
        }
        let pause = with(world, |w| {
            w.report.retries += 1;
            w.rng.gen_range(5..60)
        });
        *node = NodeId(node.0 % NODES + 1);
        sleep(Duration::from_millis(pause)).await;
    }
}

/// One node's part: what waits becomes one snapshot. Who gets no answer asks elsewhere.
async fn fold(world: Shared, node: NodeId, mut queue: mpsc::UnboundedReceiver<Waiting>) {
    while let Some(first) = queue.recv().await {
        sleep(GATHER).await;
        let mut open = vec![first];
        open.extend(std::iter::from_fn(|| queue.try_recv().ok()));
        let Some(live) = with(&world, |w| w.slots[&node].live.clone()) else {
            continue;
        };
        for _ in 0..ATTEMPTS {
            if !fold_once(&world, node, &live, &mut open).await {
                break;
            }
        }
    }
}

/// Answers those in `open` that are done. Whether another try may help the others.
async fn fold_once(world: &Shared, node: NodeId, live: &Live, open: &mut Vec<Waiting>) -> bool {
    let passed = timeout(PATIENCE, live.node.barrier()).await;
    if !passed.is_ok_and(|passed| passed.is_ok()) || !with(world, |w| w.is_alive(node, live.incarnation)) {
        return false;
    }
    let state = live.node.state().state;
    with(world, |w| answer_known(w, &state, open));
    if open.is_empty() {
        return false;
    }
    let op = with(world, |w| plan(w, &state, open));
    let at_ms = with(world, |w| i64::try_from(w.begun.elapsed().as_millis()).unwrap());
    // Without a key, as the leader proposes it: the ranges are all that tells a repetition.
    let written = timeout(PATIENCE, live.node.write(Command::new(at_ms, Op::Append(op.clone())))).await;
    if !with(world, |w| w.is_alive(node, live.incarnation)) {
        return false;
    }
    match written {
        Ok(Ok(Outcome::Committed(_))) => {
            with(world, |w| w.report.folds_shared += u64::from(open.len() > 1));
            for waiting in open.drain(..) {
                let answer = AppendedRange {
                    to: waiting.range.to,
                    snapshot_id: op.snapshot_id,
                    sequence: op.sequence,
                    metadata_location: op.change.pointer.metadata_location.clone(),
                };
                let _gone = waiting.answer.send(answer);
            }
            false
        }
        Ok(Ok(Outcome::Refused(Refusal::Stale(_) | Refusal::AppendOverlap { .. }))) => true,
        Ok(Ok(other)) => {
            with(world, |w| w.wrong(format!("an append was answered {other:?}")));
            false
        }
        _ => false,
    }
}

fn answer_known(w: &mut World, state: &State, open: &mut Vec<Waiting>) {
    for waiting in std::mem::take(open) {
        let range = &waiting.range;
        let known = state.producer(id_of(APPENDED), &range.producer);
        match known.map_or(Meeting::New, |row| row.meet(range.from, range.to)) {
            Meeting::New => open.push(waiting),
            Meeting::Repeated(answer) => {
                w.report.appends_known += 1;
                let _gone = waiting.answer.send(answer.clone());
            }
            // Who asked has heard it elsewhere, long ago.
            Meeting::Overlap if waiting.answer.is_closed() => {}
            Meeting::Overlap => w.wrong(format!("{range:?} overlaps, and nobody else appends it")),
        }
    }
}

/// Writes the file of the next snapshot, on the state as it is.
fn plan(w: &mut World, state: &State, open: &[Waiting]) -> AppendChange {
    let row = state.table(&ident(APPENDED)).unwrap();
    let before = Arc::clone(&w.appends.files[&row.pointer.metadata_location]);
    let sequence = before.last().map_or(1, |last| last.sequence + 1);
    let snapshot_id: i64 = w.rng.gen_range(1..i64::MAX);
    let ranges: BTreeSet<ProducerRange> = open.iter().map(|waiting| waiting.range.clone()).collect();
    let stored = ranges.iter().map(|range| Stored {
        range: range.clone(),
        snapshot_id,
        sequence,
    });
    let after = before.iter().cloned().chain(stored).collect();
    w.appends.files_written += 1;
    let metadata_location = location(w.appends.files_written);
    w.appends.files.insert(metadata_location.clone(), Arc::new(after));
    AppendChange {
        change: TableChange {
            table: ident(APPENDED),
            expect: Expect::Version {
                id: id_of(APPENDED),
                version: row.version,
            },
            pointer: pointer(metadata_location),
        },
        snapshot_id,
        sequence,
        ranges: match w.bug {
            Some(Bug::RangesForgotten) => Vec::new(),
            _ => ranges.into_iter().collect(),
        },
    }
}

impl Appends {
    /// The number of the next range of a producer, if it may begin one.
    fn begin(&mut self, producer: u64) -> Option<u64> {
        let next = self.next.entry(producer).or_default();
        let open = self.open.entry(producer).or_default();
        if open.first().is_some_and(|first| *next >= first + AHEAD_MAX) {
            return None;
        }
        open.insert(*next);
        *next += 1;
        Some(*next - 1)
    }

    /// When something was appended last.
    pub(super) fn last_told(&self) -> Option<Instant> {
        self.told.values().map(|(at, ..)| *at).max()
    }
}

impl World {
    fn told(&mut self, range: &ProducerRange, answer: &AppendedRange) {
        self.report.appended += 1;
        self.note(format_args!("appended {range:?} as {}", answer.sequence));
        let told = (Instant::now(), answer.snapshot_id, answer.sequence);
        self.appends.told.insert(range.clone(), told);
    }

    /// What every state shows: a table that holds each range once, in snapshots with numbers that go up by one.
    pub(super) fn judge_appends(&mut self, id: NodeId, state: &State) {
        let Some(row) = state.table(&ident(APPENDED)) else {
            return;
        };
        let location = row.pointer.metadata_location.clone();
        if !self.appends.judged.insert(location.clone()) {
            return;
        }
        let stored = Arc::clone(&self.appends.files[&location]);
        let ranges: BTreeSet<&ProducerRange> = stored.iter().map(|one| &one.range).collect();
        if ranges.len() != stored.len() {
            self.wrong(format!("node {id} shows a table that holds a range twice: {stored:?}"));
        }
        let mut snapshots: Vec<(i64, i64)> = stored.iter().map(|one| (one.sequence, one.snapshot_id)).collect();
        snapshots.dedup();
        if !snapshots
            .iter()
            .zip(1..)
            .all(|((sequence, _), expected)| *sequence == expected)
        {
            self.wrong(format!("node {id} shows a table whose snapshots are {snapshots:?}"));
        }
    }

    /// A state that is at least as new as `moment` holds what was told by then, where it was told.
    pub(super) fn judge_told(&mut self, id: NodeId, state: &State, moment: Instant) {
        let Some(row) = state.table(&ident(APPENDED)) else {
            return self.wrong(format!("node {id} has no table to append to"));
        };
        let stored = Arc::clone(&self.appends.files[&row.pointer.metadata_location]);
        let found: BTreeMap<&ProducerRange, (i64, i64)> = stored
            .iter()
            .map(|one| (&one.range, (one.snapshot_id, one.sequence)))
            .collect();
        let lost = self.appends.told.iter().find(|(range, (at, snapshot_id, sequence))| {
            *at <= moment && found.get(range) != Some(&(*snapshot_id, *sequence))
        });
        if let Some((range, told)) = lost {
            let problem = format!("node {id} has {:?} of {range:?}, told was {told:?}", found.get(range));
            self.wrong(problem);
        }
    }
}
