//! A catalog with one voter, or a node of a group: `serve DIR [PORT [WAREHOUSE [KEY=VALUE ...]]]`. Prints its URI when it is ready; ends on Ctrl-C.
//! With `SERVE_USER=name:password` in the environment only that user gets in, whom no grant binds.
//!
//! Keys: `s3.endpoint`, `s3.region`, `s3.access-key-id`, `s3.secret-access-key`, `sts.role-arn` and `sts.endpoint` (vended credentials),
//! `static.access-key-id` and `static.secret-access-key` (the same for every table), `sign` (any value: remote signing), `sign-writes`
//! (any value: of writes too, at an endpoint), `plan-files` (files in one answer of a planned scan), `also` (another place that tables may
//! lie in), `peers` (`ID@RAFT_ADDRESS@URI,...`) and `node` (a node of this group instead of a voter alone).
#![expect(clippy::print_stdout, reason = "the URI is this program's result")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidewater_catalog::raft::{PeerAddress, RaftConsensus, RaftOptions};
use tidewater_catalog::{Access, AccessKeys, CatalogOptions, CatalogServer, DelegationOptions, Vending, Warehouse};
use tidewater_core::{NodeId, SystemClock, SystemRng, Tasks};
use tidewater_security::authenticator::hash_password;
use tidewater_security::{Authenticator, Role, TokenKey, UserSettings};
use tidewater_table::{FileStore, S3Options, StoreOptions};

/// How long everything may take to end.
const END_DEADLINE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments
        .next()
        .ok_or("usage: serve DIR [PORT [WAREHOUSE [KEY=VALUE ...]]]")?;
    let port: u16 = arguments.next().map_or(Ok(0), |port| port.parse())?;
    std::fs::create_dir_all(&dir)?;
    let dir = std::fs::canonicalize(dir)?;

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let uri = format!("http://{}", listener.local_addr()?);
    let (clock, rng, tasks) = (SystemClock::shared(), SystemRng::shared(), Tasks::new("catalog"));
    let lake = arguments
        .next()
        .unwrap_or_else(|| dir.join("lake").to_string_lossy().into_owned());
    let given: HashMap<String, String> = arguments
        .map(|pair| {
            pair.split_once('=')
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        })
        .collect::<Option<_>>()
        .ok_or("settings are KEY=VALUE")?;
    let options = raft(&given, &dir.join("raft"), &uri)?;
    let peers = options.peers.get(&options.node).map(|own| own.raft.clone());
    let consensus = RaftConsensus::start(options, Arc::clone(&clock), Arc::clone(&rng)).await?;
    if let Some(address) = peers.filter(|address| !address.is_empty()) {
        consensus.serve_peers(tokio::net::TcpListener::bind(address).await?)?;
    }
    let warehouse = Warehouse::new("lake", &lake)?.with_locations(given.get("also"))?;
    let s3 = s3(&given);
    let options = StoreOptions {
        s3: s3.clone(),
        ..StoreOptions::default()
    };
    let store = FileStore::new(options, Arc::clone(&clock), Arc::clone(&rng));
    let mut options = CatalogOptions::new(
        Arc::new(consensus.clone()),
        Arc::new(store),
        warehouse,
        Arc::clone(&clock),
        Arc::clone(&rng),
        tasks.clone(),
    );
    if let Ok(user) = std::env::var("SERVE_USER") {
        let (name, password) = user.split_once(':').ok_or("SERVE_USER is name:password")?;
        let user = UserSettings {
            name: name.to_owned(),
            password_hash: hash_password(password, &rng)?,
            scram: None,
            role: Role::Admin,
        };
        let key = TokenKey::derive(rng.uuid().as_bytes());
        options.access = Access::Users {
            users: Arc::new(Authenticator::new(vec![user], key, clock)?),
            nodes: None,
        };
    }
    options.delegation = Some(delegation(&given, s3));
    if let Some(files) = given.get("plan-files") {
        options.plan_files_max = files.parse()?;
    }
    let server = CatalogServer::new(options);
    let ended = tasks.token();
    tasks.spawn("signal", async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => ended.cancel(),
            () = ended.cancelled() => {}
        }
    });
    println!("{uri}");
    let mut stopped = consensus.stopped();
    tokio::select! {
        served = server.serve(listener) => served?,
        reason = stopped.wait_for(Option::is_some) => {
            let reason = reason?.clone().unwrap_or_default();
            return Err(format!("this node cannot keep its log: {reason}").into());
        }
    }
    tasks.shutdown(END_DEADLINE).await;
    consensus.shutdown(END_DEADLINE).await;
    Ok(())
}

/// A voter alone, or a node of the group that is given.
fn raft(given: &HashMap<String, String>, dir: &Path, uri: &str) -> Result<RaftOptions, Box<dyn std::error::Error>> {
    let Some(peers) = given.get("peers") else {
        return Ok(RaftOptions::single(dir, uri));
    };
    let mut group = BTreeMap::new();
    for peer in peers.split(',') {
        let [id, raft, api] = peer.split('@').collect::<Vec<_>>()[..] else {
            return Err("a peer is ID@RAFT_ADDRESS@URI".into());
        };
        let (raft, api) = (raft.to_owned(), api.to_owned());
        group.insert(NodeId(id.parse()?), PeerAddress { raft, api });
    }
    let node = given.get("node").ok_or("peers without node")?.parse()?;
    Ok(RaftOptions::group(NodeId(node), dir, group))
}

fn s3(given: &HashMap<String, String>) -> S3Options {
    let endpoint = given.get("s3.endpoint").cloned();
    S3Options {
        allow_http: endpoint
            .as_deref()
            .is_some_and(|endpoint| endpoint.starts_with("http:")),
        endpoint,
        region: given.get("s3.region").cloned(),
        access_key_id: given.get("s3.access-key-id").cloned(),
        secret_access_key: given.get("s3.secret-access-key").cloned(),
        ..S3Options::default()
    }
}

fn delegation(given: &HashMap<String, String>, s3: S3Options) -> DelegationOptions {
    let mut options = DelegationOptions::new(s3);
    options.remote_signing = given.contains_key("sign");
    options.store_refuses_unsigned_headers = given.contains_key("sign-writes");
    if let Some(role_arn) = given.get("sts.role-arn") {
        options.vending = Vending::AssumeRole {
            endpoint: given.get("sts.endpoint").cloned(),
            role_arn: role_arn.clone(),
            external_id: None,
        };
    } else if let Some(keys) = given
        .get("static.access-key-id")
        .zip(given.get("static.secret-access-key"))
    {
        options.vending = Vending::Static(AccessKeys {
            access_key_id: keys.0.clone(),
            secret_access_key: keys.1.clone(),
            session_token: None,
        });
    }
    options
}
