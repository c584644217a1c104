//! The catalog role: the replicated log and the Iceberg REST server over it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tidewater_catalog::join::announce;
use tidewater_catalog::raft::{GroupIdentity, PeerAddress, RaftConsensus, RaftOptions};
use tidewater_catalog::{CatalogOptions, CatalogServer, Warehouse};
use tidewater_core::NodeId;
use tidewater_security::TokenKey;

use super::{Parts, Role, bind};
use crate::cli::STORAGE_FAILED;
use crate::cli::cluster::operating_client;
use crate::cli::failure::Failure;
use crate::control::RoleReport;

/// How long the log may take to close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// How long another node may take to lead.
const HAND_OVER_DEADLINE: Duration = Duration::from_secs(5);

/// What is left to do when everything else has ended: the log closes last, and its failure is the process's.
#[derive(Default)]
pub(super) struct Exit {
    consensus: Option<RaftConsensus>,
}

impl Exit {
    /// Lets another node lead as soon as this process is to end, rather than when everything else has ended.
    pub(super) async fn hand_over(&self) {
        if let Some(consensus) = &self.consensus {
            consensus.hand_over(HAND_OVER_DEADLINE).await;
        }
    }

    pub(super) async fn shutdown(&self) {
        if let Some(consensus) = &self.consensus {
            consensus.shutdown(CLOSE_DEADLINE).await;
        }
    }

    pub(super) fn code(&self) -> ExitCode {
        match self
            .consensus
            .as_ref()
            .and_then(|consensus| consensus.stopped().borrow().clone())
        {
            Some(_) => ExitCode::from(STORAGE_FAILED),
            None => ExitCode::SUCCESS,
        }
    }
}

/// Starts the log and the REST server.
pub(super) async fn start(parts: &Parts, exit: &mut Exit) -> Result<RoleReport, Failure> {
    let settings = &parts.settings;
    let listener = bind(settings, settings.catalog.listen, "catalog").await?;
    let identity = GroupIdentity::read(&settings.raft_dir())?;
    let mut options = raft_options(parts, identity.as_ref())?;
    let secret = settings
        .raft_secret()
        .map_err(|source| Failure::io("read raft.secret_file", source))?;
    options.secret.clone_from(&secret);
    // A node with a number from its group may be joined by others.
    let alone = options.peers.len() == 1 && identity.is_none();
    let peers = match alone {
        true => None,
        false => Some(bind(settings, settings.raft.listen, "raft").await?),
    };
    let consensus = RaftConsensus::start(options, Arc::clone(&parts.clock), Arc::clone(&parts.rng)).await?;
    exit.consensus = Some(consensus.clone());
    if let Some(listener) = peers {
        consensus.serve_peers(listener)?;
    }
    watch_storage(parts, &consensus);
    if let Some(identity) = identity {
        join(parts, &consensus, identity)?;
    }
    let warehouse = settings
        .warehouse()
        .map_err(|source| Failure::io("resolve the data directory", source))?;
    let mut options = CatalogOptions::new(
        Arc::new(consensus),
        Arc::new(parts.store.clone()),
        Warehouse::new("lake", &warehouse)?,
        Arc::clone(&parts.clock),
        Arc::clone(&parts.rng),
        parts.tasks.child("catalog"),
    );
    options.operators = secret.map(|secret| TokenKey::derive(secret.as_bytes()));
    let server = CatalogServer::new(options);
    let stop = parts.tasks.token();
    parts.tasks.spawn("catalog", async move {
        if let Err(error) = server.serve(listener).await {
            tracing::error!(%error, "catalog listener ended");
            stop.cancel();
        }
    });
    Ok(RoleReport::new(Role::Catalog, settings.catalog_url()))
}

/// Lets the group add this node, while everything else goes on.
fn join(parts: &Parts, consensus: &RaftConsensus, identity: GroupIdentity) -> Result<(), Failure> {
    let members = identity.members.values().map(|address| address.api.clone());
    let endpoints: Vec<String> = members.collect();
    if endpoints.is_empty() {
        return Ok(());
    }
    let client = operating_client(&parts.settings, endpoints)?;
    let (consensus, clock, token) = (consensus.clone(), Arc::clone(&parts.clock), parts.tasks.token());
    parts.tasks.spawn("join", async move {
        let asking = announce(&consensus, &identity, &client, &clock);
        if let Some(Err(error)) = token.run_until_cancelled(asking).await {
            tracing::error!(%error, "the catalog's group does not take this node");
        }
    });
    Ok(())
}

fn raft_options(parts: &Parts, identity: Option<&GroupIdentity>) -> Result<RaftOptions, Failure> {
    let settings = &parts.settings;
    let dir = settings.raft_dir();
    let raft = &settings.raft;
    let mut options = if let Some(identity) = identity {
        identity.options(&dir)
    } else if raft.peers.is_empty() {
        RaftOptions::single(dir, settings.catalog_url())
    } else {
        let mut peers = BTreeMap::new();
        for (id, peer) in &raft.peers {
            let id = id.parse().map_err(|_| {
                Failure::new(format!("raft.peers.{id} is not a node id"))
                    .hint("node ids are numbers from 1")
                    .exit(2)
            })?;
            peers.insert(
                NodeId(id),
                PeerAddress {
                    raft: peer.raft.clone(),
                    api: peer.catalog.clone(),
                },
            );
        }
        let node = NodeId(raft.node_id);
        if !peers.contains_key(&node) {
            return Err(Failure::new(format!("raft.node_id {node} is not among raft.peers")).exit(2));
        }
        RaftOptions::group(node, dir, peers)
    };
    options.heartbeat = Duration::from_millis(raft.heartbeat_ms);
    options.election_min = Duration::from_millis(raft.election_min_ms);
    options.election_max = Duration::from_millis(raft.election_max_ms);
    Ok(options)
}

/// A log that cannot be written ends the process: what it acknowledged stays true, and a supervisor sees the code.
fn watch_storage(parts: &Parts, consensus: &RaftConsensus) {
    let mut stopped = consensus.stopped();
    let stop = parts.tasks.token();
    parts.tasks.spawn("storage-watch", async move {
        tokio::select! {
            () = stop.cancelled() => {}
            found = stopped.wait_for(Option::is_some) => {
                if let Ok(reason) = found {
                    tracing::error!(reason = reason.as_deref().unwrap_or_default(), "the log stopped: ending the process");
                }
                stop.cancel();
            }
        }
    });
}
