//! The catalog role: the replicated log and the Iceberg REST server over it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tidewater_catalog::raft::{PeerAddress, RaftConsensus, RaftOptions};
use tidewater_catalog::{AccessKeys, CatalogOptions, CatalogServer, DelegationOptions, Vending, Warehouse};
use tidewater_core::NodeId;

use super::{Parts, Role, bind, storage};
use crate::cli::STORAGE_FAILED;
use crate::cli::failure::Failure;
use crate::control::RoleReport;
use crate::settings::Settings;

/// How long the log may take to close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// What is left to do when everything else has ended: the log closes last, and its failure is the process's.
#[derive(Default)]
pub(super) struct Exit {
    consensus: Option<RaftConsensus>,
}

impl Exit {
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
    let options = raft_options(parts)?;
    let alone = options.peers.len() == 1;
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
    options.delegation = Some(delegation(settings));
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

/// What clients are given to reach files with.
fn delegation(settings: &Settings) -> DelegationOptions {
    let access = &settings.catalog.access;
    let mut options = DelegationOptions::new(storage::options(settings).s3);
    options.remote_signing = access.remote_signing;
    if let Some(seconds) = access.lifetime_s {
        options.lifetime = Duration::from_secs(seconds);
    }
    let fixed = access
        .static_access_key_id
        .clone()
        .zip(access.static_secret_access_key.clone());
    options.vending = match (&access.role_arn, fixed) {
        (Some(role_arn), _) => Vending::AssumeRole {
            endpoint: access.sts_endpoint.clone(),
            role_arn: role_arn.clone(),
            external_id: access.external_id.clone(),
        },
        (None, Some((access_key_id, secret_access_key))) => Vending::Static(AccessKeys {
            access_key_id,
            secret_access_key,
            session_token: None,
        }),
        (None, None) => Vending::Nothing,
    };
    options
}

fn raft_options(parts: &Parts) -> Result<RaftOptions, Failure> {
    let settings = &parts.settings;
    let dir = settings.data_dir.join("raft");
    let raft = &settings.raft;
    let mut options = if raft.peers.is_empty() {
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
