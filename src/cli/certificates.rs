//! `tidewater cluster init-ca|node-cert`: the CA of the nodes, and their certificates. They need no configuration and no running node.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use tidewater_core::SystemClock;
use tidewater_security::Authority;

use super::failure::Failure;
use super::output::Output;

#[derive(Debug, Args)]
pub(crate) struct InitCa {
    /// Folder of the CA; whoever reads it can make nodes
    #[arg(long, value_name = "DIR", default_value = "tidewater-ca")]
    dir: PathBuf,
    /// For how long its certificate says that it is good
    #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct NodeCert {
    /// Folder that init-ca has made
    #[arg(long, value_name = "DIR", default_value = "tidewater-ca")]
    ca_dir: PathBuf,
    /// What the node is called, a DNS name or an address; may be given several times
    #[arg(long = "name", value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Folder for its files; without it one of the node's (first) name
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// For how long it is good
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

pub(super) fn init_ca(args: &InitCa, output: &Output) -> Result<(), Failure> {
    let authority = Authority::create(&args.dir, args.days, SystemClock::shared().as_ref())?;
    let (ca, key) = (authority.ca(), args.dir.join("ca-key.pem"));
    output.one(&json!({"ca": ca, "key": key}))?;
    if output.is_json() {
        return Ok(());
    }
    let dir = args.dir.display();
    output.line(&format!(
        "keep {} to yourself, away from the nodes: whoever has it can make nodes\nnext, for each node: tidewater cluster node-cert --ca-dir {dir} --name NAME",
        key.display()
    ))
}

pub(super) fn node_cert(args: &NodeCert, output: &Output) -> Result<(), Failure> {
    let authority = Authority::open(&args.ca_dir)?;
    let named = || args.names.first().map(PathBuf::from).unwrap_or_default();
    let out = args.out.clone().unwrap_or_else(named);
    let files = authority.issue(&args.names, args.days, &out, SystemClock::shared().as_ref())?;
    output.one(&files)?;
    if output.is_json() {
        return Ok(());
    }
    output.line(&format!(
        "put the three files on the node, the key readable by tidewater only, and into its configuration, on all nodes or on none:\n\
         [node_tls]\nca = {:?}\ncert = {:?}\nkey = {:?}",
        files.ca, files.cert, files.key
    ))
}
