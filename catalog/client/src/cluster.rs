//! Calls about the group of nodes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;

use crate::client::{CatalogClient, encode};
use crate::dto::{
    ClusterStatus, LeaderTransfer, LeaderTransferred, NodeAddress, NodeAllocate, NodeAllocated, NodeList, SnapshotTaken,
};
use crate::error::{ClientError, Result};
use crate::transport::{Call, Reply};
use tidewater_core::NodeId;

/// How long the catalog works on a change of its group: a new node has to get the whole state first.
const CHANGE_WAIT: Duration = Duration::from_secs(60);

impl CatalogClient {
    /// A number for a node that is to join, and whom it joins.
    ///
    /// # Errors
    /// If no node took it.
    pub async fn allocate_node(&self) -> Result<NodeAllocated> {
        self.operate(Method::POST, "/internal/v1/cluster/nodes".into(), &NodeAllocate {})
            .await?
            .json()
    }

    /// Adds a node that runs already as a learner and waits until it has the log; for a member: notes where it listens
    /// now. May be called again.
    ///
    /// # Errors
    /// Refused with `ClusterConflictException` if the number was taken before or the node does not keep up.
    pub async fn add_node(&self, node: NodeId, address: &NodeAddress) -> Result<ClusterStatus> {
        self.operate(Method::PUT, format!("/internal/v1/cluster/nodes/{node}"), address)
            .await?
            .json()
    }

    /// Makes learners voters, all in one step.
    ///
    /// # Errors
    /// Refused with `ClusterConflictException` if they do not keep up, or are none of the group.
    pub async fn promote_nodes(&self, nodes: &[NodeId]) -> Result<ClusterStatus> {
        let nodes = nodes.to_vec();
        self.operate(Method::POST, "/internal/v1/cluster/promote".into(), &NodeList { nodes })
            .await?
            .json()
    }

    /// Removes nodes for good.
    ///
    /// # Errors
    /// Refused with `ClusterConflictException` if those that stay could not go on without them.
    pub async fn remove_nodes(&self, nodes: &[NodeId]) -> Result<ClusterStatus> {
        let nodes = nodes.to_vec();
        self.operate(Method::POST, "/internal/v1/cluster/remove".into(), &NodeList { nodes })
            .await?
            .json()
    }

    /// Lets another voter lead: the named one, or the one that is furthest. Answers who does.
    ///
    /// # Errors
    /// Refused with `ClusterConflictException` if it could not be made to.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<NodeId> {
        let transferred: LeaderTransferred = self
            .operate(
                Method::POST,
                "/internal/v1/cluster/transfer".into(),
                &LeaderTransfer { to },
            )
            .await?
            .json()?;
        Ok(transferred.leader)
    }

    /// Writes the state of the node that answers to its disk.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn take_snapshot(&self) -> Result<SnapshotTaken> {
        self.operate(Method::POST, "/internal/v1/cluster/snapshot".into(), &NodeAllocate {})
            .await?
            .json()
    }

    /// The state of now as bytes, while the catalog goes on.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn backup(&self) -> Result<Download> {
        let call = Call {
            wait: CHANGE_WAIT,
            ..Call::get("/internal/v1/cluster/backup")
        };
        let response = self.transport.download(&call).await?;
        Ok(Download {
            call: call.name(),
            response,
        })
    }

    pub(crate) async fn operate<T: Serialize + Sync>(&self, method: Method, path: String, body: &T) -> Result<Reply> {
        let call = Call {
            body: Some(encode(&method, &path, body)?),
            key: Some(self.transport.new_key()),
            wait: CHANGE_WAIT,
            method,
            ..Call::get(path)
        };
        self.transport.send(&call).await
    }
}

/// An answer that is read as it comes.
#[derive(Debug)]
pub struct Download {
    call: String,
    response: reqwest::Response,
}

impl Download {
    /// The next bytes; none at the end. That it was the end, the bytes themselves have to tell.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let next = self.response.chunk().await;
        next.map_err(|source| ClientError::Interrupted {
            call: self.call.clone(),
            source: source.into(),
        })
    }
}
