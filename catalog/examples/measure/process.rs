//! The example `serve` as a process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Result;

const START_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    pub(crate) uri: String,
}

fn binary() -> Result<PathBuf> {
    let binary = std::env::current_exe()?.with_file_name("serve");
    match binary.try_exists()? {
        true => Ok(binary),
        false => Err("the example serve is not built: cargo build -p tidewater-catalog --examples".into()),
    }
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The nodes of one group, which share a warehouse in the same folder as their own.
#[derive(Debug)]
pub(crate) struct Group {
    dir: PathBuf,
    ports: Vec<u16>,
    peers: String,
}

impl Group {
    pub(crate) fn new(dir: &Path, count: u64) -> Result<Self> {
        let (mut ports, mut peers) = (Vec::new(), Vec::new());
        for id in 1..=count {
            let (api, raft) = (free_port()?, free_port()?);
            ports.push(api);
            peers.push(format!("{id}@127.0.0.1:{raft}@http://127.0.0.1:{api}"));
        }
        Ok(Self {
            dir: dir.to_owned(),
            ports,
            peers: peers.join(","),
        })
    }

    /// Starts a node, the first one or again.
    pub(crate) async fn start(&self, at: usize) -> Result<Served> {
        let warehouse = self.dir.join("lake").to_string_lossy().into_owned();
        let more = [warehouse, format!("node={}", at + 1), format!("peers={}", self.peers)];
        Served::start(&self.dir.join(format!("node-{}", at + 1)), self.ports[at], &more).await
    }

    pub(crate) async fn start_all(&self) -> Result<Vec<Served>> {
        let mut nodes = Vec::new();
        for at in 0..self.ports.len() {
            nodes.push(self.start(at).await?);
        }
        Ok(nodes)
    }
}

impl Served {
    /// Starts it and waits until it says where it is.
    pub(crate) async fn start(dir: &Path, port: u16, more: &[String]) -> Result<Self> {
        let mut child = Command::new(binary()?)
            .arg(dir)
            .arg(port.to_string())
            .args(more)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("its output is piped")?;
        let said = tokio::time::timeout(START_DEADLINE, BufReader::new(stdout).lines().next_line()).await??;
        let uri = said.ok_or("it ended instead of starting")?;
        Ok(Self { child, uri })
    }

    /// Ends it as a loss of power would, but for the disk.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Memory that is its own, in bytes.
    pub(crate) fn memory_bytes(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().ok_or("it runs")?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib: f64 = line
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .ok_or("no RssAnon")?;
        Ok(kib * 1_024.0)
    }
}
