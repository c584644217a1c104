//! A real catalog process that is killed again and again.
//!
//! `TIDEWATER_CRASH_CYCLES`, `TIDEWATER_CRASH_MS_MAX` and `TIDEWATER_CRASH_ENTRIES` make it longer. It needs `--examples` built beside the tests, as
//! a plain `cargo test` does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use tidewater_catalog::command;
use tidewater_catalog::raft::{Consensus, ConsensusError, RaftConsensus, RaftOptions};
use tidewater_catalog_client::{CatalogClient, ClientOptions};
use tidewater_core::{Namespace, SharedClock, SystemClock, SystemRng};
use tidewater_table::Catalog;

/// Writers that do not wait for one another.
const WRITERS: u64 = 6;

/// Namespaces that a writer has at a time: a thousand cycles make more than a catalog holds.
const KEPT: usize = 2_000;

/// Reading a long log, optimized.
const RESTART_MAX: Duration = Duration::from_secs(2);

/// A start of a small log; the machine may be busy.
const START_DEADLINE: Duration = Duration::from_secs(20);

fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let built = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target folder")
        .join("examples/serve");
    assert!(
        built.try_exists().expect("readable"),
        "{} is not built: cargo build --examples",
        built.display()
    );
    built
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

async fn start(dir: &TempDir, port: u16) -> Child {
    let mut child = Command::new(binary())
        .arg(dir.path())
        .arg(port.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let said = tokio::time::timeout(START_DEADLINE, lines.next_line()).await;
    let said = said.expect("in time").expect("readable");
    assert!(
        said.is_some_and(|line| line.starts_with("http://")),
        "a start was refused"
    );
    child
}

async fn answers(client: &CatalogClient, clock: &SharedClock) -> Duration {
    let begun = clock.monotonic();
    client.list_namespaces().await.expect("an answer");
    clock.monotonic() - begun
}

// Goal: no commit that was acknowledged is lost and no start is refused, whenever the process is killed (INV-CAT-1).
// Method: kill -9 at random moments after the start, under writers that make namespaces and, when they have many, drop the oldest; in the end
// all that they have is listed, and nothing that they dropped.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test's own load")]
async fn killed_again_and_again() {
    let cycles = setting("TIDEWATER_CRASH_CYCLES", 6);
    let longest_ms = setting("TIDEWATER_CRASH_MS_MAX", 1_000);
    let (dir, clock, rng) = (
        TempDir::new().expect("a folder"),
        SystemClock::shared(),
        SystemRng::shared(),
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a port")
        .port();
    let uri = format!("http://127.0.0.1:{port}");
    let client = || {
        let mut options = ClientOptions::new([uri.as_str()]);
        options.deadline = Duration::from_secs(60);
        CatalogClient::new(options).expect("good options")
    };
    let stop = Arc::<AtomicBool>::default();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (client, stop) = (client(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut made, mut dropped) = (0, 0);
                let name = |number: usize| -> Namespace { format!("w{writer}n{number}").parse().expect("a name") };
                while !stop.load(Relaxed) {
                    client.create_namespace(&name(made)).await.expect("made in the end");
                    made += 1;
                    if made - dropped > KEPT {
                        client.drop_namespace(&name(dropped)).await.expect("dropped in the end");
                        dropped += 1;
                    }
                }
                (writer, dropped, made)
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..cycles {
        let begun = clock.monotonic();
        let mut child = start(&dir, port).await;
        answers(&client(), &clock).await;
        slowest = slowest.max(clock.monotonic() - begun);
        clock.sleep(Duration::from_millis(rng.below(longest_ms))).await;
        child.kill().await.expect("killed");
    }
    let mut child = start(&dir, port).await;
    stop.store(true, Relaxed);
    let (mut wanted, mut acknowledged) = (BTreeSet::new(), 0);
    for writer in writers {
        let (writer, dropped, made) = writer.await.expect("no writer met anything else");
        wanted.extend((dropped..made).map(|number| format!("w{writer}n{number}")));
        acknowledged += made + dropped;
    }
    let listed = client().list_namespaces().await.expect("a list");
    let listed: BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
    let lost: Vec<_> = wanted.difference(&listed).collect();
    let back: Vec<_> = listed.difference(&wanted).collect();
    eprintln!(
        "{cycles} kills, {acknowledged} changes acknowledged, {} lost, {} came back, slowest start {slowest:?}",
        lost.len(),
        back.len()
    );
    assert!(lost.is_empty() && back.is_empty(), "lost {lost:?}, back {back:?}");
    assert!(acknowledged as u64 > cycles, "something was written between the kills");
    child.kill().await.expect("killed");
}

/// Starts a node in this process and waits until it leads and its state is whole.
async fn open(options: &RaftOptions) -> RaftConsensus {
    let clock = SystemClock::shared();
    let node = loop {
        match RaftConsensus::start(options.clone(), Arc::clone(&clock), SystemRng::shared()).await {
            // The one before is letting go of the files.
            Err(ConsensusError::DirInUse { .. }) => clock.sleep(Duration::from_millis(5)).await,
            started => break started.expect("a start"),
        }
    };
    let mut leadership = node.leadership();
    let leads = tokio::time::timeout(START_DEADLINE, leadership.wait_for(|now| now.is_leader())).await;
    assert!(leads.expect("in time").is_ok());
    node.barrier().await.expect("a barrier");
    node
}

// Goal: a log of 100,000 entries is read within two seconds at the start, on a machine with time for it. Method: snapshots
// off, so many entries, the node ends as by a kill; the time until it answers, and everything is there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/chaos long_log runs it, in release: minutes otherwise"]
#[expect(clippy::disallowed_methods, reason = "a test's own load")]
async fn a_long_log_is_read_quickly() {
    let entries = setting("TIDEWATER_CRASH_ENTRIES", 100_000);
    let (dir, clock) = (TempDir::new().expect("a folder"), SystemClock::shared());
    let mut options = RaftOptions::single(dir.path(), "http://127.0.0.1:1");
    (options.snapshot_entries, options.snapshot_commands) = (1 << 40, 1 << 40);
    let node = open(&options).await;
    let written: u64 = {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let node = node.clone();
                tokio::spawn(async move {
                    let mut written = 0;
                    while node.status().last_log < entries {
                        let namespace = vec![format!("w{writer}n{}", written % 5_000)];
                        let op = match written / 5_000 % 2 {
                            0 => command::Op::CreateNamespace {
                                namespace,
                                properties: [].into(),
                            },
                            _ => command::Op::DropNamespace { namespace },
                        };
                        let done = node.write(command::Command::new(1, op)).await.expect("written");
                        assert_eq!(done, command::Outcome::Done);
                        written += 1;
                    }
                    written
                })
            })
            .collect();
        futures::future::join_all(writers)
            .await
            .into_iter()
            .map(|written| written.expect("a writer"))
            .sum()
    };
    let state = node.state().state;
    drop(node);
    let begun = clock.monotonic();
    let node = open(&options).await;
    let took = clock.monotonic() - begun;
    let status = node.status();
    eprintln!("{written} commands in {} entries, read in {took:?}", status.last_log);
    assert_eq!(node.state().state.namespaces_count(), state.namespaces_count());
    assert!(status.last_log >= entries && status.purged == 0, "{status:?}");
    // Only an optimized build says anything about time.
    assert!(cfg!(debug_assertions) || took <= RESTART_MAX, "{took:?}");
}
