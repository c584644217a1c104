//! `tidewater namespace ls|drop`

use clap::Subcommand;
use serde_json::{Value, json};

use tidewater_catalog_client::CatalogClient;
use tidewater_core::Namespace;
use tidewater_table::Catalog;

use super::block_on;
use super::cluster::commanding_client;
use super::failure::Failure;
use super::output::Output;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum NamespaceVerb {
    /// List namespaces
    Ls,
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
    let (namespace, cascade, purge) = match verb {
        NamespaceVerb::Ls => return list(&client, output),
        NamespaceVerb::Drop {
            namespace,
            cascade,
            purge,
        } => (namespace, cascade, purge),
    };
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

fn list(client: &CatalogClient, output: &Output) -> Result<(), Failure> {
    let namespaces = block_on(async { Ok(client.list_namespaces().await?) })?;
    let lines: Vec<Value> = namespaces
        .iter()
        .map(|namespace| json!({"namespace": namespace.to_string()}))
        .collect();
    output.rows(&["namespace"], &lines)
}
