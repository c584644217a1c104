//! Executors as processes of their own: this test binary, started once more.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::lake::{engine, executor_options};
use tidewater_core::{SystemClock, SystemRng, Tasks};
use tidewater_executor::Executor;
use tidewater_security::{NodeTls, NodeTlsSettings};

const SCHEDULER: &str = "TIDEWATER_TEST_SCHEDULER";
const HOME: &str = "TIDEWATER_TEST_HOME";
const NAME: &str = "TIDEWATER_TEST_NAME";
const NODE_TLS: &str = "TIDEWATER_TEST_NODE_TLS";

/// An executor in a process of its own, killed when dropped.
pub(crate) struct ExecutorChild {
    child: Child,
    log: PathBuf,
    work_dir: PathBuf,
}

impl ExecutorChild {
    pub(crate) fn start(name: &str, scheduler: SocketAddr, home: &Path) -> Self {
        Self::start_with(name, scheduler, home, None)
    }

    /// With this certificate of a node.
    pub(crate) fn start_with(
        name: &str,
        scheduler: SocketAddr,
        home: &Path,
        node_tls: Option<&NodeTlsSettings>,
    ) -> Self {
        let log = home.join(format!("{name}.log"));
        let output = File::create(&log).expect("a log");
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        if let Some(settings) = node_tls {
            command.env(NODE_TLS, serde_json::to_string(settings).expect("paths of text"));
        }
        let child = command
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
    let engine = engine(&home, &name);
    let _executor = Executor::start(options, engine, SystemClock::shared(), SystemRng::shared(), &tasks)
        .await
        .expect("an executor");
    tasks.token().cancelled().await;
}
