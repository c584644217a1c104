//! `tidewater serve --roles …`: one or more roles of a cluster.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use crate::logging;
use crate::roles::{self, Role};
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Roles, separated by commas: catalog, scheduler, executor, ingest, flight-sql
    #[arg(long, value_delimiter = ',', required = true, value_name = "ROLES")]
    roles: Vec<Role>,
}

pub(super) fn run(settings: Settings, args: ServeArgs) -> Result<ExitCode, Failure> {
    logging::start(false);
    let roles: BTreeSet<Role> = args.roles.into_iter().collect();
    roles::run(settings, roles, |_| async { Ok(()) })
}
