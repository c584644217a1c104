//! `tidewater cluster init|join|promote|remove|transfer-leader|status|snapshot|backup|restore|recover|init-ca|node-cert`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use futures::future::{Either, select};
use serde_json::json;

use tidewater_catalog::backup::{BackupWriter, missing_metadata, verify};
use tidewater_catalog::raft::{self, ExportedTable, Founder, GroupIdentity, PeerAddress, Survivor};
use tidewater_catalog_client::dto::NodeAllocated;
use tidewater_catalog_client::{CatalogClient, ClientError};
use tidewater_core::{NodeId, SharedClock, SystemClock, SystemRng};
use tidewater_table::FileStore;

use super::certificates::{InitCa, NodeCert, init_ca, node_cert};
use super::failure::{Failure, Reason};
use super::output::Output;
use super::{block_on, drive};
use crate::roles::{self, storage};
use crate::settings::Settings;

/// How long a number is asked for: the group may have been started a moment ago, and an election takes up to four seconds.
const JOIN_DEADLINE: Duration = Duration::from_secs(15);

/// How long after an attempt the next one is made, and how often whoever waits is told why.
const JOIN_PAUSE: Duration = Duration::from_secs(3);

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterVerb {
    /// Make an empty data directory the beginning of a group that others can join
    Init,
    /// Take a number from a running group for an empty data directory; the node joins when it is started
    Join {
        /// URL of any node of the group
        #[arg(long, value_name = "URL")]
        from: String,
    },
    /// Let learners vote, all in one step
    Promote(Nodes),
    /// Remove nodes for good
    Remove(Nodes),
    /// Let another voter lead
    TransferLeader {
        /// Which; without it the one that is furthest
        node: Option<u64>,
    },
    /// Show the nodes as the one that answers sees them
    Status,
    /// Write the state of the node that answers to its disk
    Snapshot,
    /// Write a backup into an empty folder while everything runs
    Backup {
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Make an empty data directory a new group of one out of a backup
    Restore {
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Look for every table's metadata file in the warehouse as well
        #[arg(long)]
        check_files: bool,
    },
    /// Show what a stopped node of a lost majority holds; with consent, make a new group of one out of it
    Recover {
        /// What was shown without this flag may be lost
        #[arg(long)]
        accept_loss: bool,
    },
    /// Make a CA that vouches for nodes, for TLS between them
    InitCa(InitCa),
    /// Make a node's key and its certificate of that CA
    NodeCert(NodeCert),
}

#[derive(Debug, Args)]
pub(crate) struct Nodes {
    /// Their numbers
    #[arg(required = true)]
    nodes: Vec<u64>,
}

impl Nodes {
    fn ids(&self) -> Vec<NodeId> {
        self.nodes.iter().copied().map(NodeId).collect()
    }
}

pub(super) fn run(settings: &Settings, verb: ClusterVerb, output: &Output) -> Result<(), Failure> {
    let client = || commanding_client(settings);
    match verb {
        ClusterVerb::Init => init(settings, output),
        ClusterVerb::Join { from } => join(settings, from, output),
        ClusterVerb::Promote(nodes) => {
            let client = client()?;
            output.one(&block_on(async { Ok(client.promote_nodes(&nodes.ids()).await?) })?)
        }
        ClusterVerb::Remove(nodes) => {
            let client = client()?;
            output.one(&block_on(async { Ok(client.remove_nodes(&nodes.ids()).await?) })?)
        }
        ClusterVerb::TransferLeader { node } => {
            let client = client()?;
            let leader = block_on(async { Ok(client.transfer_leader(node.map(NodeId)).await?) })?;
            output.one(&json!({"leader": leader}))
        }
        ClusterVerb::Status => {
            let client = client()?;
            let status = block_on(async { Ok(client.cluster_status().await?) })?;
            if output.is_json() {
                return output.one(&status);
            }
            output.rows(&["id", "api", "raft", "voter", "matched"], &status.members)?;
            let leader = status.leader.map_or_else(|| "none".to_owned(), |id| id.to_string());
            output.line(&format!(
                "node {} is {}, leader {leader}, term {}, last entry {}, applied {}, snapshot {}, log from {}",
                status.node, status.role, status.term, status.last_log, status.applied, status.snapshot, status.purged
            ))
        }
        ClusterVerb::Snapshot => {
            let client = client()?;
            output.one(&block_on(async { Ok(client.take_snapshot().await?) })?)
        }
        ClusterVerb::Backup { to } => backup(&client()?, to, output),
        ClusterVerb::Restore { from, check_files } => restore(settings, from, check_files, output),
        ClusterVerb::Recover { accept_loss } => recover(settings, accept_loss, output),
        ClusterVerb::InitCa(args) => init_ca(&args, output),
        ClusterVerb::NodeCert(args) => node_cert(&args, output),
    }
}

/// A client that may change the group: it shows that it knows the group's secret.
pub(crate) fn operating_client(settings: &Settings, endpoints: Vec<String>) -> Result<CatalogClient, Failure> {
    let mut options = settings.catalog_client()?;
    options.endpoints = endpoints;
    options.operator = settings.operator_bearer();
    Ok(CatalogClient::new(options)?)
}

/// The same for one command, which does not wait for nodes that nobody started.
pub(super) fn commanding_client(settings: &Settings) -> Result<CatalogClient, Failure> {
    let mut options = settings.command_client()?;
    options.operator = settings.operator_bearer();
    Ok(CatalogClient::new(options)?)
}

/// What the others are to call this node by.
fn own_address(settings: &Settings) -> Result<PeerAddress, Failure> {
    let (raft, catalog) = (&settings.raft, &settings.catalog);
    for (section, listen, advertise) in [
        ("raft", raft.listen, &raft.advertise),
        ("catalog", catalog.listen, &catalog.advertise),
    ] {
        if listen.ip().is_unspecified() && advertise.is_empty() {
            return Err(Failure::of(
                Reason::Settings,
                format!("{section}.listen is {listen}, an address that others cannot call"),
            )
            .hint(format!("set {section}.advertise to what other machines call this one"))
            .exit(2));
        }
    }
    Ok(PeerAddress {
        raft: settings.raft_address(),
        api: settings.catalog_url(),
    })
}

fn init(settings: &Settings, output: &Output) -> Result<(), Failure> {
    let identity = GroupIdentity {
        node: NodeId(1),
        address: own_address(settings)?,
        members: BTreeMap::new(),
    };
    identity.write_new(&settings.raft_dir())?;
    output.one(&identity)
}

fn join(settings: &Settings, from: String, output: &Output) -> Result<(), Failure> {
    let mut options = settings.command_client()?;
    options.endpoints = vec![from.clone()];
    options.operator = settings.operator_bearer();
    let client = CatalogClient::new(options)?;
    let given = drive(number_of(&client, &from, &SystemClock::shared()))?;
    let members = given.members.into_iter().map(|member| {
        let address = PeerAddress {
            raft: member.raft,
            api: member.api,
        };
        (member.id, address)
    });
    let identity = GroupIdentity {
        node: given.node,
        address: own_address(settings)?,
        members: members.collect(),
    };
    identity.write_new(&settings.raft_dir())?;
    output.one(&identity)?;
    if output.is_json() {
        return Ok(());
    }
    output.line(&format!(
        "start this node; then let it vote: tidewater cluster promote {}",
        identity.node
    ))
}

/// Asks the group for a number, and tells whoever waits why there is none yet. One that was given and not heard of is nobody's: numbers are not
/// given again.
async fn number_of(client: &CatalogClient, from: &str, clock: &SharedClock) -> Result<NodeAllocated, Failure> {
    let until = clock.monotonic() + JOIN_DEADLINE;
    let mut reason = "it has not answered".to_owned();
    let mut asking = Box::pin(client.allocate_node());
    loop {
        let ended = match select(&mut asking, clock.sleep(JOIN_PAUSE)).await {
            Either::Left((ended, _)) => Some(ended),
            Either::Right(_) => None,
        };
        let is_refused = ended.is_some();
        match ended {
            Some(Ok(given)) => return Ok(given),
            // Nothing happened there.
            Some(Err(ClientError::Unavailable { reason: why, .. })) => reason = why,
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
        let left = until.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return Err(Failure::of(
                Reason::Unreachable,
                format!(
                    "no node of a group gave a number at {from} within {} s: {reason}",
                    JOIN_DEADLINE.as_secs()
                ),
            )
            .hint(
                "start the node that --from names, or name another one of the group by its catalog.advertise or \
                 catalog.listen: http://HOST:8181",
            ));
        }
        tell(&format!(
            "no number from {from} yet, asking for {} s more: {reason}",
            left.as_secs()
        ));
        if is_refused {
            clock.sleep(JOIN_PAUSE).await;
            asking = Box::pin(client.allocate_node());
        }
    }
}

/// Beside the result, for whoever waits.
#[expect(clippy::print_stderr, reason = "words go to standard error")]
fn tell(text: &str) {
    eprintln!("{text}");
}

fn backup(client: &CatalogClient, to: PathBuf, output: &Output) -> Result<(), Failure> {
    let mut writer = BackupWriter::create(&to)?;
    let manifest = block_on(async {
        let mut download = client.backup().await?;
        while let Some(bytes) = download.next().await? {
            writer.write(&bytes)?;
        }
        Ok(writer.finish()?)
    })?;
    output.one(&json!({
        "folder": to,
        "entry": manifest.position.index,
        "bytes": manifest.snapshot_bytes,
        "namespaces": manifest.namespaces_count,
        "tables": manifest.tables.len(),
    }))
}

fn founder(settings: &Settings) -> Result<Founder, Failure> {
    Ok(Founder {
        dir: settings.raft_dir(),
        address: own_address(settings)?,
        now_ms: SystemClock::shared().now_ms(),
    })
}

fn restore(settings: &Settings, from: PathBuf, check_files: bool, output: &Output) -> Result<(), Failure> {
    let (manifest, state) = verify(&from)?;
    let warehouse = roles::warehouse(settings)?;
    if let Some(table) = manifest
        .tables
        .iter()
        .find(|table| !warehouse.holds(&table.metadata_location))
    {
        let mut tables = manifest.tables.iter();
        let is_empty = !tables.any(|table| warehouse.holds(&table.metadata_location));
        return Err(lies_elsewhere(table, warehouse.location(), is_empty));
    }
    let founded = raft::restore(state, &founder(settings)?, SystemRng::shared().as_ref())?;
    let founded = json!({"node": founded.node, "entry": founded.index});
    if !check_files {
        return output.one(&founded);
    }
    let store = FileStore::new(
        storage::options(settings, warehouse.location().to_owned()),
        SystemClock::shared(),
        SystemRng::shared(),
    );
    let missing = block_on(async { Ok(missing_metadata(&manifest, &store).await) })?;
    if missing.is_empty() {
        output.one(&founded)?;
        if output.is_json() {
            return Ok(());
        }
        return output.line(&format!(
            "the metadata files of all {} tables are there",
            manifest.tables.len()
        ));
    }
    output.rows(&["namespace", "name", "metadata_location"], &missing)?;
    Err(Failure::of(
        Reason::NotThere,
        format!(
            "{} tables cannot be read: their metadata files are missing",
            missing.len()
        ),
    ))
}

/// A catalog whose tables cannot be read is not made. `is_empty`: no table lies in the warehouse that was named.
fn lies_elsewhere(table: &ExportedTable, warehouse: &str, is_empty: bool) -> Failure {
    let (namespace, name) = (table.namespace.join("."), &table.name);
    let location = &table.metadata_location;
    let failure = Failure::of(
        Reason::Settings,
        format!("{namespace}.{name} lies at {location}, outside of the warehouse {warehouse}: nothing was restored"),
    );
    let hint = match old_warehouse(table).filter(|_| is_empty) {
        Some(place) => format!(
            "name the old catalog's warehouse, here and where the node is started: TIDEWATER__CATALOG__WAREHOUSE={place}"
        ),
        None => {
            "name the place that it lies below in catalog.locations, here and where the node is started, as the old \
                 catalog's configuration does; or the old catalog's warehouse in catalog.warehouse"
                .to_owned()
        }
    };
    failure.hint(hint).exit(2)
}

/// Where the old catalog has its warehouse; none where it did not place the table itself, and only its configuration tells.
fn old_warehouse(table: &ExportedTable) -> Option<&str> {
    // The file, and `metadata`.
    let folder = table.metadata_location.rsplit_once('/')?.0.rsplit_once('/')?.0;
    let uuid = table.uuid.simple().to_string();
    // As the catalog calls the folders that it chooses.
    let mut place = folder.strip_suffix(uuid.get(24..)?)?.strip_suffix('-')?;
    for _ in 0..=table.namespace.len() {
        place = place.rsplit_once('/')?.0;
    }
    Some(place)
}

fn recover(settings: &Settings, accept_loss: bool, output: &Output) -> Result<(), Failure> {
    let survivor = Survivor::look(settings.raft_dir())?;
    if !accept_loss {
        match output.is_json() {
            true => output.one(&json!({"warning": survivor.warning()}))?,
            false => output.line(&survivor.warning())?,
        }
        return Err(Failure::of(Reason::Usage, "nothing was changed")
            .hint("on the node whose last entry is the greatest: tidewater cluster recover --accept-loss"));
    }
    let founded = survivor.recover(&founder(settings)?, SystemRng::shared().as_ref())?;
    output.one(&json!({"node": founded.node, "entry": founded.index}))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: whoever restores where the tables cannot be read is told which warehouse to name, and where a table lies elsewhere on purpose that
    // the warehouse is not what is missing. Method: a table within two levels that the catalog placed, the same where the warehouse has others,
    // and one that its maker placed.
    #[test]
    fn the_old_warehouse_is_told() {
        let table = |folder: &str| ExportedTable {
            namespace: vec!["a".into(), "b".into()],
            name: "t".into(),
            uuid: uuid::Uuid::from_u128(0xabcd),
            version: 1,
            snapshot_id: None,
            metadata_location: format!("file:///old/lake/a/b/{folder}/metadata/0.metadata.json"),
        };
        let placed = table("t-0000abcd");
        assert_eq!(old_warehouse(&placed), Some("file:///old/lake"));
        let told = |table: &ExportedTable, is_empty| lies_elsewhere(table, "file:///new/lake", is_empty).in_one_line();
        let alone = told(&placed, true);
        assert!(
            alone.contains("TIDEWATER__CATALOG__WAREHOUSE=file:///old/lake"),
            "{alone}"
        );
        for elsewhere in [told(&placed, false), told(&table("t"), true)] {
            let is_right = elsewhere.contains("catalog.locations") && !elsewhere.contains("WAREHOUSE=");
            assert!(is_right, "{elsewhere}");
        }
    }
}
