//! Executors as processes of their own: this test binary, started once more.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::lake::{engine, engine_options, executor_options};
use tidewater_core::{SystemClock, SystemRng, Tasks};
use tidewater_executor::Executor;
use tidewater_security::{NodeTls, NodeTlsSettings};

const SCHEDULER: &str = "TIDEWATER_TEST_SCHEDULER";
const HOME: &str = "TIDEWATER_TEST_HOME";
const NAME: &str = "TIDEWATER_TEST_NAME";
const NODE_TLS: &str = "TIDEWATER_TEST_NODE_TLS";
const LITTLE: &str = "TIDEWATER_TEST_LITTLE";

/// Of an executor that has little: a task cannot sort in it what fits into an executor of the usual size, and the disk is soon full.
const LITTLE_MEMORY_BYTES: usize = 64 << 20;
const LITTLE_DISK_BYTES: u64 = 1 << 20;

/// An executor in a process of its own, killed when dropped.
pub(crate) struct ExecutorChild {
    child: Child,
    log: PathBuf,
    work_dir: PathBuf,
}

impl ExecutorChild {
    pub(crate) fn start(name: &str, scheduler: SocketAddr, home: &Path) -> Self {
        Self::spawn(name, scheduler, home, Vec::new())
    }

    /// With this certificate of a node.
    pub(crate) fn start_with(name: &str, scheduler: SocketAddr, home: &Path, node_tls: &NodeTlsSettings) -> Self {
        let settings = serde_json::to_string(node_tls).expect("paths of text");
        Self::spawn(name, scheduler, home, vec![(NODE_TLS, settings)])
    }

    /// With [`LITTLE_MEMORY_BYTES`] of memory and [`LITTLE_DISK_BYTES`] of disk to spill to.
    pub(crate) fn start_with_little(name: &str, scheduler: SocketAddr, home: &Path) -> Self {
        Self::spawn(name, scheduler, home, vec![(LITTLE, "yes".to_owned())])
    }

    fn spawn(name: &str, scheduler: SocketAddr, home: &Path, more: Vec<(&str, String)>) -> Self {
        let log = home.join(format!("{name}.log"));
        let output = File::create(&log).expect("a log");
        let child = Command::new(std::env::current_exe().expect("this binary"))
            .envs(more)
            .args([
                "--exact",
                "child::executor_process",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(SCHEDULER, scheduler.to_string())
            .env(HOME, home)
            .env(NAME, name)
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .expect("a process");
        let work_dir = home.join(name);
        Self { child, log, work_dir }
    }

    /// SIGKILL: nothing is said to anybody, nothing is cleaned up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// SIGSTOP: it holds its connections and does nothing, as a host that hangs.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: it goes on as if no time had passed.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Names of jobs that it has files of.
    pub(crate) fn jobs_with_files(&self) -> Vec<String> {
        let folders = std::fs::read_dir(self.work_dir.join("shuffle")).into_iter().flatten();
        let names = folders.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
        names.collect()
    }

    /// The end of what it said.
    pub(crate) fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for ExecutorChild {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited_for = self.child.wait();
    }
}

// Goal: none of its own; it is the process that other tests start and kill. Method: ends at once if nobody asked for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by other tests"]
async fn executor_process() {
    let (Ok(scheduler), Ok(home), Ok(name)) = (std::env::var(SCHEDULER), std::env::var(HOME), std::env::var(NAME))
    else {
        return;
    };
    let scheduler: SocketAddr = scheduler.parse().expect("an address");
    let home = PathBuf::from(home);
    let tasks = Tasks::new("executor");
    let mut options = executor_options(scheduler, home.join(&name));
    if let Ok(settings) = std::env::var(NODE_TLS) {
        let settings = serde_json::from_str(&settings).expect("settings");
        options.node_tls = Some(NodeTls::load(settings, SystemClock::shared()).expect("a certificate"));
    }
    let mut engine_options = engine_options(&home, &name);
    if std::env::var(LITTLE).is_ok() {
        options.memory_bytes = LITTLE_MEMORY_BYTES as u64;
        engine_options.memory_bytes = LITTLE_MEMORY_BYTES;
        engine_options.spill_bytes_max = LITTLE_DISK_BYTES;
    }
    let engine = engine(&home, engine_options);
    let _executor = Executor::start(options, engine, SystemClock::shared(), SystemRng::shared(), &tasks)
        .await
        .expect("an executor");
    tasks.token().cancelled().await;
}
