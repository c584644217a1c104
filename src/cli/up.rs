//! `tidewater up`: every role in one process.

use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use crate::demo;
use crate::logging;
use crate::roles::{self, Role};
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(super) struct UpArgs {
    /// Stream the synthetic hospital through it and show what happens
    #[arg(long)]
    demo: bool,
    /// Changes per second of the demo
    #[arg(long, default_value_t = 50, value_name = "N", requires = "demo")]
    events_per_second: u32,
}

pub(super) fn run(mut settings: Settings, args: UpArgs) -> Result<ExitCode, Failure> {
    let roles = Role::ALL.into_iter().collect();
    if args.demo {
        logging::start(demo::has_screen());
        let demo = demo::prepare(&mut settings, args.events_per_second)?;
        return roles::run(settings, roles, move |running| demo.play(running));
    }
    logging::start(false);
    roles::run(settings, roles, |_| async { Ok(()) })
}
