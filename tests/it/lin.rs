//! Three processes under kill -9, pauses, cut wires and slow disks: each table is a register, and its history must be linearizable.
//!
//! `TIDEWATER_LIN_OPERATIONS` and `TIDEWATER_LIN_FAULTS` make it longer.

mod checker;
mod client;
mod proxy;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use self::client::{Load, TABLES};
use self::proxy::Wires;
use crate::kit::{Node, NodeBuilder, free_port, wait_for};

const CLIENTS: u64 = 8;

/// Operations and faults of one run.
const OPERATIONS: u64 = 2_500;
const FAULTS: u64 = 30;

/// The kinds of fault, in turn.
const KINDS: [&str; 6] = ["kill", "pause", "cut off", "cut out", "cut in", "slow disk"];

/// What a slow disk takes for a change of the log, in milliseconds.
const SLOW_SYNC_MS: &str = "250";

const DEADLINE: Duration = Duration::from_secs(60);

/// A run of the usual size that gets nowhere ends; a longer one has as many times as long.
const RUN_MAX: Duration = Duration::from_secs(900);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Builders of three nodes that reach one another through `wires` only.
fn builders(dir: &Path, wires: &Wires) -> Vec<NodeBuilder> {
    let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
    let warehouse = dir.join("lake");
    let builder = |at: usize, (catalog, raft): (u16, u16)| {
        let mut config = format!(
            "[catalog]\nlisten = \"127.0.0.1:{catalog}\"\nwarehouse = \"file://{}\"\n[raft]\nnode_id = {}\nlisten = \"127.0.0.1:{raft}\"\n",
            warehouse.display(),
            at + 1,
        );
        for (other, (their_catalog, their_raft)) in ports.iter().enumerate() {
            let reached = if other == at {
                *their_raft
            } else {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                wires.connect(listener, at, other, *their_raft);
                port
            };
            config.push_str(&format!(
                "[raft.peers.{}]\nraft = \"127.0.0.1:{reached}\"\ncatalog = \"http://127.0.0.1:{their_catalog}\"\n",
                other + 1
            ));
        }
        let mut builder = NodeBuilder::serve(dir, "catalog").config(&config);
        builder.name = format!("node-{}", at + 1);
        builder.env = vec![
            ("TIDEWATER_SLOW_POINT".into(), "catalog.log_sync".into()),
            ("TIDEWATER_SLOW_POINT_FILE".into(), slow_file(dir, at)),
        ];
        (builder.ports.catalog, builder.ports.raft) = (catalog, raft);
        builder
    };
    ports
        .iter()
        .enumerate()
        .map(|(at, ports)| builder(at, *ports))
        .collect()
}

/// While this file is there, the log of a node is slow.
fn slow_file(dir: &Path, node: usize) -> String {
    dir.join(format!("slow-{node}")).to_str().unwrap().to_owned()
}

/// How often it was.
fn slow_syncs(file: &str) -> u64 {
    std::fs::metadata(format!("{file}.fired")).map_or(0, |fired| fired.len())
}

fn signal(node: &Node, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(node.pid()).unwrap()), signal).unwrap();
}

/// One fault, and its end. Whether it happened: a disk that nobody writes to is not slow.
fn fault(kind: &str, victim: usize, lasting: Duration, nodes: &mut [Option<Node>], wires: &Wires, dir: &Path) -> bool {
    let others: Vec<usize> = (0..3).filter(|at| *at != victim).collect();
    let (out, into) = (
        others.iter().map(|at| (victim, *at)),
        others.iter().map(|at| (*at, victim)),
    );
    match kind {
        "kill" => {
            let builder = nodes[victim].take().unwrap().kill();
            rest(lasting / 4);
            let mut node = builder.spawn();
            node.wait_ready();
            nodes[victim] = Some(node);
        }
        "pause" => {
            let node = nodes[victim].as_ref().unwrap();
            signal(node, Signal::SIGSTOP);
            rest(lasting);
            signal(node, Signal::SIGCONT);
        }
        "slow disk" => {
            let file = slow_file(dir, victim);
            let before = slow_syncs(&file);
            std::fs::write(&file, SLOW_SYNC_MS).unwrap();
            rest(lasting);
            std::fs::remove_file(&file).unwrap();
            return slow_syncs(&file) > before;
        }
        "cut off" => wires.cut(&out.chain(into).collect::<Vec<_>>()),
        "cut out" => wires.cut(&out.collect::<Vec<_>>()),
        "cut in" => wires.cut(&into.collect::<Vec<_>>()),
        other => panic!("{other}"),
    }
    if kind.starts_with("cut") {
        rest(lasting);
        wires.heal();
    }
    true
}

// Goal: commits and loads are linearizable at every node, whatever happens to processes and wires (INV-CAT-1, INV-CAT-2).
// Method: clients write values of their own to tables and read them back at random nodes, followers as well, while nodes are
// killed, stopped, cut off and slow at their disks; then each table's history is judged. Every kind of fault must have happened, and every node
// must have answered.
#[test]
#[ignore = "scripts/chaos runs it: minutes"]
fn every_history_is_linearizable() {
    let dir = tempfile::tempdir().unwrap();
    let wires = Wires::default();
    let (operations, faults) = (
        setting("TIDEWATER_LIN_OPERATIONS", OPERATIONS),
        setting("TIDEWATER_LIN_FAULTS", FAULTS),
    );
    let mut nodes: Vec<Option<Node>> = builders(dir.path(), &wires)
        .into_iter()
        .map(|b| Some(b.spawn()))
        .collect();
    nodes.iter_mut().flatten().for_each(Node::wait_ready);
    let catalogs: Vec<u16> = nodes.iter().flatten().map(|node| node.ports().catalog).collect();
    let http = client::http();
    wait_for("the tables are made", DEADLINE, || client::prepare(&http, catalogs[0]));
    let load = Arc::new(Load::new(catalogs.clone()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let load = Arc::clone(&load);
            std::thread::spawn(move || load.run(number))
        })
        .collect();
    let (mut done, mut counts, mut chance) = (0, [0; KINDS.len()], 1_u64);
    let times = (faults / FAULTS).max(operations / OPERATIONS).max(1);
    let run_max = RUN_MAX * u32::try_from(times).unwrap();
    let mut turn = 0;
    while done < faults || load.ended() < operations {
        assert!(
            load.begun.elapsed() < run_max,
            "{done} faults, {} operations in {run_max:?}",
            load.ended()
        );
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (kind, any) = (turn % KINDS.len(), usize::try_from(chance >> 33).unwrap() % 3);
        // Mostly the leader: that is where it hurts.
        let victim = crate::three_nodes::leader_of(&catalogs)
            .filter(|_| chance >> 62 != 0)
            .unwrap_or(any);
        let (before, lasting) = (load.ended(), Duration::from_millis(600 + (chance >> 40) % 1_800));
        let happened = fault(KINDS[kind], victim, lasting, &mut nodes, &wires, dir.path());
        turn += 1;
        (done, counts[kind]) = (done + u64::from(happened), counts[kind] + u64::from(happened));
        // A fault on top of the last one's end would let nobody do anything.
        wait_for("work goes on after a fault", DEADLINE, || {
            (load.ended() > before + 60).then_some(())
        });
    }
    load.stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let took = load.begun.elapsed();
    for (table, node) in (0..TABLES).flat_map(|table| (0..3).map(move |node| (table, node))) {
        wait_for("every node answers in the end", DEADLINE, || {
            let before = load.reads[node].load(Ordering::SeqCst);
            load.read(&http, table, node);
            (load.reads[node].load(Ordering::SeqCst) > before).then_some(())
        });
    }
    let mut judged = 0;
    let judging = now();
    for (table, history) in load.histories.iter().enumerate() {
        let history = history.lock().unwrap();
        judged += history.len();
        if let Err(problem) = checker::check(&history) {
            let kept = std::env::temp_dir().join(format!("tidewater-lin-{}-{table}.txt", std::process::id()));
            std::fs::write(&kept, format!("{history:#?}")).unwrap();
            panic!("table {table}, see {}: {problem}", kept.display());
        }
    }
    println!(
        "{judged} operations judged in {:?} after {took:?}, {:?} of unknown outcome; reads by node {:?}, writes {:?}; {done} faults: {:?}",
        judging.elapsed(),
        load.unknown,
        load.reads,
        load.writes,
        KINDS.iter().zip(counts).collect::<Vec<_>>()
    );
    assert!(
        counts.iter().all(|count| *count > 0),
        "a kind of fault did not happen: {counts:?}"
    );
    let least = operations / 50;
    let answered = load
        .reads
        .iter()
        .chain(&load.writes)
        .map(|count| count.load(Ordering::SeqCst));
    assert!(
        answered.min() > Some(least),
        "a node answered next to nothing: {load:?}",
        load = (&load.reads, &load.writes)
    );
    assert!(judged as u64 >= operations);
}

#[expect(clippy::disallowed_methods, reason = "faults last in real time")]
fn rest(lasting: Duration) {
    std::thread::sleep(lasting);
}

#[expect(clippy::disallowed_methods, reason = "how long the judging took")]
fn now() -> Instant {
    Instant::now()
}
