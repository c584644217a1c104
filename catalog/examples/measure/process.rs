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
