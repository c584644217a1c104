//! `/ready`: whether a process can do its work now, and what keeps it from it.
//!
//! Each check asks what the work itself would ask: a leader, the applied state, the listeners, the scheduler.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;

use tidewater_catalog::raft::{Role as RaftRole, Status};

use crate::roles::{Role, Running, leadership, listeners};

/// How long one check may take: whoever asks has a deadline of a few seconds.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

/// A node with more entries before it than this answers with a state that is too old. It applies as many in less than a second.
const BEHIND_MAX: u64 = 1_000;

/// One thing that has to be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Check {
    pub(crate) fn of(name: &'static str, outcome: Result<(), String>) -> Self {
        Self {
            name,
            ok: outcome.is_ok(),
            reason: outcome.err(),
        }
    }
}

/// All checks of the roles that run.
pub(crate) async fn checks(running: &Running) -> Vec<Check> {
    let clock = &running.parts.clock;
    let within =
        async |name: &'static str, check: std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>| {
            tokio::select! {
                outcome = check => Check::of(name, outcome),
                () = clock.sleep(CHECK_DEADLINE) => {
                    Check::of(name, Err(format!("no answer within {} s", CHECK_DEADLINE.as_secs())))
                }
            }
        };
    let mut checks = Vec::new();
    if let Some(consensus) = &running.consensus {
        checks.push(Check::of("log", applied(&consensus.status())));
    }
    checks.push(within("catalog", Box::pin(leader(running))).await);
    checks.push(within("listeners", Box::pin(open(running))).await);
    if running.roles.contains(&Role::Executor) {
        checks.push(within("scheduler", Box::pin(scheduler(running))).await);
    }
    checks
}

/// Whether this node's state is that of its group.
fn applied(status: &Status) -> Result<(), String> {
    if status.role == RaftRole::Stopped {
        return Err("the log has stopped".into());
    }
    if status.leader.is_none() {
        return Err("no leader is known to this node".into());
    }
    match status.last_log.saturating_sub(status.applied) {
        behind if behind > BEHIND_MAX => Err(format!("{behind} entries of the log are not applied yet")),
        _ => Ok(()),
    }
}

async fn leader(running: &Running) -> Result<(), String> {
    match running.parts.client.cluster_status().await {
        Ok(status) if status.leader.is_some() => Ok(()),
        Ok(_) => Err("the catalog has no leader".into()),
        Err(error) => Err(format!("the catalog does not answer: {error}")),
    }
}

async fn open(running: &Running) -> Result<(), String> {
    for (section, address) in listeners(&running.parts.settings, &running.roles) {
        if let Err(error) = reach(near(address)).await {
            return Err(format!("{section}: {address} takes no connections: {error}"));
        }
    }
    Ok(())
}

async fn scheduler(running: &Running) -> Result<(), String> {
    let (host, port) = leadership::scheduler_of(&running.parts)
        .await
        .ok_or("nobody schedules")?;
    match TcpStream::connect((host.as_str(), port)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the scheduler at {host}:{port} takes no connections: {error}")),
    }
}

async fn reach(address: SocketAddr) -> std::io::Result<()> {
    TcpStream::connect(address).await.map(drop)
}

/// Where this process reaches a listener of its own.
fn near(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::NodeId;

    use super::*;

    // Goal: a node that would answer with an old state, or cannot be told who leads, is not ready. Method: a good status and
    // each bad one.
    #[test]
    fn a_node_is_ready_when_it_is_where_its_group_is() {
        let good = Status {
            node: NodeId(1),
            role: RaftRole::Follower,
            leader: Some(NodeId(2)),
            term: 3,
            last_log: 5_000,
            applied: 4_990,
            snapshot: 4_000,
            snapshot_failures: 0,
            purged: 3_000,
            quorum_ack_ms: None,
            members: Vec::new(),
        };
        assert_eq!(applied(&good), Ok(()));
        let stopped = Status {
            role: RaftRole::Stopped,
            ..good.clone()
        };
        let alone = Status {
            leader: None,
            ..good.clone()
        };
        let behind = Status { applied: 3_000, ..good };
        for bad in [stopped, alone, behind] {
            assert!(applied(&bad).is_err(), "{bad:?}");
        }
    }
}
