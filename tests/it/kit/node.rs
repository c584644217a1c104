//! One process of `tidewater`, from configuration to its end.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{free_port, wait_for};

/// Longest time a healthy process needs to start on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The program: the one that was built with the tests, or another build of it, such as an optimised one for long runs.
pub fn program() -> OsString {
    std::env::var_os("TIDEWATER_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_tidewater").into())
}

/// The ports of one process.
#[derive(Debug, Clone)]
pub struct Ports {
    pub catalog: u16,
    pub raft: u16,
    pub flight: u16,
    pub postgres: u16,
    pub http: u16,
    pub scheduler: u16,
    pub executor: u16,
    pub executor_grpc: u16,
}

impl Ports {
    fn free() -> Self {
        Self {
            catalog: free_port(),
            raft: free_port(),
            flight: free_port(),
            postgres: free_port(),
            http: free_port(),
            scheduler: free_port(),
            executor: free_port(),
            executor_grpc: free_port(),
        }
    }
}

/// What a process is to be.
#[derive(Debug, Clone)]
pub struct NodeBuilder {
    pub dir: PathBuf,
    pub ports: Ports,
    pub verb: Vec<String>,
    pub config: String,
    pub env: Vec<(String, String)>,
    pub name: String,
    /// The log's name, when another process has the folder's usual one.
    pub log_name: Option<String>,
}

impl NodeBuilder {
    /// `tidewater up` with everything under `dir`.
    pub fn up(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            ports: Ports::free(),
            verb: vec!["up".into()],
            config: String::new(),
            env: Vec::new(),
            name: "tidewater".into(),
            log_name: None,
        }
    }

    /// `tidewater serve --roles …`.
    pub fn serve(dir: &Path, roles: &str) -> Self {
        Self {
            verb: vec!["serve".into(), "--roles".into(), roles.into()],
            name: roles.replace(',', "-"),
            ..Self::up(dir)
        }
    }

    /// Appends TOML; sections with ports are written already.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    fn toml(&self) -> String {
        let Ports {
            catalog,
            raft,
            flight,
            postgres,
            http,
            scheduler,
            executor,
            executor_grpc,
        } = self.ports;
        let mut toml = String::new();
        let mut section = |name: &str, body: &str| {
            if !self.config.contains(&format!("[{name}]")) {
                write!(toml, "[{name}]\n{body}\n").unwrap();
            }
        };
        section("catalog", &format!("listen = \"127.0.0.1:{catalog}\""));
        section("raft", &format!("listen = \"127.0.0.1:{raft}\""));
        section("flight_sql", &format!("listen = \"127.0.0.1:{flight}\""));
        section("postgres", &format!("listen = \"127.0.0.1:{postgres}\""));
        section("http", &format!("listen = \"127.0.0.1:{http}\""));
        section("scheduler", &format!("listen = \"127.0.0.1:{scheduler}\""));
        section(
            "executor",
            &format!(
                "listen = \"127.0.0.1:{executor}\"\ngrpc_port = {executor_grpc}\nscheduler = \"127.0.0.1:{scheduler}\"\nmemory_bytes = 268435456"
            ),
        );
        section("engine", "memory_bytes = 268435456");
        toml + &self.config
    }

    fn files(&self) -> (PathBuf, PathBuf, PathBuf) {
        let file = |suffix: &str| self.dir.join(format!("{}{suffix}", self.name));
        let log = match &self.log_name {
            Some(name) => self.dir.join(format!("{name}.log")),
            None => file(".log"),
        };
        (file(".toml"), log, file(".data"))
    }

    /// What the process wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.files().1).unwrap_or_default()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.files().2
    }

    /// Runs a verb of the command line with this configuration and folder, whether or not the process runs; its standard
    /// output.
    pub fn cli(&self, args: &[&str]) -> Result<String, String> {
        let (config, _, data) = self.files();
        std::fs::create_dir_all(&self.dir).unwrap();
        std::fs::write(&config, self.toml()).unwrap();
        let output = Command::new(program())
            .args(args)
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(&data)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Starts the process without waiting for it.
    pub fn spawn(self) -> Node {
        std::fs::create_dir_all(&self.dir).unwrap();
        let (config, log, data) = self.files();
        std::fs::write(&config, self.toml()).unwrap();
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(program());
        command
            .args(&self.verb)
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(&data)
            .env("RUST_BACKTRACE", "1")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let child = command.spawn().unwrap();
        Node { builder: self, child }
    }

    /// Starts the process and waits until it is ready.
    pub fn start(self) -> Node {
        let mut node = self.spawn();
        node.wait_ready();
        node
    }
}

/// A running process. Killed when dropped.
#[derive(Debug)]
pub struct Node {
    builder: NodeBuilder,
    child: Child,
}

impl Node {
    pub fn ports(&self) -> &Ports {
        &self.builder.ports
    }

    /// The file it was configured by.
    pub fn config_file(&self) -> PathBuf {
        self.builder.files().0
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn builder(&self) -> &NodeBuilder {
        &self.builder
    }

    pub fn ready_url(&self) -> String {
        format!("http://127.0.0.1:{}/ready", self.builder.ports.http)
    }

    /// Starts a verb of the command line against this process, without waiting for it.
    pub fn spawn_cli(&self, args: &[&str]) -> Child {
        Command::new(program())
            .args(args)
            .arg("--config")
            .arg(&self.builder.files().0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Waits for `/ready` of the process.
    pub fn wait_ready(&mut self) {
        let url = self.ready_url();
        let what = format!("{} is ready", self.builder.name);
        let log = self.builder.files().1;
        let child = &mut self.child;
        wait_for(&what, START_DEADLINE, || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the process ended with {status}:\n{}", tail(&log));
            }
            (get(&url)?.0 == 200).then_some(())
        });
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) -> NodeBuilder {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.builder.clone()
    }

    /// SIGTERM, and waits for the end. The exit code.
    pub fn stop(mut self) -> (NodeBuilder, Option<i32>) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let child = &mut self.child;
        let status = wait_for("the process ends after SIGTERM", Duration::from_secs(30), || {
            child.try_wait().unwrap()
        });
        (self.builder.clone(), status.code())
    }

    /// Waits for the process to end by itself. The exit code.
    pub fn wait_end(mut self) -> (NodeBuilder, Option<i32>) {
        let child = &mut self.child;
        let status = wait_for("the process ends", START_DEADLINE, || child.try_wait().unwrap());
        (self.builder.clone(), status.code())
    }

    pub fn log(&self) -> String {
        self.builder.log()
    }

    /// Runs a verb of the command line against this process; its standard output.
    pub fn cli(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new(program())
            .args(args)
            .arg("--config")
            .arg(&self.builder.files().0)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// The rows of a query, each an object by column name.
    pub fn query(&self, sql: &str) -> Result<Vec<Value>, String> {
        let text = self.cli(&["query", sql, "--output", "json"])?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// The one number a query gives; `None` while the table is not there yet.
    pub fn number(&self, sql: &str) -> Option<i64> {
        let rows = self.query(sql).ok()?;
        rows.first()?.as_object()?.values().next()?.as_i64()
    }

    /// A JSON document of the control endpoint.
    pub fn control(&self, path: &str) -> Option<Value> {
        let (status, body) = get(&format!("http://127.0.0.1:{}{path}", self.builder.ports.http))?;
        (status == 200).then(|| serde_json::from_str(&body).ok())?
    }
}

impl Drop for Node {
    #[expect(clippy::print_stderr, reason = "a failed test shows the log of its process")]
    fn drop(&mut self) {
        let running = matches!(self.child.try_wait(), Ok(None));
        if running {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            let log = self.builder.files().1;
            eprintln!("--- tail of {}:\n{}", log.display(), tail(&log));
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// GET with a short deadline: status and body, or nothing when nobody answers.
pub fn get(url: &str) -> Option<(u16, String)> {
    let client = reqwest::blocking::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()
        .ok()?;
    let response = client.get(url).send().ok()?;
    let status = response.status().as_u16();
    Some((status, response.text().ok()?))
}
