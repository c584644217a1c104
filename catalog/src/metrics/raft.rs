//! How the group stands, as this node sees it at a scrape.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::raft::{Consensus, Role};

/// Tells a node's place in its group.
#[derive(Debug)]
pub struct RaftCollector(Arc<dyn Consensus>);

impl RaftCollector {
    /// Of this log.
    pub fn new(consensus: Arc<dyn Consensus>) -> Self {
        Self(consensus)
    }
}

impl Collector for RaftCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.status();
        let voters = status.members.iter().filter(|member| member.voter).count();
        let matched = status.members.iter().filter_map(|member| member.matched).min();
        let behind = matched.map_or(0, |matched| status.last_log.saturating_sub(matched));
        let figures = [
            ("term", "Raft's term", status.term),
            (
                "is_leader",
                "Whether this node leads",
                u64::from(status.role == Role::Leader),
            ),
            (
                "has_leader",
                "Whether a leader is known",
                u64::from(status.leader.is_some()),
            ),
            ("voters", "Nodes that vote", count(voters)),
            ("log_last_index", "Last entry in the log", status.last_log),
            ("log_applied_index", "Last entry applied", status.applied),
            (
                "log_snapshot_index",
                "Last entry in the snapshot on disk",
                status.snapshot,
            ),
            (
                "snapshot_failures",
                "Snapshots that could not be written since the node began",
                status.snapshot_failures,
            ),
            (
                "log_entries",
                "Entries in the log on disk",
                status.last_log.saturating_sub(status.purged),
            ),
            (
                "follower_behind_entries",
                "On the leader: entries that the slowest member lacks",
                behind,
            ),
        ];
        for (name, help, value) in figures {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let name = format!("tidewater_raft_{name}");
            gauge.encode(encoder.encode_descriptor(&name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn count(members: usize) -> u64 {
    u64::try_from(members).unwrap_or(u64::MAX)
}
