//! The state of this node and its group, and changes of the group.

use std::collections::BTreeSet;

use axum::body::Body as Bytes;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::command::{Op, Outcome};
use crate::error::{CatalogError, Result};
use crate::raft::{ConsensusError, Member, MemberChange, PeerAddress, Role};
use crate::rest::{Answer, Body, Shared, json};
use crate::service::Service;
use tidewater_catalog_client::dto;
use tidewater_core::NodeId;

/// Most nodes that one call names.
const NODES_PER_CALL_MAX: usize = 16;

/// `GET /internal/v1/cluster`: what this node knows, whoever leads.
pub(super) async fn status(State(service): Shared) -> Answer {
    json(&status_of(&service))
}

fn status_of(service: &Service) -> dto::ClusterStatus {
    let status = service.consensus.status();
    let state = service.consensus.state().state;
    dto::ClusterStatus {
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
        purged: status.purged,
    }
}

/// `POST /internal/v1/cluster/nodes`: gives out a number for a node that is to join.
pub(super) async fn allocate(State(service): Shared, body: Body<dto::NodeAllocate>) -> Answer {
    // Whoever joined could reach nobody, and would end.
    let members = service.consensus.status().members;
    if let Some(alone) = members.iter().find(|member| member.address.raft.is_empty()) {
        return Err(ConsensusError::Alone { node: alone.id }.into());
    }
    match service.propose(&body.ticket, Op::AllocateNode).await? {
        Outcome::Node { id } => {
            let members = service.consensus.status().members;
            json(&dto::NodeAllocated {
                node: NodeId(id),
                members: members.into_iter().map(from_member).collect(),
            })
        }
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}

/// `PUT /internal/v1/cluster/nodes/{node}`: adds a node as a learner and waits until it has the log, or notes that it
/// has moved.
pub(super) async fn add(State(service): Shared, Path(node): Path<u64>, body: Body<dto::NodeAddress>) -> Answer {
    let dto::NodeAddress { raft, api } = body.value;
    let change = MemberChange::AddLearner {
        id: NodeId(node),
        address: PeerAddress { raft, api },
    };
    service.consensus.change_members(change).await?;
    json(&status_of(&service))
}

/// `POST /internal/v1/cluster/promote`: makes learners voters, all in one step.
pub(super) async fn promote(State(service): Shared, body: Body<dto::NodeList>) -> Answer {
    let change = MemberChange::Promote(listed(body.value)?);
    service.consensus.change_members(change).await?;
    json(&status_of(&service))
}

/// `POST /internal/v1/cluster/remove`: removes voters and learners for good.
pub(super) async fn remove(State(service): Shared, body: Body<dto::NodeList>) -> Answer {
    let change = MemberChange::Remove(listed(body.value)?);
    service.consensus.change_members(change).await?;
    json(&status_of(&service))
}

/// `POST /internal/v1/cluster/transfer`: lets another voter lead. A request that comes again when it does is answered
/// alike.
pub(super) async fn transfer(State(service): Shared, body: Body<dto::LeaderTransfer>) -> Answer {
    let leader = service.consensus.transfer_leadership(body.value.to).await?;
    json(&dto::LeaderTransferred { leader: leader.id })
}

/// `POST /internal/v1/cluster/snapshot`: writes this node's state to its disk.
pub(super) async fn snapshot(State(service): Shared) -> Answer {
    let index = service.consensus.take_snapshot().await?;
    json(&dto::SnapshotTaken {
        node: service.consensus.status().node,
        index,
    })
}

/// `GET /internal/v1/cluster/backup`: the state of now, as a node's snapshot file holds it, while everything goes on.
pub(super) async fn backup(State(service): Shared) -> Answer {
    service.consensus.barrier().await?;
    let pieces = service.consensus.export()?.pieces();
    let pieces = futures::stream::unfold(pieces, |mut pieces| async {
        let piece = pieces.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), pieces))
    });
    Ok(Response::new(Bytes::from_stream(pieces)))
}

fn listed(list: dto::NodeList) -> Result<BTreeSet<NodeId>> {
    if list.nodes.is_empty() || list.nodes.len() > NODES_PER_CALL_MAX {
        return Err(CatalogError::bad_request(format!(
            "name between 1 and {NODES_PER_CALL_MAX} nodes"
        )));
    }
    Ok(list.nodes.into_iter().collect())
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
