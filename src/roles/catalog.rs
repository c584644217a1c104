//! The catalog role: the replicated log and the Iceberg REST server over it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tidewater_catalog::join::announce;
use tidewater_catalog::metrics::RaftCollector;
use tidewater_catalog::raft::{Consensus, GroupIdentity, PeerAddress, RaftConsensus, RaftOptions};
use tidewater_catalog::{
    Access, AccessKeys, CatalogOptions, CatalogServer, DelegationOptions, DropRetention, Vending, Warehouse,
};
use tidewater_core::NodeId;
use tidewater_security::NodeTls;

use super::ports::{self, Port};
use super::{Parts, Role, storage};
use crate::cli::cluster::operating_client;
use crate::cli::failure::{Failure, Reason};
use crate::cli::{REMOVED, STORAGE_FAILED};
use crate::control::RoleReport;
use crate::settings::Settings;

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

    /// This node's log.
    pub(super) fn log(&self) -> Option<Arc<dyn Consensus>> {
        let consensus = self.consensus.clone()?;
        Some(Arc::new(consensus))
    }

    pub(super) async fn shutdown(&self) {
        if let Some(consensus) = &self.consensus {
            consensus.shutdown(CLOSE_DEADLINE).await;
        }
    }

    pub(super) fn code(&self) -> ExitCode {
        let Some(consensus) = &self.consensus else {
            return ExitCode::SUCCESS;
        };
        let stopped = consensus.stopped().borrow().is_some();
        match stopped {
            true if consensus.removed() => ExitCode::from(REMOVED),
            true => ExitCode::from(STORAGE_FAILED),
            false => ExitCode::SUCCESS,
        }
    }
}

/// Starts the log and the REST server.
pub(super) async fn start(parts: &Parts, exit: &mut Exit) -> Result<RoleReport, Failure> {
    let settings = &parts.settings;
    let listener = ports::bind(settings, Port::Catalog).await?;
    let identity = GroupIdentity::read(&settings.raft_dir())?;
    let options = raft_options(settings, parts.node_tls.clone(), identity.as_ref())?;
    // A node with a number from its group may be joined by others.
    let alone = options.peers.len() == 1 && identity.is_none();
    let peers = match alone {
        true => None,
        false => Some(ports::bind(settings, Port::Raft).await?),
    };
    let consensus = RaftConsensus::start(options, Arc::clone(&parts.clock), Arc::clone(&parts.rng)).await?;
    exit.consensus = Some(consensus.clone());
    if let Some(listener) = peers {
        consensus.serve_peers(listener)?;
    }
    watch_log(parts, &consensus);
    if let Some(identity) = identity {
        join(parts, &consensus, identity)?;
    }
    let mut options = CatalogOptions::new(
        Arc::new(consensus),
        Arc::new(parts.store.clone()),
        warehouse(settings)?,
        Arc::clone(&parts.clock),
        Arc::clone(&parts.rng),
        parts.tasks.child("catalog"),
    );
    options.access = match (parts.users.required(), settings.catalog_key()) {
        (true, nodes) => Access::Users {
            users: Arc::clone(&parts.users),
            nodes,
        },
        (false, Some(key)) => Access::Tokens(key),
        (false, None) => Access::Open,
    };
    options.operators = settings.operator_key();
    options.audit = parts.audit.clone();
    parts.metrics.register(|registry| {
        options.metrics.register(registry);
        registry.register_collector(Box::new(RaftCollector::new(Arc::clone(&options.consensus))));
    });
    options.tls = parts.tls.clone();
    options.authorities = settings.catalog_authorities()?;
    options.retention = DropRetention {
        dropped: Duration::from_secs(settings.catalog.drop_retention_s),
        purged: Duration::from_secs(settings.catalog.purge_retention_s),
    };
    options.rebase_appends = settings.catalog.rebase_appends;
    options.delegation = Some(delegation(settings)?);
    let server = CatalogServer::new(options);
    parts.client.nearby(&settings.catalog_url(), server.nearby())?;
    let stop = parts.tasks.token();
    parts.tasks.spawn("catalog", async move {
        if let Err(error) = server.serve(listener).await {
            tracing::error!(%error, "catalog listener ended");
            stop.cancel();
        }
    });
    Ok(RoleReport::new(Role::Catalog, settings.catalog_url()))
}

/// Where tables lie.
pub(crate) fn warehouse(settings: &Settings) -> Result<Warehouse, Failure> {
    let location = settings
        .warehouse()
        .map_err(|source| Failure::io("resolve the data directory", source))?;
    Ok(Warehouse::new("lake", &location)?.with_locations(&settings.catalog.locations)?)
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

/// What clients are given to reach files with.
pub(super) fn delegation(settings: &Settings) -> Result<DelegationOptions, Failure> {
    let access = &settings.catalog.access;
    let mut options = DelegationOptions::new(storage::options(settings, String::new()).s3);
    options.remote_signing = access.remote_signing;
    options.store_refuses_unsigned_headers = access.store_refuses_unsigned_headers;
    if let Some(seconds) = access.lifetime_s {
        options.lifetime = Duration::from_secs(seconds);
    }
    if access.static_access_key_id.is_some() != access.static_secret_access_key.is_some() {
        return Err(
            Failure::of(Reason::Settings, "catalog.access has one half of a pair of static keys")
                .hint("set both static_access_key_id and static_secret_access_key, or none")
                .exit(2),
        );
    }
    let fixed = access
        .static_access_key_id
        .clone()
        .zip(access.static_secret_access_key.as_ref());
    options.vending = match (&access.role_arn, fixed) {
        (Some(role_arn), _) => Vending::AssumeRole {
            endpoint: access.sts_endpoint.clone(),
            role_arn: role_arn.clone(),
            external_id: access.external_id.clone(),
        },
        (None, Some((access_key_id, secret_access_key))) => Vending::Static(AccessKeys {
            access_key_id,
            secret_access_key: secret_access_key.expose().to_owned(),
            session_token: None,
        }),
        (None, None) => Vending::Nothing,
    };
    Ok(options)
}

pub(super) fn raft_options(
    settings: &Settings,
    node_tls: Option<NodeTls>,
    identity: Option<&GroupIdentity>,
) -> Result<RaftOptions, Failure> {
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
                Failure::of(Reason::Settings, format!("raft.peers.{id} is not a node id"))
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
            return Err(
                Failure::of(Reason::Settings, format!("raft.node_id {node} is not among raft.peers"))
                    .hint(format!(
                        "add the entry [raft.peers.{node}], or set raft.node_id to one that is there"
                    ))
                    .exit(2),
            );
        }
        RaftOptions::group(node, dir, peers)
    };
    options.secret = settings
        .security
        .node_secret
        .as_ref()
        .map(|secret| secret.expose().to_owned());
    options.node_tls = node_tls;
    options.heartbeat = Duration::from_millis(raft.heartbeat_ms);
    options.election_min = Duration::from_millis(raft.election_min_ms);
    options.election_max = Duration::from_millis(raft.election_max_ms);
    Ok(options)
}

/// A log that cannot be written ends the process: what it acknowledged stays true, and a supervisor sees the code. So does
/// a group that removed this node.
fn watch_log(parts: &Parts, consensus: &RaftConsensus) {
    let (mut stopped, consensus) = (consensus.stopped(), consensus.clone());
    let stop = parts.tasks.token();
    parts.tasks.spawn("log-watch", async move {
        tokio::select! {
            () = stop.cancelled() => {}
            found = stopped.wait_for(Option::is_some) => {
                if consensus.removed() {
                    tracing::info!("the group removed this node: ending the process");
                } else if let Ok(reason) = found {
                    tracing::error!(reason = reason.as_deref().unwrap_or_default(), "the log stopped: ending the process");
                }
                stop.cancel();
            }
        }
    });
}
