//! How a node that was given a number becomes a member.

use std::time::Duration;

use crate::raft::{Consensus, GroupIdentity};
use tidewater_catalog_client::dto::NodeAddress;
use tidewater_catalog_client::{CatalogClient, ClientError};
use tidewater_core::{Coded, Retry, SharedClock};

/// Between two questions while the group does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks the group, through `client`, to add this node as a learner, until it is a member at the address it has. To be
/// called when the node serves its peers. A node that began a group of its own has nobody to ask.
///
/// # Errors
/// If the group refuses: the number was taken before, or there are too many nodes.
pub async fn announce(
    consensus: &dyn Consensus,
    identity: &GroupIdentity,
    client: &CatalogClient,
    clock: &SharedClock,
) -> Result<(), ClientError> {
    if identity.members.is_empty() {
        return Ok(());
    }
    let address = NodeAddress {
        raft: identity.address.raft.clone(),
        api: identity.address.api.clone(),
    };
    loop {
        let members = consensus.status().members;
        let known = members.iter().find(|member| member.id == identity.node);
        if known.is_some_and(|known| known.address == identity.address) {
            return Ok(());
        }
        match client.add_node(identity.node, &address).await {
            Ok(_) => return Ok(()),
            Err(error) if error.retry() == Retry::Never => return Err(error),
            Err(error) => tracing::info!(%error, "the group does not answer yet; this node asks again"),
        }
        clock.sleep(PAUSE).await;
    }
}
