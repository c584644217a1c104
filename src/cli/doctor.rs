//! `tidewater doctor`: the configuration in force, and whether this machine can run it.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use tidewater_core::{SystemClock, SystemRng};
use tidewater_security::node_tls::WARN_DAYS;
use tidewater_security::{Grants, NodeTls};
use tidewater_table::FileStore;

use super::failure::Failure;
use super::output::Output;
use super::{block_on, role};
use crate::roles::writable::{self, Writable};
use crate::roles::{self, Role, check, listeners, storage};
use crate::settings::{Settings, SourceSettings};

/// How long the catalog may take to tell what was granted: it may not be running yet.
const ASK_DEADLINE: Duration = Duration::from_secs(5);

/// The verdict on what has to be mended before a process can do its work.
const PROBLEM: &str = "PROBLEM";

#[derive(Debug, Serialize)]
struct Check {
    check: String,
    verdict: &'static str,
    detail: String,
}

impl Check {
    /// What can be lived with.
    fn warning(check: impl Into<String>, detail: String) -> Self {
        Self {
            check: check.into(),
            verdict: "warning",
            detail,
        }
    }

    fn new(check: impl Into<String>, found: Result<String, String>) -> Self {
        let (verdict, detail) = match found {
            Ok(detail) => ("ok", detail),
            Err(detail) => (PROBLEM, detail),
        };
        Self {
            check: check.into(),
            verdict,
            detail,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Of a process with these roles, separated by commas; by default with all, as `up` has
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<Role>,
}

pub(super) fn run(settings: &Settings, args: DoctorArgs, output: &Output) -> Result<ExitCode, Failure> {
    let roles: BTreeSet<Role> = match args.roles.is_empty() {
        true => Role::ALL.into_iter().collect(),
        false => args.roles.into_iter().collect(),
    };
    let mut checks = vec![data_dir(settings)];
    checks.extend(check::parts(settings, &roles).map(|(part, found)| {
        let found = found.map(|()| "can be used".to_owned());
        Check::new(
            format!("settings: {part}"),
            found.map_err(|failure| failure.in_one_line()),
        )
    }));
    checks.push(warehouse(settings, &roles));
    let ports = listeners(settings, &roles).into_iter();
    checks.extend(ports.map(|(name, address)| port(name, address)));
    checks.extend(settings.ingest.sources.iter().map(source));
    checks.push(project(settings));
    checks.push(node_tls(settings));
    checks.push(grants(settings));
    checks.push(open_files());
    output.rows(&["check", "verdict", "detail"], &checks)?;
    let sound = checks.iter().all(|check| check.verdict != PROBLEM);
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn port(name: &str, address: SocketAddr) -> Check {
    let found = match TcpListener::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => Err(format!("{address}: {error} (fine when tidewater runs already)")),
    };
    Check::new(format!("port {name}"), found)
}

fn data_dir(settings: &Settings) -> Check {
    let dir = &settings.data_dir;
    let found = storage::prepare_data_dir(dir).map(|()| format!("{} can be written", dir.display()));
    Check::new("data directory", found.map_err(|failure| failure.in_one_line()))
}

/// Whether files can be written where tables lie: by the settings where this process is to be a catalog, otherwise by what the catalog
/// says.
fn warehouse(settings: &Settings, of: &BTreeSet<Role>) -> Check {
    let name = "warehouse";
    let location = match of.contains(&Role::Catalog) {
        true => roles::warehouse(settings).ok().map(|found| found.location().to_owned()),
        false => told_warehouse(settings),
    };
    let Some(location) = location.filter(|location| !location.is_empty()) else {
        return Check::new(name, Ok("not known, as the catalog does not tell".to_owned()));
    };
    let options = storage::options(settings, location.clone());
    let store = FileStore::new(options, SystemClock::shared(), SystemRng::shared());
    match block_on(writable::probe(&store, &location)) {
        Ok(Writable::Whole) => Check::new(name, Ok(format!("{location} can be written"))),
        Ok(Writable::Kept(reason)) => Check::warning(
            name,
            format!("{location} can be written, but nothing can be deleted there: {reason}"),
        ),
        Ok(Writable::Denied(failure)) if !writable::writes(settings, of) => {
            Check::warning(name, format!("for reading only: {}", failure.in_one_line()))
        }
        Ok(Writable::Denied(failure)) => Check::new(name, Err(failure.in_one_line())),
        Ok(Writable::Unanswered(reason)) => Check::new(
            name,
            Err(format!(
                "{location} does not say whether it can be written: {reason}; check storage.s3_endpoint, keys, region and network"
            )),
        ),
        Err(failure) => Check::new(name, Err(failure.in_one_line())),
    }
}

fn source(source: &SourceSettings) -> Check {
    match source {
        SourceSettings::File { path } if path.is_dir() => Check::new("source file", Ok(path.display().to_string())),
        SourceSettings::File { path } => Check::new("source file", Err(format!("{} is not a folder", path.display()))),
        SourceSettings::Kafka { bootstrap, topics, .. } => {
            Check::new("source kafka", kafka(bootstrap, &topics.join(", ")))
        }
    }
}

fn kafka(bootstrap: &str, topics: &str) -> Result<String, String> {
    use std::net::ToSocketAddrs;
    let first = bootstrap.split(',').next().unwrap_or(bootstrap);
    let address = first
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| format!("{first} cannot be resolved"))?;
    std::net::TcpStream::connect_timeout(&address, Duration::from_secs(3))
        .map(|_| format!("{bootstrap} answers; topics {topics}"))
        .map_err(|error| format!("{bootstrap}: {error}"))
}

fn project(settings: &Settings) -> Check {
    let Some(dir) = &settings.pipelines.project else {
        return Check::new("project", Ok("none configured".into()));
    };
    let found = tidewater_pipelines::Project::load(dir)
        .map(|project| format!("{}: {} models", dir.display(), project.models.len()))
        .map_err(|error| error.to_string());
    Check::new("project", found)
}

/// What the other nodes will say of this one.
fn node_tls(settings: &Settings) -> Check {
    let Some(files) = &settings.node_tls else {
        return Check::new("node TLS", Ok("none configured".into()));
    };
    let cert = files.cert.display();
    let found = match NodeTls::load(files.clone(), SystemClock::shared()).map(|tls| tls.days_left()) {
        Ok(days) if days < WARN_DAYS => Err(format!("{cert} is good for {days} days only")),
        Ok(days) => Ok(format!("{cert} is good for {days} days")),
        Err(error) => Err(match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }),
    };
    Check::new("node TLS", found)
}

/// Whether users may do what they were granted, no more and no less.
fn grants(settings: &Settings) -> Check {
    let security = &settings.security;
    let found = match security.grants {
        _ if !security.knows_users() => Ok("no users are configured".to_owned()),
        Grants::Required if security.has_admins() => Ok("required: what nobody was granted is denied".to_owned()),
        _ => match anything_granted(settings) {
            Some(true) => Ok("made: what nobody was granted is denied".to_owned()),
            Some(false) => Err(security.without_grants().to_owned()),
            None => Ok(format!(
                "not known, as the catalog does not tell; where there are none: {}",
                security.without_grants()
            )),
        },
    };
    Check::new("grants", found)
}

/// Whether a role or grant was ever made; none if the catalog does not tell.
fn anything_granted(settings: &Settings) -> Option<bool> {
    let client = role::client(settings).ok()?;
    let asked = block_on(async { Ok(tokio::time::timeout(ASK_DEADLINE, client.policy(None)).await) });
    let state = asked.ok()?.ok()?.ok()?;
    Some(state.policy.is_some_and(|policy| policy.in_force))
}

/// Where tables lie as the catalog has it; none if it does not tell.
fn told_warehouse(settings: &Settings) -> Option<String> {
    let client = role::client(settings).ok()?;
    let asked = block_on(async { Ok(tokio::time::timeout(ASK_DEADLINE, client.cluster_status()).await) });
    Some(asked.ok()?.ok()?.ok()?.warehouse)
}

/// Scans and shuffles hold many files open.
fn open_files() -> Check {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next().map(str::to_owned));
    let found = match limit.as_deref().map(str::parse::<u64>) {
        Some(Ok(limit)) if limit < 4096 => Err(format!("{limit} open files: raise it to 65536 (ulimit -n)")),
        Some(Ok(limit)) => Ok(limit.to_string()),
        _ => Ok("not limited".into()),
    };
    Check::new("open files", found)
}
