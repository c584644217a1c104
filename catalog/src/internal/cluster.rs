//! The state of this node and its group.

use axum::extract::State;

use crate::raft::{Member, Role};
use crate::rest::{Answer, Shared, json};
use tidewater_catalog_client::dto;

/// `GET /internal/v1/cluster`: what this node knows, whoever leads.
pub(super) async fn status(State(service): Shared) -> Answer {
    let status = service.consensus.status();
    let state = service.consensus.state().state;
    json(&dto::ClusterStatus {
        node: status.node,
        role: role(status.role).to_owned(),
        leader: status.leader,
        term: status.term,
        last_log: status.last_log,
        applied: status.applied,
        snapshot: status.snapshot,
        quorum_ack_ms: status.quorum_ack_ms,
        members: status.members.into_iter().map(from_member).collect(),
        namespaces_count: state.namespaces_count(),
        tables_count: state.tables_count(),
        newest_change: state.newest_change(),
        warehouse: service.warehouse.location().to_owned(),
    })
}

/// `GET /internal/v1/namespaces`: all of them at once.
pub(super) async fn namespaces(State(service): Shared) -> Answer {
    let state = service.fresh_state().await?;
    let namespaces = state.namespaces().map(|row| row.levels.clone()).collect();
    json(&dto::NamespacePage { namespaces })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    }
}

fn from_member(member: Member) -> dto::ClusterMember {
    dto::ClusterMember {
        id: member.id,
        raft: member.address.raft,
        api: member.address.api,
        voter: member.voter,
        matched: member.matched,
    }
}
