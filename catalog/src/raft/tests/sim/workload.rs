//! Clients: writers that repeat under one key until they know, committers that compete for one table, and readers. Producers that append are
//! in `appends`.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::appends;
use super::node::{NODES, ids};
use super::world::{Bug, Live, Shared, with};
use crate::command::{Command, Expect, Ident, Op, Outcome, Pointer, Refusal, TableChange};
use crate::raft::Consensus;
use crate::state::State;
use tidewater_core::NodeId;

/// Each has a table of its own.
pub(super) const WRITERS: u64 = 3;

/// All of them commit to one table.
pub(super) const COMMITTERS: u64 = 2;

pub(super) const READERS: u64 = 2;

/// The table that is competed for.
pub(super) const CONTESTED: &str = "contested";

const NAMESPACE: &str = "sim";

/// A client gives up on a node and asks the next one.
pub(super) const PATIENCE: Duration = Duration::from_millis(700);

pub(super) fn own(writer: u64) -> String {
    format!("own{writer}")
}

pub(super) fn ident(table: &str) -> Ident {
    Ident {
        namespace: vec![NAMESPACE.into()],
        name: table.into(),
    }
}

pub(super) fn id_of(table: &str) -> Uuid {
    Uuid::from_u128(u128::from(crc32c::crc32c(table.as_bytes())))
}

/// The version of a table; 0 = there is none.
pub(super) fn version(state: &State, table: &str) -> u64 {
    state.table(&ident(table)).map_or(0, |row| row.version)
}

fn commit(table: &str, expect: Expect, metadata: &str) -> Op {
    let pointer = Pointer {
        uuid: id_of(table),
        location: format!("mem://lake/{table}"),
        metadata_location: format!("mem://lake/{table}/{metadata}.json"),
        snapshot_id: None,
    };
    Op::Commit {
        changes: vec![TableChange {
            table: ident(table),
            expect,
            pointer,
        }],
    }
}

fn command(world: &Shared, key: u128, op: Op) -> Command {
    with(world, |w| {
        let at_ms = i64::try_from(w.begun.elapsed().as_millis()).unwrap();
        match w.bug {
            Some(Bug::KeyIgnored) => Command::new(at_ms, op),
            _ => Command::once(Uuid::from_u128(key), 1, at_ms, op),
        }
    })
}

/// Proposes a command wherever it is taken, again and again under one key. None: the run ended before it was known.
async fn until_known(world: &Shared, node: &mut NodeId, command: Command) -> Option<Outcome> {
    loop {
        let live = with(world, |w| w.slots[node].live.clone());
        if let Some(live) = live
            && let Ok(Ok(outcome)) = timeout(PATIENCE, live.node.write(command.clone())).await
            && with(world, |w| w.is_alive(*node, live.incarnation))
        {
            return Some(outcome);
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

pub(super) async fn think(world: &Shared) -> bool {
    let pause = with(world, |w| w.rng.gen_range(2..50));
    sleep(Duration::from_millis(pause)).await;
    !with(world, |w| w.over)
}

/// Makes what the others need.
pub(super) async fn prepare(world: &Shared) {
    let mut node = NodeId(1);
    let namespace = Op::CreateNamespace {
        namespace: vec![NAMESPACE.into()],
        properties: [].into(),
    };
    let (first, second) = (u128::MAX, u128::MAX - 1);
    // Not through `command`: a planted bug begins with the work proper.
    for (key, op) in [
        (first, namespace),
        (second, commit(CONTESTED, Expect::Absent { id: id_of(CONTESTED) }, "0")),
    ] {
        let command = Command::once(Uuid::from_u128(key), 1, 0, op);
        let made = until_known(world, &mut node, command).await;
        assert!(matches!(made, Some(Outcome::Done | Outcome::Committed(_))), "{made:?}");
    }
    let made = until_known(world, &mut node, appends::creation(world, u128::MAX - 2)).await;
    assert!(matches!(made, Some(Outcome::Committed(_))), "{made:?}");
    with(world, |w| w.acknowledge(CONTESTED, 1));
}

/// Moves the pointer of its own table whatever its version is: the version counts what was applied.
pub(super) async fn write(world: Shared, writer: u64) {
    let (table, mut node) = (own(writer), NodeId(1));
    for number in 1.. {
        let key = (u128::from(writer) + 1) << 64 | u128::from(number);
        let op = commit(&table, Expect::Any { id: id_of(&table) }, &number.to_string());
        let proposed = command(&world, key, op);
        with(&world, |w| *w.open.entry(table.clone()).or_default() += 1);
        let Some(outcome) = until_known(&world, &mut node, proposed).await else {
            return;
        };
        with(&world, |w| {
            *w.open.get_mut(&table).unwrap() -= 1;
            match &outcome {
                Outcome::Committed(refs) if refs.len() == 1 && refs[0].version == number => {}
                other => w.wrong(format!("write {number} of {table} was answered {other:?}")),
            }
            w.acknowledge(&table, number);
        });
        if !think(&world).await {
            return;
        }
    }
}

/// Reads the table all compete for and commits on the version it saw.
pub(super) async fn compete(world: Shared, committer: u64) {
    let mut node = NodeId(committer % NODES + 1);
    for number in 1u64.. {
        let planned = match with(&world, |w| w.slots[&node].live.clone()) {
            Some(live)
                if timeout(PATIENCE, live.node.barrier())
                    .await
                    .is_ok_and(|passed| passed.is_ok()) =>
            {
                Some(version(&live.node.state().state, CONTESTED))
            }
            _ => None,
        };
        if let Some(seen) = planned {
            let id = id_of(CONTESTED);
            let expect = match with(&world, |w| w.bug) {
                Some(Bug::RequirementIgnored) => Expect::Any { id },
                _ => Expect::Version { id, version: seen },
            };
            let key = (u128::from(committer) + 100) << 64 | u128::from(number);
            let op = commit(CONTESTED, expect, &format!("{committer}-{number}"));
            let proposed = command(&world, key, op);
            with(&world, |w| *w.open.entry(CONTESTED.into()).or_default() += 1);
            let Some(outcome) = until_known(&world, &mut node, proposed).await else {
                return;
            };
            with(&world, |w| {
                *w.open.get_mut(CONTESTED).unwrap() -= 1;
                match outcome {
                    Outcome::Committed(refs) if refs.len() == 1 => {
                        let now = refs[0].version;
                        if now != seen + 1 || !w.won.insert(now) {
                            w.wrong(format!("a commit on version {seen} was answered with version {now}"));
                        }
                        w.acknowledge(CONTESTED, now);
                    }
                    Outcome::Refused(Refusal::Stale(_)) => w.report.conflicts += 1,
                    other => w.wrong(format!("a commit on version {seen} was answered {other:?}")),
                }
            });
        } else {
            node = NodeId(node.0 % NODES + 1);
        }
        if !think(&world).await {
            return;
        }
    }
}

/// Reads at any node, followers as well, now and then content with an answer of some age.
pub(super) async fn read(world: Shared) {
    let tables: Vec<String> = (0..WRITERS).map(own).chain([CONTESTED.to_owned()]).collect();
    while think(&world).await {
        let (node, age) = with(&world, |w| {
            let node = ids().nth(w.rng.gen_range(0..NODES as usize)).unwrap();
            let age = w
                .rng
                .gen_bool(0.3)
                .then(|| Duration::from_millis(w.rng.gen_range(1..500)));
            (node, age)
        });
        let begun = Instant::now();
        let moment = age.map_or(Some(begun), |age| begun.checked_sub(age)).unwrap_or(begun);
        let floors: Vec<u64> = with(&world, |w| {
            tables.iter().map(|table| w.acknowledged_by(table, moment)).collect()
        });
        let Some(live) = with(&world, |w| w.slots[&node].live.clone()) else {
            continue;
        };
        if !confirmed(&world, &live, age).await {
            continue;
        }
        let state = live.node.state().state;
        with(&world, |w| {
            if !w.is_alive(node, live.incarnation) {
                return;
            }
            w.report.reads += 1;
            w.report.aged_reads += u64::from(age.is_some());
            w.judge_told(node, &state, moment);
            for (table, floor) in tables.iter().zip(floors) {
                let found = version(&state, table);
                w.note(format_args!("read {table} {found} at {node}"));
                if found < floor {
                    w.wrong(format!(
                        "a read at node {node}, confirmed for {age:?}, saw version {found} of {table}; {floor} was acknowledged"
                    ));
                }
            }
        });
    }
}

async fn confirmed(world: &Shared, live: &Live, age: Option<Duration>) -> bool {
    if with(world, |w| w.bug) == Some(Bug::ReadUnguarded) {
        return true;
    }
    let barrier = async {
        match age {
            Some(age) => live.node.barrier_within(age).await,
            None => live.node.barrier().await,
        }
    };
    timeout(PATIENCE, barrier).await.is_ok_and(|passed| passed.is_ok())
}

/// All clients.
pub(super) fn start(world: &Shared) -> tokio::task::JoinSet<()> {
    let mut clients = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        clients.spawn(write(Arc::clone(world), writer));
    }
    for committer in 0..COMMITTERS {
        clients.spawn(compete(Arc::clone(world), committer));
    }
    for _ in 0..READERS {
        clients.spawn(read(Arc::clone(world)));
    }
    appends::start(world, &mut clients);
    clients
}
