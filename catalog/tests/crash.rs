//! A real catalog process that is killed again and again.
//!
//! `TIDEWATER_CRASH_CYCLES` and `TIDEWATER_CRASH_MS_MAX` make it longer. It needs `--examples` built beside the tests, as
//! a plain `cargo test` does.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use tidewater_catalog_client::{CatalogClient, ClientOptions};
use tidewater_core::{SharedClock, SystemClock, SystemRng};
use tidewater_table::Catalog;

/// Writers that do not wait for one another.
const WRITERS: u64 = 6;

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
// Method: kill -9 at random moments after the start, under writers; after each start everything acknowledged is listed.
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
                let mut acknowledged = Vec::new();
                while !stop.load(Relaxed) {
                    let name = format!("w{writer}n{}", acknowledged.len());
                    client
                        .create_namespace(&name.parse().expect("a name"))
                        .await
                        .expect("made in the end");
                    acknowledged.push(name);
                }
                acknowledged
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
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("no writer met anything else"));
    }
    let listed = client().list_namespaces().await.expect("a list");
    let listed: std::collections::BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
    let lost = acknowledged.iter().filter(|name| !listed.contains(*name)).count();
    eprintln!(
        "{cycles} kills, {} acknowledged, {lost} lost, slowest start {slowest:?}",
        acknowledged.len()
    );
    assert_eq!(lost, 0);
    assert!(
        acknowledged.len() as u64 > cycles,
        "something was written between the kills"
    );
    child.kill().await.expect("killed");
}
