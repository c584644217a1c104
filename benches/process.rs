//! Processes under measurement: `tidewater` with a folder and ports of its own, and the stack of `tests/peers/cdc`.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use tidewater_core::SharedClock;

/// Longest time until a process answers, on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// Pause between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Ticks a second of `/proc/<pid>/stat`: the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running `tidewater`. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Tidewater {
    child: Child,
    http: u16,
    flight: u16,
    log: PathBuf,
}

/// Memory of a process, in MB of a million bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) peak: f64,
    /// Of `resident`: what no file is behind, so not the program itself.
    pub(crate) anonymous: f64,
}

impl Tidewater {
    /// Starts `tidewater <verb>` with everything under `dir` and waits until it is ready. `toml` may hold the sections
    /// `ingest` and `pipelines`.
    pub(crate) async fn start(dir: &Path, verb: &[&str], toml: &str, clock: &SharedClock) -> Result<Self> {
        let ports = free_ports(8)?;
        let [
            catalog,
            raft,
            flight,
            postgres,
            http,
            scheduler,
            executor,
            executor_grpc,
        ] = ports[..]
        else {
            bail!("eight ports were asked for");
        };
        let listen = |port: u16| format!("listen = \"127.0.0.1:{port}\"");
        let config = format!(
            "[catalog]\n{}\n[raft]\n{}\n[flight_sql]\n{}\n[postgres]\n{}\n[http]\n{}\n[scheduler]\n{}\n[executor]\n{}\ngrpc_port = {executor_grpc}\nscheduler = \"127.0.0.1:{scheduler}\"\n{toml}\n",
            listen(catalog),
            listen(raft),
            listen(flight),
            listen(postgres),
            listen(http),
            listen(scheduler),
            listen(executor),
        );
        std::fs::create_dir_all(dir)?;
        let (file, log) = (dir.join("tidewater.toml"), dir.join("tidewater.log"));
        std::fs::write(&file, config)?;
        let output = File::create(&log)?;
        // Both programs are built into one folder.
        let program = std::env::current_exe()?.with_file_name("tidewater");
        let child = Command::new(program)
            .args(verb)
            .arg("--config")
            .arg(&file)
            .arg("--data-dir")
            .arg(dir.join("data"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start tidewater, which is built beside this program")?;
        let mut started = Self {
            child,
            http,
            flight,
            log,
        };
        started.wait_ready(clock).await?;
        Ok(started)
    }

    async fn wait_ready(&mut self, clock: &SharedClock) -> Result<()> {
        let deadline = clock.monotonic() + START_DEADLINE;
        let url = format!("http://127.0.0.1:{}/ready", self.http);
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("tidewater ended with {status}; its log is\n{}", self.log());
            }
            let answer = reqwest::get(&url).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if clock.monotonic() > deadline {
                bail!("tidewater does not get ready; its log is\n{}", self.log());
            }
            clock.sleep(LOOK_INTERVAL).await;
        }
    }

    /// `host:port` of Flight SQL.
    pub(crate) fn flight(&self) -> String {
        format!("127.0.0.1:{}", self.flight)
    }

    /// A document of the control endpoint.
    pub(crate) async fn control(&self, path: &str) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.http);
        let answer = reqwest::get(&url).await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// How ingest stands.
    pub(crate) async fn ingest(&self) -> Result<Value> {
        self.control("/v1/ingest").await
    }

    /// Processor time so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.child.id().to_string())
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let megabytes = |key: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            let kib = line.and_then(|rest| rest.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok());
            let kib: f64 = kib.with_context(|| format!("{path} tells {key}"))?;
            Ok(kib * 1_024.0 / 1e6)
        };
        Ok(Memory {
            resident: megabytes("VmRSS")?,
            peak: megabytes("VmHWM")?,
            anonymous: megabytes("RssAnon")?,
        })
    }

    /// The end of what it wrote.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Tidewater {
    fn drop(&mut self) {
        // It may have ended by itself; either way there is nothing left to do about it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Processor time of a process so far, in seconds; `self` is this one.
pub(crate) fn cpu_seconds(pid: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name, in parentheses, may hold blanks.
    let (_, rest) = text.rsplit_once(')').context("a process has a name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> { Ok(fields.get(at).context("user and system time")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Ports nobody listens on now. All are held at once, so that they differ.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<std::io::Result<_>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// A stack of `tests/peers/cdc` in a folder of its own. Taken down when dropped.
#[derive(Debug)]
pub(crate) struct Stack {
    folder: tempfile::TempDir,
}

impl Stack {
    /// Starts parts of the stack.
    pub(crate) fn up(parts: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tidewater-bench").tempdir()?;
        // PostgreSQL runs as another user, who must be able to enter.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let stack = Self { folder };
        stack.run("up", parts, environment)?;
        Ok(stack)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a verb of the kit; its standard output.
    pub(crate) fn kit(&self, verb: &str, rest: &[&str]) -> Result<String> {
        self.run(verb, rest, &[])
    }

    fn run(&self, verb: &str, rest: &[&str], environment: &[(&str, &str)]) -> Result<String> {
        let output = Command::new(script())
            .arg(verb)
            .arg(self.path())
            .args(rest)
            .envs(environment.iter().copied())
            .output()
            .context("cannot run tests/peers/cdc/cdc")?;
        if !output.status.success() {
            bail!("cdc {verb} {rest:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A line of the stack's `env` file.
    pub(crate) fn env(&self, key: &str) -> Result<String> {
        let text = std::fs::read_to_string(self.path().join("env"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        // The file is made for a shell, which quotes in its own way.
        Ok(line
            .with_context(|| format!("the stack has no {key}"))?
            .replace(['\'', '\\'], ""))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(Command::new(script()).arg("down").arg(self.path()).output());
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/cdc/cdc")
}
