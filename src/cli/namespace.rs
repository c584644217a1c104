//! `tidewater namespace drop`

use clap::Subcommand;
use serde_json::json;

use tidewater_core::Namespace;

use super::block_on;
use super::cluster::commanding_client;
use super::failure::Failure;
use super::output::Output;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum NamespaceVerb {
    /// Drop a namespace
    Drop {
        /// Such as bronze
        namespace: Namespace,
        /// With all tables, views and namespaces in it, as a job
        #[arg(long)]
        cascade: bool,
        /// Delete the files of its tables as well
        #[arg(long, requires = "cascade")]
        purge: bool,
    },
}

pub(super) fn run(settings: &Settings, verb: NamespaceVerb, output: &Output) -> Result<(), Failure> {
    let client = commanding_client(settings)?;
    let NamespaceVerb::Drop {
        namespace,
        cascade,
        purge,
    } = verb;
    if !cascade {
        block_on(async { Ok(client.drop_namespace(&namespace).await?) })?;
        return output.one(&json!({"namespace": namespace.to_string()}));
    }
    let job = block_on(async { Ok(client.drop_namespace_with_all(&namespace, purge).await?) })?;
    output.one(&json!({"namespace": namespace.to_string(), "job": job}))?;
    if output.is_json() {
        return Ok(());
    }
    output.line(&format!("the catalog goes on with it: tidewater job show {job}"))
}
