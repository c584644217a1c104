//! The tidewater binary: a lakehouse in one process or one role of it, and the command line of its operators.

use std::process::ExitCode;

mod cli;
mod control;
mod demo;
mod logging;
mod roles;
mod settings;

fn main() -> ExitCode {
    cli::main()
}
